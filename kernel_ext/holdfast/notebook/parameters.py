"""Parameters of a runbook: read from the ``parameters`` cell, given by people and machines."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import msgspec

from holdfast.errors import AuthorError
from holdfast.foundation.secrets import is_secret_name
from holdfast.model.manifest import Manifest, Parameter
from holdfast.notebook.coerce import Mistyped, from_text, from_value
from holdfast.notebook.finding import Finding
from holdfast.notebook.metadata import near
from holdfast.notebook.reader import NotebookCell
from holdfast.notebook.types import of_annotation, of_value

_UNKNOWN = object()
_MARKED_SECRET = re.compile(r"(?i)secret(?:\s*[:;,.-]|$)|.*(?:#\s*secret\b|[(\[]secret[)\]])")
_NO_RULES = frozenset({"type", "default", "description", "title", "$comment", "items", "writeOnly"})
_CAN_BE_SECRET = ("str", "any", "list", "dict")
_DATES = {"date": "date (2026-01-31)", "date-time": "time (2026-01-31T06:30, with or without +02:00)"}
_HOUR = re.compile(r"\d{4}-\d\d-\d\d-\d\d:\d\d")
_TYPE_COMMENT = re.compile(r"type:\s*(\S+)\s*(.*)", re.DOTALL)


def declared(cell: NotebookCell, extra: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[Parameter, ...], list[Finding]]:
    """The parameters a ``parameters`` cell declares.

    ``x: int = 3``, ``x = 3``, ``x: str`` and ``x: str = ...`` (required), ``Literal[...]`` (a choice), ``X | None``, ``list[str]``. The
    description is the comment on the line, else the comment lines directly above.

    Args:
        cell: the cell.
        extra: JSON Schema per parameter from the notebook's metadata, laid over what the annotation says.

    Returns:
        the parameters in order, and findings (NB111).
    """
    findings: list[Finding] = []

    def report(message: str, cure: str, line: int | None = None) -> None:
        severity: Any = "error"
        findings.append(Finding(code="NB111", severity=severity, message=message, cure=cure, cell=cell.id, index=cell.index, line=line))

    from holdfast.notebook.python import parse, to_python

    try:
        tree, source = parse(cell.source), to_python(cell.source)
    except SyntaxError:
        return (), findings  # NB001 tells it with its line
    comments = _comments(source)
    found: dict[str, Parameter] = {}
    for node in tree.body:
        for name, annotation, value in _assignments(node):
            found[name] = _parameter(name, annotation, value, _description(comments, node), source)
    for name, schema in extra.items():
        if name not in found:
            report(f"metadata.holdfast.parameters describes {name!r}, which the parameters cell does not declare", near(name, set(found)))
        else:
            secret = found[name].secret or schema.get("writeOnly") is True or schema.get("format") == "password"
            found[name] = msgspec.structs.replace(found[name], schema={**found[name].schema, **schema}, secret=secret)
    for parameter in found.values():
        problem = None if parameter.required or parameter.default is None else _against_schema(parameter.default, parameter)
        if problem:
            report(f"the default of {parameter.name!r} {problem}", "mend the default or its type")
    return tuple(found.values()), findings


def validate(manifest: Manifest, given: Mapping[str, Any] | None = None, *, text: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Check what was given against what the runbook declares.

    Args:
        manifest: the compiled runbook.
        given: values with types (from JSON, YAML, Python).
        text: values as typed on a command line; they win over ``given``. ``5`` becomes 5 for an ``int``, ``true`` becomes ``True`` for a
            ``bool``, JSON or ``a,b,c`` becomes a list; a parameter without a known type is read as papermill reads it.

    Returns:
        the given parameters with their proper types; defaults are left to the parameters cell.

    Raises:
        AuthorError: HF103, with *all* problems: missing, mistyped, not allowed, unknown.
    """
    problems: list[str] = []
    known = {p.name: p for p in manifest.parameters}
    values: dict[str, Any] = {}
    typed = {k: (v, False) for k, v in (given or {}).items()} | {k: (v, True) for k, v in (text or {}).items()}
    for name, (value, is_text) in typed.items():
        parameter = known.get(name)
        if parameter is None:
            hint = near(str(name), set(known)) or "the runbook takes none"
            problems.append(f"unknown parameter {str(name)!r} ({hint})")
            continue
        try:
            values[name] = from_text(value, parameter) if is_text else from_value(value, parameter)
        except Mistyped as error:
            problems.append(f"{name}: " + (f"is no {parameter.type}" if parameter.secret else str(error)))
            continue
        if problem := _against_schema(values[name], parameter) or _against_format(values[name], parameter):
            problems.append(f"{name} " + ("is refused by its schema" if parameter.secret else problem))
    missing = [p for p in manifest.parameters if p.required and p.name not in typed]
    problems += [f"missing parameter {p.name!r} ({p.type}{': ' + p.description if p.description else ''})" for p in missing]
    if problems:
        cure = "give each with -p NAME VALUE or in a file with -f" if missing else "correct the values given"
        raise AuthorError("HF103", "; ".join(problems), cure=cure, runbook=manifest.name)
    return {p.name: values[p.name] for p in manifest.parameters if p.name in values}


def parameters_digest(values: Mapping[str, Any]) -> str:
    """BLAKE2b-128 of given parameters, as 32 hex digits; the order of keys does not count."""
    text = json.dumps(dict(values), sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=repr)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _assignments(node: ast.stmt) -> list[tuple[str, ast.expr | None, ast.expr | None]]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [(node.target.id, node.annotation, node.value)]
    if not isinstance(node, ast.Assign):
        return []
    found: list[tuple[str, ast.expr | None, ast.expr | None]] = []
    for target in node.targets:
        if isinstance(target, ast.Name):
            found.append((target.id, None, node.value))
        elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(node.value, (ast.Tuple, ast.List)):
            pairs = zip(target.elts, node.value.elts, strict=False)
            found += [(t.id, None, v) for t, v in pairs if isinstance(t, ast.Name)]
    return found


def _parameter(name: str, annotation: ast.expr | None, value: ast.expr | None, comment: str, source: str) -> Parameter:
    required = value is None or (isinstance(value, ast.Constant) and value.value is ...)
    default: Any = _UNKNOWN
    if value is not None and not required:
        try:
            default = ast.literal_eval(value)
            json.dumps(default, allow_nan=False)
        except (ValueError, TypeError, SyntaxError, RecursionError):
            default = _UNKNOWN
        if isinstance(default, tuple):
            default = list(default)
    if match := _TYPE_COMMENT.match(comment):
        comment = match.group(2)
        if annotation is None:
            try:
                annotation = ast.parse(match.group(1), mode="eval").body
            except SyntaxError:
                annotation = None
    kind, schema = of_annotation(annotation) if annotation is not None else of_value(None if default is _UNKNOWN else default)
    if default is not _UNKNOWN and not required:
        schema = {**schema, "default": default}
    elif value is not None and not required:
        schema = {**schema, "$comment": f"computed in the cell: {ast.get_source_segment(source, value)}"}
    marked = is_secret_name(name) or _MARKED_SECRET.match(comment.strip()) is not None or _says_secret(annotation)
    secret = marked and kind in _CAN_BE_SECRET
    return Parameter(
        name=name,
        type=kind,
        default=None if default is _UNKNOWN else default,
        required=required,
        description=comment.strip(),
        schema={**schema, **({"description": comment.strip()} if comment.strip() else {}), **({"writeOnly": True} if secret else {})},
        secret=secret,
    )


def _says_secret(annotation: ast.expr | None) -> bool:
    """Whether an annotation is, or holds, a type made for secrets (``SecretStr``, ``Secret[str]``)."""
    return annotation is not None and re.search(r"\bSecret", ast.unparse(annotation)) is not None


def _comments(source: str) -> dict[int, tuple[int, str]]:
    """Line -> (column, text) of every comment."""
    found: dict[int, tuple[int, str]] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                found[token.start[0]] = (token.start[1], token.string.lstrip("#").strip())
    except (tokenize.TokenError, SyntaxError):
        pass
    return found


def _description(comments: dict[int, tuple[int, str]], node: ast.stmt) -> str:
    """The comment on the last line of the statement (or its first), else the full-line comments directly above."""
    for line in (node.end_lineno or node.lineno, node.lineno):
        if line in comments:
            return comments[line][1]
    above: list[str] = []
    line = node.lineno - 1
    while line in comments and comments[line][0] == 0 and not comments[line][1].startswith(("|", "@label")):
        above.insert(0, comments[line][1])
        line -= 1
    return " ".join(above)


def _against_schema(value: Any, parameter: Parameter) -> str | None:
    """What the schema's further words (``minimum``, ``pattern``, ``enum`` ...) say against ``value``."""
    words = {k: v for k, v in parameter.schema.items() if k not in _NO_RULES}
    items = parameter.schema.get("items")
    if isinstance(items, dict) and set(items) - {"type"}:
        words["items"] = items
    if not words or (value is None and "null" in _types(parameter)):
        return None
    if set(words) == {"enum"} and isinstance(words["enum"], list):
        return None if value in words["enum"] else f"is {value!r}; allowed: {', '.join(map(repr, words['enum']))}"
    import jsonschema

    try:
        error = next(iter(jsonschema.Draft202012Validator(words).iter_errors(value)), None)
    except Exception as broken:  # a schema the author got wrong: jsonschema raises many kinds
        return f"has a schema that cannot be used ({type(broken).__name__}: {str(broken).splitlines()[0]})"
    return None if error is None else f"is refused: {error.message}"


def _against_format(value: Any, parameter: Parameter) -> str | None:
    """What is wrong with a text that has to be a date or a time. Not asked of defaults, which the cell itself may make sense of."""
    kind = parameter.schema.get("format")
    if not isinstance(value, str) or kind not in _DATES:
        return None
    text = f"{value[:10]}T{value[11:]}" if _HOUR.fullmatch(value) else value  # the key of an hourly slice
    try:
        (date if kind == "date" else datetime).fromisoformat(text)
    except ValueError:
        return f"is {value!r}, which is no {_DATES[kind]}"
    return None


def _types(parameter: Parameter) -> list[str]:
    kind = parameter.schema.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)
