"""The guard of one execution: every change passes it, at the moment it is to be made."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from holdfast.errors import GuardrailError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.foundation.secrets import MASK
from holdfast.guardrails import locks
from holdfast.guardrails.approvals import Consent, attended, consents
from holdfast.guardrails.breaking import broken_glass
from holdfast.guardrails.counting import Caps, Change, count_in_execution, count_of_runbook
from holdfast.guardrails.settings import Guardrails, GuardrailsFile
from holdfast.guardrails.windows import freeze_of
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.guardrail import Concurrency, Glass, Guardrail, Limits
from holdfast.model.manifest import Manifest
from holdfast.model.policy import Policy
from holdfast.notebook.compile import examine
from holdfast.notebook.limiting import fields, rendered
from holdfast.notebook.metadata import runbook_metadata
from holdfast.notebook.reader import Notebook, read


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a runbook says of its own guardrails, with the execution's parameters in it."""

    limits: Limits = Limits()
    target: str = ""  # what breaker and cool-down are counted for
    lock: str | None = None
    concurrency: Concurrency | None = None


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A change that was let pass, and on whose word."""

    prompt: str | None = None  # the consent that covers it
    glass: tuple[str, ...] = ()  # guardrails that were set aside for it


def told_by(metadata: Any, header: Execution, manifest: Callable[[], Manifest | None]) -> Told:
    """From ``metadata.holdfast`` of the notebook. What a parameter keeps secret stays out of keys and targets.

    Args:
        manifest: what the notebook compiles to; asked when a key or a target names a parameter.
    """
    about, _ = runbook_metadata(metadata)
    values: dict[str, Any] = {}
    if any(fields(about.limits, about.concurrency)):
        found = manifest()
        values = {p.name: MASK if p.secret else p.default for p in found.parameters} if found is not None else {}
        values |= header.shown_parameters
    lock = rendered(about.concurrency.key, values) if about.concurrency is not None else None
    target = rendered(about.limits.target, values) if about.limits.target is not None else lock or ""
    return Told(limits=about.limits, target=target, lock=lock, concurrency=about.concurrency)


class Guard:
    """One per kernel and execution; thread-safe.

    Args:
        store: the journal.
        header: the execution.
        told: what the runbook says.
        file: what the operator says.
        attended: whether a person started the execution; None: as the journal has it.
        consents: those that some steps got; None: as the journal has them.
    """

    def __init__(
        self,
        store: Store,
        header: Execution,
        told: Told,
        file: GuardrailsFile,
        *,
        attended: bool | None = None,
        consents: Callable[[Collection[str] | None], list[Consent]] | None = None,
    ) -> None:
        self._store, self._header, self._told, self._file = store, header, told, file
        self._attended = attended
        self._said = consents or self._on_record
        self._locked = False

    @property
    def attended(self) -> bool:
        """Whether a person started the execution. Raises ``StoreError``."""
        if self._attended is None:
            self._attended = attended(self._store, self._header)
        return self._attended

    @property
    def limits(self) -> Limits:
        """The strictest of the runbook's and the operator's. Raises ``OperatorError`` HF283."""
        return self._file.current().limits_of(self._header.runbook, self._told.limits)

    def admit(self, change: Change, policy: Policy, asked_in: Collection[str] | None, *, undoing: bool = False) -> Granted:
        """Let a change pass, counted once however often it is tried.

        Args:
            change: about to be made.
            policy: of its step.
            asked_in: the steps whose questions may have approved it; None: any.
            undoing: a person asked for a teardown step; neither number nor consent keeps it back, freeze and lock do.

        Raises:
            GuardrailError: HF801 to HF807, HF809, HF810; it must not be made.
            OperatorError: HF283. StoreError: the journal cannot say.
        """
        return self._admit(change, policy, asked_in, _Aside(self._store, self._header.id), undoing=undoing)

    def refusals(self, change: Change, policy: Policy, asked_in: Collection[str] | None) -> list[GuardrailError]:
        """Each guardrail that keeps the change back; it is counted nevertheless. For plans, on a journal that is thrown away.

        Raises:
            OperatorError: HF283. StoreError.
        """
        found: list[GuardrailError] = []
        while True:
            ignored = frozenset(str(refusal.where["guardrail"]) for refusal in found)
            try:
                self._admit(change, policy, asked_in, _Aside(self._store, self._header.id, ignored))
            except GuardrailError as refusal:
                found.append(refusal)
            else:
                return found

    def _admit(self, change: Change, policy: Policy, asked_in: Collection[str] | None, aside: _Aside, *, undoing: bool = False) -> Granted:
        rules = self._file.current()
        limits = rules.limits_of(self._header.runbook, self._told.limits)
        caps = [c for c in (_caps("*", limits), _caps(change.step, policy, effects=False)) if c.any]
        if change.destructive and policy.effects == "read" and Guardrail.CLASS not in aside.ignored:
            raise _reads_only(change)
        needs = not undoing and (
            policy.approval or (change.destructive and not rules.allows_unattended(self._header.runbook) and not self.attended)
        )
        caps = [] if undoing else caps
        counted = not undoing and (limits.effects_per_hour, limits.executions_per_hour, limits.cooldown) != (None, None, None)
        if not (caps or needs or counted or rules.freezes or self._told.lock):
            return Granted()
        point("guardrail.before_check")
        self._frozen(rules, change, aside)
        self._locked_by_us(aside)
        words = self._consents(change, asked_in, aside) if needs else None
        prompt = words[0].prompt if words else None
        if caps or (words and words[0].count is not None):
            prompt = self._count(change, caps, words, aside)
        if counted:
            aside.retry(
                lambda broken: count_of_runbook(
                    self._store, self._header.id, self._header.runbook, self._told.target, change, limits, broken=broken
                )
            )
        return Granted(prompt=prompt, glass=tuple(sorted(aside.used)))

    def set_aside(self, guardrail: Guardrail) -> bool:
        """Whether a person has set the guardrail aside for now. Raises ``StoreError``."""
        return _Aside(self._store, self._header.id).has(guardrail)

    def _frozen(self, rules: Guardrails, change: Change, aside: _Aside) -> None:
        on = freeze_of(rules.freezes, self._header.runbook, clock.now(), destructive=change.destructive) if rules.freezes else None
        if on is None or aside.has(Guardrail.FREEZE):
            return
        freeze, until = on
        raise change.refused(
            "HF804",
            Guardrail.FREEZE,
            f"a change freeze is on ({freeze.name}{': ' + freeze.reason if freeze.reason else ''}); not made: {change.operation}",
            f"From {clock.iso(until)} on it may be resumed; or break the glass.",
        )

    def _locked_by_us(self, aside: _Aside) -> None:
        if self._told.lock is None or self._locked:
            return
        header = self._store.header(self._header.id) or self._header
        other = locks.take(self._store, self._told.lock, header)
        if other is not None and Guardrail.LOCK in aside.ignored:
            return
        if other is not None:
            raise locks.refused(self._told.lock, other, self._header.id)
        self._locked = True  # as long as this kernel may write: the lock is lost only by the execution's end

    def _on_record(self, steps: Collection[str] | None) -> list[Consent]:
        return consents(self._store, self._header.id, steps)

    def _consents(self, change: Change, asked_in: Collection[str] | None, aside: _Aside) -> list[Consent]:
        found = self._said(asked_in)
        if found or aside.has(Guardrail.APPROVAL):
            return found
        why = "its step asks for it" if self.attended else "it destroys something, and no person started this execution"
        raise change.refused(
            "HF805",
            Guardrail.APPROVAL,
            f"nobody has approved {change.operation}, and somebody must: {why}",
            "Ask before it, in this step or one it comes after: approve(...) or confirm(...) with target and count.",
        )

    def _count(self, change: Change, caps: list[Caps], words: list[Consent] | None, aside: _Aside) -> str | None:
        found: list[str | None] = []
        aside.retry(
            lambda broken: found.append(count_in_execution(self._store, self._header.id, change, caps, words or None, broken=broken))
        )
        return found[-1]


class _Aside:
    """The guardrails that people set aside for the execution; looked up only when one refuses.

    Args:
        ignored: those that a plan goes past, having noted them.
    """

    def __init__(self, store: Store, execution: str, ignored: frozenset[str] = frozenset()) -> None:
        self._store, self._execution, self.ignored = store, execution, ignored
        self._glass: list[Glass] | None = None
        self.used: set[str] = set()

    def has(self, guardrail: Guardrail) -> bool:
        """Whether it does not count now; that is noted then."""
        if guardrail in self.ignored:
            return True
        if self._glass is None:
            self._glass = broken_glass(self._store, self._execution)
        now = clock.now()
        if any(guardrail in g.guardrails and g.until > now for g in self._glass):
            self.used.add(str(guardrail))
            return True
        return False

    def retry(self, count: Callable[[frozenset[str]], object]) -> None:
        """Call ``count`` with what is set aside, as far as it is refused without."""
        broken: set[str] = set()
        while True:
            try:
                count(frozenset(broken))
            except GuardrailError as refusal:
                name = Guardrail(str(refusal.where["guardrail"]))
                if name in broken or not self.has(name):
                    raise
                broken.add(name)
            else:
                return


def _caps(scope: str, of: Limits | Policy, *, effects: bool = True) -> Caps:
    """``effects``: with ``max_effects``; that of a step the recorder counts by itself."""
    return Caps(scope=scope, max_effects=of.max_effects if effects else None, max_targets=of.max_targets, max_percent=of.max_percent)


def _reads_only(change: Change) -> GuardrailError:
    return change.refused(
        "HF809",
        Guardrail.CLASS,
        f"step {change.step} says `effects: read`, and {change.operation} destroys something",
        "Say what the step does: `effects: destructive`; and ask a person before it.",
    )


def guard_of(store: Store, header: Execution, file: GuardrailsFile, notebook: Notebook | None = None) -> Guard:
    """The guard of an execution.

    Args:
        notebook: as a person has it open; None: as the execution was started with.

    Raises:
        LookupFailedError: HF604, the journal lost the notebook. StoreError.
    """
    book = notebook
    if book is None and header.notebook is not None:
        book = read(bytes(store.blobs.get(header.notebook)), name=header.runbook)
    metadata = book.metadata.get("holdfast") if book is not None else None
    return Guard(store, header, told_by(metadata, header, lambda: examine(book).manifest if book is not None else None), file)
