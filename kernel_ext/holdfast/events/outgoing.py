"""Changes of executions, steps and prompts as CloudEvents. Made from the journal's entries, so they cannot disagree with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from holdfast.foundation import clock
from holdfast.model.entry import Entry, Kind
from holdfast.model.event import Event
from holdfast.model.execution import Execution

SOURCE: Final = "/holdfast"
PREFIX: Final = "io.holdfast."

#: Kinds of entries of which no event is made: what only the engine reads.
_INNER: Final = frozenset({Kind.NOTE})
_GROUPS: Final = ("execution.", "step.", "cell.", "prompt.", "timer.", "signal.", "child.")
#: What of a body is told. Not values: answers and signals may hold secrets.
_TOLD: Final = (
    "reason", "why", "who", "what", "by", "from", "via", "attempt", "not_before", "due_at", "verdict", "teardown_of", "status",
)  # fmt: skip
_OF_PROMPT: Final = ("id", "kind", "text", "verdicts", "due_at")


def event_of(entry: Entry, header: Execution | None) -> Event | None:
    """The event that an entry is to the outside; None when it is none.

    Its type is ``io.holdfast.`` and what happened (``execution.succeeded``, ``step.failed``, ``prompt.opened`` …), its id the execution's
    id and the entry's seq, its subject the execution's id.
    """
    if entry.kind in _INNER or not entry.kind.startswith(_GROUPS):
        return None
    body = entry.data
    said: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
    kind = entry.kind
    if kind == Kind.CELL_COMPLETED:
        if not said.get("last"):
            return None
        kind = "step.succeeded"
    told: dict[str, Any] = {key: said[key] for key in _TOLD if said.get(key) is not None}
    if isinstance(error := said.get("error"), Mapping):
        told["error"] = {key: error[key] for key in ("type", "code", "what") if error.get(key)}
    if kind == Kind.PROMPT_OPENED:
        told = {key: said[key] for key in _OF_PROMPT if said.get(key) is not None}
    elif kind.startswith("prompt."):
        told["id"] = entry.key
    elif kind.startswith(("signal.", "timer.", "child.")) and entry.key:
        told["name"] = entry.key
    data = {
        "execution": entry.execution,
        "seq": entry.seq,
        "runbook": header.runbook if header is not None else None,
        "step": entry.step,
        "actor": entry.actor or None,
        **told,
    }
    return Event(
        id=f"{entry.execution}/{entry.seq}",
        source=SOURCE,
        type=PREFIX + kind,
        subject=entry.execution,
        time=clock.iso(entry.at),
        datacontenttype="application/json",
        data={key: _json(value) for key, value in data.items() if value is not None},
    )


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
