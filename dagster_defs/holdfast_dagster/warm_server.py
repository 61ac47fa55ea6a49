"""``python -m holdfast_dagster.warm_server HOME``: imports everything once, then forks a run worker for each request.

These processes come from it, none with a thread or a connection of another:

- *workers*, one per request; they are in sessions of their own and outlive the server;
- *templates*, one per code location: they have loaded its definitions, and fork workers that need not do so. A template is used only as
  long as every file it was made from is unchanged, and only if loading left neither a thread nor an open file behind;
- the *nursery* (:mod:`holdfast.kernel.nursery`), which forks the kernels;
- the *waker* (:mod:`holdfast_dagster.waker`), which continues what is due and recovers what was lost, at once instead of at the sensor's
  next tick.

The server ends when its own modules change on disk, when another server took its place, when the home is gone, or after an idle hour.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from holdfast.engine import identity
from holdfast.engine.nursing import Nursery
from holdfast.notebook.grammars import skip_grammars
from holdfast_dagster.files_read import FilesRead, Stamp, stamp_of
from holdfast_dagster.storing import complain
from holdfast_dagster.warm import Request, State, Warm, default_signals, interpreter, remove, write_state
from holdfast_dagster.warm_worker import become_worker, settle_in

#: What a run worker imports sooner or later. Those that this Dagster does not have are left out.
MODULES = (
    "dagster",
    "dagster._cli",
    "dagster._cli.api",
    "dagster._core.execution.api",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.sqlite_storage",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._daemon.monitoring",
    "alembic.config",
    "alembic.command",
    "sqlalchemy.dialects.sqlite",
    "holdfast.client",
    "holdfast.engine.driver",
    "holdfast.engine.kernels",
    "holdfast.journal.stores.sqlite",
    "holdfast_dagster",
    "holdfast_dagster.definitions",
    "holdfast_dagster.executor",
    "holdfast_dagster.launching",
    "holdfast_dagster.metadata",
    "holdfast_dagster.resuming",
    "holdfast_dagster.waker",
    "jupyter_client.asynchronous.client",
    "jupyter_client.provisioning.local_provisioner",
    "nbclient.client",
    "nbformat.v4",
    "zmq.asyncio",
)

_LABEL = "dagster-warm"
_MOST_TEMPLATES = 8
_LOOK = 2.0  # seconds between two looks at whether the server is still wanted
_IDLE = 3600.0  # seconds
_LONGEST = 16 << 20  # bytes of a request


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What a template says when it has loaded its definitions."""

    files: list[Stamp] = []
    unfit: str = ""  # why workers cannot be forked from it


class Template:
    """The server's end of a template."""

    def __init__(self, key: str, channel: socket.socket) -> None:
        self.key, self.channel = key, channel
        self.loaded: Loaded | None = None

    @property
    def ready(self) -> bool:
        """Whether it has loaded and may be forked from."""
        return self.loaded is not None and not self.loaded.unfit

    @property
    def stale(self) -> bool:
        """Whether something that it was made from has changed."""
        return self.loaded is not None and not all(s.same for s in self.loaded.files)

    def fork(self, line: bytes, connection: socket.socket) -> bool:
        """Let it fork a worker; False when it is gone."""
        try:
            socket.send_fds(self.channel, [len(line).to_bytes(4, "big")], [connection.fileno()])
            self.channel.sendall(line)
        except OSError:
            return False
        return True


class Server:
    """See the module.

    Args:
        home: the Dagster home.
        idle: seconds without a request after which it ends.
    """

    def __init__(self, home: Path, idle: float = _IDLE) -> None:
        self._warm, self._idle = Warm(home), idle
        self._owner = identity.this_process(_LABEL).text
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._templates: dict[str, Template] = {}
        self._waker: socket.socket | None = None
        self._nursery = ""
        self._kernels: Nursery | None = None  # a process of its own, not a fork: kernels have nothing of Dagster in them
        self._quiet = 0.0
        self._own: list[Stamp] = []

    def serve(self) -> None:
        """Until it is not wanted any more."""
        warm_up()
        self._own = [Stamp(p, stamp_of(p)) for m in list(sys.modules.values()) if (p := getattr(m, "__file__", None))]
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the system
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        folder = Path(tempfile.mkdtemp(prefix="holdfast-warm-"))  # 0700; the home's path may be too long for a socket's
        try:
            place = str(folder / "s")
            self._listener.bind(place)
            self._listener.listen(128)
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            self._nursery = str(folder / "k")
            self._kernels = Nursery(os.environ, Path(self._nursery))
            self._kernels.look()
            self._start_waker()
            environment = _inherited()
            state = State(owner=self._owner, socket=place, executable=sys.executable, interpreter=interpreter(environment))
            write_state(self._warm.place, state)
            while self._wanted():
                ready = self._selector.select(_LOOK)
                self._quiet = 0.0 if ready else self._quiet + _LOOK
                for key, _ in ready:
                    key.data()
        finally:
            remove(folder)

    def _wanted(self) -> bool:
        state = self._warm.state()
        if state is None or state.owner != self._owner or self._quiet > self._idle:
            return False
        if self._waker is None:
            self._start_waker()
        if self._kernels is not None:
            self._kernels.look()
        return True

    # ---- requests

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(2.0)
            try:
                line = _line(connection)
                request = msgspec.json.decode(line, type=Request)
            except (OSError, msgspec.MsgspecError, ValueError):
                return
            if not all(s.same for s in self._own):
                with contextlib.suppress(OSError):
                    connection.sendall(b'{"no": "what the warm server has imported has changed on disk; it ends"}\n')
                sys.exit(0)
            self._serve(request, line, connection)

    def _serve(self, request: Request, line: bytes, connection: socket.socket) -> None:
        key = self._key(request)
        template = self._templates.get(key)
        if template is not None and template.stale:
            self._forget(template)
            template = None
        if template is not None and template.ready and template.fork(line, connection):
            return
        self._fork(lambda: become_worker(request, connection, self._nursery), keep=connection)
        if template is None and request.keeps:
            self._make_template(key, request)

    @staticmethod
    def _key(request: Request) -> str:
        return msgspec.json.encode([request.code, request.folder, sorted(request.environment.items())]).decode()

    # ---- children

    def _fork(self, child: Callable[[], None], keep: socket.socket | None = None) -> None:
        """Run ``child`` in a fork, which never comes back."""
        if os.fork():
            return
        try:
            nursery = self._kernels.process.stdin if self._kernels is not None and self._kernels.process is not None else None
            for open_file in (self._listener, self._waker, nursery, *(t.channel for t in self._templates.values())):
                if open_file is not None and open_file is not keep:
                    open_file.close()
            self._selector.close()
            child()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _make_template(self, key: str, request: Request) -> None:
        while len(self._templates) >= _MOST_TEMPLATES:
            self._forget(next(iter(self._templates.values())))
        ours, theirs = socket.socketpair()

        def child() -> None:
            ours.close()
            be_template(request, theirs, self._nursery)

        self._fork(child, keep=theirs)
        theirs.close()
        template = Template(key, ours)
        self._templates[key] = template
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(template))

    def _hear(self, template: Template) -> None:
        """A template has loaded, or is gone."""
        template.channel.settimeout(2.0)
        try:
            template.loaded = msgspec.json.decode(_line(template.channel), type=Loaded)
        except (OSError, msgspec.MsgspecError, ValueError):
            self._forget(template)
            return
        template.channel.settimeout(None)
        if template.loaded.unfit:  # it has ended; what was learnt of it holds until the definitions change
            self._selector.unregister(template.channel)
            template.channel.close()
            complain(f"definitions are loaded anew for each run: {template.loaded.unfit}")

    def _forget(self, template: Template) -> None:
        """Its end of the channel closes, and it ends."""
        if template.channel.fileno() >= 0:
            self._selector.unregister(template.channel)
            template.channel.close()
        if self._templates.get(template.key) is template:
            del self._templates[template.key]

    def _start_waker(self) -> None:
        ours, theirs = socket.socketpair()
        home = self._warm.place.parents[1]

        def child() -> None:
            from holdfast_dagster.waker import wake_until_alone

            ours.close()
            default_signals()
            wake_until_alone(home, theirs)
            os._exit(0)

        self._fork(child, keep=theirs)
        theirs.close()
        self._waker = ours
        self._selector.register(ours, selectors.EVENT_READ, self._waker_gone)

    def _waker_gone(self) -> None:
        if self._waker is not None:
            self._selector.unregister(self._waker)
            self._waker.close()
            self._waker = None  # another one is started at the next look


def warm_up() -> None:
    """Import what run workers need."""
    skip_grammars()
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:
            sys.stderr.write(f"{name} is not imported beforehand: {error}\n")


def be_template(request: Request, channel: socket.socket, nursery: str) -> None:
    """Load the definitions, say so, then fork a worker for each request that comes through the channel. Ends with the channel."""
    before = _open_files()
    settle_in(request)
    default_signals()
    read = FilesRead()
    read.begin()
    unfit = ""
    try:
        _load(request.code)
    except BaseException as error:
        unfit = f"they cannot be loaded: {type(error).__name__}: {error}"
    files = read.end()
    unfit = unfit or _left_behind(before)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    channel.sendall(msgspec.json.encode(Loaded(files=files, unfit=unfit)) + b"\n")
    if unfit:
        os._exit(0)
    while True:
        head, descriptors, _, _ = socket.recv_fds(channel, 4, 1)
        if not head:
            os._exit(0)
        line = _exactly(channel, int.from_bytes(head, "big"))
        with socket.socket(fileno=descriptors[0]) as connection:
            if os.fork() == 0:
                become_worker(msgspec.json.decode(line, type=Request), connection, nursery)


def _load(code: str) -> None:
    """As a worker will: what Dagster has loaded once, it does not load again in the same process."""
    from dagster._core.origin import JobPythonOrigin
    from dagster._serdes import deserialize_value
    from dagster._utils.hosted_user_process import recon_job_from_origin

    recon_job_from_origin(deserialize_value(code, JobPythonOrigin)).get_definition()


def _left_behind(before: set[str]) -> str:
    """Why a process in this state must not be forked; empty when it may."""
    threads = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    if threads > 1:
        return f"loading them has started {threads - 1} thread(s)"
    left = sorted(_open_files() - before)
    return f"loading them has left open: {', '.join(left)}" if left else ""


def _open_files() -> set[str]:
    found = set()
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError):
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
    return {f for f in found if "/proc/" not in f}


def _inherited() -> dict[str, str]:
    return dict(os.environ)


def _line(connection: socket.socket) -> bytes:
    """One line.

    Raises:
        OSError: it does not come. ValueError: it does not end.
    """
    parts = array.array("B")
    while not parts or parts[-1] != 10:
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("closed")
        parts.frombytes(part)
        if len(parts) > _LONGEST:
            raise ValueError("too long")
    return parts.tobytes()


def _exactly(connection: socket.socket, count: int) -> bytes:
    whole = b""
    while len(whole) < count:
        part = connection.recv(count - len(whole))
        if not part:
            os._exit(0)
        whole += part
    return whole


def main(arguments: list[str] | None = None) -> None:
    """The program."""
    (home,) = sys.argv[1:] if arguments is None else arguments
    Server(Path(home)).serve()


if __name__ == "__main__":
    main()

__all__: list[Any] = ["Server", "main"]
