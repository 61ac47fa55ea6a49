"""Schedules from the metadata of runbooks: when they tick, what they ask for, and what they do while the last one has not ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from holdfast.client import Client
from holdfast.errors import AuthorError, LookupFailedError
from holdfast.notebook.scheduling import Schedule
from holdfast_dagster import names
from holdfast_dagster.instance import SETTINGS
from holdfast_dagster.schedules import IN_TURN, SCHEDULE

Write = Callable[..., Path]
Build = Callable[..., dg.Definitions]
WHEN = datetime(2026, 3, 2, 6, 0, tzinfo=ZoneInfo("UTC"))


@pytest.fixture(scope="module")
def home() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def instance(home: dg.DagsterInstance) -> dg.DagsterInstance:
    """Without runs; a home of one's own for each test would cost more than the tests."""
    home.wipe()
    return home


@pytest.fixture(autouse=True)
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_JOURNAL", f"sqlite:///{tmp_path}/journal.db")
    monkeypatch.setenv("HOLDFAST_STATE_DIR", str(tmp_path / "state"))


def tick(definitions: dg.Definitions, name: str, instance: dg.DagsterInstance) -> Any:
    context = dg.build_schedule_context(instance, scheduled_execution_time=WHEN, repository_def=definitions.get_repository_def())
    return definitions.resolve_schedule_def(name).evaluate_tick(context)


def start(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus, **tags: str) -> dg.DagsterRun:
    return instance.create_run_for_job(definitions.resolve_job_def(job), status=status, tags=tags)


def test_the_metadata_decides(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    clock = {"cron": "0 6 * * 1-5", "timezone": "Europe/Berlin", "parameters": {"host": "web"}}
    write("book", ("parameters", "host: str"), ("step:a", "1"), schedule=clock)
    write(
        "quiet", ("step:a", "1"), schedule=[{"cron": "@daily", "name": "night", "enabled": False}, {"cron": "0 12 * * *", "name": "noon"}]
    )
    made = build()
    schedules = {s.name: s for s in made.get_repository_def().schedule_defs}
    assert schedules.keys() == {"book__schedule", "quiet__night", "quiet__noon"}
    one = schedules["book__schedule"]
    assert (one.cron_schedule, one.execution_timezone, one.job_name) == ("0 6 * * 1-5", "Europe/Berlin", "book")
    assert one.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedules["quiet__night"].default_status == dg.DefaultScheduleStatus.STOPPED
    (request,) = tick(made, "book__schedule", instance).run_requests
    assert request.run_config == {"host": "web"}
    assert request.tags[SCHEDULE] == "book__schedule"
    assert request.run_key == f"book__schedule/{WHEN.isoformat()}", "one tick is one execution, however often it is evaluated"


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ({"cron": "0 99 * * *", "parameters": {"host": "a"}}, "no cron expression"),
        ({"cron": "daily"}, "no cron expression"),
        ({"cron": "@daily", "timezone": "Mars/Base"}, "no time zone"),
        ({"cron": "@daily", "parameters": {"hots": 1}}, "did you mean 'host'?"),
        ({"cron": "@daily"}, "missing parameter 'host'"),
        ({"cron": "@daily", "overlap": "maybe", "parameters": {"host": "a"}}, "Invalid enum value 'maybe'"),
        ({"cron": "@daily", "colour": 1}, "unknown field `colour`"),
    ],
)
def test_a_wrong_schedule_is_told_when_loading(
    schedule: dict[str, Any], says: str, write: Write, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("book", ("parameters", "host: str"), ("step:a", "1"), schedule=schedule)
    made = build()
    (line,) = caplog.messages
    assert says in line
    assert str(path) in line
    assert not made.get_repository_def().schedule_defs


def test_skip_waits_for_the_last_one(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    write("book", ("step:a", "1"), schedule={"cron": "@daily"})
    made = build()
    start(made, instance, "book", dg.DagsterRunStatus.STARTED, **{SCHEDULE: "somebody_else"})
    assert tick(made, "book__schedule", instance).run_requests
    run = start(made, instance, "book", dg.DagsterRunStatus.STARTED, **{SCHEDULE: "book__schedule"})
    result = tick(made, "book__schedule", instance)
    assert not result.run_requests
    assert run.run_id[:8] in result.skip_message


def test_skip_also_waits_for_an_execution_that_waits_while_its_run_has_ended(
    write: Write, build: Build, instance: dg.DagsterInstance
) -> None:
    path = write("book", ("step:a", "1"), schedule={"cron": "@daily"})
    made = build()
    with Client.open() as client:
        execution = client.start(path)
        run = start(made, instance, "book", dg.DagsterRunStatus.SUCCESS, **{SCHEDULE: "book__schedule"})
        instance.add_run_tags(run.run_id, {names.EXECUTION: execution.id, ".dagster/holdfast_run": run.run_id})
        assert not tick(made, "book__schedule", instance).run_requests
        client.cancel(execution.id)
        assert tick(made, "book__schedule", instance).run_requests


def test_replace_ends_an_execution_that_waits(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    path = write("book", ("step:a", "1"), schedule={"cron": "@daily", "overlap": "replace"})
    made = build()
    with Client.open() as client:
        execution, other = client.start(path), client.start(path)
        ended = start(made, instance, "book", dg.DagsterRunStatus.SUCCESS, **{SCHEDULE: "book__schedule"})
        instance.add_run_tags(ended.run_id, {names.EXECUTION: execution.id, ".dagster/holdfast_run": ended.run_id})
        assert len(tick(made, "book__schedule", instance).run_requests) == 1
        assert client.get(execution.id).status == "cancelled"
        assert client.get(other.id).status == "queued", "not the schedule's"


@pytest.mark.parametrize("overlap", ["allow", "queue"])
def test_allow_and_queue_ask_anyway(overlap: str, write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    write("book", ("step:a", "1"), schedule={"cron": "@daily", "overlap": overlap})
    made = build()
    start(made, instance, "book", dg.DagsterRunStatus.STARTED, **{SCHEDULE: "book__schedule"})
    (request,) = tick(made, "book__schedule", instance).run_requests
    assert request.tags.get(IN_TURN) == ("book__schedule" if overlap == "queue" else None)


def test_queue_on_an_instance_that_has_no_turns_says_so(
    write: Write, build: Build, instance: dg.DagsterInstance, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write("book", ("step:a", "1"), schedule={"cron": "@daily", "overlap": "queue"})
    made = build()
    (tmp_path / "dagster.yaml").write_text(SETTINGS)
    with dg.DagsterInstance.from_config(str(tmp_path)) as ours:
        said = []
        for one in (instance, ours):
            start(made, one, "book", dg.DagsterRunStatus.STARTED, **{SCHEDULE: "book__schedule"})
            assert tick(made, "book__schedule", one).run_requests
            said.append("lets both go on" in capfd.readouterr().err)
    assert said == [True, False]


def test_a_tick_that_is_evaluated_again_is_not_in_its_own_way(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    """The daemon was killed when it had submitted one run of two, and made the other."""
    both = {"type": "static", "values": ["eu", "us"], "parameter": "region"}
    for overlap in ("skip", "replace"):
        clock = {"cron": "@daily", "overlap": overlap}
        write(f"on_{overlap}", ("parameters", "region: str"), ("step:a", "1"), schedule=clock, partitions=both)
    made = build()
    for overlap in ("skip", "replace"):
        name = f"on_{overlap}"
        first = tick(made, f"{name}__schedule", instance).run_requests
        tags = {request.partition_key: {**request.tags, "dagster/run_key": request.run_key} for request in first}
        begun = start(made, instance, name, dg.DagsterRunStatus.STARTED, **tags["eu"])
        start(made, instance, name, dg.DagsterRunStatus.NOT_STARTED, **tags["us"])
        again = tick(made, f"{name}__schedule", instance).run_requests
        assert [(r.partition_key, r.run_key) for r in again] == [(r.partition_key, r.run_key) for r in first]
        assert [r.status.value for r in instance.get_runs(filters=dg.RunsFilter(run_ids=[begun.run_id]))] == ["STARTED"]


def test_a_run_that_was_never_submitted_does_not_stand_in_the_way_of_later_ticks(
    write: Write, build: Build, instance: dg.DagsterInstance
) -> None:
    write("book", ("step:a", "1"), schedule={"cron": "@daily"})
    made = build()
    start(made, instance, "book", dg.DagsterRunStatus.NOT_STARTED, **{SCHEDULE: "book__schedule", "dagster/run_key": "before"})
    assert tick(made, "book__schedule", instance).run_requests


def test_all_that_an_earlier_tick_started_counts_however_much_it_was(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    write("book", ("step:a", "1"), schedule={"cron": "@daily", "overlap": "skip"})
    made = build()
    start(made, instance, "book", dg.DagsterRunStatus.STARTED, **{SCHEDULE: "book__schedule"})
    for _ in range(30):
        start(made, instance, "book", dg.DagsterRunStatus.SUCCESS, **{SCHEDULE: "book__schedule"})
    assert not tick(made, "book__schedule", instance).run_requests


def test_a_failed_run_counts_while_its_execution_waits_for_a_person(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    path = write("book", ("step:a", "1"), schedule={"cron": "@daily"})
    made = build()
    with Client.open() as client:
        execution = client.start(path, queued=False)
        run = start(made, instance, "book", dg.DagsterRunStatus.FAILURE, **{SCHEDULE: "book__schedule"})
        instance.add_run_tags(run.run_id, {names.EXECUTION: execution.id, ".dagster/holdfast_run": run.run_id})
        assert tick(made, "book__schedule", instance).run_requests, "nobody works on it, and nobody will by itself"
        client.pause(execution.id)
        assert not tick(made, "book__schedule", instance).run_requests


def test_partitions_are_what_a_tick_asks_for(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    days = {"type": "daily", "start": "2026-01-01", "parameter": "day"}
    write("days", ("parameters", "day: str"), ("asset:a", "1"), schedule={"cron": "@daily"}, partitions=days)
    both = {"type": "static", "values": ["eu", "us"], "parameter": "region"}
    write("regions", ("parameters", "region: str"), ("step:a", "1"), schedule={"cron": "@daily"}, partitions=both)
    made = build()
    assert [r.partition_key for r in tick(made, "days__schedule", instance).run_requests] == ["2026-03-01"]
    requests = tick(made, "regions__schedule", instance).run_requests
    assert [r.partition_key for r in requests] == ["eu", "us"]
    assert len({r.run_key for r in requests}) == 2


@pytest.mark.parametrize(
    ("partitions", "says"),
    [
        ({"type": "daily", "parameter": "day"}, "need a 'start'"),
        ({"type": "daily", "start": "soon", "parameter": "day"}, "'soon' is no date"),
        ({"type": "static", "values": [], "parameter": "day"}, "need 'values'"),
        ({"type": "static", "values": ["a"], "parameter": "dya"}, "did you mean 'day'?"),
        ({"type": "yearly", "parameter": "day"}, "Invalid enum value 'yearly'"),
        ({"type": "static", "values": ["1", "two"], "parameter": "count"}, "'two' is not a whole number"),
        ({"type": "dynamic", "values": ["a"], "parameter": "day"}, "are added while they are used"),
        ({"type": "daily", "start": "2026-01-01", "name": "days", "parameter": "day"}, "of dynamic ones"),
    ],
)
def test_wrong_partitions_are_told_when_loading(
    partitions: dict[str, Any], says: str, write: Write, build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    write("book", ("parameters", "day: str = ''\ncount: int = 1"), ("step:a", "1"), partitions=partitions)
    build()
    assert says in caplog.text


def test_what_the_partitions_give_no_schedule_gives(write: Write, build: Build, caplog: pytest.LogCaptureFixture) -> None:
    clock = {"cron": "@daily", "parameters": {"region": "us"}}
    both = {"type": "static", "values": ["eu", "us"], "parameter": "region"}
    write("book", ("parameters", "region: str"), ("step:a", "1"), schedule=clock, partitions=both)
    build()
    assert "it gives 'region', which is what the partitions give" in caplog.text


def test_keys_of_dynamic_partitions_are_what_a_tick_asks_for(write: Write, build: Build, instance: dg.DagsterInstance) -> None:
    slices = {"type": "dynamic", "parameter": "incident", "name": "incidents"}
    write("book", ("parameters", "incident: str"), ("step:a", "1"), schedule={"cron": "@daily"}, partitions=slices)
    made = build()
    assert not tick(made, "book__schedule", instance).run_requests
    instance.add_dynamic_partitions("incidents", ["a", "b"])
    assert [r.partition_key for r in tick(made, "book__schedule", instance).run_requests] == ["a", "b"]


def test_further_schedules_come_from_the_definitions(write: Write, build: Build) -> None:
    write("aws/book", ("step:a", "1"))
    made = build(schedules={"aws__book": Schedule(cron="@hourly", name="often")})
    assert [s.name for s in made.get_repository_def().schedule_defs] == ["aws__book__often"]
    with pytest.raises(AuthorError, match="'nope', which is no runbook"):
        build(schedules={"nope": Schedule(cron="@hourly")})
    with pytest.raises(LookupFailedError, match="'rules' names what is not there"):
        build(rules=["nowhere/rules.yaml"])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"cron": "99 99 * * *"}, "is no cron expression"), ({"cron": "@daily", "parameters": {"m": 1}}, "unknown parameter 'm'")],
)
def test_a_further_schedule_that_does_not_fit_is_told_to_be_elsewhere(wrong: dict[str, Any], says: str, write: Write, build: Build) -> None:
    write("book", ("parameters", "n: int = 1"), ("step:a", "1"))
    write("other", ("step:a", "1"))
    made = build(schedules={"book": Schedule(**wrong)})
    told = made.resolve_job_def("book").description or ""
    assert "the schedule 'book__schedule' does not fit" in told
    assert says in told
    assert "not in the notebook, but in defs.yaml" in told
    assert "holdfast/broken" not in made.resolve_job_def("other").tags
