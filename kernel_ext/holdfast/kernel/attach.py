"""``%load_ext holdfast``: the same kernel, put on a plain one that runs already."""

from __future__ import annotations

from typing import Any

from holdfast.errors import OperatorError
from holdfast.kernel.kernel import DurableKernel
from holdfast.kernel.notices import notice
from holdfast.kernel.registering import register
from holdfast.kernel.shell import CellShell
from holdfast.kernel.streams import adopt
from holdfast.kernel.tap import TapSession


def load(shell: Any) -> None:
    """Make the kernel of ``shell`` durable from the next cell on. Loading twice changes nothing.

    Raises:
        OperatorError: HF243, the shell is not in a Jupyter kernel.
    """
    import sys

    from ipykernel.ipkernel import IPythonKernel
    from IPython.display import display

    kernel = getattr(shell, "kernel", None)
    if not isinstance(kernel, IPythonKernel):
        raise OperatorError(
            "HF243",
            "the extension needs a Jupyter kernel",
            cure="Use JupyterLab, Notebook or `holdfast shell`, not a plain IPython terminal.",
        )
    if isinstance(kernel, DurableKernel):
        return
    _mix(kernel, DurableKernel)
    _mix(kernel.session, TapSession)
    _mix(shell, CellShell)
    adopt([sys.stdout, sys.stderr])
    for handlers in (kernel.shell_handlers, kernel.control_handlers):
        for name in ("execute_request", "shutdown_request"):
            handlers[name] = getattr(kernel, name)  # those there are bound to the class as it was
    _receive_anew(kernel)
    durable: Any = kernel
    register(shell, lambda: durable.holdfast, lambda: durable._holdfast_desk)
    display(  # type: ignore[no-untyped-call]
        notice("Holdfast records from the next cell on", ["What ran before in this kernel is not recorded. %holdfast help"]), raw=True
    )


def _receive_anew(kernel: Any) -> None:
    """The thread that receives messages calls the method that was there when the kernel started."""
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is not None:
        thread.io_loop.add_callback(lambda: kernel.shell_stream.on_recv(kernel.shell_channel_thread_main, copy=False))


def _mix(thing: Any, before: type) -> None:
    """Put ``before`` before the class of ``thing``."""
    former = type(thing)
    if not isinstance(thing, before):
        thing.__class__ = type(f"Holdfast{former.__name__}", (before, former), {})
