"""Dry runs and rollbacks: what API and pages have in common."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from holdfast.client.effects import Deed, deeds
from holdfast.client.planning import PATIENCE, planned
from holdfast.errors import OperatorError
from holdfast.executions.history import History
from holdfast.executions.undoing import ask_rollback, offered
from holdfast.gateway.asker import Asker
from holdfast.model.execution import Execution
from holdfast.notebook.parameters import validate

_LEAVE = 0.9  # of the time that a request may take


def plan_again(asker: Asker, header: Execution) -> dict[str, Any]:
    """What the execution would change if it were started again now. What only reads is run, as whoever runs the gateway: so only those
    may ask who may start it.

    Raises:
        RequestError: HF702. OperatorError: HF285. StoreError.
    """
    with asker.acting("start", header.id, header.runbook, detail="dry run"):
        found: dict[str, Any] = asker.veil(header)(_planned(asker, ["plan", header.id]))
        return found


def plan_start(asker: Asker, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a runbook would change if it were started now with these parameters.

    Raises:
        RequestError: HF702. LookupFailedError: HF607. AuthorError: HF103. OperatorError: HF285. StoreError.
    """
    asker.must("start", name)
    runbook = asker.hall.shelf.get(name)
    if runbook.manifest is not None:
        validate(runbook.manifest, parameters)
    with asker.acting("start", name, name, detail="dry run"):
        return _planned(asker, ["run", str(runbook.path), "--dry-run", "-f", "/dev/stdin"], json.dumps(dict(parameters)))


def _planned(asker: Asker, words: list[str], given: str = "") -> dict[str, Any]:
    hall = asker.hall
    if not hall.dry_runs.acquire(blocking=False):
        raise OperatorError("HF285", "too many dry runs are under way", cure="Try again in a minute.")
    try:
        return planned(hall.config, words, given=given, patience=min(PATIENCE, _LEAVE * hall.config.request_timeout))
    finally:
        hall.dry_runs.release()


class Undoing(msgspec.Struct, frozen=True, kw_only=True):
    """A teardown step that is offered after a failure."""

    step: str
    teardown_of: str
    undoes: tuple[Deed, ...]  # the effects on record that it is there to undo


def undoings(history: History) -> list[Undoing]:
    """The teardown steps that are offered, in the order in which they would be run."""
    of = {s.id: s.teardown_of or "" for s in history.steps}
    made = [d for d in deeds(history) if d.in_force] if (names := offered(history)) else []
    return [Undoing(step=n, teardown_of=of[n], undoes=tuple(d for d in made if d.step == of[n])) for n in names]


def roll_back(asker: Asker, header: Execution, steps: Collection[str] = (), why: str = "") -> tuple[str, ...]:
    """Undo a failed execution by teardown steps, and see that somebody works on it.

    Args:
        steps: by name; none: all that are offered.

    Returns:
        their names, in the order in which they are run.

    Raises:
        RequestError: HF702. LookupFailedError: HF603. OperatorError: HF253, HF271. StoreError.
    """
    with asker.acting("rollback", header.id, header.runbook, detail=why):
        names = ask_rollback(asker.hall.store, header, steps, who=asker.person.name, why=why)
        asker.hall.workers.go_on(header, asker.person, why)
        return names
