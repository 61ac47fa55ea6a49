"""Effects that reach the outside without becoming a call are noticed and reported on the step; the kernel tells the author.

Nothing is written to the cell's own streams: what a cell prints is what its author made it print.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.durable.lanes import HERE

if TYPE_CHECKING:
    from holdfast.durable.recorder import Recorder

_SHOWN = 200  # characters of an effect


def _connected(args: tuple[Any, ...]) -> str:
    address = args[1] if len(args) > 1 else ""
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) >= 2 else str(address)


def _started(args: tuple[Any, ...]) -> str:
    command = args[1] if len(args) > 1 and args[1] else args[0]
    return " ".join(map(str, command)) if isinstance(command, (list, tuple)) else str(command)


def _first(args: tuple[Any, ...]) -> str:
    value = args[0] if args else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _nothing(args: tuple[Any, ...]) -> str:
    return ""


#: Audit events that mean: something left, or may leave, this process unseen. Files are not among them: what a cell does to the files
#: of its own machine is its business.
_EVENTS: dict[str, Callable[[tuple[Any, ...]], str]] = {
    "socket.connect": _connected,
    "socket.sendto": _connected,
    "subprocess.Popen": _started,
    "os.system": _first,
    "os.posix_spawn": _started,
    "os.exec": _started,
    "os.fork": _nothing,
    "os.forkpty": _nothing,
    "ctypes.dlopen": _first,
}

_recorder: weakref.ref[Recorder] | None = None
_hooked = False
_own: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_busy = threading.local()


def install(recorder: Recorder) -> None:
    """Report to ``recorder`` from now on. Threads that exist already (the kernel's own) are not watched, the present one is.

    A hook cannot be taken out of an interpreter again; :func:`uninstall` leaves one behind that does nothing.
    """
    global _recorder, _hooked
    _own.update(t for t in threading.enumerate() if t is not threading.current_thread())
    _recorder = weakref.ref(recorder)
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hook)


def uninstall() -> None:
    """Report nothing any more."""
    global _recorder
    _recorder = None
    _own.clear()


def _hook(event: str, args: tuple[Any, ...]) -> None:
    describe = _EVENTS.get(event)
    if describe is not None and _recorder is not None:
        recorder = _recorder()
        if recorder is not None and recorder.active and not getattr(_busy, "here", False):
            _notice(recorder, event, describe, args)


def _notice(recorder: Recorder, event: str, describe: Callable[[tuple[Any, ...]], str], args: tuple[Any, ...]) -> None:
    """Note one effect. Whatever goes wrong here must not stop what the author does."""
    active: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]  # current_thread() makes dummies of strangers
    if active.get(threading.get_ident()) in _own:
        return
    _busy.here = True
    try:
        cell = recorder.cell
        here = HERE.get()
        if cell is None or (here is not None and here.passing):
            return
        effect = f"{event} {recorder.redact(describe(args))}".strip()[:_SHOWN]
        cell.undeclared.setdefault(effect)
    except Exception:  # a hook that raises would turn a notice into a failure
        pass
    finally:
        _busy.here = False
