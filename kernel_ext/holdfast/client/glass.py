"""Breaking the glass where no gateway stands before it: the policy is asked and the act written down first."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.client.acting import acting
from holdfast.client.client import Client
from holdfast.foundation import durations
from holdfast.guardrails.breaking import FOR
from holdfast.model.guardrail import Glass

#: What the audit log calls it; the policy's word is `break-glass` too.
ACTION = "break-glass"


def break_glass(
    client: Client, id: str, *, why: str, guardrails: Iterable[str] = (), length: float | str | None = None, via: str, how: str
) -> Glass:
    """Set guardrails aside for an execution, as ``client.config.user``.

    Args:
        length: seconds, or a length of time; None: an hour.
        via, how: where it comes from and how the person is known, for the audit log.

    Raises:
        LookupFailedError: HF601. RequestError: HF702, the policy does not let them. OperatorError: HF265, HF284. StoreError.
    """
    header = client.get(id)
    with acting(client, header, ACTION, via=via, how=how, detail=why):
        return client.break_glass(header.id, why=why, guardrails=guardrails, seconds=_seconds(length), via=via)


def _seconds(length: float | str | None) -> float:
    """An hour unless told; what is no length of time is refused where the rest is."""
    if length is None:
        return FOR
    try:
        return durations.seconds(length)
    except ValueError:
        return -1.0
