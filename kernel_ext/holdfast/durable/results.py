"""What ``for_each`` returns."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any, Literal, overload

import msgspec

from holdfast.durable.values import text_of

_ROWS = 50  # rows of the table that people see; failures come first


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item and what became of it."""

    index: int
    item: Any
    state: Literal["succeeded", "failed", "skipped"]
    value: Any = None
    error: Exception | None = None
    replayed: bool = False  # done in an earlier pass


class Results(Sequence[Any]):
    """The values that the function returned, in the order of the items; None for an item that failed or was not reached.

    Args:
        items: one per item, in order.
        label: for people.
    """

    def __init__(self, items: Sequence[Item], label: str = "") -> None:
        self.items = tuple(items)
        self.label = label

    @property
    def succeeded(self) -> list[Item]:
        """Items whose function returned."""
        return [i for i in self.items if i.state == "succeeded"]

    @property
    def failed(self) -> list[Item]:
        """Items whose function raised; ``error`` is what."""
        return [i for i in self.items if i.state == "failed"]

    @property
    def skipped(self) -> list[Item]:
        """Items that were not started because too many others had failed."""
        return [i for i in self.items if i.state == "skipped"]

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return [i.value for i in self.items[index]] if isinstance(index, slice) else self.items[index].value

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return (i.value for i in self.items)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Results):
            return list(self) == list(other)
        return list(self) == other if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        counts = [f"{len(self.succeeded)} succeeded"]
        counts += [f"{len(part)} {name}" for name, part in (("failed", self.failed), ("skipped", self.skipped)) if part]
        lines = [f"{self.label or 'for_each'}: {', '.join(counts)}"]
        lines += [f"  [{i.index}] {short(i.item)}: {text_of(i.error)}" for i in self.failed[:_ROWS] if i.error is not None]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head, *_ = repr(self).splitlines()
        rows = "".join(
            f"<tr><td>{i.index}</td><td>{html.escape(short(i.item))}</td><td>{i.state}</td><td>{html.escape(_told(i))}</td></tr>"
            for i in self._shown()
        )
        more = len(self.items) - _ROWS
        note = f"<caption>and {more} more</caption>" if more > 0 else ""
        return (
            f"<p>{html.escape(head)}</p><table>{note}<thead><tr><th>#</th><th>item</th><th>state</th><th>result</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=repr(self).splitlines()[0], title_justify="left")
        for name in ("#", "item", "state", "result"):
            table.add_column(name)
        for i in self._shown():
            table.add_row(str(i.index), short(i.item), i.state, _told(i))
        return table

    def _shown(self) -> list[Item]:
        return [*self.failed, *self.skipped, *self.succeeded][:_ROWS]


def short(value: Any, width: int = 80) -> str:
    """The beginning of a value's text, on one line."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def _told(item: Item) -> str:
    if item.error is not None:
        return text_of(item.error)
    return "" if item.value is None else short(item.value)
