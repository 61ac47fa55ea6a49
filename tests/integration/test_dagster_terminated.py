"""Waiting, running and queued runs ended, deleted and retried by Dagster itself: nothing stays open in the journal or runs twice."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SETTINGS = "run_retries: {enabled: true, max_retries: 2}\nconcurrency: {runs: {max_concurrent_runs: 2}}\n"
DEFINITIONS = """\
from pathlib import Path
import dagster as dg
from holdfast_dagster import build_definitions

@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=1)
def alert(context):
    open(Path(__file__).parent / "alerts", "a").write(f"{context.dagster_run.job_name}\\\\n")

defs = dg.Definitions.merge(build_definitions(Path(__file__).parent / "runbooks"), dg.Definitions(sensors=[alert]))
"""
TERMINATE = """mutation ($ids: [String!]!, $policy: TerminateRunPolicy) { terminateRuns(runIds: $ids, terminatePolicy: $policy) {
... on TerminateRunsResult { terminateRunResults { __typename ... on TerminateRunFailure { message } } } } }"""
LAUNCH = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
CANCEL = "mutation ($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }"
RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
BACKFILL = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
REPOSITORY = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } partitionSets { name } } } } }"


class Api:
    """A web server of the house."""

    def __init__(self, house: Any) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self._port = taken.getsockname()[1]
        house.home.dagster("webserver", "-p", str(self._port))
        house.home.until(self._there, "the web server", 180)

    def _there(self) -> bool:
        try:
            return bool(self.ask(REPOSITORY)["repositoriesOrError"].get("nodes"))
        except OSError:
            return False

    def ask(self, query: str, **variables: Any) -> Any:
        """Data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
        assert "errors" not in said, said
        return said["data"]

    def terminate(self, *ids: str, policy: str = "SAFE_TERMINATE") -> list[str]:
        """What became of each, in Dagster's words."""
        results = self.ask(TERMINATE, ids=list(ids), policy=policy)["terminateRuns"]["terminateRunResults"]
        return [r["__typename"] for r in results]


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any]) -> Iterator[Any]:
    """A daemon and a web server; two runs at a time."""
    with dagster_house("terminated", DEFINITIONS, SETTINGS, environment={"HOLDFAST_HOLD_FOR": "0"}) as made:
        asks = "from holdfast import confirm\nconfirm('Go on?')\n"
        long = f"open({str(made.home.folder / 'at')!r}, 'a').write('x')\nimport time\ntime.sleep(600)"
        book = made.home.runbook
        book("asks", [("step:before", made.record("before")), ("step:ask", asks), ("step:after", made.record("after"))])
        book("long", [("step:before", made.record("l-before")), ("step:stay", long), ("step:after", made.record("l-after"))])
        either = f"if part == 'long':\n    {long.replace(chr(10), '; ')}\nelse:\n    {asks.strip().replace(chr(10), '; ')}"
        parts = {"type": "static", "values": ["asks", "long", "queued", "last"], "parameter": "part"}
        for name, tag in (("parts", "step:either"), ("made", "asset:made")):
            book(name, [("parameters", "part: str"), (tag, either), ("step:after", made.record(f"{name}-after"))], partitions=parts)
        made.home.dagster("daemon")
        made.api = Api(made)
        yield made


def left(house: Any) -> tuple[list[str], list[str], list[str]]:
    """What is still open in the journal: executions, prompts, owners."""
    with Client.open() as client:
        every = client.list()
        return [e.id for e in every if not e.status.ended], [p.id for p in client.prompts()], [e.id for e in every if e.owner]


def nothing_left(house: Any) -> None:
    """Wait until nothing is."""
    house.home.until(lambda: left(house) == ([], [], []), f"nothing to be open, but {left(house)}", 120)


def at(house: Any, times: int = 1) -> None:
    """Wait until the long cell runs."""
    place = house.home.folder / "at"
    house.home.until(lambda: place.exists() and len(place.read_text()) >= times, "the long step", 180)


def alerts(house: Any) -> list[str]:
    """The jobs whose failure was told."""
    place = house.home.folder / "alerts"
    return place.read_text().split() if place.exists() else []


@pytest.mark.parametrize("policy", ["SAFE_TERMINATE", "MARK_AS_CANCELED_IMMEDIATELY"])
def test_terminated_runs_leave_nothing_open(house: Any, policy: str) -> None:
    (house.home.folder / "at").unlink(missing_ok=True)
    waiting, running = house.launch("asks"), house.launch("long")
    house.until(waiting, "SUSPENDED")
    at(house)
    assert house.api.ask(RUN, id=waiting)["runOrError"] == {"status": "SUSPENDED"}
    executions = [house.execution(id) for id in (waiting, running)]
    assert house.api.terminate(waiting, running, policy=policy) == ["TerminateRunSuccess"] * 2
    for id in (waiting, running):
        house.until(id, "CANCELED")
    nothing_left(house)
    for execution in executions:
        assert house.home.status(execution) == "cancelled"
        house.home.assert_laws(execution)
    with Client.open() as client:
        (prompt,) = client.prompts(execution=executions[0], state=None)
        assert prompt.state == "withdrawn"
    assert house.home.holdfast("answer", prompt.id, "yes").status != 0, "too late"
    assert [e for e in house.effects() if e.endswith("after")] == []
    assert house.api.terminate(waiting, policy=policy) == ["TerminateRunFailure"], "it has ended"


@pytest.mark.parametrize("kind", ["job", "assets"])
def test_a_cancelled_backfill_cancels_its_waiting_running_and_queued_runs(house: Any, kind: str) -> None:
    (house.home.folder / "at").unlink(missing_ok=True)
    (node,) = house.api.ask(REPOSITORY)["repositoriesOrError"]["nodes"]
    params: dict[str, Any] = {"partitionNames": ["asks", "long", "queued", "last"]}
    if kind == "job":
        (name,) = [p["name"] for p in node["partitionSets"] if p["name"].startswith("parts")]
        where = {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
        params["selector"] = {"repositorySelector": where, "partitionSetName": name}
    else:
        params["assetSelection"] = [{"path": ["made"]}, {"path": ["executed_notebook", "made"]}]
    answer = house.api.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    tags = {"dagster/backfill": answer["backfillId"]}

    def runs() -> list[str]:
        return sorted(r.status.value for r in house.instance.get_runs(filters=dg.RunsFilter(tags=tags)))

    at(house)
    house.home.until(lambda: len(runs()) == 4 and "SUSPENDED" in runs(), "a run that waits", 240)
    house.api.ask(CANCEL, id=answer["backfillId"])
    house.home.until(lambda: runs() == ["CANCELED"] * 4, "the end of all its runs", 240)
    asked = lambda: house.api.ask(BACKFILL, id=answer["backfillId"])["partitionBackfillOrError"]["status"]  # noqa: E731
    house.home.until(lambda: asked() == "CANCELED", "the end of the backfill", 120)
    nothing_left(house)
    assert [e for e in house.effects() if e.endswith("after")] == []


def test_a_run_that_waits_is_neither_retried_nor_told_as_failed(house: Any) -> None:
    before = len(alerts(house))
    id = house.launch("asks", tags={"dagster/max_retries": "3"})
    house.until(id, "SUSPENDED")
    house.home.pause(20)  # several looks of run monitoring, retries, the failure sensor
    runs = [r.run_id for r in house.instance.get_runs() if r.job_name == "asks" and not r.is_finished]
    assert runs == [id]
    with Client.open() as client:
        (prompt,) = client.prompts()
    assert house.home.holdfast("answer", prompt.id, "yes").status == 0
    house.until(id, "SUCCESS")
    assert [r.run_id for r in house.instance.get_runs() if r.tags.get("dagster/root_run_id") == id] == []
    assert (house.kinds(id).count("RUN_SUSPENDED"), house.kinds(id).count("PIPELINE_SUCCESS")) == (1, 1)
    assert len(alerts(house)) == before
    nothing_left(house)


def test_a_deleted_run_leaves_its_question_and_goes_on_as_another_one(house: Any) -> None:
    id = house.launch("asks")
    house.until(id, "SUSPENDED")
    execution = house.execution(id)
    said = house.api.ask("mutation ($id: String!) { deletePipelineRun(runId: $id) { __typename } }", id=id)
    assert said == {"deletePipelineRun": {"__typename": "DeletePipelineRunSuccess"}}
    with Client.open() as client:
        (prompt,) = client.prompts(execution=execution)
    assert house.home.holdfast("answer", prompt.id, "yes").status == 0
    house.home.until(lambda: house.home.status(execution) == "succeeded", "another run", 180)
    house.home.until(lambda: [house.run(r).status.value for r in house.runs_of(execution)] == ["SUCCESS"], "its end", 60)
    nothing_left(house)
