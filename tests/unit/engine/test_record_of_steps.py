"""What the engine makes of an execution's entries."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.engine.changes import compare
from holdfast.engine.record import Record
from holdfast.executions.requests import open_requests
from holdfast.model.entry import Entry, Kind
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.reader import read


def entries(*said: tuple[Kind, str | None, str | None, dict[str, Any]]) -> list[Entry]:
    return [
        Entry(execution="x", seq=n, kind=kind, step=step, key=key, at=float(n), fence=1, actor="who", body=msgspec.msgpack.encode(body))
        for n, (kind, step, key, body) in enumerate(said, 1)
    ]


def runbook(*cells: tuple[str, str]) -> Any:
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": tags.replace(":", "-") or f"c{n}",
            "metadata": {"tags": tags.split()},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for n, (tags, source) in enumerate(cells)
    ]
    return compile_notebook(read({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}))


def completed(step: str, cell: str, digest: str, last: bool = True) -> tuple[Kind, str, str, dict[str, Any]]:
    return Kind.CELL_COMPLETED, step, cell, {"source_digest": digest, "parameters_digest": "p", "last": last}


def test_a_step_is_complete_when_each_cell_is_recorded_as_it_stands() -> None:
    manifest = runbook(("step:a", "x = 1"), ("", "y = 2"), ("step:b", "z = 3"))
    first, second = manifest.steps[0].cells
    record = Record(entries(completed("a", first.id, first.digest, False)))
    assert not record.complete(manifest.steps[0], "p")
    record.add(entries(completed("a", second.id, second.digest))[0])
    assert record.complete(manifest.steps[0], "p")
    assert record.completed(manifest, "p") == {"a"}
    assert not record.complete(manifest.steps[0], "other parameters")
    record.add(entries((Kind.STEP_RESET, "a", None, {}))[0])
    assert not record.complete(manifest.steps[0], "p")


def test_attempts_and_the_retry_budget() -> None:
    failed = (Kind.STEP_FAILED, "a", None, {"attempt": 1, "error": {"type": "ValueError"}})
    record = Record(entries(failed, (Kind.STEP_STARTED, "a", None, {"attempt": 2, "not_before": 99.0}), failed))
    known = record.step("a")
    assert (known.failures, known.since_person, known.attempt, known.not_before) == (2, 2, 3, None)
    record.add(entries((Kind.EXECUTION_RESUMED, None, None, {}))[0])
    assert (known.failures, known.since_person, known.attempt) == (2, 0, 3)
    record.add(entries((Kind.STEP_RESET, "a", None, {"keep_calls": True}))[0])
    assert record.step("a").attempt == 4, "what runs again is another attempt"


def test_kernels_and_their_deaths_are_known() -> None:
    started = {"what": "kernel_started", "pid": 7, "started": "s", "host": "h", "boot": "b"}
    died = (Kind.NOTE, "a", None, {"what": "kernel_died"})
    record = Record(entries((Kind.NOTE, None, None, started), died, died))
    assert record.kernels == {7: (7, "s", "h", "b")}
    assert record.step("a").deaths == 2
    record.add(entries(completed("a", "c0", "d"))[0])
    assert record.step("a").deaths == 0


def test_a_request_is_open_until_somebody_acts_on_it() -> None:
    pause = (Kind.REQUESTED, None, None, {"what": "pause", "who": "ann", "why": "freeze"})
    cancel = (Kind.REQUESTED, None, None, {"what": "cancel", "who": "bob"})
    assert [(a.what, a.who, a.why) for a in open_requests(entries(pause))] == [("pause", "ann", "freeze")]
    assert open_requests(entries(pause, (Kind.EXECUTION_RESUMED, None, None, {}))) == []
    assert [a.what for a in open_requests(entries(cancel, (Kind.EXECUTION_RESUMED, None, None, {})))] == ["cancel"]
    assert open_requests(entries(cancel, (Kind.EXECUTION_CANCELLED, None, None, {}))) == []


def test_changes_reach_what_reads_from_the_edited_step() -> None:
    old = runbook(("step:a", "x = 1"), ("step:b", "y = x"), ("step:c", "print(y)"), ("step:d", "print('d')"))
    new = runbook(("step:a", "x = 1"), ("step:b", "y = x + 1"), ("step:c", "print(y)"), ("step:d", "print('d')"))
    assert compare(old, new) == (["b"], ["b", "c"])
    assert compare(old, old) == ([], [])
    shorter = runbook(("step:a", "x = 1"), ("step:c", "print(y)"), ("step:d", "print('d')"))
    assert compare(old, shorter)[1] == ["c"], "it read what a removed step wrote"


def test_a_change_of_setup_or_defaults_reaches_everything() -> None:
    old = runbook(("parameters", "n = 1"), ("setup", "import os"), ("step:a", "x = 1"), ("step:b", "y = 1"))
    new = runbook(("parameters", "n = 2"), ("setup", "import os"), ("step:a", "x = 1"), ("step:b", "y = 1"))
    assert compare(old, new) == ([], ["a", "b"])
