"""The report of an execution for those who look back: who started it, who decided what, when and why, what it did, how long it took."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.client.brief import answer_line, handover_line
from holdfast.client.effects import Deed, deeds, deeds_table
from holdfast.client.markdown import bullets, facts, inline, length, section, table
from holdfast.client.telling import Asked, Head, Tried, asked, tried
from holdfast.executions.family import children
from holdfast.executions.handover import handovers
from holdfast.executions.history import history
from holdfast.executions.timeline import Moment, timeline
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.model.entry import Entry, Kind
from holdfast.model.execution import Execution, Status
from holdfast.model.handover import Handover
from holdfast.model.prompt import Prompt

_STOPS = (Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_PAUSED, Kind.EXECUTION_FAILED, Kind.EXECUTION_SUCCEEDED, Kind.EXECUTION_CANCELLED)


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that this one has started."""

    id: str
    runbook: str
    status: str


class Report(Head, frozen=True, kw_only=True):
    """The whole. Times in seconds since the epoch, lengths in seconds."""

    ended_at: float | None  # None: it has not ended
    took: float
    worked: float  # some worker had it
    for_people: float  # at least one question was open
    text: str | None  # digest of the notebook it ran
    forked_from: str | None
    steps: list[Tried]
    questions: list[Asked]
    effects: list[Deed]
    failures: list[Moment]
    resumes: list[Moment]
    requests: list[Moment]  # pauses, cancels, signals
    handovers: list[Handover]
    children: list[Child]
    timeline: list[Moment]


def report(store: Store, header: Execution, prompts: list[Prompt]) -> Report:
    """Gather it from the journal.

    Args:
        prompts: of the execution, open and ended.

    Raises:
        StoreError.
    """
    found = history(store, header)
    effects, moments = deeds(found), timeline(found.entries)
    given = handovers(store, header.id)
    stops = [e for e in found.entries if e.kind in _STOPS]
    ended = stops[-1].at if stops and header.status.ended else None
    until = ended or clock.now()
    begun = [m for m in moments if m.kind == Kind.EXECUTION_STARTED]
    return Report(
        **msgspec.structs.asdict(Head.of(header, found, given)),
        ended_at=ended,
        took=max(0.0, until - header.created_at),
        worked=_worked(found.entries, until if header.status == Status.RUNNING else None),
        for_people=_covered((p.opened_at, p.answered_at or until) for p in prompts),
        text=header.notebook.hex() if header.notebook else None,
        forked_from=header.forked_from,
        steps=tried(found, effects),
        questions=asked(prompts),
        effects=effects,
        failures=[m for m in moments if m.kind in (Kind.STEP_FAILED, Kind.EXECUTION_FAILED) or m.text.startswith("the kernel died")],
        resumes=[m for m in moments if m.kind == Kind.EXECUTION_RESUMED or m in begun[1:]],
        requests=[m for m in moments if m.kind in (Kind.REQUESTED, Kind.SIGNAL_RECEIVED)],
        handovers=given,
        children=[Child(id=c.id, runbook=c.runbook, status=str(c.status)) for c in children(store, header.id)],
        timeline=moments,
    )


def _worked(entries: Iterable[Entry], now: float | None) -> float:
    """How long a worker had the execution: from each start of one to the suspension, pause or end after it."""
    total, since = 0.0, None
    for entry in entries:
        if entry.kind == Kind.EXECUTION_STARTED and since is None:
            since = entry.at
        elif entry.kind in _STOPS and since is not None:
            total, since = total + entry.at - since, None
    return total + (now - since if since is not None and now is not None else 0.0)


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the spans lasted."""
    total, reached = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def markdown(found: Report) -> str:
    """The report as Markdown."""
    head = [
        ("execution", f"{found.execution} of {found.runbook}"),
        ("outcome", found.status + (f": {found.reason}" if found.reason else "")),
        ("started", f"{clock.iso(found.started_at)} by {found.started_by}"),
        ("ended", clock.iso(found.ended_at) if found.ended_at else "not yet"),
        ("owner", found.owner),
        ("took", f"{length(found.took)}; worked on for {length(found.worked)}, questions open for {length(found.for_people)}"),
        ("parameters", ", ".join(f"{k} = {v!r}" for k, v in found.parameters.items())),
        ("part of", found.parent or ""),
        ("run again from", found.forked_from or ""),
        ("notebook", found.text or ""),
    ]
    steps = [
        [t.step, t.state, clock.iso(t.started_at) if t.started_at else "", length(t.took), str(t.attempts or ""), t.result]
        for t in found.steps
    ]
    moments = [[clock.iso(m.at), m.who, m.text] for m in found.timeline]
    return "\n".join(
        filter(
            None,
            [
                f"# Report: {inline(found.title)}\n\n{facts(head)}",
                section("Decisions", bullets(answer_line(q) for q in found.questions), "Nobody was asked.\n"),
                section("Effects", table(*deeds_table(found.effects)) if found.effects else "", "None.\n"),
                section("Failures", bullets(moment_line(m) for m in found.failures), "None.\n"),
                section("Resumes", bullets(moment_line(m) for m in found.resumes)),
                section("Pauses, cancels, signals", bullets(moment_line(m) for m in found.requests)),
                section("Hand-overs", bullets(handover_line(h) for h in found.handovers)),
                section("Executions it started", bullets(f"{c.runbook} {c.id}: {c.status}" for c in found.children)),
                section("Steps", table(["step", "state", "started", "took", "attempts", "result"], steps) if steps else "", "None yet.\n"),
                section("Timeline", table(["when", "who", "what"], moments)),
            ],
        )
    )


def moment_line(moment: Moment) -> str:
    """A moment in one line."""
    return " · ".join(filter(None, [clock.iso(moment.at), moment.text, moment.who]))
