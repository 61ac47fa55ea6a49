"""A person edits the parameters cell: no step keeps a result of the former values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from holdfast.testing.kernels import Front

PARAMETERS: dict[str, Any] = {"tags": ["parameters"]}


def test_an_edited_parameters_cell_makes_the_steps_run_again_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    with Front(tmp_path, notebook=path) as front:
        front.run("n = 3", "p", **PARAMETERS)
        assert front.run("m = n * 2\nm", "u").result == "6"
        front.run("n = 3", "p", **PARAMETERS)
        assert front.run("m = n * 2\nm", "u").state == "skipped"
        front.run("n = 4", "p", **PARAMETERS)
        again = front.run("m = n * 2\nm", "u")
        assert (again.state, again.result) == ("ran", "8")
        assert "parameters" in again.notices[0]
        assert front.run("m = n * 2\nm", "u").state == "skipped"
        front.shutdown()
    with Front(tmp_path, notebook=path) as front:
        front.run("n = 4", "p", **PARAMETERS)
        resumed = front.run("m = n * 2\nm", "u")
        assert (resumed.state, resumed.result) == ("skipped", "8")
