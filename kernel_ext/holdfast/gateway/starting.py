"""Starting a runbook, and running one again from a step: what API and pages have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.errors import OperatorError
from holdfast.executions.start import check_id
from holdfast.gateway.asker import Asker
from holdfast.model.execution import Execution
from holdfast.notebook.parameters import parameters_digest, validate


def start(
    asker: Asker, name: str, parameters: Mapping[str, Any], *, id: str | None = None, key: str | None = None
) -> tuple[Execution, bool]:
    """Queue an execution and see that somebody works on it.

    Args:
        name: of a runbook on the shelf.
        parameters: values with types.
        id: of the new execution.
        key: idempotency key; keys of different people do not meet.

    Returns:
        the execution, and whether it is new.

    Raises:
        RequestError: HF702. LookupFailedError: HF607. AuthorError: HF101 to HF103.
        OperatorError: HF254 id or key belong to another start; HF270, HF271. StoreError.
    """
    asker.must("start", name)
    runbook = asker.hall.shelf.get(name)
    own_key = None if key is None else f"{asker.person.name}:{key}"
    if id is not None:
        check_id(id)
    there = _there(asker, id, own_key)
    with asker.acting("start", name, name):
        header = asker.client.start(runbook.path, parameters, id=id, key=own_key, via=asker.via)
        if own_key is not None and (
            header.runbook != runbook.name or parameters_digest(header.parameters) != parameters_digest(_given(asker, runbook, parameters))
        ):
            raise OperatorError(
                "HF254", "this idempotency key was used for another start", cure="Use a new key for a new start.", execution=header.id
            )
        if there is None or there.id != header.id:
            asker.hall.workers.look()
            return header, True
        return header, False


def rerun(asker: Asker, header: Execution, step: str) -> Execution:
    """A new execution that begins at ``step``, and somebody to work on it.

    Raises:
        RequestError: HF702. LookupFailedError: HF603. OperatorError: HF253, HF271. StoreError.
    """
    with asker.acting("rerun", header.id, header.runbook):
        forked = asker.client.fork(header.id, step)
        asker.hall.workers.look()
        return forked


def _given(asker: Asker, runbook: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return validate(runbook.manifest, parameters) if runbook.manifest else dict(parameters)


def _there(asker: Asker, id: str | None, key: str | None) -> Execution | None:
    store = asker.hall.store
    if id is not None and (known := store.header(id)) is not None:
        return known
    found = store.headers(key=key, limit=1) if key is not None else []
    return found[0] if found else None
