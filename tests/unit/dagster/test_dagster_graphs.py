"""Steps become ops in their real order, with what the author said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg

from holdfast_dagster import names
from holdfast_dagster.processes import DEATHS

Write = Callable[..., Path]
Build = Callable[..., dg.Definitions]


def order(job: dg.JobDefinition) -> dict[str, set[str]]:
    found = job.graph.dependency_structure
    return {n: {o.node.name for outs in found.input_to_upstream_outputs_for_node(n).values() for o in outs} for n in job.graph.node_dict}


def test_without_after_from_top_to_bottom(write: Write, build: Build) -> None:
    write("book", ("", "import x"), ("step:a", "1"), ("", "more of a"), ("step:b-c", "2"), ("teardown:a", "undo"), ("step:d", "3"))
    assert order(build().resolve_job_def("book")) == {"start": set(), "a": {"start"}, "b_c": {"a"}, "d": {"b_c"}}


def test_with_after_the_graph_decides(write: Write, build: Build) -> None:
    write("book", ("step:a", "1"), ("step:b", "1", {"after": "a"}), ("step:c", "1", {"after": "a"}), ("step:d", "1", {"after": ["b", "c"]}))
    assert order(build().resolve_job_def("book")) == {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}


def test_a_runbook_without_tags_has_an_op_per_cell(write: Write, build: Build) -> None:
    write("book", ("", "a = 1"), "words", ("", "b = 2"))
    assert order(build().resolve_job_def("book")) == {"c0": set(), "c2": {"c0"}}


def test_what_the_author_said_of_a_step_is_on_its_op(write: Write, build: Build) -> None:
    policy = {"timeout": 60, "retry": {"count": 3}, "pool": "hosts", "effects": "write", "when": "ok", "on_failure": "continue"}
    path = write("aws/book", "Look first.", ("step:look", "ok = True"), "Then **act**.", ("step:act", "!rm it", policy))
    op = build().resolve_job_def("aws__book").graph.node_dict["act"].definition
    assert isinstance(op, dg.OpDefinition)
    assert op.name == "aws__book__act"
    assert op.pool == "hosts"
    assert (op.description or "").startswith("Then **act**.")
    assert "!rm it" in (op.description or "")
    told = {"holdfast/effects": "write", "holdfast/when": "ok", "holdfast/on_failure": "continue", "holdfast/timeout": "60 s"}
    assert told.items() <= op.tags.items()
    assert op.tags["holdfast/retry"].startswith("3 ×")
    assert op.tags[names.STEP] == "act"
    assert op.tags[names.NOTEBOOK] == str(path)
    assert op.retry_policy == DEATHS, "for processes that died; what fails is tried again by the journal's count, not by Dagster's"


def test_the_header_card_is_the_jobs_description(write: Write, build: Build) -> None:
    card = {"owner": "sre", "severity": "high", "never": ["reboot", "panic"], "minutes": 5, "labels": {"tier": "one"}}
    write("book", "# Disk full\nWhat to do.", ("step:a", "1"), ("teardown:a", "2"), **card)
    job = build().resolve_job_def("book")
    for part in ("**Disk full**", "What to do.", "**Severity:** high", "**Do not:** reboot; panic", "5 minutes", "teardown-a"):
        assert part in (job.description or "")
    assert {names.RUNBOOK: "book", "holdfast.label/tier": "one"}.items() <= job.tags.items()
    assert job.metadata["holdfast/owner"].value == "sre"


def test_jobs_take_the_executor_they_are_given(write: Write, build: Build) -> None:
    write("plain", ("step:a", "1"))
    write("made", ("asset:b", "1"))
    ours, other = build(), build(executor=dg.multiprocess_executor, share_executor=False)
    assert {ours.resolve_job_def(n).executor_def.name for n in ("plain", "made")} == {"holdfast"}
    assert {other.resolve_job_def(n).executor_def.name for n in ("plain", "made")} == {"multiprocess"}
    assert other.executor is None
