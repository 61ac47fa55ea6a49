"""Commands of integrations that a cell calls in one line: ``!ec2 list-volumes --state available``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast.model.call import Effect


class LineCommand(msgspec.Struct, frozen=True, kw_only=True):
    """One command: the function behind it, and what it does at most."""

    name: str
    function: Callable[..., Any]
    effect: Effect = Effect.READ
    destructive: bool = False  # what it changes is lost

    @property
    def about(self) -> str:
        """The first line of the function's docstring."""
        return next(iter((self.function.__doc__ or "").strip().splitlines()), "")


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """The commands behind one first word. Announced by the entry-point group ``holdfast.commands``; the name there is the word.

    A parameter of a function is an option of its command, ``--like-this``; one that may be given by position may be in the line, too.
    ``Any`` takes a variable as it is; other annotations say what a text is made into, a list from ``a,b`` as well.
    """

    about: str
    commands: Mapping[str, LineCommand]


def family(
    about: str,
    *,
    reads: Mapping[str, Callable[..., Any]] | None = None,
    writes: Mapping[str, Callable[..., Any]] | None = None,
    destroys: Mapping[str, Callable[..., Any]] | None = None,
) -> Family:
    """A family of functions by what they do: only look, change something, change something so that what was is lost."""
    made: dict[str, LineCommand] = {}
    for functions, effect, destructive in ((reads, Effect.READ, False), (writes, Effect.WRITE, False), (destroys, Effect.WRITE, True)):
        for name, function in (functions or {}).items():
            made[name] = LineCommand(name=name, function=function, effect=effect, destructive=destructive)
    return Family(about=about, commands=made)
