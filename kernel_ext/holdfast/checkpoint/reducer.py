"""The contract of a reducer: how a thing that does not pickle (or pickles wrongly) is put away and made anew.

Built-in ones are in ``checkpoint/reducers/``; others are found through the entry-point group ``holdfast.reducers``, whose targets are a
reducer or an iterable of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol


class Context(Protocol):
    """What a reducer may tell while it reduces."""

    def lose(self, what: str, cure: str) -> None:
        """Say that ``what`` will not be there after a restore; the step is flagged."""

    def cannot(self, o: Any, why: str) -> Exception:
        """The error to raise when this very object cannot be put away; it becomes a hole, filled by replay."""


#: Returns what ``__reduce__`` may return: ``(callable, arguments[, state[, list items[, dict items[, state setter]]]])``. The callables
#: must be importable by name, because stored checkpoints hold their addresses.
Reduce = Callable[[Context, Any], Any]


@dataclass(frozen=True)
class Reducer:
    """How instances of one type are put away.

    Args:
        type: ``module:Qual.name`` of the type; nothing is imported to find it.
        reduce: the reduction.
        subclasses: also for subclasses that have no reducer of their own.
        parts: what it holds that the garbage collector does not see.
        follow: the objects it holds are the author's, and may be shared with variables.
    """

    type: str
    reduce: Reduce
    subclasses: bool = False
    follow: bool = False
    parts: Callable[[Any], list[Any]] | None = None


def table(reducers: Iterable[Reducer]) -> dict[str, Reducer]:
    """By type name; later ones win."""
    return {r.type: r for r in reducers}
