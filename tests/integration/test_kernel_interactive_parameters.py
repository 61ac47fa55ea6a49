"""A person edits the parameters cell, or a setup cell: no step keeps a result of the former values."""

from __future__ import annotations

import json
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


def test_an_edited_setup_cell_makes_the_steps_that_use_it_run_again_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    cells = {"s": "k = 1\ndef f(): return k", "u": "x = f()\nx", "v": "y = 7", "w": "z = x + y\nz"}
    tags = {"s": ["setup"], "u": ["step:u"], "v": ["step:v"], "w": ["step:w"]}

    def save() -> None:
        shape: dict[str, Any] = {"cell_type": "code", "outputs": [], "execution_count": None}
        written = [{**shape, "id": n, "source": text, "metadata": {"tags": tags[n]}} for n, text in cells.items()]
        path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": written}))

    save()
    with Front(tmp_path, notebook=path) as front:
        for n in ("s", "u", "v"):
            assert front.run(cells[n], n, tags=tags[n]).state == "ran"
        assert [front.run(cells[n], n, tags=tags[n]).state for n in ("s", "u", "v")] == ["ran", "skipped", "skipped"]
        cells["s"] = "k = 10\ndef f(): return k"
        save()
        front.run(cells["s"], "s", tags=tags["s"])
        again = front.run(cells["u"], "u", tags=tags["u"])
        assert (again.state, again.result) == ("ran", "10")
        assert "setup" in again.notices[0]
        assert front.run(cells["v"], "v", tags=tags["v"]).state == "skipped"
        assert front.run(cells["w"], "w", tags=tags["w"]).result == "17"
