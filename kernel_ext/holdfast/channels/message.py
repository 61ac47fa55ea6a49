"""A prompt in words for messages: the same facts in Slack, in a mail and in a webhook's body."""

from __future__ import annotations

from holdfast.channels.channel import Sending, What
from holdfast.foundation import clock
from holdfast.model.prompt import PromptState
from holdfast.prompts.wording import end, facts, stand_in


def heading(sending: Sending) -> str:
    """What this message is, in one line."""
    prompt = sending.prompt
    if prompt.state != PromptState.OPEN:
        return f"Closed: {end(prompt)}"
    return {
        What.QUESTION: f"{sending.runbook} asks",
        What.ESCALATION: f"{sending.runbook} asks, and nobody has answered yet",
        What.REMINDER: f"Reminder {sending.number}: {sending.runbook} still waits",
        What.UPDATE: f"{sending.runbook} asks",
    }[sending.what]


def rows(sending: Sending) -> list[tuple[str, str]]:
    """What there is to know beside the text: (name, value)."""
    prompt = sending.prompt
    found = [(name, value) for name, value in facts(prompt) if name != "time left"]
    operation = str(prompt.request.get("operation") or "")
    if operation and "command" not in dict(found):
        found.append(("call", operation))
    if prompt.due_at is not None and prompt.state == PromptState.OPEN:
        found.append(("answer until", f"{clock.iso(prompt.due_at)}, then {stand_in(prompt)}"))
    found.append(("step", f"{prompt.step} of {sending.runbook}" if prompt.step else sending.runbook))
    found.append(("execution", prompt.execution))
    return found
