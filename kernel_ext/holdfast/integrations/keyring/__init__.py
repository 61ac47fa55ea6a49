"""The system's keyring, for secrets by reference."""
