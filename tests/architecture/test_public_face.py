"""What authors may rely on: the names of ``holdfast`` itself."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from typing import Any

import pytest

import holdfast


@pytest.mark.parametrize("name", holdfast.__all__)
def test_a_public_name_is_there_and_says_what_it_does(name: str) -> None:
    thing = getattr(holdfast, name)
    assert thing.__doc__
    assert thing.__doc__.split("\n")[0].strip(), "the first line is what `holdfast.NAME?` and completions show"


def test_the_checker_and_the_interpreter_see_the_same_names(modules: list[Any]) -> None:
    (face,) = [m for m in modules if m.name == "holdfast"]
    (checking,) = [n for n in face.tree.body if isinstance(n, ast.If)]
    typed = {str(alias.asname): str(node.module) for node in checking.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed.keys() == set(holdfast.__all__)
    for name, module in typed.items():
        assert getattr(holdfast, name) is getattr(importlib.import_module(module), name)


def test_importing_it_costs_next_to_nothing() -> None:
    program = "import sys; before = set(sys.modules); import holdfast; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert [m for m in loaded if m.startswith("holdfast")] == ["holdfast"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = holdfast.no_such_name
