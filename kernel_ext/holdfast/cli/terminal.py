"""Questions on the terminal at which ``holdfast run`` or ``resume`` was typed, while the cell waits and before a resume."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING

from holdfast.cli.desk import Desk

if TYPE_CHECKING:
    from holdfast.model.prompt import Prompt

_LOOK = 0.5  # seconds between two looks at the journal
_BLINK = 0.2  # seconds between two looks at the keyboard


def attended(desk: Desk, quiet: bool) -> bool:
    """Whether a person sits there who can be asked."""
    return not desk.as_json and not quiet and sys.stdin.isatty() and sys.stderr.isatty()


class TerminalQuestions:
    """Asks the open questions of one execution, one after the other.

    Args:
        desk: of the command.
        execution: its id.
        hush: keeps the display of progress still while a question is on the screen.
    """

    def __init__(self, desk: Desk, execution: str, hush: Callable[[], AbstractContextManager[None]]) -> None:
        self._desk, self._execution, self._hush = desk, execution, hush
        self._seen: set[str] = set()
        self._end = threading.Event()

    def open_ones(self) -> list[Prompt]:
        """The questions that this person may answer and was not asked yet."""
        from holdfast.access.people import People
        from holdfast.prompts.allowed import may_answer

        who = self._desk.config.user
        groups = People.load(self._desk.config.policy_file).groups_of(who)
        found = [p for p in self._desk.client().prompts(execution=self._execution) if p.question is not None and p.id not in self._seen]
        return [p for p in found if may_answer(p, who, groups)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within: questions are asked as they come, in a thread."""
        thread = threading.Thread(target=self._run, name="holdfast-questions", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join(timeout=5)

    def _run(self) -> None:
        from holdfast.errors import HoldfastError

        while not self._end.wait(_LOOK):
            with suppress(HoldfastError):  # the journal is away: the worker says so
                self.ask_all()

    def ask_all(self) -> None:
        """Ask what is open now.

        Raises:
            StoreError.
        """
        for prompt in self.open_ones():
            self._seen.add(prompt.id)
            with self._hush():
                self._ask(prompt)

    def _ask(self, prompt: Prompt) -> None:
        from holdfast.errors import PromptError
        from holdfast.prompts.dialogue import Dialogue

        while True:
            dialogue = Dialogue(prompt)
            self._say(dialogue.heading + "\n")
            given = None
            while given is None:
                self._say(dialogue.line)
                typed = self._line(prompt, dialogue.secret)
                if typed is None:
                    return
                given = dialogue.take(typed)
            try:
                after = self._desk.client().answer(
                    prompt.id, given.verdict, value=given.value, why=given.why, typed=given.typed, via="terminal"
                )
            except PromptError as error:
                self._say(f"  {error.what} - {error.cure}\n")
                if error.code in ("HF401", "HF403", "HF406", "HF407"):
                    return
                continue
            self._say(f"  counted; {after.needed} more must consent\n" if after.state == "open" else "")
            return

    def _line(self, prompt: Prompt, secret: bool) -> str | None:
        """The line that was typed; None when nobody waits for it any more, or the person left the question open (Ctrl-D)."""
        from holdfast.prompts.listing import get
        from holdfast.prompts.wording import end

        with _unseen() if secret else _plain():
            waited = 0.0
            while not self._end.is_set():
                if select.select([sys.stdin], [], [], _BLINK)[0]:
                    line = sys.stdin.readline()
                    if not line:
                        self._say("\n")
                        return None
                    return line.rstrip("\n")
                waited += _BLINK
                if waited >= _LOOK:
                    waited = 0.0
                    now = get(self._desk.store(), prompt.id)
                    if now.state != "open":
                        self._say(f"\n  {end(now)}\n")
                        return None
        self._say("\n")
        return None

    @staticmethod
    def _say(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


@contextmanager
def _plain() -> Iterator[None]:
    yield


@contextmanager
def _unseen() -> Iterator[None]:
    """What is typed within is not shown."""
    import termios

    former = termios.tcgetattr(sys.stdin)
    changed = termios.tcgetattr(sys.stdin)
    changed[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, former)
        sys.stderr.write("\n")
