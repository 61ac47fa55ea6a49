"""What cells have published that have not ended: rows that are replaced as they go on, for people who look on. Nothing is decided from
them; what counts is the record that a cell leaves at its end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind

_MOST: Final = 256 * 1024  # bytes of one cell's outputs; of longer ones the end is kept
_PLACE: Final = "live/"


class LiveOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """Of one cell. Times in seconds since the epoch."""

    step: str
    cell: str
    started_at: float
    at: float  # of the last change
    outputs: list[dict[str, Any]]  # as the record of a cell has them
    cut: bool = False  # something was left out

    @property
    def text(self) -> str:
        """What was printed and shown, as plain text."""
        return "".join(_text(one) for one in self.outputs)


def tell(store: Store, execution: str, shown: LiveOutputs) -> None:
    """Put ``shown`` in place of what was told of that cell before. A writer that comes between wins: the next time tells it all.

    Raises:
        StoreError.
    """
    cursor = store.streams.cursor(_name(execution, shown.step, shown.cell))
    store.streams.move(cursor, cursor.position + 1, body=msgspec.msgpack.encode(_shortened(shown)))


def forget(store: Store, execution: str, step: str, cell: str) -> None:
    """The cell has left its record.

    Raises:
        StoreError.
    """
    cursor = store.streams.cursor(_name(execution, step, cell))
    store.streams.move(cursor, cursor.position + 1, body=b"")


def live(store: Store, execution: str, ends: Iterable[Entry] | None = None) -> list[LiveOutputs]:
    """What the cells of ``execution`` have published that run, or wait, and have left no record since they began.

    Args:
        ends: the entries of kinds ``cell.completed`` and ``step.failed``, where they were read already.

    Raises:
        StoreError.
    """
    told = [msgspec.msgpack.decode(c.body, type=LiveOutputs) for c in store.streams.cursors(f"{_PLACE}{execution}/") if c.body]
    if not told:
        return []
    ends = store.read(execution, kinds=(Kind.CELL_COMPLETED, Kind.STEP_FAILED)) if ends is None else ends
    ended: dict[str, float] = {}
    for entry in ends:
        ended[entry.data.get("cell") or entry.key or ""] = entry.at
    return sorted((one for one in told if ended.get(one.cell, 0.0) < one.started_at), key=lambda one: one.started_at)


def _name(execution: str, step: str, cell: str) -> str:
    return f"{_PLACE}{execution}/{step}/{cell}"


def _shortened(shown: LiveOutputs) -> LiveOutputs:
    """The last of it, when there is too much."""
    left, kept, cut = _MOST, list[dict[str, Any]](), False
    for one in reversed(shown.outputs):
        size = len(msgspec.msgpack.encode(one))
        if size > left and one.get("type") == "stream":
            content = one["content"]
            one = {**one, "content": {**content, "text": content["text"][-left:]}}
            kept.append(one)
        if size > left:
            cut = True
            break
        left -= size
        kept.append(one)
    return msgspec.structs.replace(shown, outputs=kept[::-1], cut=cut)


def _text(output: dict[str, Any]) -> str:
    content = output.get("content") or {}
    if output.get("type") == "stream":
        return str(content.get("text") or "")
    if output.get("type") == "error":
        return "\n".join(content.get("traceback") or [f"{content.get('ename')}: {content.get('evalue')}"]) + "\n"
    text = (content.get("data") or {}).get("text/plain")
    return f"{text if isinstance(text, str) else ''.join(text)}\n" if text else ""
