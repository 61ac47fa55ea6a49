"""Questions and waits in one line: ``!hf ask``, ``%hf confirm``, ``%hf wait 30``."""

from __future__ import annotations

from typing import Any

from holdfast.durable import asking, timers
from holdfast.model.oneliner import family


def ask(
    message: str,
    *,
    options: list[str] | None = None,
    to: list[str] | None = None,
    via: list[str] | None = None,
    timeout: str | float | None = None,
    on_timeout: str = "fail",
    remind_every: str | float | None = None,
    escalate_to: list[str] | None = None,
    escalate_after: str | float | None = None,
    why: bool = False,
) -> Any:
    """Ask which of some options, or for a line of text."""
    __tracebackhide__ = True
    return asking.ask(
        message,
        options,
        to=to,
        via=via,
        timeout=timeout,
        on_timeout=on_timeout,
        remind_every=remind_every,
        escalate_to=escalate_to,
        escalate_after=escalate_after,
        why=why,
    )


def confirm(
    message: str,
    *,
    target: str | None = None,
    to: list[str] | None = None,
    via: list[str] | None = None,
    timeout: str | float | None = None,
    destructive: bool = False,
    why: bool = False,
) -> Any:
    """Ask for a yes; a no ends the execution, unless the answer is kept."""
    __tracebackhide__ = True
    return asking.confirm(message, target=target, to=to, via=via, timeout=timeout, destructive=destructive, why=why)


def wait(length: Any) -> timers.Waited:
    """Wait durably: seconds, a length of time, or a moment."""
    __tracebackhide__ = True
    return timers.wait(length)


HOLDFAST = family("Questions and waits", reads={"ask": ask, "confirm": confirm, "wait": wait})
