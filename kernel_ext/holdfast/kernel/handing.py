"""``%holdfast handover``: the execution of this kernel, or another, told to whoever takes it over; and the hand-over itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from holdfast.kernel.notices import Bundle, notice

if TYPE_CHECKING:
    from holdfast.executions.handover import How
    from holdfast.kernel.session import Session

_VIA = "notebook"


def shown(session: Session, id: str) -> Bundle:
    """What somebody who takes it over must know."""
    from holdfast.client.brief import brief, markdown
    from holdfast.prompts.listing import list_prompts

    found = brief(session.store, _header(session, id), list_prompts(session.store, state=None, execution=id))
    text = markdown(found)
    return {"text/plain": text, "text/markdown": text}


def offered(session: Session, id: str, to: list[str], note: str) -> Bundle:
    """Offer it."""
    from holdfast.client import handing

    made = handing.offer(session.store, session.config, _header(session, id), to, note=note, via=_VIA)
    names = ", ".join(made.to)
    lines = [
        "It stays yours until one of them has taken it over:" if made.giver == session.config.user else f"It is {made.giver}'s until then:"
    ]
    return notice(f"Offered to {names}", lines, commands=[f"%holdfast handover {id} --accept", f"holdfast handover {id} --accept"])


def ended(session: Session, id: str, how: str, why: str | None) -> Bundle:
    """Take it over, say no, or take the offer back."""
    from holdfast.client import handing

    done = handing.end(session.store, session.config, _header(session, id), cast("How", how), why=why, via=_VIA)
    if done.state != "accepted":
        return notice(f"The offer to {', '.join(done.to)} is {done.state}", [f"{done.giver} keeps the execution."])
    header = _header(session, id)
    go_on = [f"%holdfast resume {id}"] if header.mode != "batch" else []
    lines = [f"{done.ended_by} answers for {header.runbook} now. What is open and what to do next:"]
    return notice(f"Taken over from {done.giver}", lines, commands=[f"%holdfast handover {id}", *go_on])


def _header(session: Session, id: str) -> Any:
    from holdfast.executions.find import find

    return find(session.store, id)
