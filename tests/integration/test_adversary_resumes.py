"""What only IPython and matplotlib remember is there after a crash too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """A journal and a folder of its own."""
    return Sandbox(tmp_path)


def outputs(sandbox: Sandbox, execution: str) -> list[Any]:
    """The outputs of the output notebook, cell by cell, stream pieces joined."""
    book = json.loads((sandbox.folder / ".holdfast" / "outputs" / f"{execution}.ipynb").read_text())
    found: list[Any] = []
    for cell in book["cells"]:
        text = "".join("".join(o["text"]) for o in cell.get("outputs", []) if o["output_type"] == "stream")
        rich = [o.get("data") or o.get("ename") for o in cell.get("outputs", []) if o["output_type"] != "stream"]
        found.append((text, rich))
    return found


def test_the_last_results_go_on_after_a_crash(sandbox: Sandbox) -> None:
    cells = [
        ("step:a", "[1, 2]"),
        ("step:b", "'two'"),
        ("step:c", "print(_, __)\n3.5"),
        ("step:d", "_ + 1"),
        ("step:e", "print(_, __, sorted(Out))"),
    ]
    book = sandbox.notebook("nb", cells)
    assert sandbox.holdfast("run", book, "--id", "plain").status == 0
    assert sandbox.holdfast("run", book, "--id", "cut", faults="step.after_commit=kill-once").status == 0
    assert len(sandbox.struck()) == 1
    assert outputs(sandbox, "cut") == outputs(sandbox, "plain")
    assert outputs(sandbox, "cut")[-1][0] == "4.5 3.5 [1, 2, 3, 4]\n"


def test_a_figure_is_shown_as_an_image_after_a_crash(sandbox: Sandbox) -> None:
    cells = [("step:a", "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2]);"), ("step:b", "fig")]
    book = sandbox.notebook("nb", cells)
    assert sandbox.holdfast("run", book, "--id", "cut", faults="step.after_commit=kill-once").status == 0
    assert len(sandbox.struck()) == 1
    assert all("image/png" in rich[0] for _, rich in outputs(sandbox, "cut"))
