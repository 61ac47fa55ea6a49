"""``subprocess``, ``os.system``, ``os.popen`` and asyncio's subprocesses.

``run``, ``call`` and their kin, ``os.system``: one call each, from start to end. A bare ``Popen`` (and with it ``os.popen`` and asyncio):
its *start* is the call; from then on the command lives under its supervisor, and the ``Popen`` object's child is a follower that
repeats what it writes and how it ends, in this kernel and in the one after a crash.
"""

from __future__ import annotations

import functools
import inspect
import locale
import os
import shlex
import signal
import subprocess
import sys
from asyncio import base_subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from holdfast.durable.interceptor import Attempt, Outcome, Recorder
from holdfast.durable.interceptors import supervisor
from holdfast.durable.interceptors.shell import DurableShell, Screen, output_of, raise_if_not_started
from holdfast.durable.interceptors.supervised import Command
from holdfast.errors import OutcomeUnknownError
from holdfast.model.call import Effect
from holdfast.notebook.commands import classify, classify_argv

# What the supervisor cannot do for a command; such a one starts as it would without Holdfast, and is reported as undeclared.
_BEYOND = {"user": None, "group": None, "extra_groups": None, "umask": -1, "preexec_fn": None, "startupinfo": None}
_IMPORTING = "<frozen importlib._bootstrap>"


class SubprocessInterceptor:
    """Wraps ``subprocess.run``, ``subprocess.call``, ``Popen``'s start and signals, and ``os.system``."""

    name = "subprocess"
    modules: tuple[str, ...] = ("subprocess",)

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def install(self, recorder: Recorder) -> None:
        """Wrap them."""
        durable = DurableShell(recorder)
        self._wrap(subprocess, "run", functools.partial(_run, durable))
        self._wrap(subprocess, "call", functools.partial(_call, durable))
        self._wrap(os, "system", functools.partial(_system, durable))
        self._wrap(subprocess.Popen, "_execute_child", functools.partial(_execute_child, durable))
        self._wrap(subprocess.Popen, "send_signal", _send_signal)
        self._wrap(subprocess.Popen, "_handle_exitstatus", _exit_seen)
        self._wrap(base_subprocess.BaseSubprocessTransport, "_process_exited", _exit_seen)
        self._wrap(base_subprocess.BaseSubprocessTransport, "_pipe_connection_lost", _pipe_closed)

    def uninstall(self) -> None:
        """Undo."""
        while self._originals:
            setattr(*self._originals.pop())

    def _wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, functools.wraps(original)(make(original)))


def _recorded(durable: DurableShell) -> bool:
    """Whether to record here: not while a module is imported, which another kernel may have done before."""
    if not durable.recorder.active:
        return False
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return False
        frame = frame.f_back
    return True


def _aside(durable: DurableShell) -> Any:
    """The context of what is not recorded: passing when that is intended, else as it is."""
    return durable.recorder.passthrough() if durable.recorder.active else nullcontext()


# ---- from start to end ----


def _run(durable: DurableShell, original: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not _recorded(durable):
            with _aside(durable):
                return original(*args, **kwargs)
        given = _Given(args, kwargs)
        return original(*args, **kwargs) if given.beyond else _complete(durable, given)

    return run


def _call(durable: DurableShell, original: Any) -> Any:
    def call(*args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return subprocess.run(*args, timeout=timeout, check=False, **kwargs).returncode

    return call


def _system(durable: DurableShell, original: Any) -> Any:
    def system(command: Any) -> int:
        __tracebackhide__ = True
        if not _recorded(durable):
            with _aside(durable):
                return int(original(command))
        done = _complete(durable, _Given((os.fsdecode(command),), {"shell": True}))
        return done.returncode << 8 if done.returncode >= 0 else -done.returncode

    return system


class _Given:
    """The arguments of ``run``: what is for ``Popen``, what is for ``run`` itself."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = _POPEN.bind(None, *args, **{k: v for k, v in kwargs.items() if k not in _OWN})
        self.popen: dict[str, Any] = {**bound.arguments}
        self.popen.pop("self")
        self.input, self.check = kwargs.get("input"), bool(kwargs.get("check"))
        self.timeout: float | None = kwargs.get("timeout")
        if self.input is not None and self.popen.get("stdin") is not None:
            raise ValueError("stdin and input arguments may not both be used.")
        if kwargs.get("capture_output"):
            if self.popen.get("stdout") is not None or self.popen.get("stderr") is not None:
                raise ValueError("stdout and stderr arguments may not be used with capture_output.")
            self.popen["stdout"] = self.popen["stderr"] = subprocess.PIPE
        self.beyond = _beyond(self.popen)

    @property
    def text(self) -> bool:
        """Whether the caller wants text."""
        return any(self.popen.get(name) for name in ("text", "universal_newlines", "encoding", "errors"))

    @property
    def encoding(self) -> str:
        """Of the text."""
        return self.popen.get("encoding") or locale.getencoding()

    def decode(self, data: bytes) -> Any:
        """``data`` as the caller wants it."""
        if not self.text:
            return data
        return data.decode(self.encoding, self.popen.get("errors") or "strict").replace("\r\n", "\n").replace("\r", "\n")

    def command(self, tables: Sequence[Path]) -> tuple[Command, str, Effect]:
        """What to run, how it reads, what it does at most."""
        data = self.input
        if isinstance(data, str):
            data = data.encode(self.encoding, self.popen.get("errors") or "strict")
        stdin: Any = self.popen.get("stdin")
        fd = stdin if isinstance(stdin, int) and stdin >= 0 else stdin.fileno() if hasattr(stdin, "fileno") else None
        if fd is None and stdin == subprocess.PIPE:
            data = data or b""
        out, err = self.popen.get("stdout"), self.popen.get("stderr")
        mode = "merged" if err == subprocess.STDOUT else "separate"
        capture = subprocess.PIPE in (out, err)
        return _command(self.popen, mode, tables, stdin=None if data is None else bytes(data), stdin_fd=fd, capture=capture)


_POPEN = inspect.signature(subprocess.Popen.__init__)
_OWN = frozenset({"input", "capture_output", "timeout", "check"})


def _beyond(popen: Mapping[str, Any]) -> bool:
    """Whether the supervisor cannot start it."""
    if popen.get("preexec_fn") is os.setsid:  # it has a session of its own anyway
        popen = {**popen, "preexec_fn": None}
    environment = popen.get("env")
    if environment is not None and "KUBERNETES_EXEC_INFO" in environment:
        return True  # a helper that hands out credentials
    return any(popen.get(name, plain) != plain for name, plain in _BEYOND.items())


def _command(popen: Mapping[str, Any], mode: str, tables: Sequence[Path], **more: Any) -> tuple[Command, str, Effect]:
    args, executable = popen["args"], popen.get("executable")
    argv = [os.fsdecode(args)] if isinstance(args, str | bytes | os.PathLike) else [os.fsdecode(a) for a in args]
    if popen.get("shell"):
        line = argv[0] if len(argv) == 1 else shlex.join(argv)
        effect, argv = classify(argv[0], tables), ["/bin/sh", "-c", *argv]
        if executable is not None:
            argv[0] = os.fsdecode(executable)
    else:
        line, effect = shlex.join(argv), classify_argv(argv, tables)
    if not argv:
        raise IndexError("list index out of range")  # as Popen does
    cwd, environment = popen.get("cwd"), popen.get("env")
    command = Command(
        argv=argv,
        executable=None if executable is None else os.fsdecode(executable),
        mode=mode,
        cwd=None if cwd is None else os.fsdecode(cwd),
        environment=None if environment is None else {os.fsdecode(k): os.fsdecode(v) for k, v in environment.items()},
        pass_fds=tuple(popen.get("pass_fds") or ()),
        **more,
    )
    return command, line, effect


def _complete(durable: DurableShell, given: _Given) -> subprocess.CompletedProcess[Any]:
    """``subprocess.run``, durable."""
    __tracebackhide__ = True
    command, line, effect = given.command(durable.tables)
    out, err = given.popen.get("stdout"), given.popen.get("stderr")
    screen = _Streams({supervisor.STDOUT: out, supervisor.STDERR: err})
    outcome = durable.run(command, line, effect, screen, timeout=given.timeout)
    args = given.popen["args"]
    raise_if_not_started(outcome, command)
    stdout = output_of(outcome, supervisor.STDOUT) if out == subprocess.PIPE else None
    stderr = output_of(outcome, supervisor.STDERR) if err == subprocess.PIPE else None
    if outcome.get("timed_out"):
        raise subprocess.TimeoutExpired(args, given.timeout or 0.0, output=stdout or None, stderr=stderr or None)
    if outcome.get("interrupted"):
        raise KeyboardInterrupt
    done = subprocess.CompletedProcess(
        args,
        outcome["status"],
        None if stdout is None else given.decode(stdout),
        None if stderr is None else given.decode(stderr),
    )
    if given.check and done.returncode:
        raise subprocess.CalledProcessError(done.returncode, args, output=done.stdout, stderr=done.stderr)
    return done


class _Streams(Screen):
    """Sends each stream where the caller wants it: into the cell, into an open file, nowhere."""

    def __init__(self, targets: Mapping[int, Any]) -> None:
        super().__init__()
        self._targets = targets

    def show(self, stream: int, data: bytes, final: bool = False) -> None:
        """Send some more."""
        target = self._targets[stream]
        if target is None:
            super().show(stream, data, final)
        elif target not in (subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT) and data:
            fd = target if isinstance(target, int) else target.fileno()
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]


# ---- Popen ----

#: In a command's folder: its input was closed, or a kernel saw it end.
_SEEN = "seen"


def _execute_child(durable: DurableShell, original: Any) -> Any:
    names = list(inspect.signature(original).parameters)[1:]

    def execute_child(popen: Any, *args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True
        if not _recorded(durable):
            with _aside(durable):
                original(popen, *args, **kwargs)
            return
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        plain = {"user": given.get("uid"), "group": given.get("gid"), "extra_groups": given.get("gids"), "umask": given.get("umask", -1)}
        if _beyond({**given, **plain}):
            original(popen, *args, **kwargs)
            return
        folder = _start(durable, given)
        follow = [sys.executable, "-ISE", os.path.join(os.path.dirname(supervisor.__file__), "follower.py"), folder]
        replaced = {"args": follow, "executable": None, "shell": False, "cwd": None, "env": None, "preexec_fn": None, "pass_fds": ()}
        with durable.recorder.passthrough():
            original(popen, **{**given, **replaced, "start_new_session": False})
        popen._holdfast_folder = folder
        if popen.stdin is not None:
            popen.stdin.close = _closing(popen.stdin.close, folder)

    return execute_child


def _start(durable: DurableShell, given: Mapping[str, Any]) -> str:
    """Start the command under a supervisor, or find the one that an earlier kernel started; returns its folder."""
    merged = given["errwrite"] == given["c2pwrite"] and given["errwrite"] != -1
    fd = given["p2cread"] if given["p2cread"] != -1 else None
    command, line, effect = _command(given, "merged" if merged else "separate", durable.tables, stdin_fd=fd, capture=True)
    supervised = durable.supervised

    begun: list[str] = []

    def do(attempt: Attempt) -> str:
        begun.append(supervised.start(command, attempt))
        return begun[0]

    def probe(attempt: Attempt) -> Outcome | None:
        return supervised.probe_start(attempt)

    request = durable.request(command, line, Effect.WRITE if effect == Effect.IDEMPOTENT else effect)
    folder = supervised.root / durable.recorder.perform(request, do, probe=probe, assumed=lambda _: "")
    if not (folder / "start").is_file():
        raise OutcomeUnknownError(
            "HF310",
            "a command started with Popen lives on the machine where it was started, and this is another one",
            cure="resume there, or use subprocess.run, whose whole outcome is recorded",
            call=line,
        )
    if not begun and given["p2cwrite"] != -1 and not (folder / _SEEN).exists():
        raise OutcomeUnknownError(
            "HF310",
            "a command that is fed through a pipe was started by a kernel that is gone: it may not have been given all its input",
            cure="look at what it did; then let the step go on with subprocess.run(input=...), whose whole input is recorded",
            call=line,
        )
    return str(folder)


def _closing(close: Callable[[], None], folder: str) -> Callable[[], None]:
    """Closes a command's input: it has been given all of it."""

    def closing() -> None:
        close()
        Path(folder, _SEEN).touch()

    return closing


def _pipe_closed(original: Any) -> Any:
    """The same of asyncio's pipes: the input (0) was closed without an error."""

    def pipe_closed(transport: Any, fd: int, error: BaseException | None) -> Any:
        folder = getattr(transport._proc, "_holdfast_folder", None)
        if folder is not None and fd == 0 and error is None:
            Path(folder, _SEEN).touch()
        return original(transport, fd, error)

    return pipe_closed


def _exit_seen(original: Any) -> Any:
    """The author's code saw the command end: what it was given through its pipe was all that it was meant to get."""

    def exit_seen(process: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(process, *args, **kwargs)
        folder = getattr(getattr(process, "_proc", process), "_holdfast_folder", None)
        if folder is not None:
            Path(folder, _SEEN).touch()
        return result

    return exit_seen


def _send_signal(original: Any) -> Any:
    def send_signal(popen: Any, number: int) -> None:
        folder = getattr(popen, "_holdfast_folder", None)
        if folder is None or number == signal.SIGCHLD:
            original(popen, number)
            return
        popen.poll()
        if popen.returncode is None:
            from holdfast.executions.running import send

            send(Path(folder), number)

    return send_signal
