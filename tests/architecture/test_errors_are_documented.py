"""The table of error codes, the places that raise them and their pages agree, both ways."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from holdfast import errors

CODE = re.compile(r"HF\d{3}")


def test_every_code_in_the_source_is_in_the_table(modules: list[Any]) -> None:
    unknown = {f"{code} in {m.name}" for m in modules for code in _codes(m) if code not in errors.CODES}
    assert not unknown


def test_every_code_of_the_table_is_raised(modules: list[Any]) -> None:
    used = {code for m in modules for code in _codes(m)}
    assert not set(errors.CODES) - used, "codes that nothing raises"


def test_every_code_has_its_page_and_every_page_its_code(root: Path) -> None:
    pages = {p.stem for p in (root / "docs/reference/errors").glob("HF*.md")}
    assert pages == set(errors.CODES)


def test_every_page_says_what_it_is_and_what_to_do(root: Path) -> None:
    poor = []
    for code, title in errors.CODES.items():
        page = root / "docs/reference/errors" / f"{code}.md"
        text = page.read_text() if page.exists() else ""
        heading = text.partition("\n")[0]
        if not re.fullmatch(rf"# {code}: {re.escape(title)}", heading):
            poor.append(f"{code}: the heading is {heading!r}, expected '# {code}: {title}'")
        if "**What to do.**" not in text or "**What happened.**" not in text:
            poor.append(f"{code}: needs '**What happened.**' and '**What to do.**'")
    assert not poor, "\n".join(poor)


def test_the_hundreds_digit_says_who_must_act() -> None:
    digits = {c.prefix for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.HoldfastError) and c.prefix}
    assert {code[2] for code in errors.CODES} <= digits


def _codes(module: Any) -> set[str]:
    """Codes in string literals, docstrings and the table itself left out."""
    skipped = {id(n.value) for n in module.nodes(ast.Expr) if isinstance(n.value, ast.Constant)}
    if module.name == "holdfast.errors":
        table = next(n for n in module.tree.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "CODES")
        skipped |= {id(n) for n in ast.walk(table)}
    constants = (n for n in module.nodes(ast.Constant) if id(n) not in skipped)
    return {n.value for n in constants if isinstance(n.value, str) and CODE.fullmatch(n.value)}
