"""The kernel's side of the supervisor: start a command once, follow it, find it again after a crash.

Every window between the intent in the journal and the command's end is told apart by the files in the call's folder (see
``supervisor.py``): no claim means that it never started, and whoever finds that makes it final by claiming the name itself; an
``end`` is the outcome; a claim whose lock is held is a command still running; only a claim that nobody holds, without an ``end``,
is unknown.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from holdfast.durable.interceptor import Attempt, Outcome
from holdfast.durable.interceptors import supervisor
from holdfast.durable.interceptors.following import Child, Kept, Sink, Tail
from holdfast.errors import Fenced, OperatorError, OutcomeUnknownError
from holdfast.executions.running import held, send
from holdfast.foundation import clock, faults, process

#: Seconds for which the output of a long or backgrounded command is kept after its end.
KEPT = 90 * 86_400.0


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run."""

    argv: list[str]
    mode: str  # "pty" (one stream, a terminal), "merged" (one stream, a pipe), "separate" (two pipes)
    executable: str | None = None
    stdin: bytes | None = None  # None: stdin_fd, else nothing to read
    stdin_fd: int | None = None
    cwd: str | None = None
    environment: Mapping[str, str] | None = None  # None: the kernel's own
    size: tuple[int, int] = (24, 80)  # rows, columns of the terminal
    capture: bool = False  # the cell takes the output as a value: keep all of it
    pass_fds: tuple[int, ...] = ()


class Supervised:
    """All supervised commands of this process.

    Args:
        state_dir: this machine's folder, see ``Recorder.state_dir``.
    """

    def __init__(self, state_dir: Path) -> None:
        self.root = state_dir / "shell"
        self._sweep()
        self._generation: dict[str, int] = {}  # call -> the folder to use next, after this process found the ones before void
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    @property
    def origin(self) -> str:
        """The identity of the state folder and the machine's boot. In another folder, and after a power cut (which may lose what was
        not synced), missing traces prove nothing."""
        return f"{self._identity()}@{_boot()}"

    def _identity(self) -> str:
        path = self.root / "id"
        try:
            return path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            self._make_root()
        temporary = self.root / f"id.{os.urandom(8).hex()}"
        with open(temporary, "w") as file:
            file.write(f"{process.host()}:{os.urandom(8).hex()}")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
            supervisor.sync(str(self.root))
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
        return path.read_text()

    def run(self, command: Command, attempt: Attempt, sink: Sink | None = None, *, timeout: float | None = None) -> dict[str, Any]:
        """Start ``command`` and follow it to its end.

        Args:
            timeout: seconds after which it is killed.

        Returns:
            the outcome as it is stored: ``status`` (negative: the signal that ended it), ``frames``, and what applies of ``errno``
            (it could not be executed), ``cut``, ``file``, ``interrupted``, ``timed_out``, ``lost``.

        Raises:
            Fenced: another process took this call over before it started.
        """
        if attempt.resumed:
            found = self.probe(command, attempt, sink)
            if found is not None and found.happened:
                return dict(found.value)
        folder = self._claim_folder(attempt)
        with self._spawn(command, folder) as child:
            faults.point("shell.after_spawn")
            return self._follow(folder, sink, command.capture, child, None if timeout is None else clock.monotonic() + timeout)

    def start(self, command: Command, attempt: Attempt) -> str:
        """Start ``command`` and leave it to itself; returns the name of its folder.

        Raises:
            OSError: it could not be executed. Fenced: as :meth:`run`.
        """
        folder = self._claim_folder(attempt)
        tail = Tail(folder)
        with self._spawn(command, folder) as child:
            faults.point("shell.after_spawn")
            while not tail.pid:
                child.wait(0.2)
                self._check(folder, child)
                for _ in tail.read():
                    pass
                if (folder / "end").exists():
                    end = _end_of(folder) or {}
                    if "errno" in end:
                        raise OSError(end["errno"], os.strerror(end["errno"]), command.executable or command.argv[0])
                    break
        return folder.name

    def probe_start(self, attempt: Attempt) -> Outcome | None:
        """Whether an earlier process started it."""
        claimed = self._claimed(attempt)
        if claimed is None or isinstance(claimed, Outcome):
            return claimed
        return Outcome(happened=True, value=claimed.name)

    def probe(self, command: Command, attempt: Attempt, sink: Sink | None = None) -> Outcome | None:
        """What became of a call begun by an earlier process; follows one that still runs. None: it cannot be told."""
        claimed = self._claimed(attempt)
        if claimed is None or isinstance(claimed, Outcome):
            return claimed
        if _end_of(claimed) is None and not _lives(claimed) and _end_of(claimed) is None:
            return None
        return Outcome(happened=True, value=self._follow(claimed, sink, command.capture, None, None))

    def _claimed(self, attempt: Attempt) -> Path | Outcome | None:
        """The folder of a command that was started; an outcome when it never was, and now never will be; None: it cannot be told."""
        folder_of_intent, _, boot = attempt.origin.rpartition("@")
        if folder_of_intent != self._identity():
            return None
        generation = 0
        while True:
            folder = self._folder(attempt, generation)
            claim = _read(folder / "start")
            if claim is None and boot != _boot():
                return None
            folder.mkdir(mode=0o700, exist_ok=True)
            if claim is None and _void(folder):
                self._generation[_name(attempt)] = generation + 1
                return Outcome(happened=False)
            if claim is None:
                continue
            if claim != supervisor.VOID:
                return folder
            generation += 1

    def forget(self, attempt: Attempt, value: Mapping[str, Any]) -> None:
        """Remove the traces of a call whose outcome is in the journal; a long output that was cut in the record stays."""
        self._generation.pop(_name(attempt), None)
        if not value.get("file"):
            for folder in self.root.glob(f"{_name(attempt)}.*"):
                shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what commands left that ended long ago."""
        for end in self.root.glob("*/end"):
            try:
                if end.stat().st_mtime < clock.now() - KEPT:
                    shutil.rmtree(end.parent, ignore_errors=True)
            except FileNotFoundError:  # another process sweeps too
                continue

    # ---- starting ----

    def _folder(self, attempt: Attempt, generation: int) -> Path:
        return self.root / f"{_name(attempt)}.{generation}"

    def _make_root(self) -> None:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as e:
            raise OperatorError(
                "HF214", f"the state folder cannot be made: {e.strerror}", cure="make it writable or set state_dir", file=str(self.root)
            ) from e

    def _claim_folder(self, attempt: Attempt) -> Path:
        """Make the folder to start in."""
        self._make_root()
        generation = self._generation.get(_name(attempt), 0)
        while True:
            folder = self._folder(attempt, generation)
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                if _read(folder / "start") == supervisor.VOID and not attempt.resumed:
                    raise Fenced("another process took this command over", call=attempt.call) from None
                _end(folder)  # an earlier process began it, and it is to be made again: it only reads
                generation += 1
                continue
            return folder

    def _spawn(self, command: Command, folder: Path) -> Child:
        spec: dict[str, Any] = {
            "argv": command.argv,
            "executable": command.executable,
            "mode": command.mode,
            "size": command.size,
            "stdin": "data" if command.stdin is not None else "inherit",
            "boot": _boot(),
        }
        if command.stdin is not None:
            _write(folder / "in", command.stdin)
        _write(folder / "spec", marshal.dumps(spec))
        wake_read, wake_write = os.pipe()
        try:
            popen = subprocess.Popen(
                [sys.executable, "-ISE", _script(), str(folder), str(wake_write)],
                stdin=subprocess.DEVNULL if command.stdin_fd is None else command.stdin_fd,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=command.cwd,
                env=None if command.environment is None else dict(command.environment),
                pass_fds=(wake_write, *command.pass_fds),
                start_new_session=True,
            )
        except BaseException:
            os.close(wake_read)
            raise
        finally:
            os.close(wake_write)
        with self._lock:  # reap those that have ended meanwhile
            self._children = [c for c in self._children if c.poll() is None]
            self._children.append(popen)
        return Child(popen, wake_read)

    # ---- following ----

    def _follow(self, folder: Path, sink: Sink | None, capture: bool, child: Child | None, deadline: float | None) -> dict[str, Any]:
        tail = Tail(folder)
        kept = Kept(capture, sink)
        interrupts, timed_out = 0, False
        while True:
            try:
                ended = (folder / "end").exists()  # before reading: what is read afterwards is all there is
                for stream, data in tail.read():
                    kept.add(stream, data)
                if ended:
                    break
                if deadline is not None and clock.monotonic() >= deadline and tail.pid:
                    tail.signal(signal.SIGKILL)
                    timed_out, deadline = True, None
                if child is not None:
                    child.wait(0.2 if deadline is None else min(0.2, max(0.001, deadline - clock.monotonic())))
                    self._check(folder, child)
                else:
                    clock.sleep(0.03)
                    self._check_held(folder)
            except KeyboardInterrupt:
                interrupts += 1
                tail.signal((signal.SIGINT, signal.SIGTERM)[interrupts - 1] if interrupts < 3 else signal.SIGKILL)
        end = _end_of(folder)
        if end is None:
            raise _unknown(folder)
        if interrupts:
            end["interrupted"] = True
        if timed_out:
            end["timed_out"] = True
        return {**end, **kept.result(folder / "out")}

    def _check(self, folder: Path, child: Child) -> None:
        if child.popen.poll() is None or (folder / "end").exists():
            return
        if _read(folder / "start") == supervisor.VOID:
            raise Fenced("another process took this command over before it started", folder=folder.name)
        raise _unknown(folder)

    def _check_held(self, folder: Path) -> None:
        if not held(folder) and not (folder / "end").exists():
            raise _unknown(folder)


def _unknown(folder: Path) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "HF310",
        "the supervisor of a command ended without leaving the command's exit status",
        cure="look at what the command did, then answer the prompt",
        folder=folder.name,
    )


def _name(attempt: Attempt) -> str:
    return f"{attempt.execution}.{attempt.call}.{attempt.number}"


def _script() -> str:
    """The supervisor's file, compiled where possible: it starts faster."""
    compiled = importlib.util.cache_from_source(supervisor.__file__)
    try:
        fresh = os.stat(compiled).st_mtime >= os.stat(supervisor.__file__).st_mtime
    except OSError:
        fresh = False
    return compiled if fresh else supervisor.__file__


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(fd, "wb") as file:
        file.write(data)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _void(folder: Path) -> bool:
    fd = supervisor.claim(str(folder), supervisor.VOID)
    if fd is not None:
        os.close(fd)
    return fd is not None


def _lives(folder: Path) -> bool:
    """Whether the supervisor lives. Locks are seen within one machine only, since it started."""
    boot: str = marshal.loads((folder / "start").read_bytes())["boot"]
    return boot == _boot() and held(folder)


def _boot() -> str:
    """Which start of the machine this is (whatever the container)."""
    return process.boot_id().partition(".")[0]


def _end_of(folder: Path) -> dict[str, Any] | None:
    """How the command ended; None when it has not, or when a power cut spoiled what it left."""
    data = _read(folder / "end")
    try:
        end: dict[str, Any] = marshal.loads(data or b"")
        whole = (folder / "out").stat().st_size >= end.pop("size")
    except (EOFError, ValueError, TypeError, KeyError, FileNotFoundError):
        return None
    return end if whole else None


def _end(folder: Path) -> None:
    """End a command that is to be run again."""
    if not _void(folder) and held(folder):
        send(folder, signal.SIGTERM)
