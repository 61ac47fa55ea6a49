"""Parameters as run configuration: what the launchpad shows and refuses, and what arrives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from holdfast.errors import AuthorError
from holdfast_dagster.config_schema import given_parameters, run_config
from holdfast_dagster.runbook import load

PARAMETERS = """host: str  # which host
percent: float = 80  # when to act
count: int = 3
level: Literal["low", "high"] = "low"
size: Literal[1, 2] = 1
hosts: list[str] = []
limits: dict[str, int] = {}
ticket: str | None = None
dry_run: bool = True
since = make_it()
free = None"""
SCHEMA = {"percent": {"minimum": 0, "maximum": 100}, "host": {"pattern": "^[a-z]+$"}}


@pytest.fixture
def path(write: Callable[..., Path]) -> Path:
    return write("book", ("parameters", PARAMETERS), ("step:a", "1"), parameters=SCHEMA)


@pytest.fixture
def job(path: Path, build: Callable[..., dg.Definitions]) -> dg.JobDefinition:
    return build().resolve_job_def("book")


def test_the_launchpad_knows_types_defaults_and_descriptions(job: dg.JobDefinition) -> None:
    fields: Any = job.config_mapping.config_schema.config_type.fields  # type: ignore[union-attr]
    assert list(fields) == ["host", "percent", "count", "level", "size", "hosts", "limits", "ticket", "dry_run", "since", "free"]
    assert fields["host"].is_required
    assert fields["host"].description == "which host · must match ^[a-z]+$"
    assert "at least 0, at most 100" in fields["percent"].description
    assert (fields["percent"].default_value, fields["count"].default_value, fields["level"].default_value) == (80.0, 3, "low")
    assert [v.config_value for v in fields["level"].config_type.enum_values] == ["low", "high"]
    assert fields["dry_run"].default_value is True
    assert not fields["since"].is_required
    assert not fields["since"].default_provided
    assert "make_it()" in fields["since"].description


def test_a_secret_has_no_default_that_is_shown_and_kept(write: Callable[..., Path], build: Callable[..., dg.Definitions]) -> None:
    cell = "password: str = 'hunter2'\ntoken: list[str] = ['hunter2']\nregion: str = 'eu'"
    write("book", ("parameters", cell), ("step:a", "1"))
    job = build().resolve_job_def("book")
    fields: Any = job.config_mapping.config_schema.config_type.fields  # type: ignore[union-attr]
    assert [n for n, f in fields.items() if f.default_provided] == ["region"]
    assert not any(f.is_required for f in fields.values())
    assert "hunter2" not in str(dg.validate_run_config(job, {}))


def test_a_date_has_an_example(write: Callable[..., Path], build: Callable[..., dg.Definitions]) -> None:
    write("book", ("parameters", "day: date  # which day"), ("step:a", "1"))
    fields: Any = build().resolve_job_def("book").config_mapping.config_schema.config_type.fields  # type: ignore[union-attr]
    assert fields["day"].description == "which day · a date, as 2026-01-31"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, 'Missing required config entry "host"'),
        ({"host": "a", "hots": 1}, 'Received unexpected config entry "hots"'),
        ({"host": "a", "count": "many"}, 'Value "many"'),
        ({"host": "a", "count": 1.5}, "1.5"),
        ({"host": "a", "level": "mid"}, "not in enum type"),
        ({"host": "a", "hosts": [1]}, "root:hosts[0]"),
        ({"host": "a", "dry_run": "maybe"}, "root:dry_run"),
    ],
)
def test_the_launchpad_refuses(wrong: dict[str, Any], says: str, job: dg.JobDefinition) -> None:
    with pytest.raises(dg.DagsterInvalidConfigError) as refused:
        dg.validate_run_config(job, wrong)
    assert says in str(refused.value)


@pytest.mark.parametrize(("wrong", "says"), [({"host": "A1"}, "does not match"), ({"host": "a", "percent": 101}, "maximum of 100")])
def test_what_types_cannot_say_is_refused_before_a_run_is_created(wrong: dict[str, Any], says: str, job: dg.JobDefinition) -> None:
    with pytest.raises(dg.DagsterError) as refused:
        dg.validate_run_config(job, wrong)
    shown = serializable_error_info_from_exc_info(refused._excinfo or (None, None, None))
    assert shown.message.startswith("HF103: ")
    assert says in shown.message
    assert not shown.stack, "a page shows the text alone"


def test_values_arrive_with_their_types(path: Path, job: dg.JobDefinition) -> None:
    wanted = {"host": "a", "percent": 70, "size": 2, "level": "high", "hosts": ["x"], "limits": {"y": 1}, "ticket": None, "free": [1]}
    config = run_config(load(path), wanted)
    assert dg.validate_run_config(job, config)
    assert given_parameters(load(path), config) == wanted
    assert given_parameters(load(path), {"host": "a"}) == {"host": "a"}, "defaults are the notebook's own business"


@pytest.mark.parametrize("partitioned", [False, True])
def test_parameters_of_assets_arrive_from_both_jobs(
    partitioned: bool, write: Callable[..., Path], build: Callable[..., dg.Definitions]
) -> None:
    more = {"partitions": {"type": "static", "values": ["eu", "us"], "parameter": "region"}} if partitioned else {}
    path = write("book", ("parameters", 'region: str = "eu"\nn: int = 1'), ("asset:raw", "1"), **more)
    runbook, job = load(path), build().resolve_job_def("book")
    config = run_config(runbook, {"n": 2})
    assert dg.validate_run_config(job, config)
    assert given_parameters(runbook, config) == {"n": 2}
    by_hand = {"ops": {"book__steps": {"config": {"n": 2}}}}
    assert dg.validate_run_config(build().resolve_implicit_global_asset_job_def(), by_hand)
    assert given_parameters(runbook, by_hand) == {"n": 2}
    assert given_parameters(runbook, {}) == {}


def test_a_parameter_that_is_not_the_partition_of_the_run_is_refused(write: Callable[..., Path]) -> None:
    slices = {"type": "static", "values": ["1", "2"], "parameter": "count"}
    runbook = load(write("book", ("parameters", "count: int"), ("step:a", "1"), partitions=slices))
    assert given_parameters(runbook, {"ops": {"config": {"count": 2}}}, "2") == {"count": 2}
    with pytest.raises(AuthorError, match="the run is of the partition '1'"):
        given_parameters(runbook, {"ops": {"config": {"count": 2}}}, "1")


def test_a_partition_is_a_parameter(write: Callable[..., Path], build: Callable[..., dg.Definitions]) -> None:
    slices = {"type": "daily", "start": "2026-01-01", "parameter": "day"}
    runbook = load(write("book", ("parameters", "day: str\nn: int = 1"), ("step:a", "1"), partitions=slices))
    job = build().resolve_job_def("book")
    assert job.partitions_def == dg.DailyPartitionsDefinition("2026-01-01")
    assert dg.validate_run_config(job, {}), "the key gives what is required"
    assert given_parameters(runbook, {}, "2026-02-03") == {"day": "2026-02-03"}
    assert given_parameters(runbook, run_config(runbook, {"n": 5}), "2026-02-03") == {"day": "2026-02-03", "n": 5}
    with pytest.raises(AuthorError, match="HF103"):
        given_parameters(runbook, {})


STRANGE = """from typing import Any, List, Literal
both: Literal[1, "1"] = 1
flag: Literal[True, False] = True
twice: Literal["a", "a"] = "a"
holes: list = [1, None]
gaps: list[int | None] = [None]
rows: List[dict[str, Any]] = [{"a": None}]
numbered: dict = {1: "a"}
port: str = 80
size: Literal[1, 2] = 1
ops: int = 1
execution: str = "e"
name, config = "n", {"a": [None]}
größe = 10**30
"""


@pytest.mark.parametrize("tag", ["step:a", "asset:made"])
def test_no_default_of_an_author_stands_in_the_way_of_a_launch(
    tag: str, write: Callable[..., Path], build: Callable[..., dg.Definitions]
) -> None:
    runbook = load(write("book", ("parameters", STRANGE), (tag, "1")))
    job = build().resolve_job_def("book")
    assert "holdfast/broken" not in job.tags, job.description
    fields: Any = job.config_mapping.config_schema.config_type.fields  # type: ignore[union-attr]
    assert not fields["port"].default_provided
    assert fields["port"].description == "by default 80", "Dagster would not take it for a text"
    assert dg.validate_run_config(job, {})
    for given in (
        {"both": "1", "flag": False, "holes": [None], "gaps": [1, None], "numbered": {"2": "b"}, "port": "81", "größe": 5},
        {"ops": 2, "execution": "x", "name": "y", "config": {}, "size": 2, "rows": [{}]},
    ):
        assert run_config(runbook, given) == given
        assert dg.validate_run_config(job, given)
        assert given_parameters(runbook, given) == given
    with pytest.raises(dg.DagsterError) as refused:
        dg.validate_run_config(job, {"size": 3})
    assert "size is 3; allowed: 1, 2" in str(refused.value)


def test_a_date_is_a_date(write: Callable[..., Path]) -> None:
    cell = "from datetime import date, datetime\nday: date = ''\nat: datetime = datetime.now()"
    slices = {"type": "hourly", "start": "2026-01-01", "parameter": "at"}
    runbook = load(write("book", ("parameters", cell), ("step:a", "1"), partitions=slices))
    assert given_parameters(runbook, {}, "2026-01-31-05:00") == {"at": "2026-01-31-05:00"}
    fine = {"day": "2026-02-28", "at": "2026-01-31T06:30:00+02:00"}
    assert given_parameters(runbook, fine) == fine
    for wrong in ({"day": "2026-02-30"}, {"day": "tomorrow"}, {"at": "noon"}):
        with pytest.raises(AuthorError, match=r"which is no (date|time)"):
            given_parameters(runbook, {**fine, **wrong})
