"""What a rule makes of an event: nothing, and why; or an execution with these parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.errors import HoldfastError, OperatorError
from holdfast.events.criteria import unmet
from holdfast.events.inbox import as_scope
from holdfast.events.rules import Rule
from holdfast.events.templates import TemplateTrouble, render
from holdfast.model.event import Event
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.parameters import validate
from holdfast.notebook.reader import read


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """A rule and an event."""

    rule: str
    matched: bool
    why: str = ""  # not, when it did not match
    key: str = ""  # what the event is about; rendered
    dedup: str | None = None
    parameters: Mapping[str, Any] = {}
    over: bool = False  # the event says that the matter `key` is over


def match(rule: Rule, event: Event) -> Match:
    """Try a rule on an event.

    Raises:
        OperatorError: HF282, a template of the rule cannot be rendered with this event.
    """
    scope = {**as_scope(event), "rule": rule.id}
    over = rule.ends_with(event)
    if not rule.takes(event) and not over:
        return Match(rule=rule.id, matched=False, why=f"the event is {event.type} of {event.source}")
    try:
        if over and not rule.takes(event):
            return Match(rule=rule.id, matched=True, over=True, key=_key(rule, scope))
        why = unmet(rule.criteria, scope, lambda pattern: render(pattern, scope))
        if why is not None:
            return Match(rule=rule.id, matched=False, why=why)
        return Match(
            rule=rule.id,
            matched=True,
            key=_key(rule, scope),
            dedup=None if rule.dedup is None else str(render(rule.dedup.key, scope)),
            parameters=render(rule.parameters, scope),
        )
    except TemplateTrouble as trouble:
        raise OperatorError(
            "HF282", f"a template cannot be rendered: {trouble}", cure="Correct the rule; `default(...)` fills what may be missing.",
            file=rule.file, rule=rule.id, event=event.id,
        ) from None  # fmt: skip


def _key(rule: Rule, scope: Mapping[str, Any]) -> str:
    return str(render(rule.key, scope))


def check_runbook(rule: Rule) -> HoldfastError | None:
    """What is wrong between a rule and its runbook: it does not compile, has no such parameter, or one is required and not given."""
    try:
        manifest = compile_notebook(read(rule.path))
        literal = {k: v for k, v in rule.parameters.items() if not _is_template(v)}
        known = {p.name for p in manifest.parameters}
        given = {p.name: p.default for p in manifest.parameters if p.name in rule.parameters and p.name not in literal and not p.required}
        unknown = sorted(set(rule.parameters) - known)
        missing = sorted(p.name for p in manifest.parameters if p.required and p.name not in rule.parameters)
        if not unknown and not missing:
            required = {p.name for p in manifest.parameters if p.required and p.name in rule.parameters and p.name not in literal}
            if not required:
                validate(manifest, {**given, **literal})
            return None
    except HoldfastError as error:
        return error
    from holdfast.events.near import did_you_mean

    if unknown:
        what, cure = f"the runbook {rule.runbook!r} has no parameter {unknown[0]!r}", did_you_mean(unknown[0], known)
    else:
        what, cure = f"the runbook {rule.runbook!r} requires the parameter {missing[0]!r}", "Give it under `parameters`."
    return OperatorError("HF280", what, cure=cure, file=rule.file, rule=rule.id, key=f"parameters.{(unknown or missing)[0]}")


def _is_template(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_is_template(inner) for pair in value.items() for inner in pair)
    if isinstance(value, list):
        return any(_is_template(inner) for inner in value)
    return isinstance(value, str) and any(tag in value for tag in ("{{", "{%", "{#"))
