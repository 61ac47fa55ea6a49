"""The runbooks that are shipped keep what the how-to about writing runbooks promises their readers."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from holdfast.events.rules import Rules
from holdfast.notebook.check import check
from holdfast.notebook.compile import compile
from holdfast.notebook.reader import read

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
ALL = {f"{book.parent.name}/{book.stem}": book for book in sorted(RUNBOOKS.glob("*/*.ipynb"))}
REAL = {name: book for name, book in ALL.items() if not name.startswith("examples/")}


def cells(book: Path) -> list[dict[str, Any]]:
    return [{**cell, "source": "".join(cell["source"])} for cell in json.loads(book.read_text())["cells"]]


@pytest.mark.parametrize("name", ALL)
def test_it_is_clean(name: str) -> None:
    assert [str(finding) for finding in check(read(ALL[name]))] == []
    for cell in cells(ALL[name]):
        assert not cell.get("outputs") and cell.get("execution_count") is None, "outputs are not committed"


@pytest.mark.parametrize("name", REAL)
def test_it_has_what_its_reader_looks_for(name: str) -> None:
    shown = cells(REAL[name])
    header = shown[0]["source"]
    assert header.startswith("# ") and "**Do not**" in header, "the header card comes first, and says what not to do"
    for word in ("Severity", "Owner", "Time", "Undo"):
        assert f"**{word}" in header, f"the header card has no line {word}"
    about = json.loads(REAL[name].read_text())["metadata"]["holdfast"]
    assert {"title", "owner", "escalation", "severity", "impact", "never", "minutes", "reviewed"} <= about.keys()
    steps = [step.name for step in compile(read(REAL[name])).steps]
    assert "report" in steps
    for above, cell in itertools.pairwise(shown):
        if any(tag.startswith("step:") for tag in cell["metadata"].get("tags", ())):
            assert above["cell_type"] == "markdown" and above["source"].startswith("## "), f"{cell['id']} says not what it is for"
            assert "Expected" in above["source"] or "report" in cell["metadata"]["tags"][0], f"{cell['id']} says not what to expect"


@pytest.mark.parametrize("name", REAL)
def test_what_changes_something_stands_behind_a_question(name: str) -> None:
    asked = False
    for cell in cells(REAL[name]):
        asked = asked or bool(re.search(r"\b(confirm|approve|ask|form)\(", cell["source"]))
        effects = (cell["metadata"].get("holdfast") or {}).get("effects")
        if effects == "write":
            assert asked or name == "on-call/hand-over", f"{cell['id']} changes something before anybody was asked"
        if any(tag.startswith("step:") for tag in cell["metadata"].get("tags", ())):
            assert effects in ("read", "idempotent", "write"), f"{cell['id']} says not what it does at most"


def test_its_readme_says_how_to_see_it() -> None:
    for name, book in REAL.items():
        text = (book.parent / "README.md").read_text()
        assert f"({book.name})" in text and "holdfast.testing.rehearse" in text, f"{name} is not in the README of its pack"
        assert f"({book.parent.name}/README.md)" in (RUNBOOKS / "README.md").read_text()


def test_the_rules_of_all_packs_are_good() -> None:
    rules = Rules.load([RUNBOOKS])
    assert not rules.troubles
    assert {rule.id.partition("/")[0] for rule in rules.rules} >= {"security", "linux"}
    for rule in rules.rules:
        parameters = {p.name: p for p in compile(read(rule.path)).parameters}
        required = {p.name for p in parameters.values() if p.required}
        assert set(rule.parameters) <= parameters.keys()
        assert required <= set(rule.parameters), f"{rule.id} leaves out {required - set(rule.parameters)}"
