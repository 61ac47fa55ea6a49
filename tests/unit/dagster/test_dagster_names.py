"""Names in Dagster depend on the runbook's own name alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import LookupFailedError
from holdfast_dagster import build_definitions
from holdfast_dagster.runbook import dagster_name


def jobs(definitions: dg.Definitions) -> set[str]:
    return {j.name for j in definitions.resolve_all_job_defs() if not j.name.startswith("__")}


@pytest.mark.parametrize(
    ("text", "name"),
    [("disk-full", "disk_full"), ("a.b c", "a_b_c"), ("prüfen", "prufen"), ("if", "if_"), ("output", "output_"), ("plan", "plan")],
)
def test_readable_names_stay_readable(text: str, name: str) -> None:
    assert dagster_name(text) == name


@given(st.text(min_size=1, max_size=40))
def test_any_text_gives_a_name_that_dagster_takes(text: str) -> None:
    dg.OpDefinition(name=dagster_name(text), compute_fn=lambda *_: None, ins={}, outs={})


def test_names_without_a_latin_letter_stay_apart() -> None:
    assert len({dagster_name(t) for t in ("検査", "確認", "…", "--")}) == 4


def test_a_runbook_is_called_after_its_path(write: Callable[..., Path], build: Callable[..., dg.Definitions]) -> None:
    write("aws/delete-volumes", ("step:a", "1"))
    write("delete-volumes", ("step:a", "1"))
    write(".hidden/secret", ("step:a", "1"))
    write("aws/.ipynb_checkpoints/delete-volumes-checkpoint", ("step:a", "1"))
    assert jobs(build()) == {"aws__delete_volumes", "delete_volumes"}
    assert jobs(build(prefix="ops-")) == {"ops_aws__delete_volumes", "ops_delete_volumes"}


def test_one_file_is_enough(write: Callable[..., Path]) -> None:
    assert jobs(build_definitions(write("disk-full", ("step:a", "1")))) == {"disk_full"}


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupFailedError, match="HF605"):
        build_definitions(tmp_path / "nowhere")


BROKEN: dict[str, tuple[Any, str, str]] = {
    "unknown step": ([("step:a", "1", {"after": ["nope"]})], "HF102", "cell 0"),
    "two steps of one name in Dagster": ([("step:a-b", "1"), ("step:a.b", "2")], "HF190", "cell 1"),
    "an asset twice": ([("asset:a", "1"), ("step:b asset:a", "2")], "HF190: the asset 'a' is there twice", "cell 1"),
    "two assets of one name in Dagster": ([("asset:a/b", "1"), ("step:c asset:a__b", "2")], "HF190", "cell 1"),
    "a check twice": ([("asset:a", "1"), ("check:c", "1"), ("step:d check:c", "1")], "HF190: the check 'c' of 'a'", "cell 2"),
    "a check of what others make": ([("asset:a", "1"), ("check:c", "1", {"deps": "b"})], "which this runbook does not make", "cell 1"),
    "a check of what nobody makes": ([("check:c", "1", {"deps": "b"})], "which this runbook does not make", "cell 0"),
    "an asset made from itself": ([("asset:a", "1", {"deps": "a"})], "which is made from it", "cell 0"),
    "an asset made from a later one": (
        [("asset:a", "1", {"deps": "b"}), ("step:x", "1"), ("asset:b", "2")],
        "which is made from it",
        "cell 0",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_notebook_is_told_and_leaves_the_others_alone(
    case: str, write: Callable[..., Path], build: Callable[..., dg.Definitions], caplog: pytest.LogCaptureFixture
) -> None:
    cells, code, place = BROKEN[case]
    broken = write("broken", *cells)
    write("fine", ("step:a", "1"))
    made = build()
    assert jobs(made) == {"broken", "fine"}
    (line,) = caplog.messages
    assert code in line
    assert str(broken) in line
    assert place in line
    job = made.resolve_job_def("broken")
    assert line in (job.description or "")
    result = job.execute_in_process(run_config={"any": "thing"}, raise_on_error=False)
    assert not result.success
    (failed,) = [e.step_failure_data.error for e in result.all_events if e.is_step_failure]
    assert failed is not None
    assert (failed.message.strip(), failed.stack) == (line, [])


def test_damaged_files_are_told(write: Callable[..., Path], build: Callable[..., dg.Definitions], caplog: pytest.LogCaptureFixture) -> None:
    write("fine", ("step:a", "1"))
    write("damaged").write_text('{"cells": [')
    assert jobs(build()) == {"damaged", "fine"}
    assert "HF101" in caplog.text
    assert "damaged.ipynb, line 1" in caplog.text


def test_what_is_no_file_is_told_and_not_waited_for(
    write: Callable[..., Path], build: Callable[..., dg.Definitions], tmp_path: Path
) -> None:
    write("fine", ("step:a", "1"))
    (tmp_path / "runbooks" / "link.ipynb").symlink_to(tmp_path / "nowhere.ipynb")
    os.mkfifo(tmp_path / "runbooks" / "pipe.ipynb")
    (tmp_path / "runbooks" / "folder.ipynb").mkdir()
    made = build()
    assert jobs(made) == {"fine", "link", "pipe"}
    assert "which is not there" in (made.resolve_job_def("link").description or "")
    assert "no ordinary file" in (made.resolve_job_def("pipe").description or "")


def test_runbooks_whose_assets_are_made_from_each_other(
    write: Callable[..., Path], build: Callable[..., dg.Definitions], caplog: pytest.LogCaptureFixture
) -> None:
    write("first", ("asset:a", "1", {"deps": "f"}), ("asset:b", "1"))
    write("second", ("asset:c", "1", {"deps": "b"}))
    third = write("third", ("step:x", "1"), ("asset:e", "1", {"deps": ["c", "nobodys"]}), ("asset:f", "1", {"after": []}))
    write("zero", ("asset:z", "1", {"deps": "f"}))
    made = build()
    assert jobs(made) == {"first", "second", "third", "zero"}
    (line,) = caplog.messages
    assert f"third.ipynb → {tmp(third, 'second')} → {tmp(third, 'first')} — file {third}, cell 1 (c1)" in line
    assert made.resolve_job_def("third").tags["holdfast/broken"] == "HF190"
    keys = {k.to_user_string() for k in made.resolve_asset_graph().materializable_asset_keys}
    assert keys == {"a", "b", "c", "z", *(f"executed_notebook/{n}" for n in ("first", "second", "zero"))}


def tmp(beside: Path, name: str) -> Path:
    return beside.with_name(f"{name}.ipynb")


def test_two_files_of_one_name_in_dagster(
    write: Callable[..., Path], build: Callable[..., dg.Definitions], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = write("check-disk", ("step:a", "1")), write("check_disk", ("step:b", "1"))
    made = build()
    assert jobs(made) == {"check_disk", "check_disk_2"}
    assert made.resolve_job_def("check_disk").graph.node_dict.keys() == {"a"}
    assert str(first) in caplog.text
    assert str(second) in caplog.text


def test_assets_of_two_runbooks_with_one_name(
    write: Callable[..., Path], build: Callable[..., dg.Definitions], caplog: pytest.LogCaptureFixture
) -> None:
    write("first", ("asset:volumes", "1"))
    write("second", ("step:x", "1"), ("asset:volumes", "1"))
    made = build()
    assert {k.to_user_string() for k in made.resolve_asset_graph().get_all_asset_keys()} == {"volumes", "executed_notebook/first"}
    assert "HF190: the asset 'volumes' is also one of" in caplog.text
    assert "second.ipynb, cell 1 (c1)" in caplog.text
