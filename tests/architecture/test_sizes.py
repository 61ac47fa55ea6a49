"""Nothing grows into the one big thing at the centre."""

from __future__ import annotations

import ast
from typing import Any

MODULE, MODULE_HARD = 400, 500
CLASS, METHODS = 300, 20
FUNCTION = 60


def test_sizes(modules: list[Any], exceptions: Any) -> None:
    too_large = []
    for module in modules:
        lines = module.text.count("\n")
        assert lines <= MODULE_HARD, f"{module.name} has {lines} lines; {MODULE_HARD} is the end, whatever the reason"
        if lines > MODULE and not exceptions.allows(module.name):
            too_large.append(f"{module.name}: {lines} lines, {MODULE} allowed")
        for name, node in module.definitions:
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if isinstance(node, ast.ClassDef):
                methods = sum(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) for n in node.body)
                if (size > CLASS or methods > METHODS) and not exceptions.allows(name):
                    too_large.append(f"{name}: {size} lines and {methods} methods, {CLASS} and {METHODS} allowed")
            elif size > FUNCTION and not exceptions.allows(name):
                too_large.append(f"{name}: {size} lines, {FUNCTION} allowed")
    assert not too_large, "\n".join(too_large)
    assert not exceptions.stale, "exceptions that nothing needs any more"
