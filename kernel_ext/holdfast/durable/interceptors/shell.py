"""Durable commands in all notebook syntaxes: ``!x``, ``x = !y``, ``!!``, ``%sx``, ``%%bash`` and kin, aliases, ``%pip``."""

from __future__ import annotations

import codecs
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Outcome, Recorder, Request
from holdfast.durable.interceptors import supervisor
from holdfast.durable.interceptors.supervised import Command, Supervised
from holdfast.errors import CallError
from holdfast.model.call import Effect
from holdfast.notebook.commands import classify

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})


class DurableShell:
    """Runs commands as calls: what the shell, the script magics and ``subprocess`` share.

    Args:
        recorder: records them.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.home = os.getcwd()
        self._supervised: Supervised | None = None

    @property
    def supervised(self) -> Supervised:
        """The supervised commands of this process."""
        if self._supervised is None or self._supervised.root.parent != self.recorder.state_dir:
            self._supervised = Supervised(self.recorder.state_dir)
        return self._supervised

    @property
    def tables(self) -> Sequence[Path]:
        """The runbook's own tables of commands that only read."""
        return self.recorder.command_tables

    def request(self, command: Command, line: str, effect: Effect) -> Request:
        """The request that running ``command`` makes; the environment is no part of it (it differs from machine to machine)."""
        place = os.path.relpath(command.cwd or os.getcwd(), self.home)
        return Request(
            kind="shell",
            operation=line,
            fingerprint=digest([command.mode, command.argv, command.executable, command.stdin, place, command.capture]),
            effect=effect,
            arguments={"cwd": place} if place != "." else {},
            origin="" if effect == Effect.READ else self.supervised.origin,
        )

    def run(
        self, command: Command, line: str, effect: Effect, screen: Screen | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Run ``command`` once and for all; its output goes to ``screen`` while it runs, or at once when it is replayed.

        Returns:
            the outcome: ``status``, ``frames`` and so on, see ``Supervised.run``.
        """
        live: list[Attempt] = []

        def do(attempt: Attempt) -> dict[str, Any]:
            live.append(attempt)
            show = screen.show if screen else None
            value = self.supervised.run(command, attempt, show, timeout=timeout)
            if value.get("interrupted") and not self.recorder.attended:
                value["stopped"] = True
            return value

        def probe(attempt: Attempt) -> Outcome | None:
            found = self.supervised.probe(command, attempt, screen.show if screen else None)
            if found is not None and found.happened:
                live.append(attempt)
            return found

        def load(value: Any) -> dict[str, Any]:
            outcome: dict[str, Any] = value
            if screen is not None:
                if not live:
                    for stream, data in outcome["frames"]:
                        screen.show(stream, data)
                screen.close()
            return outcome

        value: dict[str, Any] = self.recorder.perform(
            self.request(command, line, effect), do, load=load, probe=probe, failed=_failed, assumed=outcome_of
        )
        for attempt in live:
            self.supervised.forget(attempt, value)
        if value.get("lost"):
            self._lost(command, line, value["lost"])
        if value.get("stopped"):  # a timeout, or a cancel: at a prompt a person's Ctrl-C ends the command, here it ends the cell
            raise KeyboardInterrupt
        return value

    def _lost(self, command: Command, line: str, size: int) -> None:
        what = f"{size:,} bytes of the command's output could not be kept" if size > 0 else "the command's output may not have been kept"
        if command.capture:
            raise CallError("HF313", what, cure="make room in the state folder, then run the step again", call=line)
        sys.stderr.write(f"holdfast: {what}; is the disk full?\n")


class Screen:
    """Shows a command's output in the cell, decoding what arrives in pieces.

    Args:
        encoding: of the output.
        into: stream number -> namespace and name of a text variable that takes the stream instead of the cell.
    """

    def __init__(self, encoding: str = "utf-8", into: Mapping[int, tuple[dict[str, Any], str]] | None = None) -> None:
        decoder = codecs.getincrementaldecoder(encoding)
        self._decoders = {n: decoder("replace") for n in (supervisor.STDOUT, supervisor.STDERR)}
        self._into = into or {}

    def show(self, stream: int, data: bytes, final: bool = False) -> None:
        """Show some more."""
        text = self._decoders[stream].decode(data, final)
        if not text:
            return
        if stream in self._into:
            namespace, name = self._into[stream]
            namespace[name] += text
        else:
            file = sys.stderr if stream == supervisor.STDERR else sys.stdout
            file.write(text)
            file.flush()

    def close(self) -> None:
        """Show what an incomplete last character left."""
        for stream in self._decoders:
            self.show(stream, b"", final=True)


def outcome_of(value: Any) -> dict[str, Any]:
    """The outcome that a person's word stands for: exit status 0, a given one, or the given text as output."""
    if isinstance(value, dict):
        status, text = int(value.get("status", 0)), value.get("output", "")
    else:
        status, text = (value, "") if isinstance(value, int) else (0, value)
    data = text.encode() if isinstance(text, str) else bytes(text or b"")
    return {"status": status, "frames": [[supervisor.STDOUT, data]] if data else []}


def _failed(value: Any) -> bool:
    return bool(value.get("status", 0)) or "errno" in value


def output_of(outcome: Mapping[str, Any], stream: int | None = None) -> bytes:
    """What the command wrote to ``stream`` (to both when None)."""
    return b"".join(data for number, data in outcome["frames"] if stream in (None, number))


def raise_if_not_started(outcome: Mapping[str, Any], command: Command) -> None:
    """Raise what starting the command in this process would have raised.

    Raises:
        OSError: of the fitting kind, e.g. ``FileNotFoundError``.
    """
    if "errno" in outcome:
        number = outcome["errno"]
        raise OSError(number, os.strerror(number), command.executable or command.argv[0])


def script_effect(argv: list[str], script: bytes, tables: Sequence[str | Path] = ()) -> Effect:
    """What running ``script`` with the program ``argv`` would do again; only a plain shell's is read."""
    if len(argv) == 1 and argv[0].rpartition("/")[2] in _SHELLS:
        return classify(script.decode("utf-8", "replace"), tables)
    return Effect.WRITE


def user_shell() -> str:
    """The shell that IPython would use."""
    from IPython.utils._process_posix import ProcessHandler  # reads SHELL at each new instance

    return str(ProcessHandler().sh)


class ShellMixin:
    """Makes an interactive shell's commands durable. Put before the shell's class; ``attach`` does it for a running one.

    Outside a recorded cell everything is exactly as without it. ``system`` and ``getoutput`` are properties so that no frame comes
    between the cell and IPython's expansion of ``{local}`` variables.
    """

    holdfast_shell: DurableShell | None = None
    user_ns: dict[str, Any]

    def _recording(self) -> DurableShell | None:
        shell = self.holdfast_shell
        return shell if shell is not None and shell.recorder.active else None

    @property
    def system(self) -> Any:
        """``!command``."""
        given = self.__dict__.get("system")  # a person may set `ip.system = ip.system_raw`
        if given is not None or self._recording() is None:
            return given or super().system  # type: ignore[misc]
        return self._durable_system

    @system.setter
    def system(self, value: Any) -> None:
        self.__dict__["system"] = value

    @property
    def getoutput(self) -> Any:
        """``x = !command``."""
        return super().getoutput if self._recording() is None else self._durable_getoutput  # type: ignore[misc]

    def _durable_system(self, cmd: str) -> None:
        __tracebackhide__ = True
        if cmd.rstrip().endswith("&"):
            raise OSError("Background processes not supported.")
        from IPython.utils.encoding import DEFAULT_ENCODING

        durable = self._recording()
        assert durable is not None
        line = self.var_expand(cmd, depth=1)  # type: ignore[attr-defined]
        command = Command(argv=[user_shell(), "-c", line], mode="pty")
        outcome = durable.run(command, line, classify(line, durable.tables), Screen(DEFAULT_ENCODING))
        raise_if_not_started(outcome, command)
        status = exit_code(outcome)
        self.user_ns["_exit_code"] = status
        if getattr(self, "system_raise_on_error", False) and status != 0:
            raise subprocess.CalledProcessError(status, cmd)

    def _durable_getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:
        __tracebackhide__ = True
        if cmd.rstrip().endswith("&"):
            raise OSError("Background processes not supported.")
        from IPython.utils.encoding import DEFAULT_ENCODING
        from IPython.utils.text import LSString, SList

        durable = self._recording()
        assert durable is not None
        line = self.var_expand(cmd, depth=depth + 1)  # type: ignore[attr-defined]
        strict = getattr(self, "system_raise_on_error", False)
        command = Command(argv=[user_shell(), "-c", line], mode="separate" if strict else "merged", capture=True)
        outcome = durable.run(command, line, classify(line, durable.tables))
        raise_if_not_started(outcome, command)
        if strict:
            data = output_of(outcome, supervisor.STDOUT) + output_of(outcome, supervisor.STDERR)
            self.user_ns["_exit_code"] = outcome["status"]
            if outcome["status"] != 0:
                raise subprocess.CalledProcessError(outcome["status"], cmd)
        else:
            data = b"" if outcome.get("interrupted") else output_of(outcome)
            if outcome.get("interrupted"):
                sys.stdout.write("^C\n")
        text = data.decode(DEFAULT_ENCODING, "replace")
        return SList(text.splitlines()) if split else LSString(text)


def exit_code(outcome: Mapping[str, Any]) -> int:
    """The exit status as IPython gives it in ``_exit_code``: negative for a signal, the shell's own 128 + n included."""
    status = int(outcome["status"])
    return -(status - 128) if status > 128 else status


def durable_script_magics() -> type:
    """The class of ``%%script``, ``%%bash`` and kin. Made on demand: IPython loads its own only when they are used."""
    from IPython.core.magics.script import ScriptMagics

    parser: Any = ScriptMagics.shebang.parser

    class DurableScriptMagics(ScriptMagics):
        """Script magics whose scripts are calls."""

        def shebang(self, line: str, cell: str) -> Any:
            __tracebackhide__ = True
            shell: Any = self.shell
            durable = shell._recording()
            if durable is None or "--bg" in line.split():  # what --bg starts is a Popen, and durable as one
                return super().shebang(line, cell)
            return run_script(durable, shell.user_ns, parser, line, cell)

        shebang.__doc__ = ScriptMagics.shebang.__doc__
        shebang.parser = parser  # type: ignore[attr-defined]

    return DurableScriptMagics


def run_script(durable: DurableShell, namespace: dict[str, Any], parser: Any, line: str, cell: str) -> None:
    """``%%script``: as IPython runs it, and durable."""
    __tracebackhide__ = True
    from IPython.utils._process_common import arg_split

    args, argv = parser.parse_known_args(arg_split(line, posix=True))
    script = (cell if cell.endswith("\n") else cell + "\n").encode("utf8", "replace")
    into = {}
    for stream, name in ((supervisor.STDOUT, args.out), (supervisor.STDERR, args.err)):
        if name:
            namespace[name] = ""
            into[stream] = (namespace, name)
    command = Command(argv=argv, mode="separate", stdin=script, capture=bool(into))
    shown = f"{' '.join(argv)}\n{cell}"
    outcome = durable.run(command, shown, script_effect(argv, script, durable.tables), Screen(into=into))
    if outcome.get("errno") == 2:
        sys.stdout.write(f"Couldn't find program: {argv[0]!r}\n")
        return
    raise_if_not_started(outcome, command)
    if outcome.get("interrupted"):
        sys.stdout.write("Process was interrupted.\n")
    if args.raise_error and outcome["status"] != 0:
        raise subprocess.CalledProcessError(outcome["status"], script)


def attach(shell: Any, recorder: Recorder) -> DurableShell:
    """Make the commands of a running interactive shell durable."""
    durable = DurableShell(recorder)
    if not isinstance(shell, ShellMixin):
        shell.__class__ = type(type(shell).__name__, (ShellMixin, type(shell)), {})
    shell.holdfast_shell = durable
    shell.register_magics(durable_script_magics())
    return durable


def detach(shell: Any) -> None:
    """Undo :func:`attach`; the class stays, and does nothing."""
    shell.holdfast_shell = None


class ShellInterceptor:
    """All commands that an interactive shell runs."""

    name = "shell"
    modules: tuple[str, ...] = ("IPython",)

    def install(self, recorder: Recorder) -> None:
        """Attach to the process's interactive shell, when there is one."""
        from IPython import get_ipython

        shell = get_ipython()
        if shell is not None:
            attach(shell, recorder)

    def uninstall(self) -> None:
        """Undo."""
        from IPython import get_ipython

        shell = get_ipython()
        if shell is not None:
            detach(shell)
