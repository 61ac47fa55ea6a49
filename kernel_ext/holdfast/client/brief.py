"""What somebody who takes an execution over must know: whose it is, where it stands, what was tried, what is open, what to do next."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.client.effects import Deed, deed_line, deeds, deeds_table
from holdfast.client.markdown import bullets, facts, fenced, inline, length, section, table
from holdfast.client.telling import Asked, Head, Tried, asked, tried
from holdfast.executions.handover import PENDING, handovers
from holdfast.executions.history import History, history
from holdfast.foundation import clock
from holdfast.journal.ownership import unattended
from holdfast.journal.store import Store
from holdfast.model.entry import Pending
from holdfast.model.execution import Execution, Mode, Status
from holdfast.model.handover import Handover, HandoverState
from holdfast.model.prompt import Prompt, PromptState


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Something open that is no question: a timer, a signal, an execution that was started. ``due_at`` in seconds since the epoch."""

    kind: str
    text: str
    due_at: float | None = None
    execution: str | None = None  # the child


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something to do next."""

    text: str
    command: str = ""
    prompt: str | None = None  # the question it answers


class Brief(Head, frozen=True, kw_only=True):
    """The whole."""

    worked_on: bool
    at_step: tuple[str, ...]  # where it stands
    to_come: tuple[str, ...]
    tried: list[Tried]
    effects: list[Deed]
    questions: list[Asked]  # open
    answered: list[Asked]
    waits: list[Waits]
    next: list[Action]
    handovers: list[Handover]
    last: int  # seq of the last entry that it tells of

    @property
    def in_force(self) -> list[Deed]:
        """The effects that were made, or may have been, and that no step has undone."""
        return [d for d in self.effects if d.in_force]

    @property
    def offered(self) -> Handover | None:
        """The open offer."""
        return next((h for h in self.handovers if h.state == HandoverState.OFFERED), None)


def brief(store: Store, header: Execution, prompts: list[Prompt]) -> Brief:
    """Gather it from the journal.

    Args:
        prompts: of the execution, open and ended.

    Raises:
        StoreError.
    """
    found = history(store, header)
    effects = deeds(found)
    open_ones = asked(p for p in prompts if p.state == PromptState.OPEN)
    waits = [_waits(p) for p in store.pending(execution=header.id) if p.kind not in (PENDING, "prompt")]
    alone = unattended(header, store.now(), store.step_leases(header.id))
    given = handovers(store, header.id)
    here = ("running", "suspended", "failed") if header.status == Status.FAILED else ("running", "suspended")
    at_step = tuple(s.id for s in found.steps if s.state in here)
    to_come = tuple(s.id for s in found.steps if s.state == "pending" and s.teardown_of is None and s.id not in at_step)
    return Brief(
        **msgspec.structs.asdict(Head.of(header, found, given)),
        worked_on=not alone,
        at_step=at_step,
        to_come=to_come,
        tried=tried(found, effects),
        effects=effects,
        questions=open_ones,
        answered=asked(p for p in prompts if p.state != PromptState.OPEN),
        waits=waits,
        next=_next(header, found, effects, open_ones, waits, alone, to_come),
        handovers=given,
        last=found.entries[-1].seq if found.entries else 0,
    )


def _waits(matter: Pending) -> Waits:
    body: dict[str, Any] = msgspec.msgpack.decode(matter.body) if matter.body else {}
    if matter.kind == "signal":
        return Waits(kind="signal", text=f"the signal {body.get('name') or matter.key.partition(':')[2]}", due_at=matter.due_at)
    if matter.kind == "child":
        return Waits(kind="child", text=f"{body.get('runbook')}, execution {body.get('child')}", execution=body.get("child"))
    said = body.get("for")
    text = f"a timer{f' ({said})' if said else ''}" if body.get("due_at") else f"a condition: {said or 'looked at again and again'}"
    return Waits(kind=matter.kind, text=text, due_at=matter.due_at)


def _next(
    header: Execution,
    found: History,
    effects: list[Deed],
    questions: list[Asked],
    waits: list[Waits],
    alone: bool,
    to_come: tuple[str, ...],
) -> list[Action]:
    id, actions = header.id, []
    for question in questions:
        limit = f", by {clock.iso(question.due_at)} (else {question.then})" if question.due_at else ""
        actions.append(Action(text=f"Answer: {question.text}{limit}", command=question.command, prompt=question.id))
    resume = f"holdfast resume {id}" if header.mode == Mode.BATCH else f"%holdfast resume {id}"
    if header.status == Status.RUNNING and alone:
        actions.append(Action(text="Its worker is gone: continue it where it stands", command=resume))
    elif header.status == Status.RUNNING:
        actions.append(Action(text="It is being worked on: look how it goes", command=f"holdfast show {id}"))
    elif header.status == Status.QUEUED:
        actions.append(Action(text="It waits for a worker: see that one runs", command="holdfast worker"))
    elif header.status == Status.FAILED:
        actions.append(Action(text="Find the cause, mend it, then go on where it failed", command=resume))
    elif header.status == Status.PAUSED or (header.status == Status.SUSPENDED and not questions and not waits):
        actions.append(Action(text="Go on where it stands", command=resume))
    for one in waits:
        command = f"holdfast signal {id} {one.text.rpartition(' ')[2]}" if one.kind == "signal" else ""
        command = f"holdfast show {one.execution}" if one.execution else command
        until = f" until {clock.iso(one.due_at)}" if one.due_at else ""
        actions.append(Action(text=f"It waits for {one.text}{until}", command=command))
    for deed in effects:
        if deed.in_force and deed.state in ("unknown", "started") and alone:
            actions.append(Action(text=f"Find out whether this happened: {deed.request}"))
    undo = dict.fromkeys(name for d in effects if d.in_force for name in d.undo)
    if undo and header.status in (Status.FAILED, Status.PAUSED):
        command = f"holdfast rollback {id}" if header.status == Status.FAILED else ""
        actions.append(Action(text=f"Or undo what is in force: {', '.join(undo)} (teardown steps of the runbook)", command=command))
    if to_come:
        actions.append(Action(text=f"Then come the steps: {', '.join(to_come)}"))
    return actions


# ---- for reading


def markdown(found: Brief) -> str:
    """The brief as Markdown."""
    head = [
        ("owner", found.owner),
        ("state", found.status + (f": {found.reason}" if found.reason else "")),
        ("at step", ", ".join(found.at_step)),
        ("execution", f"{found.execution} of {found.runbook}"),
        ("started", f"{clock.iso(found.started_at)} by {found.started_by}"),
        ("part of", found.parent or ""),
        ("parameters", ", ".join(f"{k} = {v!r}" for k, v in found.parameters.items())),
        ("offered", _offer(found.offered)),
    ]
    actions = "".join(
        f"{n}. {inline(a.text)}\n" + (f"\n   {fenced_line(a.command)}\n" if a.command else "") for n, a in enumerate(found.next, 1)
    )
    rows = [[t.step, t.state, length(t.took), str(t.attempts or ""), str(t.effects or ""), t.result] for t in found.tried]
    return "\n".join(
        filter(
            None,
            [
                f"# Hand-over: {inline(found.title)}\n\n{facts(head)}",
                section("Next", actions, "Nothing is left to do.\n"),
                section("Open questions", bullets(question_line(q) for q in found.questions), "None.\n"),
                section("Timers and other waits", bullets(wait_line(w) for w in found.waits), "None.\n"),
                section("Effects in force", bullets(deed_line(d) for d in found.in_force), "None.\n"),
                section(
                    "What was tried",
                    table(["step", "state", "took", "attempts", "effects", "result"], rows) if rows else "",
                    "Nothing yet.\n",
                ),
                section("All effects", table(*deeds_table(found.effects)) if found.effects else ""),
                section("Answered", bullets(answer_line(a) for a in found.answered)),
                section("Hand-overs", bullets(handover_line(h) for h in found.handovers)),
            ],
        )
    )


def fenced_line(command: str) -> str:
    """A command to type."""
    return f"`{command}`" if "`" not in command else fenced(command, "")


def question_line(question: Asked) -> str:
    """An open question in one line."""
    parts = [question.text, question.target, f"for {question.who_may}" if question.who_may else ""]
    parts.append(f"until {clock.iso(question.due_at)}, then {question.then}" if question.due_at else "no time limit")
    return " · ".join(filter(None, parts))


def answer_line(question: Asked) -> str:
    """A question that has ended, in one line."""
    by = f"by {question.who} via {question.via}" if question.who else ""
    at = clock.iso(question.at) if question.at else ""
    votes = "; ".join(f"{v.who}: {v.verdict}" + (f" ({v.why})" if v.why else "") for v in question.votes) if len(question.votes) > 1 else ""
    return " · ".join(filter(None, [question.text, f"{question.state} {question.answer}".strip(), by, at, votes, question.why]))


def wait_line(one: Waits) -> str:
    """A wait in one line."""
    return one.text + (f", until {clock.iso(one.due_at)}" if one.due_at else "")


def handover_line(one: Handover) -> str:
    """A hand-over in one line."""
    end = f"{one.state} by {one.ended_by}" + (f" via {one.via}" if one.via else "") if one.ended_by else str(one.state)
    at = clock.iso(one.ended_at or one.offered_at)
    return " · ".join(filter(None, [f"{one.giver} to {', '.join(one.to)}", one.note, end, at, one.why]))


def _offer(one: Handover | None) -> str:
    return "" if one is None else f"to {', '.join(one.to)} by {one.offered_by}" + (f": {one.note}" if one.note else "")
