"""Folders of runbooks made in a line each, and what Dagster makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from holdfast_dagster import build_definitions

Write = Callable[..., Path]
Build = Callable[..., dg.Definitions]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("aws/costs", cell, ..., title="...")``: a cell is Markdown or (tags, source[, metadata.holdfast]); the rest is metadata."""

    def write(name: str, *cells: Any, **metadata: Any) -> Path:
        found: list[dict[str, Any]] = []
        for number, cell in enumerate(cells):
            about: dict[str, Any] = {}
            if isinstance(cell, str):
                found.append({"cell_type": "markdown", "id": f"c{number}", "metadata": {}, "source": cell})
                continue
            tags, source, *own = cell
            about["tags"] = tags.split()
            if own:
                about["holdfast"] = own[0]
            found.append(
                {"cell_type": "code", "id": f"c{number}", "metadata": about, "source": source, "outputs": [], "execution_count": None}
            )
        whole = {"kernelspec": {"name": "holdfast", "display_name": "Holdfast", "language": "python"}, "holdfast": metadata}
        path = tmp_path / "runbooks" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": whole, "cells": found}))
        return path

    return write


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """The definitions of what was written."""

    def build(**words: Any) -> dg.Definitions:
        made = build_definitions(tmp_path / "runbooks", **words)
        dg.Definitions.validate_loadable(made)
        return made

    return build
