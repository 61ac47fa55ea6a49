"""Who answers for an execution, and how that goes from one person to another. The journal is the truth: the last acknowledged
hand-over says whose it is, before the first one it is whose word started it.

An offer is an open matter of the execution, found by index; its end (acknowledged, declined, withdrawn, replaced) is an entry that only
one can write, so of two who acknowledge at once one wins and the other is told by whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from holdfast.errors import OperatorError, PromptError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal import ownership
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Entry, Kind, Pending
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.handover import Handover, HandoverState

PENDING: Final = "handover"  # the kind of the open matter; the execution itself does not wait for it

How = Literal["accept", "decline", "withdraw"]

_ENDS: Final = {
    Kind.HANDOVER_ACCEPTED: HandoverState.ACCEPTED,
    Kind.HANDOVER_DECLINED: HandoverState.DECLINED,
    Kind.HANDOVER_WITHDRAWN: HandoverState.WITHDRAWN,
}
_KINDS: Final = (Kind.HANDOVER_OFFERED, *_ENDS)
_LEASE: Final = 10.0  # seconds: how long a session is held to take it from its kernel


# ---- looking


def handovers(store: Store, execution: str) -> list[Handover]:
    """All of an execution, the oldest first.

    Raises:
        StoreError.
    """
    return fold(store.read(execution, kinds=_KINDS))


def fold(entries: Iterable[Entry]) -> list[Handover]:
    """Hand-overs from the entries of one execution."""
    found: dict[str, Handover] = {}
    for entry in entries:
        key = entry.key or ""
        if entry.kind == Kind.HANDOVER_OFFERED:
            found.setdefault(key, msgspec.convert(entry.data, Handover))
        elif entry.kind in _ENDS and key in found and found[key].state == HandoverState.OFFERED:
            found[key] = _ended(found[key], entry)
    return list(found.values())


def in_charge(header: Execution, found: Iterable[Handover]) -> str:
    """Who answers for the execution now."""
    return next((h.ended_by or "" for h in reversed(list(found)) if h.state == HandoverState.ACCEPTED), header.started_by)


def offers(store: Store, *, execution: str | None = None) -> list[Handover]:
    """Open offers, the oldest first; not those of executions that have succeeded or were cancelled meanwhile.

    Raises:
        StoreError.
    """
    found = [msgspec.msgpack.decode(p.body, type=Handover) for p in store.pending(kind=PENDING, execution=execution)]
    live = [h for h in found if (header := store.header(h.execution)) is not None and not _over(header)]
    return sorted(live, key=lambda h: h.offered_at)


# ---- acting


def offer(store: Store, header: Execution, *, to: Sequence[str], who: str, note: str = "") -> Handover:
    """Offer an execution to somebody; an open offer is withdrawn in the same commit.

    Args:
        to: people or groups (``group:NAME``), or ``everyone``.
        who: offers it: the person in charge, or somebody in their place.
        note: what the receiver should know beside what the journal says.

    Raises:
        PromptError: HF422, it cannot be offered like this; HF420, an open offer was acknowledged in the same moment.
        OperatorError: HF253, the execution has ended. StoreError.
    """
    _must_go_on(header)
    names = tuple(dict.fromkeys(name.strip() for name in to))
    known = handovers(store, header.id)
    owner = in_charge(header, known)
    if not names or not all(names):
        raise PromptError("HF422", "nobody is named to take it over", cure='Name people or groups: --to bob, --to "group:oncall".')
    if names == (owner,):
        raise PromptError("HF422", f"{owner} has it already", cure="Name somebody else.", execution=header.id)
    made = Handover(
        execution=header.id, number=len(known) + 1, giver=owner, offered_by=who, to=names, note=note.strip(), offered_at=clock.now()
    )
    body = msgspec.msgpack.encode(made)
    drafts = [Draft(kind=Kind.HANDOVER_OFFERED, key=_key(made), body=body, actor=who, once=f"{_key(made)}:offer")]
    opened = [h for h in known if h.state == HandoverState.OFFERED]
    drafts[:0] = [_end_of(h, Kind.HANDOVER_WITHDRAWN, {"who": who, "why": "offered anew"}) for h in opened]
    pending = Pending(execution=header.id, kind=PENDING, key=_key(made), body=body)
    point("handover.before_offer")
    try:
        store.append(header.id, drafts, fence=None, opens=(pending,), closes=tuple(_key(h) for h in opened))
    except OnceTaken:
        raise _late(handovers(store, header.id)[-1]) from None
    point("handover.after_offer")
    return made


def end(store: Store, header: Execution, how: How, *, who: str, groups: Iterable[str] = (), via: str, why: str | None = None) -> Handover:
    """End the open offer: see :func:`accept`, :func:`decline`, :func:`withdraw` for who may, and what is raised."""
    if how == "accept":
        return accept(store, header, who=who, groups=groups, via=via, why=why)
    if how == "decline":
        return decline(store, header, who=who, groups=groups, via=via, why=why)
    return withdraw(store, header, who=who, via=via, why=why)


def accept(store: Store, header: Execution, *, who: str, groups: Iterable[str] = (), via: str, why: str | None = None) -> Handover:
    """Acknowledge the open offer: ``who`` answers for the execution from now on. Doing so again changes nothing.

    A session of the giver's (JupyterLab, ``holdfast shell``) is fenced: its kernel records nothing and calls nothing any more, and the
    receiver's kernel can go on with it at once. A batch execution goes on as it is.

    Raises:
        PromptError: HF420 it has ended already, by somebody else; HF421 it is not offered to this person; HF423 nothing is offered.
        OperatorError: HF253, the execution has ended. StoreError.
    """
    last = _last(store, header)
    if last.state == HandoverState.ACCEPTED and last.ended_by == who:
        _take_the_pen(store, header.id, last)  # the process that acknowledged may have died in between
        return last
    _must_be_open(last)
    _must_go_on(header)
    if who == last.giver:
        raise PromptError("HF421", f"{who} has it already", cure="Withdraw the offer to keep it.", execution=header.id)
    if not last.is_for(who, groups):
        raise _not_theirs(last, who, "take it over")
    point("handover.before_accept")
    ended = _close(store, last, Kind.HANDOVER_ACCEPTED, {"who": who, "via": via, "why": why, "from": last.giver})
    point("handover.after_accept")
    _take_the_pen(store, header.id, ended)
    return ended


def decline(store: Store, header: Execution, *, who: str, groups: Iterable[str] = (), via: str, why: str | None = None) -> Handover:
    """Say no to the open offer: it ends for all to whom it was made, and the giver keeps the execution.

    Raises:
        PromptError: HF420, HF421, HF423 as :func:`accept`. StoreError.
    """
    last = _last(store, header)
    _must_be_open(last)
    if who == last.giver or not last.is_for(who, groups):
        raise _not_theirs(last, who, "decline it")
    return _close(store, last, Kind.HANDOVER_DECLINED, {"who": who, "via": via, "why": why})


def withdraw(store: Store, header: Execution, *, who: str, via: str, why: str | None = None) -> Handover:
    """Take the open offer back.

    Raises:
        PromptError: HF420 it has ended already; HF421 it is somebody else's; HF423 nothing is offered. StoreError.
    """
    last = _last(store, header)
    _must_be_open(last)
    if who not in (last.giver, last.offered_by):
        raise _not_theirs(last, who, "withdraw it")
    return _close(store, last, Kind.HANDOVER_WITHDRAWN, {"who": who, "via": via, "why": why})


# ---- parts


def _key(handover: Handover) -> str:
    return f"handover:{handover.number}"


def _end_of(handover: Handover, kind: Kind, body: dict[str, Any]) -> Draft:
    return Draft(kind=kind, key=_key(handover), body=body, actor=body["who"], once=f"{_key(handover)}:end")


def _close(store: Store, handover: Handover, kind: Kind, body: dict[str, Any]) -> Handover:
    draft = _end_of(handover, kind, body)
    try:
        store.append(handover.execution, (draft,), fence=None, closes=(_key(handover),))
    except OnceTaken as taken:
        raise _late(_ended(handover, taken.entry)) from None
    entry = store.find_once(handover.execution, str(draft.once))
    assert entry is not None
    return _ended(handover, entry)


def _ended(handover: Handover, entry: Entry) -> Handover:
    body: dict[str, Any] = entry.data
    return msgspec.structs.replace(
        handover, state=_ENDS[Kind(entry.kind)], ended_by=body.get("who"), ended_at=entry.at, via=body.get("via"), why=body.get("why")
    )


def _last(store: Store, header: Execution) -> Handover:
    found = handovers(store, header.id)
    if not found:
        raise PromptError(
            "HF423", "no hand-over of this execution is offered", cure="Offer it: holdfast handover ID --to PERSON.", execution=header.id
        )
    return found[-1]


def _must_be_open(handover: Handover) -> None:
    if handover.state != HandoverState.OFFERED:
        raise _late(handover)


def _must_go_on(header: Execution) -> None:
    if _over(header):
        raise OperatorError(
            "HF253", f"the execution has {header.status}", cure="There is nothing left to hand over; look at: holdfast report ID.",
            execution=header.id,
        )  # fmt: skip


def _over(header: Execution) -> bool:
    """Whether nobody needs to answer for it any more; a failed one waits for somebody."""
    return header.status in (Status.SUCCEEDED, Status.CANCELLED)


def _late(handover: Handover) -> PromptError:
    if handover.state == HandoverState.OFFERED:
        what = f"{handover.offered_by} offered it to {', '.join(handover.to)} in the same moment"
        return PromptError("HF420", what, cure="Look at it, then offer anew.", execution=handover.execution)
    at = f" at {clock.iso(handover.ended_at)}" if handover.ended_at is not None else ""
    what = f"the hand-over was {handover.state} by {handover.ended_by or 'somebody'}{at}"
    return PromptError("HF420", what, cure="The first end stands; `holdfast handover ID` shows whose it is.", execution=handover.execution)


def _not_theirs(handover: Handover, who: str, what: str) -> PromptError:
    offered = f"it is offered to {', '.join(handover.to)} by {handover.offered_by}"
    return PromptError("HF421", f"{who} may not {what}: {offered}", cure="Ask one of them.", execution=handover.execution)


def _take_the_pen(store: Store, id: str, accepted: Handover) -> None:
    """Fence the kernel of a session that went to somebody else, unless whoever has it now took it up after the hand-over."""
    header = store.header(id)
    if header is None or header.mode == Mode.BATCH or header.owner is None:
        return
    begun = store.read(id, kinds=(Kind.EXECUTION_STARTED, Kind.HANDOVER_ACCEPTED))
    if begun and begun[-1].kind == Kind.EXECUTION_STARTED:
        return
    lease = store.claim(id, ownership.this_process("handover"), _LEASE, dead=header.owner)
    if lease is None:
        return
    reason = f"handed over to {accepted.ended_by}"
    draft = Draft(kind=Kind.EXECUTION_SUSPENDED, body={"reason": reason, "who": accepted.ended_by}, actor=accepted.ended_by or "")
    store.append(id, (draft,), fence=lease.fence, change=Change(status=Status.SUSPENDED, reason=reason))
    store.release(lease)
