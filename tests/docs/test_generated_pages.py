"""The reference pages that are made from the code are what the code would make now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The program behind ``make docs``."""
    spec = importlib.util.spec_from_file_location("holdfast_docs_generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_as_the_code_would_make_them(generate: ModuleType) -> None:
    stale = [str(page.relative_to(ROOT)) for page, text in generate.pages().items() if not page.exists() or page.read_text() != text]
    assert not stale, "run: make docs"


def test_the_command_line_has_its_page(generate: ModuleType) -> None:
    assert generate.command() is not None
    page = (ROOT / "docs/reference/cli.md").read_text()
    for name in generate.commands(generate.command()):
        assert f"`holdfast {name}`" in page


def test_the_readme_names_every_command(generate: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text()
    table = readme[readme.index("## Commands") : readme.index("`--json`")]
    missing = [name for name in generate.commands(generate.command()) if f"`{name}" not in table]
    assert not missing
