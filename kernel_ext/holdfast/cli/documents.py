"""What ``--json`` prints: the nouns as JSON types, times as RFC 3339 text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.foundation import clock

if TYPE_CHECKING:
    from holdfast.engine.watcher import Result
    from holdfast.executions.history import CallHistory, StepHistory
    from holdfast.executions.timeline import Moment
    from holdfast.model.execution import Execution
    from holdfast.model.prompt import Prompt


def time(at: float | None) -> str | None:
    """A time as text; None stays None."""
    return clock.iso(at) if at else None


def execution_document(header: Execution) -> dict[str, Any]:
    """A header."""
    return {
        "id": header.id,
        "runbook": header.runbook,
        "status": str(header.status),
        "reason": header.reason or None,
        "mode": str(header.mode),
        "path": header.path,
        "parameters": header.shown_parameters,
        "created_at": time(header.created_at),
        "updated_at": time(header.updated_at),
        "due_at": time(header.due_at),
        "started_by": header.started_by or None,
        "parent": header.parent,
        "forked_from": header.forked_from,
        "key": header.key,
        "worker": header.owner,
        "lease_until": time(header.lease_until) if header.owner else None,
    }


def prompt_document(prompt: Prompt) -> dict[str, Any]:
    """A question, open or ended. Secrets are left out."""
    from holdfast.prompts.sealing import masked

    return {
        "id": prompt.id,
        "execution": prompt.execution,
        "step": prompt.step,
        "kind": str(prompt.kind),
        "text": prompt.text,
        "request": prompt.request,
        "verdicts": list(prompt.verdicts),
        "state": str(prompt.state),
        "opened_at": time(prompt.opened_at),
        "due_at": time(prompt.due_at),
        "answer": prompt.answer,
        "value": masked(prompt.value),
        "answered_by": prompt.answered_by,
        "answered_at": time(prompt.answered_at),
        "via": prompt.via,
        "why": prompt.why,
        **_question_document(prompt),
    }


def _question_document(prompt: Prompt) -> dict[str, Any]:
    """What an author's question says besides; the same fields for every prompt."""
    from holdfast.model.prompt import Question
    from holdfast.prompts.allowed import who_may

    question = prompt.question or Question()
    return {
        "target": question.target,
        "count": question.count,
        "command": question.command,
        "schema": question.schema,
        "options": list(question.options) or None,
        "who_may_answer": list(who_may(prompt)),
        "not_self": question.not_self,
        "started_by": question.started_by or None,
        "at_least": question.at_least,
        "votes": [{"who": v.who, "verdict": v.verdict, "at": time(v.at), "via": v.via, "why": v.why} for v in prompt.votes],
        "why_needed": question.why,
        "typed_needed": question.typed,
        "on_timeout": question.timed_out or ("fail" if prompt.due_at is not None else None),
        "remind_every": question.remind_every,
        "escalate_to": list(question.escalate_to),
        "escalate_at": time(prompt.opened_at + question.escalate_after) if question.escalate_after is not None else None,
        "channels": list(question.via),
    }


def result_document(result: Result, prompts: list[dict[str, Any]]) -> dict[str, Any]:
    """How ``run``, ``resume`` or ``rerun`` ended."""
    failure = result.failure
    return {
        "id": result.execution,
        "status": str(result.status),
        "reason": result.reason or None,
        "output": result.output,
        "due_at": time(result.due_at),
        "undone": list(result.undone),
        "prompts": prompts,
        "failure": None if failure is None else {name: getattr(failure, name) for name in failure.__struct_fields__},
    }


def step_document(step: StepHistory) -> dict[str, Any]:
    """A step."""
    return {
        "id": step.id,
        "state": step.state,
        "attempts": step.attempts,
        "cells": step.cells,
        "cells_done": step.cells_done,
        "calls": step.calls,
        "started_at": time(step.started_at),
        "ended_at": time(step.ended_at),
        "reason": step.reason,
        "error": step.error,
        "teardown_of": step.teardown_of,
    }


def call_document(call: CallHistory) -> dict[str, Any]:
    """A call."""
    verdict = None if call.verdict is None else {**call.verdict, "at": time(call.verdict.get("at"))}
    return {
        "id": call.id,
        "step": call.step,
        "cell": call.cell,
        "kind": call.kind,
        "operation": call.operation,
        "arguments": call.arguments,
        "effect": call.effect,
        "state": str(call.state),
        "attempt": call.attempts,
        "idempotency_key": call.idempotency_key,
        "started_at": time(call.started_at),
        "ended_at": time(call.ended_at),
        "error": call.error,
        "verdict": verdict,
    }


def moment_document(moment: Moment) -> dict[str, Any]:
    """A line of the timeline."""
    return {name: getattr(moment, name) for name in moment.__struct_fields__} | {"at": time(moment.at)}
