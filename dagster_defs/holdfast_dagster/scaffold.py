"""What ``dg scaffold defs holdfast_dagster.RunbookComponent NAME`` writes: a ``defs.yaml`` and a first runbook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from holdfast.errors import AuthorError


class RunbookScaffoldParams(BaseModel):
    """Options of the command."""

    path: str | None = Field(default=None, description="a folder of notebooks that is there already, seen from the new defs.yaml")


class RunbookScaffolder(dg.Scaffolder[RunbookScaffoldParams]):
    """Writes the component's folder."""

    @classmethod
    def get_scaffold_params(cls) -> type[RunbookScaffoldParams]:
        """The options."""
        return RunbookScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[RunbookScaffoldParams]) -> None:
        """Write ``defs.yaml`` and, unless a folder was named, ``runbooks/first_runbook.ipynb``.

        Raises:
            AuthorError: HF190, the named folder is not there.
        """
        target = Path(request.target_path)
        named = request.params.path if request.params else None
        if named is not None and not (target / named).exists():
            cure = "give a path that starts in the new component's folder, such as ../../runbooks"
            raise AuthorError("HF190", f"there is no {named!r} to be found from the new defs.yaml", cure=cure, file=str(target))
        if named is None:
            folder = target / "runbooks"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "first_runbook.ipynb").write_text(json.dumps(_first(), indent=1) + "\n")
        dg.scaffold_component(request, {"path": named or "runbooks"})


def _first() -> dict[str, Any]:
    """A runbook that shows parameters, a step, an asset, a check and a wait for a person."""
    cells = [
        _prose("# A first runbook\n\nWhat to do when a disk fills up. Replace the cells below by your own."),
        _code("parameters", 'path: str = "/"  # the file system to look at\nlimit: float = 80.0  # percent in use', "parameters"),
        _prose("How full is it? This step is an asset: each run adds to its history."),
        _code(
            "usage",
            "import shutil\n\nusage = shutil.disk_usage(path)\npercent = 100 * usage.used / usage.total\n"
            'print(f"{percent:.1f} % of {path} are in use")',
            "asset:disk_usage",
        ),
        _prose("A check of that asset: the value of its last line counts."),
        _code("below_limit", "percent < limit", "check:below_limit"),
        _prose("What is done about it. A step that has succeeded is not run again, whatever happens to the machine."),
        _code("report", 'print("nothing to do" if percent < limit else "clean up!")', "step:report"),
    ]
    kernel = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    metadata = {"kernelspec": kernel, "holdfast": {"group": "first_runbook"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def _prose(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": f"prose-{len(text)}", "metadata": {}, "source": text}


def _code(id: str, source: str, tag: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": id, "metadata": {"tags": [tag]}, "source": source, "outputs": [], "execution_count": None}
