"""Parameters of a runbook as Dagster's run configuration, so that the launchpad shows, completes and checks them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import msgspec

from holdfast.errors import AuthorError
from holdfast.model.execution import SHOWN_SECRET
from holdfast.model.manifest import Manifest, Parameter
from holdfast.notebook.parameters import validate
from holdfast_dagster.failing import refusal
from holdfast_dagster.runbook import Runbook

_SCALARS: dict[str, Any] = {
    "int": dg.Int,
    "integer": dg.Int,
    "float": dg.Float,
    "number": dg.Float,
    "str": dg.String,
    "string": dg.String,
    "bool": dg.Bool,
    "boolean": dg.Bool,
}


def run_config_mapping(runbook: Runbook) -> dg.ConfigMapping | None:
    """The run configuration of the runbook's job: its parameters, at the top. None where Dagster takes none: a job with partitions has
    them on its graph.

    What the types cannot say (``minimum``, ``pattern`` ...) is checked when a run is launched, before it is created.
    """
    if runbook.card.partitions is not None:
        return None

    def check(config: Any) -> dict[str, Any]:
        given = _accepted(runbook, config)
        return _on_graph(runbook, given) if runbook.assets and given else {}

    return dg.ConfigMapping(config_fn=check, config_schema=fields(runbook))


def run_config(runbook: Runbook, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What to launch the runbook's job with, for these parameters.

    Raises:
        AuthorError: HF103.
    """
    given = check_parameters(runbook, parameters)
    shown = {n: str(v) if isinstance(v, Hidden) else v for n, v in given.items()}
    return _on_graph(runbook, shown) if runbook.card.partitions is not None and shown else shown


def _on_graph(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    config = {"config": dict(given)}
    return {"ops": {runbook.graph_name: config} if runbook.assets else config}


def graph_config_mapping(runbook: Runbook) -> dg.ConfigMapping | None:
    """The configuration of a runbook's graph where it is materialised as an asset: the same fields, on the graph."""
    if not runbook.manifest.parameters:
        return None

    def check(config: Any) -> dict[str, Any]:
        _accepted(runbook, config)
        return {}

    return dg.ConfigMapping(config_fn=check, config_schema=fields(runbook))


def fields(runbook: Runbook) -> dict[str, dg.Field]:
    """One field per parameter."""
    sliced = runbook.card.partitions.parameter if runbook.card.partitions else None
    return {p.name: _field(p, optional=p.name == sliced, name=f"{runbook.name}__{p.name}") for p in runbook.manifest.parameters}


def check_parameters(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given parameters with their proper types.

    Raises:
        AuthorError: HF103, with all problems.
    """
    manifest = runbook.manifest
    if (partitions := runbook.card.partitions) is not None and partitions.parameter not in given:
        others = tuple(p for p in manifest.parameters if p.name != partitions.parameter)
        manifest = msgspec.structs.replace(manifest, parameters=others)
    return _validated(manifest, given)


class Hidden(str):
    """What a run's configuration has in place of a secret that only the journal knows."""

    __slots__ = ()


def _validated(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
    """As ``validate``; but what stands in place of a secret is no value to be checked."""
    hidden = {p.name: Hidden(SHOWN_SECRET) for p in manifest.parameters if p.secret and given.get(p.name) == SHOWN_SECRET}
    others = msgspec.structs.replace(manifest, parameters=tuple(p for p in manifest.parameters if p.name not in hidden))
    return {**validate(others, {name: value for name, value in given.items() if name not in hidden}), **hidden}


def _accepted(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`check_parameters` where Dagster asks: what is refused is shown as one text, not as a stack trace.

    Dagster fills in the defaults before it asks; they are the author's, and nobody's to refuse.
    """
    defaults = {p.name: p.default for p in runbook.manifest.parameters if not p.required and "default" in p.schema}
    own = {name: value for name, value in given.items() if not (name in defaults and _same(value, defaults[name]))}
    try:
        return check_parameters(runbook, own)
    except AuthorError as error:
        raise refusal(error) from None


def given_parameters(runbook: Runbook, run_config: Mapping[str, Any], partition: str | None = None) -> dict[str, Any]:
    """The parameters that a run was launched with, defaults left out; a :class:`Hidden` for a secret that only the journal has.

    Args:
        run_config: of the run, as it was given: of the runbook's own job, or of a job that materialises its assets.
        partition: the run's partition key.

    Raises:
        AuthorError: HF103.
    """
    known = {p.name for p in runbook.manifest.parameters}
    nodes = run_config.get("ops") if "ops" not in known else None
    if isinstance(nodes, Mapping):
        own = nodes.get(runbook.graph_name, nodes) if runbook.assets else nodes
        given = dict(own.get("config") or {})
    else:
        given = {k: v for k, v in run_config.items() if k in known or k not in ("execution", "loggers", "resources", "inputs")}
    partitions = runbook.card.partitions
    if partition is not None and partitions is not None:
        given.setdefault(partitions.parameter, partition)
        if str(given[partitions.parameter]) != partition:
            what = f"{partitions.parameter} is {given[partitions.parameter]!r}, but the run is of the partition {partition!r}"
            raise AuthorError("HF103", what, cure=f"leave {partitions.parameter} out: the partition is given", runbook=runbook.name)
    return _validated(runbook.manifest, given)


def _field(parameter: Parameter, *, optional: bool, name: str) -> dg.Field:
    required = parameter.required and not optional
    kind, said = _type(parameter, name), _description(parameter)
    words: dict[str, Any] = {"is_required": required}
    shown = "default" in parameter.schema and not parameter.secret  # a default would be shown, and kept with every run
    if not required and shown and (parameter.default is not None or _nullable(parameter.schema)):
        if _fits(kind, parameter.default):
            words["default_value"] = parameter.default
        else:  # ``port: str = 80``: the cell has it, so the runbook runs with it
            said = " · ".join(t for t in (said, f"by default {parameter.default!r}") if t)
    return dg.Field(kind, **words, description=said or None)


def _fits(kind: Any, value: Any) -> bool:
    """Whether Dagster takes ``value`` for a field of this type; it has no keys but texts."""
    try:
        dg.Field(kind, is_required=False, default_value=value)
    except dg.DagsterInvalidConfigError:
        return False
    return bool(json.loads(json.dumps(value)) == value)


def _same(one: Any, other: Any) -> bool:
    """Equal, and of one type: ``True`` is not 1."""
    return type(one) is type(other) and bool(one == other)


def _description(parameter: Parameter) -> str:
    """What the author wrote, and the limits that Dagster's types cannot show."""
    schema = parameter.schema
    limits = [_FORMATS.get(str(schema[key]), f"{word} {schema[key]}") for key, word in _LIMITS.items() if key in schema]
    choices = [str(v) for v in schema.get("enum") or [] if v is not None]
    computed = str(schema.get("$comment", ""))
    said = (parameter.description, f"one of: {', '.join(choices)}" if choices else "", ", ".join(limits), computed)
    return " · ".join(t for t in said if t)


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "minLength": "characters, at least:",
    "maxLength": "characters, at most:",
    "pattern": "must match",
    "minItems": "items, at least:",
    "maxItems": "items, at most:",
    "format": "format",
}
_FORMATS = {"date": "a date, as 2026-01-31", "date-time": "a time, as 2026-01-31T06:30"}


def _type(parameter: Parameter, name: str) -> Any:
    schema = parameter.schema
    if parameter.secret and schema.get("type") != "string":
        return dg.Any  # the mask is a text
    enum = schema.get("enum")
    texts = [v for v in enum if v is not None] if isinstance(enum, list) else []
    if texts and all(isinstance(v, str) for v in texts):  # Dagster's choices are texts; others are checked when a run is launched
        choices = dg.Enum(name, [dg.EnumValue(v) for v in dict.fromkeys(texts)])
        return dg.Noneable(choices) if _nullable(schema) else choices
    kind = _of_schema(schema) if "type" in schema else _SCALARS.get(parameter.type, dg.Any)
    kind = dg.Any if "anyOf" in schema else kind
    if kind is dg.Any:
        return kind
    nullable = _nullable(schema) or ("default" in schema and parameter.default is None)
    return dg.Noneable(kind) if nullable else kind


def _of_schema(schema: Any) -> Any:
    """The Dagster type of a JSON Schema; ``Any`` where there is none."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    kinds = [k for k in (kind if isinstance(kind, list) else [kind]) if k != "null"]
    if len(kinds) != 1:
        return dg.Any
    if kinds[0] == "array":
        items = schema.get("items")
        item = _of_schema(items)
        return dg.Array(dg.Noneable(item) if item is dg.Any or _nullable(items) else item)  # `Any` alone takes no null there
    if kinds[0] == "object":
        return dg.Permissive()  # type: ignore[no-untyped-call]
    return _SCALARS.get(str(kinds[0]), dg.Any)


def _nullable(schema: Any) -> bool:
    kind, enum = schema.get("type"), schema.get("enum")
    return (isinstance(kind, list) and "null" in kind) or (isinstance(enum, list) and None in enum)
