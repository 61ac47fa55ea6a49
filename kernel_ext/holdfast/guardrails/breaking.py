"""Breaking the glass: a person sets guardrails aside for one execution, for a while, and says why."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution
from holdfast.model.guardrail import BREAKABLE, Glass

#: Seconds for which broken glass counts when nobody says.
FOR = 3600.0
_LONGEST = 86400.0
_SHORTEST_REASON = 8  # characters: "because" is none


def break_glass(
    store: Store, header: Execution, *, who: str, why: str, guardrails: Iterable[str] = (), seconds: float = FOR, via: str = ""
) -> Glass:
    """Write it down; the execution's next effects heed it. Whoever calls this has checked that ``who`` may, and audited it.

    Args:
        guardrails: which; none: all that can be set aside.
        seconds: for how long, a day at most.

    Raises:
        OperatorError: HF284, no reason, an unknown guardrail, too long, or the execution has ended well. StoreError.
    """
    named = tuple(dict.fromkeys(guardrails)) or tuple(map(str, BREAKABLE))
    if unknown := [n for n in named if n not in BREAKABLE]:
        raise _wrong(f"{unknown[0]!r} cannot be set aside", f"Name some of: {', '.join(BREAKABLE)}.", header)
    if len(why.strip()) < _SHORTEST_REASON:
        raise _wrong("a reason is missing", "Say why the guardrail must not count now; it is kept and shown.", header)
    if not 0 < seconds <= _LONGEST:
        raise _wrong(f"{seconds:g} s is no time for it", "Give more than 0 seconds and a day at most.", header)
    if header.status in ("succeeded", "cancelled"):
        raise _wrong(f"the execution has {header.status} already", "Start another one.", header)
    glass = Glass(who=who, why=why.strip(), guardrails=named, until=clock.now() + seconds, via=via)
    store.append(header.id, (Draft(kind=Kind.GLASS_BROKEN, body=msgspec.to_builtins(glass), actor=who),), fence=None)
    return glass


def broken_glass(store: Store, execution: str) -> list[Glass]:
    """What was broken for the execution, also what does not count any more.

    Raises:
        StoreError.
    """
    return [msgspec.convert(e.data, Glass) for e in store.read(execution, kinds=(Kind.GLASS_BROKEN,))]


def _wrong(what: str, cure: str, header: Execution) -> OperatorError:
    return OperatorError("HF284", f"the glass stays whole: {what}", cure=cure, execution=header.id)
