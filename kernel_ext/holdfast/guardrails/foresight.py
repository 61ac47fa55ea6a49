"""What guardrails would say to a plan: the changes that a dry run lists, one after the other, as if each were made now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, cast

import msgspec

from holdfast.errors import GuardrailError
from holdfast.foundation import clock
from holdfast.guardrails.approvals import Consent
from holdfast.guardrails.counting import Change
from holdfast.guardrails.guard import Guard, told_by
from holdfast.guardrails.scratch import Scratch
from holdfast.guardrails.settings import GuardrailsFile
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.guardrail import Guardrail
from holdfast.model.manifest import Manifest
from holdfast.model.policy import Policy
from holdfast.model.prompt import YES, PromptKind

_AT = "\0"  # stands for a change's text
_WAITS = {
    "queue": "the execution would wait for it before its first step",
    "skip": "the execution would end before its first step, as skipped",
    "refuse": "the execution would fail before its first step",
}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a change would not be made."""

    guardrail: str
    code: str
    why: str
    cure: str


class Foresight:
    """The guardrails of an execution that is not there yet. Nothing is written.

    Args:
        store: the journal whose executions, counts and locks count.
        header: the execution as it would be.
        manifest: of its runbook.
        file: what the operator says.
        attended: whether a person would start it.
    """

    def __init__(self, store: Store, header: Execution, manifest: Manifest, file: GuardrailsFile, *, attended: bool) -> None:
        self._manifest, self._execution = manifest, header.id
        told = told_by(manifest.metadata, header, lambda: manifest)
        self._overlap = told.concurrency.overlap if told.concurrency is not None else "queue"
        scratch = cast(Store, Scratch(store))
        self._guard = Guard(scratch, header, told, file, attended=attended, consents=self._consents)
        self._said: list[Consent] = []
        self._effects: Counter[str] = Counter()  # of each step
        self._barred: list[Refusal] = []  # what keeps back an execution's first change keeps it back for good

    def asked(self, question: Mapping[str, Any]) -> None:
        """The plan asks somebody, who is taken to say yes."""
        told = question.get("arguments") or {}
        if question["kind"] in (PromptKind.CONFIRM, PromptKind.APPROVE) and told.get("assumed") == YES:
            said = Consent(
                prompt=question["id"], step=question["step"], text=question["operation"], who=None, at=clock.now(),
                count=told.get("count"), target=told.get("target"),
            )  # fmt: skip
            self._said.insert(0, said)

    def refusals(self, planned: Mapping[str, Any]) -> list[Refusal]:
        """Each guardrail that would keep the change back, as things stand after all that the plan has before it.

        Args:
            planned: as a dry run lists it.

        Raises:
            OperatorError: HF283. StoreError.
        """
        step = self._manifest.step(planned["step"])
        policy = step.policy if step is not None else Policy()
        change = Change(
            id=planned["id"],
            operation=planned["operation"],
            target=planned["target"],
            step=planned["step"],
            destructive=planned["destructive"],
            population=planned.get("population"),
        )
        self._effects[change.step] += 1
        found = [self._worded(one) for one in self._guard.refusals(change, policy, self._asked_in(change.step))]
        found += [msgspec.structs.replace(one, why=one.why.replace(_AT, change.operation)) for one in self._barred]
        self._barred += [
            msgspec.structs.replace(one, why=one.why.replace(change.operation, _AT))
            for one in found[: len(found) - len(self._barred)]
            if one.code == "HF803" or "(executions_per_hour)" in one.why
        ]
        if policy.max_effects is not None and self._effects[change.step] > policy.max_effects:
            why = f"the step may change something {policy.max_effects} times at most; one more would be {change.operation}"
            found.append(Refusal(guardrail=str(Guardrail.CAP), code="HF151", why=why, cure="Raise `max_effects` of the step."))
        return found

    def _asked_in(self, step: str) -> Collection[str] | None:
        return None if self._manifest.step(step) is None else {step, *self._manifest.ancestors(step)}

    def _consents(self, steps: Collection[str] | None) -> list[Consent]:
        return [c for c in self._said if steps is None or c.step in steps]

    def _worded(self, refusal: GuardrailError) -> Refusal:
        name = str(refusal.where["guardrail"])
        why = f"{refusal.what}; {_WAITS[self._overlap]}" if name == Guardrail.LOCK else refusal.what
        return Refusal(guardrail=name, code=refusal.code, why=why, cure=refusal.cure)
