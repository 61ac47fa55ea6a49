"""Acts of a person where no gateway stands before them: the policy is asked, and the act written down before it is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from holdfast.access.audit import ALLOWED, FAILED, REFUSED, AuditLog
from holdfast.access.person import Person
from holdfast.access.policy import PolicyFile, require
from holdfast.client.client import Client
from holdfast.errors import HoldfastError, RequestError
from holdfast.model.execution import Execution


@contextmanager
def acting(client: Client, header: Execution, action: str, *, via: str, how: str, detail: str = "") -> Iterator[None]:
    """Do something to an execution as ``client.config.user``: allowed and written down first, and again when it fails.

    Args:
        action: of the policy; the audit log's word for it, too.
        via, how: where it comes from and how the person is known, for the audit log.

    Raises:
        RequestError: HF702, the policy does not let them. OperatorError: HF265. StoreError: it cannot be written down, and so must not be
            done.
    """
    file = client.config.policy_file
    person = Person(name=client.config.user, how=how, owner=file is None)
    audit = AuditLog(client.store)
    try:
        require(PolicyFile(file).current(), person, action, header.runbook)
    except RequestError as error:
        audit.write(REFUSED, person, action, header.id, runbook=header.runbook, via=via, code=error.code, detail=error.what)
        raise
    audit.write(ALLOWED, person, action, header.id, runbook=header.runbook, via=via, detail=detail)
    try:
        yield
    except HoldfastError as error:
        audit.write(FAILED, person, action, header.id, runbook=header.runbook, via=via, code=error.code, detail=error.what)
        raise
