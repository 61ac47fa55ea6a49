"""The children of ``holdfast up``: started, waited for, started again when they die, and ended, each with its own process group."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from holdfast.engine import identity
from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.model.service import Service

#: Seconds between asking a child to end and ending it.
GRACE = 10.0
#: A child that dies more often than this within :data:`_WINDOW` seconds is not started again.
RESTARTS = 3
_WINDOW = 120.0
#: Seconds after which a child that does not answer yet is spoken of.
_SLOW = 60.0
#: Lines of a child's log that are shown when it has died.
_LAST = 12
_LEVEL = re.compile(r"^\[([DIWEC]) \d{4}-|- (?:\x1b\[\d+m)?(DEBUG|INFO|WARNING|ERROR|CRITICAL)(?:\x1b\[0m)? -")
_QUIET = ("D", "I", "DEBUG", "INFO")
#: Warnings that a first start always gives and nobody can do anything about.
_NOISE = re.compile(r"No cursor for event type")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
#: Lines of a stack trace that say nothing to whoever looks at the terminal; the log has them.
_TRACE = ("Traceback (most recent call last)", "The above exception was", "During handling of", "Stack Trace:")
_DIGITS = re.compile(r"\d+")
#: Seconds for which the same line is not said again.
_AGAIN = 60.0

#: (who, line): one line, whole, whoever else is speaking.
Say = Callable[[str, str], None]


class Sieve:
    """Lets through what people should see of a service's lines: warnings and errors, without stack traces, each once a minute."""

    def __init__(self) -> None:
        self._shown = self._trace = False
        self._said: dict[str, float] = {}

    def passes(self, line: str) -> bool:
        """Whether to show the next line. What has no level belongs to the line before it."""
        if (level := _LEVEL.search(line)) is not None:
            self._shown, self._trace = (level[1] or level[2]) not in _QUIET, False
        self._trace = self._trace or line.startswith(_TRACE)
        if not self._shown or not line.strip(" >\t") or _NOISE.search(line):
            return False
        if self._trace and (line[0].isspace() or line.startswith(_TRACE)):
            return False
        now, text = clock.monotonic(), _DIGITS.sub("", line)  # whatever the time and the process
        if now - self._said.get(text, -_AGAIN) < _AGAIN:
            return False
        self._said = {t: at for t, at in self._said.items() if now - at < _AGAIN} | {text: now}
        return True


class Child:
    """One service's process, and the one after it.

    Args:
        service: what runs.
        environment: its whole environment.
        log: the file that gets everything it says.
        say: the lines that people should see: warnings and errors, or all.
        verbose: all.
    """

    def __init__(self, service: Service, environment: Mapping[str, str], log: Path, say: Say, *, verbose: bool) -> None:
        self.service, self.log = service, log
        self.ready = False
        self._environment, self._say, self._verbose = dict(environment), say, verbose
        self._deaths: deque[float] = deque(maxlen=RESTARTS + 1)
        self._warned = False
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: threading.Thread | None = None
        self._began = 0.0

    @property
    def owner(self) -> str | None:
        """Which process it is, for a later ``holdfast up`` that finds it orphaned."""
        return identity.identity(self._process.pid, f"up-{self.service.name}") if self._process is not None else None

    def start(self) -> None:
        """Start it.

        Raises:
            OperatorError: HF218, its program is not there.
        """
        self.ready, self._warned, self._began = False, False, clock.monotonic()
        try:
            with _undisturbed():
                # A group of its own: what it starts goes with it, and Ctrl-C comes to us alone.
                self._process = subprocess.Popen(
                    self.service.command,
                    cwd=self.service.folder,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
        except OSError as error:
            what = f"{self.service.name} cannot be started: {error.strerror}"
            raise OperatorError("HF218", what, cure="Install it again.", program=self.service.command[0]) from error
        self._relay = threading.Thread(target=self._hand_on, args=(self._process,), daemon=True)
        self._relay.start()

    def _hand_on(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        sieve = Sieve()
        opened = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)  # a web server's log may hold its token
        with open(opened, "ab", buffering=0) as log:
            for raw in process.stdout:
                log.write(raw)
                line = raw.decode(errors="replace").rstrip()
                if line if self._verbose else sieve.passes(line):
                    self._say(self.service.name, line)

    def died(self) -> int | None:
        """Its exit status once it has ended, else None."""
        return self._process.poll() if self._process is not None else None

    def look(self) -> bool:
        """Whether it has become ready just now; a word when that takes long."""
        if self.ready:
            return False
        if answers(self.service):
            self.ready = True
            return True
        if not self._warned and clock.monotonic() - self._began > _SLOW:
            self._warned = True
            self._say("up", f"{self.service.name} does not answer yet after {_SLOW:.0f} s; what it says is in {self.log}")
        return False

    def again(self) -> bool:
        """Start it again after its death, unless it never came up or dies too often. Returns whether it was started."""
        self.end()
        self._deaths.append(clock.monotonic())
        if not self.ready or (len(self._deaths) > RESTARTS and self._deaths[-1] - self._deaths[0] < _WINDOW):
            return False
        self.start()
        return True

    def ask(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    def end(self, deadline: float = 0.0) -> None:
        """Wait for it until ``deadline``, then end what is left of its group."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - clock.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._relay is not None:
            self._relay.join(2)

    def last_words(self) -> list[str]:
        """The end of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return []
        return [_ESCAPES.sub("", line) for line in lines[-_LAST:]]


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Let signals that end us wait: one between a process's start and our knowing of it would leave it behind."""
    came: list[int] = []
    before = {one: signal.signal(one, lambda number, _: came.append(number)) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def answers(service: Service) -> bool:
    """Whether it can be used."""
    if not service.ready:
        return True
    try:
        with urlopen(service.ready, timeout=2) as answer:
            return int(answer.status) == 200
    except HTTPError:
        return False
    except OSError:
        return False


def keep(children: Sequence[Child], say: Say, when_ready: Callable[[], None], changed: Callable[[], None]) -> int:
    """Look after the children until one of them cannot be kept up. Only an exception ends this otherwise.

    Args:
        children: all started.
        say: for people.
        when_ready: called once all are ready.
        changed: called when a process was replaced.

    Returns:
        1.
    """
    told = False
    while True:
        for child in children:
            name, code = child.service.name, child.died()
            if code is not None:
                was_up, how = child.ready, f"was killed (signal {-code})" if code < 0 else f"ended with status {code}"
                if not child.again():
                    why = "too often; it is not started again" if was_up else "before it could be used"
                    say("up", f"{name} {how}, {why}. The end of {child.log}:")
                    for line in child.last_words():
                        say(name, line)
                    say("up", "ending the others")
                    return 1
                say("up", f"{name} {how}; it is started again. What it said is in {child.log}")
                changed()
            elif child.look() and child.service.url:
                say("up", f"{name} is at {child.service.url}")
        if not told and all(child.ready for child in children):
            told = True
            when_ready()
        clock.sleep(0.3)


def end(children: Sequence[Child]) -> None:
    """Ask all to end, then end what is left."""
    for child in children:
        child.ask()
    deadline = clock.monotonic() + GRACE
    for child in children:
        child.end(deadline)
