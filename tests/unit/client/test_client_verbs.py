"""The verbs, on a real journal and without any kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.client import Client
from holdfast.errors import AuthorError, Fenced, LookupFailedError, OperatorError
from holdfast.foundation import clock
from holdfast.journal.ownership import this_process
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft
from holdfast.model.execution import Change, Status
from holdfast.model.prompt import PromptKind
from holdfast.prompts.answering import answer
from holdfast.prompts.opening import open_prompt


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


def test_a_worker_that_wakes_after_a_cancel_is_fenced(client: Client, notebook: Path) -> None:
    execution = client.start(notebook, {"n": 1})
    lease = client.store.claim(execution.id, this_process("asleep"), 0.2)
    assert lease is not None
    zombie = Writer(client.store, execution.id, lease.fence, "zombie")
    zombie.append("note", change=Change(status=Status.RUNNING))
    until = client.store.now() + 60
    while client.cancel(execution.id).status != Status.CANCELLED:  # asked only, as long as the lease runs
        assert client.store.now() < until
        clock.sleep(0.1)
    with pytest.raises(Fenced):
        zombie.append("note")
    assert client.get(execution.id).owner is None


def test_a_cancelled_execution_and_its_questions_end_in_one_commit(client: Client, notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = client.start(notebook, {"n": 1})
    lease = client.store.claim(execution.id, this_process("asker"), 60)
    assert lease is not None
    writer = Writer(client.store, execution.id, lease.fence, "asker")
    kind = PromptKind.UNKNOWN_OUTCOME
    asked = [open_prompt(writer, kind=kind, step="a", subject=f"c{n}", text="Did it?", verdicts=("run", "skip")) for n in range(2)]
    client.store.release(lease)
    commits: list[list[str]] = []
    append = client.store.append

    def spy(id: str, drafts: Sequence[Draft], **more: Any) -> int:
        commits.append([d.kind for d in drafts])
        if len(commits) == 1:  # somebody answers between the look and the commit
            answer(client.store, asked[0].id, "skip", who="bob", via="test")
        return append(id, drafts, **more)

    monkeypatch.setattr(client.store, "append", spy)
    assert client.cancel(execution.id).status == Status.CANCELLED
    assert commits[-1] == ["execution.requested", "execution.cancelled", "prompt.withdrawn"]
    kinds = [e.kind for e in client.entries(execution.id)]
    assert kinds[-4:] == ["prompt.answered", "execution.requested", "execution.cancelled", "prompt.withdrawn"]
    assert client.prompts(execution=execution.id) == []


def test_a_fork_needs_a_step_that_was_reached(client: Client, notebook: Path) -> None:
    execution = client.start(notebook, {"n": 1}, id="source")
    with pytest.raises(LookupFailedError, match="HF603"):
        client.fork(execution.id, "c")
    with pytest.raises(OperatorError, match="never came to step 'b'"):
        client.fork(execution.id, "b")
    forked = client.fork(execution.id, "a", new_id="copy")
    assert (forked.forked_from, forked.status, forked.parameters) == ("source", Status.QUEUED, {"n": 1})
