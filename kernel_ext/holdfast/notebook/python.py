"""A cell's source as plain Python: magics and shell lines become calls, and every line keeps its number."""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache


@lru_cache(maxsize=512)
def to_python(source: str) -> str:
    """The Python that IPython would run for ``source``.

    ``!cmd`` becomes ``get_ipython().system('cmd')``, ``x = !cmd`` an assignment of ``get_ipython().getoutput('cmd')``, ``%magic``
    ``get_ipython().run_line_magic(...)``, a ``%%magic`` cell one ``get_ipython().run_cell_magic(...)``. Lines keep their numbers.

    Raises:
        SyntaxError: IPython itself cannot make sense of it.
    """
    if not any(mark in source for mark in "!%?") or _compiles(source):
        return source  # IPython leaves alone what is Python, and need not be loaded for it
    return _manager_transform(source)


def _compiles(source: str) -> bool:
    try:
        _tree(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _tree(source: str) -> ast.Module:
    with warnings.catch_warnings():  # `"\d"` and the like are told when the cell runs, once
        warnings.simplefilter("ignore")
        tree = compile(source, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)
    return tree


@lru_cache(maxsize=512)
def parse(source: str) -> ast.Module:
    """The syntax tree of a cell (top-level ``await`` is allowed, as in IPython). Do not alter it: it is shared.

    Raises:
        SyntaxError: with the line within the cell.
    """
    try:
        return _tree(to_python(source))
    except (ValueError, RecursionError, MemoryError) as error:  # NUL characters; nested too deeply
        raise SyntaxError(str(error) or type(error).__name__) from None


def _manager_transform(source: str) -> str:
    from IPython.core.inputtransformer2 import TransformerManager

    from holdfast.notebook.line_forms import teach

    if not source.lstrip().startswith("%%"):
        source = _one_line_each(source)
    manager = TransformerManager()  # type: ignore[no-untyped-call]
    teach(manager)
    lead = len(source) - len(source.lstrip("\n"))
    text = manager.transform_cell(source)
    # IPython drops empty lines above; a plain cell must keep its line numbers
    return "\n" * lead + text if lead and not text.startswith("\n") else text


_ESCAPED = re.compile(r"\s*([!%]|[\w.,\s\[\]\"'*]+=\s*[!%])")


def _one_line_each(source: str) -> str:
    """Shell lines and magics continued by a backslash, each in one line with empty lines after it: IPython would join them and so move
    the lines below."""
    lines = source.split("\n")
    at = 0
    while at < len(lines):
        end = at
        if _ESCAPED.match(lines[at]):
            while lines[end].endswith("\\") and end + 1 < len(lines):
                end += 1
        if end > at:
            joined = " ".join([part.rstrip()[:-1] for part in lines[at:end]] + [lines[end].rstrip()])
            lines[at : end + 1] = [joined, *([""] * (end - at))]
        at = end + 1
    return "\n".join(lines)
