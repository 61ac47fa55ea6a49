"""Call: one journaled effect on, or reading of, the outside."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """What repeating a call would do."""

    READ = "read"  # nothing
    IDEMPOTENT = "idempotent"  # nothing more than once: a token goes with it, or it names its result
    WRITE = "write"  # again


class CallState(StrEnum):
    """``started -> succeeded | failed | unknown``."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """A person's (or a probe's) word on a call that may or may not have happened, or whose retries are exhausted."""

    HAPPENED = "happened"  # it did; the value given, if any, is its result
    RUN = "run"  # it did not: run it (again)
    SKIP = "skip"  # go on without it
    ABORT = "abort"  # end the execution
    USE = "use"  # nondeterminism only: take the recorded result


def request_line(request: Mapping[str, Any]) -> str:
    """A call (``kind``, ``operation``, ``arguments``) as one line for people: the command as run, the operation with its parameters."""
    operation = str(request.get("operation") or "")
    arguments = request.get("arguments")
    shown = {k: v for k, v in arguments.items() if v not in (None, "", [], {})} if isinstance(arguments, Mapping) else {}
    if request.get("kind") in ("shell", "call") or not shown:  # these say it all in one line already
        return operation
    return f"{operation} {', '.join(f'{k}={v!r}' for k, v in shown.items())}"
