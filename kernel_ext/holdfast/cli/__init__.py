"""The ``holdfast`` command. Modules import what they need inside functions: ``holdfast --help`` must be quick."""
