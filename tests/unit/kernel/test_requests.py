"""Which step and key a request has, whoever sends it; and which requests are none of Holdfast's business."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.kernel.bypass import bypasses
from holdfast.kernel.place import Place
from holdfast.kernel.request import Requests
from holdfast.notebook.reader import source_digest


def notebook(folder: Path, *cells: tuple[str, str, list[str]]) -> Path:
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": i, "source": s, "metadata": {"tags": t}, "outputs": [], "execution_count": None} for i, s, t in cells
    ]
    path = folder / "n.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_without_tags_each_cell_is_a_step(tmp_path: Path) -> None:
    requests = Requests(Place(str(notebook(tmp_path, ("a", "1", []), ("b", "2", [])))))
    assert [requests.understand("1", {}, key).step for key in ("a", "b", "unsaved")] == ["a", "b", "unsaved"]


def test_with_tags_untagged_cells_belong_to_the_step_above(tmp_path: Path) -> None:
    cells: list[tuple[str, str, list[str]]] = [("a", "1", []), ("b", "2", ["step:two"]), ("c", "3", []), ("d", "4", ["step:three"])]
    requests = Requests(Place(str(notebook(tmp_path, *cells))))
    sent = [("a", {}), ("b", {"tags": ["step:two"]}), ("c", {}), ("unsaved", {}), ("d", {"tags": ["step:three"]}), ("c", {})]
    assert [requests.understand("x", metadata, key).step for key, metadata in sent] == ["start", "two", "two", "two", "three", "two"]


def test_a_notebook_that_does_not_compile_leaves_the_cells_own_marks(tmp_path: Path) -> None:
    place = Place(str(notebook(tmp_path, ("a", "1", ["step:x"]), ("b", "2", ["step:x"]))))
    assert place.manifest is None
    assert place.problem is not None
    assert Requests(place).understand("1", {"tags": ["step:x"]}, "a").step == "x"


def test_a_saved_notebook_is_read_again(tmp_path: Path) -> None:
    path = notebook(tmp_path, ("a", "1", []))
    place = Place(str(path))
    assert place.step_of("b") is None
    notebook(tmp_path, ("a", "1", []), ("b", "2", ["step:later"]))
    assert place.step_of("b") == "later"
    path.unlink()
    assert place.step_of("b") == "later"


@pytest.mark.parametrize("cell_id", [None, "vscode-notebook-cell:/home/x/n.ipynb#W0", "", 7])
def test_without_a_usable_id_source_and_occurrence_are_the_key(cell_id: Any) -> None:
    requests = Requests(Place(None))
    keys = [requests.understand(code, {}, cell_id).key for code in ("1", "1", "2")]
    assert keys == [f"src:{source_digest('1')}#1", f"src:{source_digest('1')}#2", f"src:{source_digest('2')}#1"]


def test_policy_and_always_are_those_of_the_cell_that_starts_the_step() -> None:
    requests = Requests(Place(None))
    requests.understand("1", {"tags": ["step:s", "always"], "holdfast": {"retry": {"count": 3}}}, "a")
    follower = requests.understand("2", {}, "b")
    assert (follower.step, follower.policy.retry.count, follower.always) == ("s", 3, True)


def test_the_engine_s_word_counts() -> None:
    run = {"step": "s", "last": True, "attempt": 2, "ancestors": ["r"], "apply": False, "parameters_digest": "p", "role": "setup"}
    request = Requests(Place(None)).understand("1", {"tags": ["step:other"], "holdfast_run": run}, "a")
    assert (request.step, request.last, request.attempt, request.ancestors, request.apply) == ("s", True, 2, ("r",), False)
    assert (request.parameters_digest, request.role, request.engine) == ("p", "setup", True)


def test_injected_parameters_keep_their_key_from_run_to_run() -> None:
    requests = Requests(Place(None))
    sent = [requests.understand("x = 1", {"tags": ["injected-parameters"]}, i) for i in ("one", "two")]
    assert [(r.key, r.role) for r in sent] == [("injected-parameters", "parameters")] * 2


def request(code: str, metadata: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
    return {"content": {"code": code, **content}, "metadata": metadata or {}}


@pytest.mark.parametrize(
    "parent",
    [
        request("x", silent=True),
        request("x", store_history=False),
        request(""),
        request("# a remark\n\n"),
        request("%holdfast status"),
        request("# first\n%load_ext holdfast\n%holdfast new\n"),
    ],
)
def test_requests_that_are_none_of_holdfast_s_business(parent: dict[str, Any]) -> None:
    assert bypasses(parent)


@pytest.mark.parametrize(
    "parent",
    [
        request("x"),
        request("%holdfast status\nx = 1"),
        request("%holdfasting"),
        request("", {"holdfast_run": {"role": "when"}}, silent=True),
    ],
)
def test_requests_that_are(parent: dict[str, Any]) -> None:
    assert not bypasses(parent)
