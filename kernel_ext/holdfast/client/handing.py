"""Handing an execution over from where no gateway stands between: the command line and the notebook. The policy file decides where there
is one, and every act and refusal goes to the audit log, as at the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from holdfast.access.audit import ALLOWED, FAILED, REFUSED, AuditLog
from holdfast.access.person import Person
from holdfast.access.policy import PolicyFile, require
from holdfast.config import Config
from holdfast.errors import HoldfastError
from holdfast.executions import handover
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.handover import Handover


def offer(store: Store, config: Config, header: Execution, to: Sequence[str], *, note: str = "", via: str) -> Handover:
    """Offer ``header`` to people or groups, as ``config.user``.

    Raises:
        RequestError: HF702. PromptError: HF420, HF422. OperatorError: HF253, HF265. StoreError.
    """
    with _acting(store, config, header, via, f"offer to {', '.join(to)}"):
        return handover.offer(store, header, to=to, who=config.user, note=note)


def end(store: Store, config: Config, header: Execution, how: handover.How, *, why: str | None = None, via: str) -> Handover:
    """End the open offer as ``config.user``.

    Raises:
        RequestError: HF702. PromptError: HF420, HF421, HF423. OperatorError: HF253, HF265. StoreError.
    """
    with _acting(store, config, header, via, how) as groups:
        return handover.end(store, header, how, who=config.user, groups=groups, via=via, why=why)


@contextmanager
def _acting(store: Store, config: Config, header: Execution, via: str, detail: str) -> Iterator[tuple[str, ...]]:
    """Refuse what the policy does not grant; write the act down before it is done, and its failure after. Gives the person's groups."""
    person = Person(name=config.user, how="account", owner=config.policy_file is None)
    policy, audit = PolicyFile(config.policy_file).current(), AuditLog(store)

    def write(outcome: str, error: HoldfastError | None = None) -> None:
        code, what = (error.code, error.what) if error is not None else (None, detail)
        audit.write(outcome, person, "handover", header.id, runbook=header.runbook, via=via, code=code, detail=what)

    try:
        require(policy, person, "handover", header.runbook)
    except HoldfastError as error:
        write(REFUSED, error)
        raise
    write(ALLOWED)
    try:
        yield policy.groups_of(person)
    except HoldfastError as error:
        write(REFUSED if error.code == "HF421" else FAILED, error)
        raise
