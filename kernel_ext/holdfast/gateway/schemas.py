"""The nouns as the API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from holdfast.access.audit import Act
from holdfast.client.effects import Deed
from holdfast.executions.evidence import outputs_of
from holdfast.executions.history import CallHistory, StepHistory
from holdfast.executions.live import LiveOutputs
from holdfast.executions.timeline import Moment
from holdfast.foundation import clock
from holdfast.gateway.texts import Json, Text, Why
from holdfast.journal.store import Store
from holdfast.model.execution import Execution


def when(at: float | None) -> datetime | None:
    """Seconds since the epoch as a time."""
    return clock.utc(at) if at else None


class Shown(BaseModel):
    """What the API sends."""

    model_config = ConfigDict(extra="forbid")


class ExecutionShown(Shown):
    """An execution."""

    id: str
    runbook: str
    status: str
    reason: str | None
    mode: str
    parameters: dict[str, Any]
    created_at: datetime | None
    updated_at: datetime | None
    due_at: datetime | None
    started_by: str | None
    parent: str | None
    forked_from: str | None
    key: str | None
    worked_on: bool = Field(description="Whether a worker has it now.")

    @classmethod
    def of(cls, header: Execution) -> ExecutionShown:
        """From its header."""
        return cls(
            id=header.id, runbook=header.runbook, status=str(header.status), reason=header.reason or None, mode=str(header.mode),
            parameters=header.parameters, created_at=when(header.created_at), updated_at=when(header.updated_at),
            due_at=when(header.due_at), started_by=header.started_by or None, parent=header.parent, forked_from=header.forked_from,
            key=header.key, worked_on=header.owner is not None,
        )  # fmt: skip


class Executions(Shown):
    """A page of executions."""

    items: list[ExecutionShown]
    next: str | None = Field(description="`after` for the next page; null: this is the last.")


class StepShown(Shown):
    """A step of an execution."""

    id: str
    state: str
    attempts: int
    cells: int
    cells_done: int
    calls: int
    started_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    error: dict[str, Any] | None
    teardown_of: str | None

    @classmethod
    def of(cls, step: StepHistory) -> StepShown:
        """From its history."""
        return cls(
            id=step.id, state=step.state, attempts=step.attempts, cells=step.cells, cells_done=step.cells_done, calls=step.calls,
            started_at=when(step.started_at), ended_at=when(step.ended_at), reason=step.reason, error=step.error,
            teardown_of=step.teardown_of,
        )  # fmt: skip


class CallShown(Shown):
    """A call of an execution."""

    id: str
    step: str | None
    kind: str
    operation: str
    arguments: Any
    effect: str
    state: str
    attempts: int
    idempotency_key: str | None
    started_at: datetime | None
    ended_at: datetime | None
    error: Any
    verdict: dict[str, Any] | None

    @classmethod
    def of(cls, call: CallHistory) -> CallShown:
        """From its history."""
        return cls(
            id=call.id, step=call.step, kind=call.kind, operation=call.operation, arguments=call.arguments, effect=call.effect,
            state=str(call.state), attempts=call.attempts, idempotency_key=call.idempotency_key, started_at=when(call.started_at),
            ended_at=when(call.ended_at), error=call.error, verdict=call.verdict,
        )  # fmt: skip


class EffectShown(Shown):
    """A change that an execution made, or that a guardrail refused."""

    step: str
    request: str
    target: str
    effect: str
    destructive: bool
    state: str
    at: datetime | None
    who: str
    why: str
    approved_by: str
    glass: list[str]
    before: Any
    after: Any
    error: str
    undo: list[str]

    @classmethod
    def of(cls, deed: Deed) -> EffectShown:
        """From what the execution did."""
        return cls(
            step=deed.step, request=deed.request, target=deed.target, effect=deed.effect, destructive=deed.destructive,
            state=" ".join(filter(None, [deed.state, deed.word])), at=when(deed.at), who=deed.who, why=deed.why,
            approved_by=deed.approved_by, glass=list(deed.glass), before=deed.before, after=deed.after, error=deed.error,
            undo=list(deed.undo),
        )  # fmt: skip


class MomentShown(Shown):
    """A line of the timeline."""

    id: int
    at: datetime | None
    who: str
    kind: str
    step: str | None
    key: str | None = Field(description="The prompt, call, signal ... that it speaks of.")
    text: str

    @classmethod
    def of(cls, moment: Moment) -> MomentShown:
        """From the timeline."""
        return cls(
            id=moment.id, at=when(moment.at), who=moment.who, kind=str(moment.kind), step=moment.step, key=moment.key, text=moment.text
        )


class OutputShown(Shown):
    """What a cell has published that has not ended."""

    step: str
    cell: str
    at: datetime | None
    text: str
    outputs: list[dict[str, Any]] = Field(description="As a notebook (nbformat 4) has them.")
    cut: bool = Field(description="Only the end of it is here.")

    @classmethod
    def of(cls, store: Store, one: LiveOutputs) -> OutputShown:
        """From the row."""
        outputs = outputs_of(store, one.outputs)
        return cls(step=one.step, cell=one.cell, at=when(one.at), text=one.text, outputs=outputs, cut=one.cut)


class GraphNode(Shown):
    """A step in the graph."""

    id: str
    state: str


class GraphEdge(Shown):
    """``after`` waits for ``before``."""

    before: str
    after: str


class Graph(Shown):
    """The steps and their order."""

    nodes: list[GraphNode]
    edges: list[GraphEdge]
    mermaid: str


class ParameterShown(Shown):
    """A parameter of a runbook."""

    name: str
    type: str
    required: bool
    default: Any
    description: str
    secret: bool


class RunbookShown(Shown):
    """A runbook that may be started."""

    name: str
    title: str
    description: str
    steps: list[str]
    parameters: list[ParameterShown]
    json_schema: dict[str, Any] = Field(description="JSON Schema of the parameters.")
    problem: str | None = Field(description="Why it cannot be started; null: it can.")
    may_start: bool


class PersonShown(Shown):
    """Who asks."""

    name: str
    groups: list[str]
    roles: list[str]
    how: str
    form_token: str | None = Field(description="What `X-XSRFToken` must say when the browser signs requests by a cookie.")


class ActShown(Shown):
    """A line of the audit log."""

    seq: int
    at: datetime | None
    outcome: str
    who: str
    action: str
    thing: str | None
    runbook: str | None
    how: str
    via: str
    address: str
    code: str | None
    detail: str
    digest: str

    @classmethod
    def of(cls, act: Act) -> ActShown:
        """From the log."""
        return cls(**{**{n: getattr(act, n) for n in cls.model_fields if n != "at"}, "at": when(act.at)})


# ---- what is sent to us


class Asked(BaseModel):
    """What the API takes."""

    model_config = ConfigDict(extra="forbid")


class Start(Asked):
    """Start a runbook."""

    runbook: Text = Field(min_length=1, max_length=200)
    parameters: dict[Text, Json] = {}
    id: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", description="Of the new execution.")


class Reason(Asked):
    """Why."""

    why: Why = ""


class BreakGlass(Asked):
    """Set guardrails aside."""

    why: Why = Field(min_length=8)
    guardrails: list[Literal["cap", "breaker", "cooldown", "freeze", "approval", "age"]] = Field(
        default=[], max_length=6, description="None: all of them."
    )
    seconds: float = Field(default=3600, gt=0, le=86400)


class GlassShown(Shown):
    """Guardrails that were set aside."""

    execution: str
    guardrails: list[str]
    until: datetime | None
    who: str
    why: str


class Cancel(Reason):
    """Why, and how soon."""

    finish: bool = Field(False, description="Let the steps that run come to their end first.")


class Rerun(Asked):
    """Run again from a step, as a new execution."""

    step: Text = Field(min_length=1, max_length=200)


class Answer(Asked):
    """An answer."""

    verdict: Text | None = Field(
        None, max_length=200, description="One of the prompt's verdicts; may be left out where the value says it all."
    )
    value: Json = None
    why: Why = ""
    typed: Text | None = Field(None, max_length=500, description="The name that a destructive question wants typed.")


class SignalSent(Asked):
    """What a signal carries."""

    value: Json = None
