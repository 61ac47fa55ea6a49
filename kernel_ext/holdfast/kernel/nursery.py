"""``python -m holdfast.kernel.nursery SOCKET``: has imported what a kernel needs and forks one for each request.

A kernel from here is one that was started afresh, but for the second that its imports take: it has the environment, the folder, the
arguments and the outputs of whoever asked, ends with them (not with this process), and shares no thread, file or random state.

A request is one line of JSON (``arguments``, ``environment``, ``folder``, ``keeper``: pid and start time of whoever it must not outlive)
that comes with the descriptors of its standard output and error. The answer is ``{"pid": ..., "started": ...}`` or ``{"no": reason}``.
The nursery ends when its standard input does, or when a module that it has imported changes on disk.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import threading
import traceback
from typing import Any

from holdfast.errors import OperatorError
from holdfast.foundation import clock, plugins, process

#: What :mod:`holdfast.kernel` imports only when it needs it.
_MODULES = (
    "holdfast.kernel.app",
    "holdfast.kernel.wiring",
    "holdfast.kernel.session",
    "holdfast.kernel.attach",
    "holdfast.kernel.bypass",
    "holdfast.kernel.desk",
    "holdfast.kernel.lifecycle",
    "holdfast.kernel.live",
    "holdfast.kernel.replayer",
    "holdfast.checkpoint.checkpointer",
    "holdfast.durable.wiring",
    "holdfast.journal.stores.sqlite",
    "holdfast.prompts.listing",
    "holdfast.prompts.opening",
    "holdfast.show",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.magics.script",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "cloudpickle",
    "lz4.block",
    "psutil",
    "smtplib",
    "tornado.platform.asyncio",
    "zmq.asyncio",
    "zstandard",
)
#: Variables that act when the interpreter or a library is loaded: a forked kernel cannot have others than the nursery.
_LOADING = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "OMP_", "LANG", "LC_")
_LINE = 4 << 20
_CHANGED = "modules have changed on disk"


def main() -> None:
    """Serve until standard input ends."""
    (place,) = sys.argv[1:]
    _import_beforehand()
    sources = {path: _stamp(path) for m in list(sys.modules.values()) if (path := getattr(m, "__file__", None))}
    sources |= {path: _stamp(path) for path in sys.path if path.endswith("-packages")}  # what is installed later may announce plugins
    own = _loading(dict(os.environ))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system reaps
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{place}.new")
    listener.listen(64)
    os.rename(f"{place}.new", place)
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if (listener in ready and not _serve(listener, own, sources)) or sys.stdin.fileno() in ready:
                with contextlib.suppress(OSError):
                    os.unlink(place)
                return


def _import_beforehand() -> None:
    for name in _MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.stderr.write(f"{name} is not imported beforehand: {error}\n")
    for group in ("holdfast.interceptors", "holdfast.reducers"):
        try:
            for plugin in plugins.find(group):
                plugin.load()
        except OperatorError as error:  # the kernel will say so where it is seen
            sys.stderr.write(f"{group}: {error}\n")


def _serve(listener: socket.socket, own: dict[str, str], sources: dict[str, Any]) -> bool:
    """Answer one request; returns False when no further one can be answered otherwise than with no."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5.0)
        descriptors: list[int] = []
        try:
            line, descriptors, _, _ = socket.recv_fds(connection, _LINE, 2)
            while line and not line.endswith(b"\n"):
                line += connection.recv(_LINE)
            request = json.loads(line)
            refusal = _refusal(request, own, sources)
            if refusal:
                connection.sendall(json.dumps({"no": refusal}).encode() + b"\n")
                return refusal != _CHANGED
            pid = os.fork()
            if pid == 0:
                _become_kernel(request, descriptors)
            answer = {"pid": pid, "started": process.start_time(pid) or "?"}
            connection.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError, KeyError):
            traceback.print_exc()
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
    return True


def _refusal(request: dict[str, Any], own: dict[str, str], sources: dict[str, Any]) -> str:
    if _loading(request["environment"]) != own:
        return "the environment of its interpreter differs"
    if any(_stamp(path) != stamp for path, stamp in sources.items()):
        return _CHANGED
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()
    return f"{threads} threads run here" if threads > 1 else ""


def _become_kernel(request: dict[str, Any], descriptors: list[int]) -> None:
    """In the fork; never returns."""
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, descriptors[0]), (2, descriptors[1])):
            os.dup2(source, target)
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(request["environment"])
        clock_zone()
        os.chdir(request["folder"])
        sys.path[0] = request["folder"]  # as `python -m` does
        app = sys.modules["holdfast.kernel.app"]
        sys.argv = [str(app.__file__).replace("app.py", "__main__.py"), *request["arguments"]]
        pid, started = request["keeper"]
        threading.Thread(target=_end_with, args=(pid, started), daemon=True, name="keeper").start()
        app.HoldfastApp.launch_instance(list(request["arguments"]), parent_handle=1)  # 1: somebody else looks after the parent
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    leave(code)


def leave(code: int) -> None:
    """End as an interpreter does, but without going back to the nursery's own frames."""
    try:
        import atexit

        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def clock_zone() -> None:
    """Follow ``TZ``."""
    import time

    time.tzset()


def _end_with(pid: int, started: str) -> None:
    while process.alive(pid, started):
        clock.sleep(0.5)
    os._exit(1)


def _loading(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_LOADING)}


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


if __name__ == "__main__":
    main()
