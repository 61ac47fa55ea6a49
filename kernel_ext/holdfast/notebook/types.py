"""Python annotations and values to a type name and a JSON Schema."""

from __future__ import annotations

import ast
from typing import Any

_PLAIN: dict[str, tuple[str, dict[str, Any]]] = {
    "int": ("int", {"type": "integer"}),
    "float": ("float", {"type": "number"}),
    "str": ("str", {"type": "string"}),
    "bool": ("bool", {"type": "boolean"}),
    "list": ("list", {"type": "array"}),
    "List": ("list", {"type": "array"}),
    "tuple": ("list", {"type": "array"}),
    "Tuple": ("list", {"type": "array"}),
    "set": ("list", {"type": "array", "uniqueItems": True}),
    "Sequence": ("list", {"type": "array"}),
    "Iterable": ("list", {"type": "array"}),
    "dict": ("dict", {"type": "object"}),
    "Dict": ("dict", {"type": "object"}),
    "Mapping": ("dict", {"type": "object"}),
    "SecretStr": ("str", {"type": "string"}),
    "Secret": ("str", {"type": "string"}),
    "Path": ("str", {"type": "string"}),
    "datetime": ("str", {"type": "string", "format": "date-time"}),
    "date": ("str", {"type": "string", "format": "date"}),
    "Any": ("any", {}),
    "object": ("any", {}),
}


def of_annotation(node: ast.expr) -> tuple[str, dict[str, Any]]:
    """Type name and JSON Schema of an annotation; ``any`` for what has no JSON form."""
    if isinstance(node, ast.Constant):
        if node.value is None:
            return "any", {"type": "null"}
        if isinstance(node.value, str):
            try:
                return of_annotation(ast.parse(node.value, mode="eval").body)
            except SyntaxError:
                return "any", {}
    if isinstance(node, (ast.Name, ast.Attribute)):
        kind, schema = _PLAIN.get(_last(node), ("any", {}))
        return kind, dict(schema)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(_arms(node))
    if isinstance(node, ast.Subscript):
        arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        return _generic(_last(node.value), arguments)
    return "any", {}


def of_value(value: Any) -> tuple[str, dict[str, Any]]:
    """Type name and JSON Schema that a default implies; ``any`` for None."""
    name = type(value).__name__
    if value is None or name not in ("int", "float", "str", "bool", "list", "dict"):
        return "any", {}
    kind, schema = _PLAIN[name]
    return kind, dict(schema)


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _arms(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_arms(node.left), *_arms(node.right)]
    return [node]


def _generic(name: str, arguments: list[ast.expr]) -> tuple[str, dict[str, Any]]:
    if name == "Literal":
        return _literal(arguments)
    if name == "Optional":
        return _union([*arguments, ast.Constant(None)])
    if name == "Union":
        return _union(arguments)
    if name in ("Annotated", "Final", "ClassVar"):
        return of_annotation(arguments[0])
    kind, schema = _PLAIN.get(name, ("any", {}))
    schema = dict(schema)
    if kind == "list" and arguments:
        of_item = of_annotation(arguments[0])[1]
        same = len(arguments) == 1 or (isinstance(arguments[1], ast.Constant) and arguments[1].value is ...)
        if of_item and same:
            schema["items"] = of_item
    elif kind == "dict" and len(arguments) == 2:
        of_item = of_annotation(arguments[1])[1]
        if of_item:
            schema["additionalProperties"] = of_item
    return kind, schema


def _literal(arguments: list[ast.expr]) -> tuple[str, dict[str, Any]]:
    try:
        values = [ast.literal_eval(a) for a in arguments]
    except ValueError:
        return "any", {}
    kinds = {of_value(v)[0] for v in values if v is not None}
    return (kinds.pop() if len(kinds) == 1 else "any"), {"enum": values}


def _union(arms: list[ast.expr]) -> tuple[str, dict[str, Any]]:
    optional = any(isinstance(a, ast.Constant) and a.value is None for a in arms)
    rest = [of_annotation(a) for a in arms if not (isinstance(a, ast.Constant) and a.value is None)]
    if len(rest) != 1:
        kinds = {k for k, _ in rest}
        kind = "float" if kinds == {"int", "float"} else kinds.pop() if len(kinds) == 1 else "any"
        schemas = [s for _, s in rest] + ([{"type": "null"}] if optional else [])
        if any(not s for s in schemas):
            return kind, {}
        return kind, {"type": ["number", *(["null"] if optional else [])]} if kind == "float" else {"anyOf": schemas}
    kind, schema = rest[0]
    if optional and "type" in schema:
        schema = {**schema, "type": [schema["type"], "null"]}
    elif optional and "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], *([] if None in schema["enum"] else [None])]}
    return kind, schema
