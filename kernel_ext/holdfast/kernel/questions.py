"""Shows a question where its cell runs: as a form in a notebook, as lines in a console, as a card where nobody can type."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from holdfast.access.people import People
from holdfast.durable.showing import Showing
from holdfast.errors import HoldfastError
from holdfast.kernel.cards import card
from holdfast.model.prompt import Prompt
from holdfast.prompts.answering import answer
from holdfast.prompts.dialogue import Dialogue

if TYPE_CHECKING:
    from holdfast.kernel.desk import Desk

#: What a person at this kernel answers: verdict, value, reason, typed name. Raises ``PromptError``.
Answer = Callable[..., Prompt]

_END_OF_FILE = "\x04"


class Questions:
    """Chooses how to show a prompt.

    Args:
        kernel: ipykernel's.
        desk: its durable side.
    """

    def __init__(self, kernel: Any, desk: Desk) -> None:
        self._kernel, self._desk = kernel, desk

    def __call__(self, prompt: Prompt) -> Showing:
        """Show it."""
        session = self._desk.session
        here = threading.current_thread() is threading.main_thread()
        if here and session.config.execution is None and session.place.path is not None:
            from holdfast.kernel.forms import Form

            return Form(prompt, self._answer("notebook"), self._kernel)
        if here and getattr(self._kernel, "_allow_stdin", False):
            return Lines(prompt, self._answer("console"), self._kernel)
        return Card(prompt)

    def _answer(self, via: str) -> Callable[[str], Answer]:
        """For a prompt's id: the function that answers it as whoever sits at the front-end."""

        def of(id: str) -> Answer:
            def give(verdict: str | None, value: Any = None, why: str | None = None, typed: str | None = None) -> Prompt:
                session = self._desk.session
                who = self._who()
                groups = People.load(session.config.policy_file).groups_of(who)
                return answer(session.store, id, verdict, value=value, who=who, via=via, why=why, typed=typed, groups=groups)

            return give

        return of

    def _who(self) -> str:
        """The person whom the front-end's server vouches for, else whoever runs the kernel."""
        parent = self._kernel.get_parent("shell") or {}
        name = str((parent.get("header") or {}).get("username") or "")
        return name if name and name != "username" else self._desk.session.config.user


class Shown:
    """An output that is replaced as the question goes on."""

    live = False

    def __init__(self, prompt: Prompt) -> None:
        self._display_id = f"holdfast-{prompt.id}-{uuid4().hex[:8]}"
        self._published = False

    def publish(self, bundle: dict[str, Any]) -> None:
        """Show ``bundle``, in place of what was shown before."""
        from IPython.display import display, update_display

        if self._published:
            update_display(bundle, raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]
        else:
            display(bundle, raw=True, display_id=self._display_id)  # type: ignore[no-untyped-call]
        self._published = True


class Card(Shown):
    """Only tells: somebody elsewhere answers."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(prompt)
        self._votes = len(prompt.votes)
        self.publish(card(prompt))

    def tick(self, prompt: Prompt) -> None:
        """Votes come in."""
        if len(prompt.votes) != self._votes:
            self._votes = len(prompt.votes)
            self.publish(card(prompt))

    def close(self, prompt: Prompt) -> None:
        """How it ended, or that it is waited for."""
        self.publish(card(prompt))


class Lines(Shown):
    """Asks line by line on a front-end that has a standard input."""

    live = True

    def __init__(self, prompt: Prompt, answer_of: Callable[[str], Answer], kernel: Any) -> None:
        super().__init__(prompt)
        self._prompt, self._answer, self._kernel = prompt, answer_of(prompt.id), kernel
        self._given = False
        self._begin()

    def _begin(self, said: str = "") -> None:
        self._dialogue = Dialogue(self._prompt)
        _say(said or self._dialogue.heading)
        self._request()

    def _request(self) -> None:
        """Ask the front-end for a line; its reply is looked for at each tick."""
        import zmq

        kernel = self._kernel
        while True:  # a reply to an earlier question, given too late
            try:
                kernel.stdin_socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
        content = {"prompt": self._dialogue.line, "password": self._dialogue.secret}
        ident = kernel._shell_parent_ident.get() if hasattr(kernel._shell_parent_ident, "get") else None
        kernel.session.send(kernel.stdin_socket, "input_request", content, kernel.get_parent("shell"), ident=ident)

    def tick(self, prompt: Prompt) -> None:
        """Take the line that was typed."""
        import zmq

        self._prompt = prompt
        if self._given or not self._kernel.stdin_socket.poll(0, zmq.POLLIN):
            return
        _, reply = self._kernel.session.recv(self._kernel.stdin_socket)
        typed = str(((reply or {}).get("content") or {}).get("value", ""))
        if typed == _END_OF_FILE:
            raise KeyboardInterrupt("the question was left open; run the cell again to answer it")
        given = self._dialogue.take(typed)
        if given is None:
            self._request()
            return
        try:
            after = self._answer(given.verdict, given.value, given.why, given.typed)
        except HoldfastError as error:
            self._begin(f"  {error.what} - {error.cure}")
            return
        self._given = True
        if after.state == "open":
            _say(f"  counted; {after.needed} more must consent")

    def close(self, prompt: Prompt) -> None:
        """Say how it ended; a console that still reads a line is told that nobody waits for it."""
        from holdfast.prompts.wording import end

        if prompt.state == "open":
            return
        late = "" if self._given else "\n"
        _say(f"{late}  {end(prompt)}" + ("" if self._given else " (press Enter)"))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
