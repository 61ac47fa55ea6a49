"""``secret``: credentials by reference. What a notebook, the journal and a checkpoint hold is where the secret is, never the secret."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from holdfast.checkpoint import sealing
from holdfast.config import referred
from holdfast.durable import current
from holdfast.durable.answers import Secret
from holdfast.errors import OperatorError


class ReferredSecret(Secret):
    """A secret with its reference; a checkpoint keeps the reference, and a restore follows it again."""

    reference: str = ""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return secret, (self.reference,)


def secret(reference: str) -> Secret:
    """The credential that ``reference`` leads to: an ordinary text for libraries, which shows as ``***`` in outputs, journal and
    checkpoints.

    It is read anew in every kernel and never recorded, so a changed password is taken up by a resume; also in texts that were made of it
    (``f"Bearer {token}"``), which a checkpoint keeps without it. One that holds it in base64 comes back only while it has not changed: make
    that where it is used. It is masked in outputs and records also in an address, in JSON, HTML, a ``repr``, hexadecimal and base64.
    ``env:NAME`` the environment,
    ``file:PATH`` a file (without the white space around), ``keyring:SERVICE/USER`` the system's keyring, ``k8s:NAMESPACE/NAME/KEY`` a
    Secret of the present Kubernetes context, ``aws-sm:NAME`` or ``aws-sm:NAME#FIELD`` AWS Secrets Manager; other packages add schemes
    through the entry points ``holdfast.secrets``.

    Args:
        reference: scheme and place.
    Raises:
        OperatorError: HF219 it leads nowhere.
    """
    recorder = current.recorder()
    try:
        with recorder.passthrough() if recorder is not None else nullcontext():
            value = referred(reference)
    except (ValueError, LookupError) as error:
        raise OperatorError(
            "HF219",
            f"the secret {_place(reference)} cannot be had: {error}",
            cure="Make it readable where the kernel runs; a secret is written as env:NAME, file:PATH, keyring:…, k8s:… or aws-sm:…",
        ) from None
    if recorder is not None:
        recorder.redactor.register(value)
    sealing.keep(reference, value)
    found = ReferredSecret(value)
    found.reference = reference
    return found


def _place(reference: str) -> str:
    """The reference, unless it is the secret itself, written by mistake."""
    scheme, colon, _ = reference.partition(":")
    return (
        f"`{reference}`" if colon and scheme.replace("-", "").isalnum() and len(scheme) < 20 and "//" not in reference else "that was given"
    )
