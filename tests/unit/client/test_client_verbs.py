"""The verbs, on a real journal and without any kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.client import Client
from holdfast.errors import AuthorError, LookupFailedError, OperatorError
from holdfast.journal.ownership import this_process
from holdfast.model.execution import Change, Status


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client.open(folder=tmp_path, environment={}, journal=f"sqlite:///{tmp_path}/j/journal.db", user="ann") as client:
        yield client


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    cells: list[dict[str, Any]] = [
        {"cell_type": "code", "id": "p", "metadata": {"tags": ["parameters"]}, "source": "n: int", "outputs": [], "execution_count": None},
        {"cell_type": "code", "id": "a", "metadata": {"tags": ["step:a"]}, "source": "x = n", "outputs": [], "execution_count": None},
        {"cell_type": "code", "id": "b", "metadata": {"tags": ["step:b"]}, "source": "y = x", "outputs": [], "execution_count": None},
    ]
    path = tmp_path / "work.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))
    return path


def test_start_queues_and_a_key_starts_once(client: Client, notebook: Path) -> None:
    first = client.start(notebook, {"n": 1}, key="alert-1")
    assert (first.status, first.started_by, first.parameters, first.runbook) == (Status.QUEUED, "ann", {"n": 1}, "work")
    assert client.start(notebook, {"n": 1}, key="alert-1").id == first.id
    assert [h.id for h in client.list()] == [first.id]
    assert [s.state for s in client.history(first.id[:12]).steps] == ["pending", "pending"]


def test_a_start_that_cannot_be_writes_nothing(client: Client, notebook: Path) -> None:
    with pytest.raises(AuthorError, match="HF103"):
        client.start(notebook, {"n": "many"})
    with pytest.raises(LookupFailedError, match="HF605"):
        client.start(notebook.with_name("other.ipynb"))
    with pytest.raises(OperatorError, match="HF254"):
        client.start(notebook, {"n": 1}, id="a/b")
    assert client.list() == []


def test_the_same_id_is_the_same_start_or_an_error(client: Client, notebook: Path) -> None:
    first = client.start(notebook, {"n": 1}, id="mine")
    assert client.start(notebook, {"n": 1}, id="mine") == first
    with pytest.raises(OperatorError, match="other parameters"):
        client.start(notebook, {"n": 2}, id="mine")
    notebook.write_text(notebook.read_text().replace("y = x", "y = 2"))
    with pytest.raises(OperatorError, match="another notebook text"):
        client.start(notebook, {"n": 1}, id="mine")


def test_ids_are_found_by_a_unique_part(client: Client, notebook: Path) -> None:
    client.start(notebook, {"n": 1}, id="alpha-one")
    client.start(notebook, {"n": 1}, id="alpha-two")
    assert client.get("alpha-o").id == "alpha-one"
    assert client.get("-two").id == "alpha-two"
    with pytest.raises(LookupFailedError, match="2 executions match"):
        client.get("alpha")
    with pytest.raises(LookupFailedError, match="Did you mean alpha-one"):
        client.get("alfa-one")


def test_what_nobody_works_on_is_paused_and_cancelled_at_once(client: Client, notebook: Path) -> None:
    execution = client.start(notebook, {"n": 1})
    paused = client.pause(execution.id, why="freeze")
    assert (paused.status, paused.reason) == (Status.PAUSED, "paused by ann: freeze")
    assert client.cancel(execution.id).status == Status.CANCELLED
    with pytest.raises(OperatorError, match="HF253"):
        client.cancel(execution.id)
    assert [e.kind for e in client.entries(execution.id)][1:] == [
        "execution.requested",
        "execution.paused",
        "execution.requested",
        "execution.cancelled",
    ]


def test_what_a_worker_has_is_only_asked(client: Client, notebook: Path) -> None:
    execution = client.start(notebook, {"n": 1})
    lease = client.store.claim(execution.id, this_process("test"), 60)
    assert lease is not None
    client.store.append(execution.id, [], fence=lease.fence, change=Change(status=Status.RUNNING))
    assert client.pause(execution.id).status == Status.RUNNING
    assert client.entries(execution.id)[-1].kind == "execution.requested"
    client.store.release(lease)
    assert client.cancel(execution.id).status == Status.CANCELLED


def test_a_fork_needs_a_step_that_was_reached(client: Client, notebook: Path) -> None:
    execution = client.start(notebook, {"n": 1}, id="source")
    with pytest.raises(LookupFailedError, match="HF603"):
        client.fork(execution.id, "c")
    with pytest.raises(OperatorError, match="never came to step 'b'"):
        client.fork(execution.id, "b")
    forked = client.fork(execution.id, "a", new_id="copy")
    assert (forked.forked_from, forked.status, forked.parameters) == ("source", Status.QUEUED, {"n": 1})
