"""Parameters put into the notebook as papermill does it, without papermill: importing it takes longer than most steps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.notebook.reader import Notebook, read

TAG = "injected-parameters"


def with_parameters(notebook: Notebook, parameters: Mapping[str, Any]) -> Notebook:
    """The notebook as it is executed: with a cell that binds ``parameters``, below the ``parameters`` cell or else at the top.

    A notebook that has such a cell already (papermill made it) stays as it is, and so does one without parameters given.
    """
    if not parameters or any(TAG in c.tags for c in notebook.cells):
        return notebook
    declared = next((c.index for c in notebook.cells if "parameters" in c.tags), -1)
    cell: dict[str, Any] = {
        "cell_type": "code",
        "id": TAG,
        "metadata": {"tags": [TAG]},
        "source": source(parameters),
        "outputs": [],
        "execution_count": None,
    }
    content = json.loads(json.dumps(notebook.content))
    content["cells"].insert(declared + 1, cell)
    return msgspec.structs.replace(read(content, name=notebook.name), path=notebook.path)


def without_earlier(notebook: Notebook) -> Notebook:
    """The notebook without the cells that an earlier injection left in its file: their values are not those of this start."""
    if not any(TAG in c.tags for c in notebook.cells):
        return notebook
    content = json.loads(json.dumps(notebook.content))
    content["cells"] = [raw for raw, cell in zip(content["cells"], notebook.cells, strict=True) if TAG not in cell.tags]
    return msgspec.structs.replace(read(content, name=notebook.name), path=notebook.path)


def source(parameters: Mapping[str, Any]) -> str:
    """The text of that cell."""
    return "\n".join(["# Parameters", *(f"{name} = {literal(value)}" for name, value in parameters.items())])


def literal(value: Any) -> str:
    """``value`` (JSON types) as Python text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(k)}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return repr(value)
