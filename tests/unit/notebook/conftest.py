"""Notebooks made in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from holdfast.notebook.reader import Notebook, read

Maker = Callable[..., Notebook]


def make(*cells: Any, metadata: dict[str, Any] | None = None, minor: int = 4) -> Notebook:
    """Each cell: source alone, (tags, source) or (tags, source, metadata.holdfast); "md:..." is Markdown. The ids are c0, c1 ..."""
    found: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        tags, source, *own = cell if isinstance(cell, tuple) else ("", cell)
        if source.startswith("md:"):
            found.append({"cell_type": "markdown", "source": source[3:], "metadata": {}, "id": f"c{number}"})
            continue
        about: dict[str, Any] = {"tags": tags.split()} if tags else {}
        if own:
            about["holdfast"] = own[0]
        found.append({"cell_type": "code", "source": source, "metadata": about, "outputs": [], "execution_count": None, "id": f"c{number}"})
    return read({"nbformat": 4, "nbformat_minor": minor, "metadata": metadata or {}, "cells": found}, name="book")


@pytest.fixture
def notebook() -> Maker:
    """See :func:`make`."""
    return make
