"""Caps per execution; breaker and cool-down per runbook and target: what may still be changed, and a line for each change."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from holdfast.errors import GuardrailError
from holdfast.foundation import clock, durations
from holdfast.guardrails.approvals import Consent
from holdfast.guardrails.ledger import enter
from holdfast.journal.store import Store
from holdfast.model.guardrail import Guardrail, Limits
from holdfast.model.stream import LineDraft

_HOUR = 3600.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change about to be made."""

    id: str  # unique within the execution, the same for every attempt at it
    operation: str
    target: str
    step: str
    destructive: bool = False
    population: int | None = None  # how many things the target set was chosen from

    def refused(self, code: str, guardrail: Guardrail, what: str, cure: str) -> GuardrailError:
        """The error that keeps it back."""
        return GuardrailError(code, what, cure=cure, guardrail=str(guardrail), step=self.step, target=self.target)


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be changed, within ``scope``: the execution, or a step of it."""

    scope: str
    max_effects: int | None = None
    max_targets: int | None = None
    max_percent: float | None = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return (self.max_effects, self.max_targets, self.max_percent) != (None, None, None)


def execution_stream(execution: str) -> str:
    """Where an execution's changes are counted."""
    return f"guardrail:execution:{execution}"


def runbook_stream(runbook: str, target: str) -> str:
    """Where the changes of a runbook on a target are counted."""
    return f"guardrail:runbook:{runbook}:{target}"


def count_in_execution(
    store: Store, execution: str, change: Change, caps: Sequence[Caps], consents: Sequence[Consent] | None, *, broken: frozenset[str]
) -> str | None:
    """Let the change pass its execution's caps, and use an approval for it.

    Args:
        consents: those that could approve it; None: none is needed.
        broken: guardrails that were set aside; the change is counted nevertheless.

    Returns:
        the prompt that approved it.

    Raises:
        GuardrailError: HF801 to HF810; nothing was counted.
    """
    stream, once = execution_stream(execution), f"effect:{change.id}"

    def decide() -> list[LineDraft]:
        newest = store.streams.lines(stream, kinds=("effect",), newest_first=True, limit=1)
        totals: dict[str, int] = dict(newest[0].data["totals"]) if newest else {}
        drafts: list[LineDraft] = []
        for cap in caps:
            place, before = f"target:{cap.scope}:{change.target}", totals.get(f"targets:{cap.scope}", 0)
            if (cap.max_targets, cap.max_percent) != (None, None) and store.streams.line_once(stream, place) is None:
                totals[f"targets:{cap.scope}"] = totals.get(f"targets:{cap.scope}", 0) + 1
                drafts.append(LineDraft(kind="target", key=change.target, once=place))
            totals[f"effects:{cap.scope}"] = totals.get(f"effects:{cap.scope}", 0) + 1
            if Guardrail.CAP not in broken:
                _within(cap, change, totals, _population(cap, change, totals, before))
        prompt = None
        if consents is not None and Guardrail.APPROVAL not in broken:
            prompt = _approved(store, stream, change, consents, totals, drafts)
        body = {"operation": change.operation, "step": change.step, "target": change.target, "prompt": prompt, "totals": totals}
        return [LineDraft(kind="effect", key=change.id, once=once, body=body), *drafts]

    enter(store, stream, once, decide)
    line = store.streams.line_once(stream, once) if consents else None
    return str(found) if line is not None and (found := line.data.get("prompt")) else None


def _population(cap: Caps, change: Change, totals: dict[str, int], before: int) -> int | None:
    """How many things a share is a share of. When they are chosen again, those changed ``before`` may be missing for just that reason; they
    count as if they were still there, but never are there more than there once were."""
    if change.population is None:
        return None
    largest = totals[f"of:{cap.scope}"] = max(change.population, totals.get(f"of:{cap.scope}", 0))
    return min(largest, change.population + before)


def _within(cap: Caps, change: Change, totals: dict[str, int], population: int | None) -> None:
    effects, targets = totals.get(f"effects:{cap.scope}", 0), totals.get(f"targets:{cap.scope}", 0)
    whose = "the execution" if cap.scope == "*" else f"step {cap.scope}"
    if cap.max_effects is not None and effects > cap.max_effects:
        raise _too_many(f"{whose} may make {cap.max_effects} changes at most (max_effects)", change)
    if cap.max_targets is not None and targets > cap.max_targets:
        raise _too_many(f"{whose} may change {cap.max_targets} things at most (max_targets)", change)
    if cap.max_percent is not None:
        if population is None:
            raise change.refused(
                "HF810",
                Guardrail.CAP,
                f"{whose} may change {cap.max_percent:g} % of its targets, but nobody said how many there are",
                "Read them with targets(...) before the change, and go over what it returns.",
            )
        most = int(population * cap.max_percent / 100 + 1e-9)
        if targets > most:
            shown = f"{whose} may change {most} of {population} things ({cap.max_percent:g} %: max_percent)"
            raise _too_many(shown, change)


def _too_many(what: str, change: Change) -> GuardrailError:
    return change.refused(
        "HF801",
        Guardrail.CAP,
        f"{what}; one more would be {change.operation}",
        "Look at what the step is about to do; raise the cap in the runbook, or break the glass for this execution.",
    )


def _approved(
    store: Store, stream: str, change: Change, consents: Sequence[Consent], totals: dict[str, int], drafts: list[LineDraft]
) -> str:
    """The consent that covers the change: one that already covers its target, or one with room left."""
    for consent in consents:
        place = f"approved:{consent.prompt}:{change.target}"
        if consent.count is None or store.streams.line_once(stream, place) is not None:
            return consent.prompt
        used = totals.get(f"approved:{consent.prompt}", 0)
        if used < consent.count:
            totals[f"approved:{consent.prompt}"] = used + 1
            drafts.append(LineDraft(kind="approved", key=change.target, once=place))
            return consent.prompt
    approved = sum(c.count or 0 for c in consents)
    raise change.refused(
        "HF806",
        Guardrail.APPROVAL,
        f"{approved} were approved; one more would be {change.operation}",
        "Ask with the right `count`, or go over what was approved only.",
    )


def count_of_runbook(
    store: Store, execution: str, runbook: str, target: str, change: Change, limits: Limits, *, broken: frozenset[str]
) -> None:
    """Let the change pass the breaker and the cool-down of its runbook and target.

    Raises:
        GuardrailError: HF802, HF803; nothing was counted.
    """
    stream, began = runbook_stream(runbook, target), f"execution:{execution}"

    def decide() -> list[LineDraft]:
        now = clock.now()
        drafts = [LineDraft(kind="effect", key=execution, once=f"effect:{execution}:{change.id}", body={"operation": change.operation})]
        if store.streams.line_once(stream, began) is None:
            drafts.append(LineDraft(kind="execution", key=execution, once=began))
            if Guardrail.COOLDOWN not in broken:
                _cooled_down(store, stream, limits, now, change)
            if Guardrail.BREAKER not in broken:
                _breaker(
                    store, stream, "execution", limits.executions_per_hour, now, change, "executions_per_hour", "executions that change"
                )
        if Guardrail.BREAKER not in broken:
            _breaker(store, stream, "effect", limits.effects_per_hour, now, change, "effects_per_hour", "changes")
        return drafts

    enter(store, stream, f"effect:{execution}:{change.id}", decide)


def _breaker(store: Store, stream: str, kind: str, most: int | None, now: float, change: Change, name: str, what: str) -> None:
    if most is None:
        return
    lines = store.streams.lines(stream, kinds=(kind,), newest_first=True, limit=most)
    if len(lines) < most or lines[-1].at <= now - _HOUR:
        return
    free = lines[-1].at + _HOUR
    raise change.refused(
        "HF802",
        Guardrail.BREAKER,
        f"{most} {what} in an hour are the most for this runbook and target ({name}); one more would be {change.operation}",
        f"Find out why it is needed so often. From {clock.iso(free)} on it may be resumed; or break the glass.",
    )


def _cooled_down(store: Store, stream: str, limits: Limits, now: float, change: Change) -> None:
    if limits.cooldown is None:
        return
    length = durations.seconds(limits.cooldown)
    newest = store.streams.lines(stream, kinds=("effect",), newest_first=True, limit=1)  # of others: this execution has none yet
    if not newest or newest[0].at <= now - length:
        return
    other, at = newest[0].key, newest[0].at
    raise change.refused(
        "HF803",
        Guardrail.COOLDOWN,
        f"execution {other} changed this target at {clock.iso(at)}, and {durations.text(length)} must pass (cooldown)",
        f"See whether that helped. From {clock.iso(at + length)} on it may be resumed; or break the glass.",
    )
