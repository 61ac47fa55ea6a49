"""What a check of a running system returns: a finding, with its objects as rows that show as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from holdfast.errors import CallError
from holdfast.show.tables import bundle_of, escaped


class Rows(list[dict[str, Any]]):
    """Plain dicts in a list; shown as a table."""

    def frame(self) -> Any:
        """A ``pandas.DataFrame`` of the rows."""
        from pandas import DataFrame

        return DataFrame(list(self))

    def column(self, name: str) -> list[Any]:
        """One column's values, in order; None where a row has none."""
        return [row.get(name) for row in self]

    def __repr__(self) -> str:
        return repr(bundle_of(self))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle_of(self)._repr_mimebundle_()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether all is well (it is true then), and what is not.

    ``failing`` are the objects that are not well, as rows with at least ``object`` and ``why``; ``looked_at`` is how many were looked at.
    """

    check: str
    ok: bool
    failing: Rows = msgspec.field(default_factory=Rows)
    looked_at: int = 0
    said: str = ""

    def __bool__(self) -> bool:
        return self.ok

    def require(self) -> Finding:
        """Itself when all is well.

        Raises:
            CallError: HF330 with the first of what fails.
        """
        if self.ok:
            return self
        raise CallError("HF330", str(self), cure="Look at what fails; the check is made anew when the step is.", check=self.check)

    def __str__(self) -> str:
        head = f"{'ok' if self.ok else 'NOT OK'}: {self.check}"
        some = ", ".join(f"{row.get('object')} ({row.get('why')})" for row in self.failing[:3])
        more = f" and {len(self.failing) - 3} more" if len(self.failing) > 3 else ""
        return f"{head}: {some}{more}" if some else f"{head} ({self.said})" if self.said else head

    def __repr__(self) -> str:
        return str(self) + (f"\n{self.failing!r}" if self.failing else "")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        sign = "✔" if self.ok else "✘"
        head = f"**{sign} {escaped(self.check)}**" + (f": {escaped(self.said)}" if self.said else "")
        rows = f"\n\n{bundle_of(self.failing)._repr_mimebundle_()['text/markdown']}" if self.failing else ""
        return {"text/plain": repr(self), "text/markdown": head + rows}


def judge(check: str, rows: Iterable[Mapping[str, Any]], why: Callable[[Mapping[str, Any]], str], *, empty: bool = True) -> Finding:
    """A finding over ``rows`` (each with ``object``): those fail for which ``why`` says something.

    Args:
        empty: what it means that there are no rows at all.
    """
    seen = list(rows)
    failing = Rows({"object": row.get("object"), "why": said, **row} for row in seen if (said := why(row)))
    nothing = f"{len(seen)} looked at" if seen else "nothing to look at"
    return Finding(check=check, ok=not failing and (bool(seen) or empty), failing=failing, looked_at=len(seen), said=nothing)
