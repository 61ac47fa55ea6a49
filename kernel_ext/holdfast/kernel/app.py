"""The application of the kernelspec: ipykernel's, with the parts of the Holdfast kernel."""

from __future__ import annotations

from typing import Any

from ipykernel.kernelapp import IPKernelApp
from traitlets import Type, default

from holdfast.kernel.kernel import HoldfastKernel
from holdfast.kernel.streams import DrainableOutStream
from holdfast.kernel.tap import TapSession


class HoldfastApp(IPKernelApp):
    """Starts a Holdfast kernel."""

    name = "holdfast-kernel"
    kernel_class: Any = Type(HoldfastKernel, klass="ipykernel.kernelbase.Kernel").tag(config=True)

    @default("session")
    def _session_default(self) -> Any:
        return TapSession(parent=self)

    @default("outstream_class")
    def _outstream_default(self) -> str:
        return f"{DrainableOutStream.__module__}.{DrainableOutStream.__qualname__}"


# Configuration files and log filters of the Jupyter world name the section and the logger so.
HoldfastApp.__name__ = HoldfastApp.__qualname__ = "IPKernelApp"


def main() -> None:
    """Run the kernel that the command line describes; a plain one when ``HOLDFAST_DURABLE=off``."""
    HoldfastApp.launch_instance()
