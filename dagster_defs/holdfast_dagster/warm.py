"""The warm server of a Dagster home, seen from outside: a process that has imported everything already and forks a run worker on request.

Nothing depends on it: whoever gets no worker from it starts one the usual way. See :mod:`holdfast_dagster.warm_server` for the process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from holdfast.engine import identity

#: Seconds to wait for the server's answer; it forks within milliseconds, unless the machine is drowning.
_PATIENCE = 5.0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the server writes about itself into the home."""

    owner: str  # which process it is
    socket: str  # where it listens
    executable: str  # its interpreter
    interpreter: dict[str, str]  # environment that an interpreter only reads when it starts


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One run worker, please."""

    arguments: Sequence[str]  # of the program `dagster`
    code: str  # where the definitions are, serialised: what has been loaded for one run serves the next
    keeps: bool  # whether to keep what was loaded
    environment: Mapping[str, str]
    folder: str  # working directory
    log: str  # the worker's standard output and error go to this file


class Forked:
    """A worker that waits for the word; without it, it ends without having done anything."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self._connection = pid, connection

    def go(self) -> None:
        """Let it begin.

        Raises:
            OSError: it is gone.
        """
        self._connection.sendall(b"go\n")
        self._connection.close()

    def drop(self) -> None:
        """It is not needed."""
        self._connection.close()


class Warm:
    """The server of one Dagster home.

    Args:
        home: the folder.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "holdfast"

    @property
    def place(self) -> Path:
        """Where the server says what it is."""
        return self._folder / "warm.json"

    def state(self) -> State | None:
        """What runs, if it runs."""
        try:
            found = msgspec.json.decode(self.place.read_bytes(), type=State)
        except (OSError, msgspec.MsgspecError):
            return None
        owner = identity.parse(found.owner)
        return found if owner is not None and identity.identity(owner.pid, owner.label) == found.owner else None

    def fork(self, request: Request, executable: str) -> Forked | str:
        """A worker for the request, or why there is none from here."""
        state = self.state()
        if state is None:
            return "there is no warm server"
        if state.executable != executable:
            return f"the warm server is of another interpreter, {state.executable}"
        if interpreter(request.environment) != state.interpreter:
            return "the warm server has another environment for its interpreter"
        if not state.socket:
            return "the warm server is not ready yet"
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(state.socket)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as reader:
                answer: dict[str, Any] = msgspec.json.decode(reader.readline() or b"{}")
        except (OSError, msgspec.MsgspecError) as error:
            connection.close()
            return f"the warm server does not answer: {error}"
        if "pid" not in answer:
            connection.close()
            return str(answer.get("no") or "the warm server gave no worker")
        return Forked(int(answer["pid"]), connection)

    def start(self, environment: Mapping[str, str], *, executable: str = sys.executable) -> subprocess.Popen[bytes] | None:
        """Start the server unless there is one; returns it when it was started now. It is ready some seconds later."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone() as alone:
            if not alone or self.state() is not None:
                return None
            with open(self._folder / "warm.log", "ab") as log:
                server = subprocess.Popen(
                    [executable, "-m", "holdfast_dagster.warm_server", str(self._folder.parent)],
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                )
            owner = identity.identity(server.pid, "dagster-warm")
            if owner is not None:  # it says the rest when it listens
                write_state(self.place, State(owner=owner, socket="", executable=executable, interpreter=interpreter(environment)))
            return server

    def stop(self) -> None:
        """End the server; the workers that it forked go on."""
        state = self.state()
        if state is not None:
            identity.end(state.owner, grace=2.0)
        self.place.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        lock = os.open(self._folder / "warm.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(lock)


def write_state(place: Path, state: State) -> None:
    """Put it there whole."""
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(state))
    draft.replace(place)


def interpreter(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that act when an interpreter or a library is loaded: a forked worker cannot have others than its server."""
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LD_", "DYLD_", "MALLOC_", "OMP_"))}


def remove(folder: Path) -> None:
    """Remove the folder of a socket."""
    shutil.rmtree(folder, ignore_errors=True)


def default_signals() -> None:
    """Signals as in a program that was just started."""
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
