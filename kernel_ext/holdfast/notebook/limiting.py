"""What a notebook's metadata says of its guardrails: whether it can be meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from holdfast.foundation import durations
from holdfast.model.guardrail import Concurrency, Limits

#: ``{name}`` in a lock's key or a target: the parameter of that name.
FIELD = re.compile(r"\{([^{}]*)\}")


def cap_problems(effects: int | None, targets: int | None, percent: float | None, where: str = "") -> Iterator[tuple[str, str]]:
    """What is wrong with caps, as (message, cure)."""
    for name, value in (("max_effects", effects), ("max_targets", targets)):
        if value is not None and value < 0:
            yield f"'{where}{name}' must not be negative", "give the number of changes that may be made at most"
    if percent is not None and not 0 < percent <= 100:
        yield f"'{where}max_percent' must be more than 0 and at most 100", "give the share of the target set that may be changed at most"


def limit_problems(limits: Limits) -> Iterator[tuple[str, str]]:
    """What is wrong with ``limits``, as (message, cure)."""
    yield from cap_problems(limits.max_effects, limits.max_targets, limits.max_percent, "limits.")
    for name in ("effects_per_hour", "executions_per_hour"):
        value = getattr(limits, name)
        if value is not None and value < 1:
            yield f"'limits.{name}' must be 1 or more", "give a number per hour, or leave it out"
    for name in ("cooldown", "max_age"):
        value = getattr(limits, name)
        if value is not None:
            try:
                durations.seconds(value)
            except ValueError as error:
                yield f"'limits.{name}': {error}", 'write seconds, or a length of time such as "30 min"'
    yield from _pattern("limits.target", limits.target)


def concurrency_problems(concurrency: Concurrency | None) -> Iterator[tuple[str, str]]:
    """What is wrong with ``concurrency``, as (message, cure)."""
    if concurrency is not None:
        yield from _pattern("concurrency.key", concurrency.key)
        if not concurrency.key.strip():
            yield "'concurrency.key' is empty", 'name what only one execution may work on: "cluster/{cluster}"'


def _pattern(name: str, text: str | None) -> Iterator[tuple[str, str]]:
    for field in FIELD.findall(text or ""):
        if not field.isidentifier():
            yield f"'{name}': {{{field}}} is no parameter's name", "write {name} with the name of a parameter"


def fields(limits: Limits, concurrency: Concurrency | None) -> Iterator[tuple[str, str]]:
    """(where, parameter) of each parameter that a key or a target names."""
    for name in FIELD.findall(limits.target or ""):
        yield "limits.target", name
    for name in FIELD.findall(concurrency.key if concurrency else ""):
        yield "concurrency.key", name


def rendered(pattern: str, parameters: dict[str, object]) -> str:
    """``pattern`` with the parameters' values in it."""
    return FIELD.sub(lambda match: str(parameters.get(match[1], "")), pattern)
