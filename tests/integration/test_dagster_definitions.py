"""A stranger's Dagster project with our component: scaffolded, checked, served and launched by the real ``dg``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from holdfast_dagster.instance import set_up

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PYPROJECT = """\
[project]
name = "shop"
version = "0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "shop"
"""
DEFINITIONS = """\
from pathlib import Path
from dagster import definitions, load_from_defs_folder

@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


class Project:
    """A project folder, and ``dg`` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source, self.home = folder, folder / "src" / "shop", folder / "home"
        (self.source / "defs").mkdir(parents=True)
        (folder / "pyproject.toml").write_text(PYPROJECT)
        (self.source / "__init__.py").touch()
        (self.source / "defs" / "__init__.py").touch()
        (self.source / "definitions.py").write_text(DEFINITIONS)
        set_up(self.home)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DAGSTER"))}
        self.environment = kept | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(BIN.parent),
            "PYTHONPATH": str(folder / "src"),
            "DAGSTER_HOME": str(self.home),
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "HOLDFAST_JOURNAL": f"sqlite:///{folder}/.holdfast/journal.db",
            "COLUMNS": "200",
        }

    def dg(self, *arguments: str, status: int = 0) -> str:
        """What ``dg`` says."""
        done = subprocess.run(
            [str(BIN / "dg"), *arguments], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def runbook(self, name: str, *cells: tuple[str, str], folder: Path | None = None, **metadata: Any) -> Path:
        """Write one into the first component's folder, or another."""
        made: list[dict[str, Any]] = [
            {
                "cell_type": "code",
                "id": f"c{n}",
                "metadata": {"tags": tags.split()},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for n, (tags, source) in enumerate(cells)
        ]
        whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"holdfast": metadata}, "cells": made}
        path = (folder or self.source / "defs" / "ops" / "runbooks") / f"{name}.ipynb"
        path.write_text(json.dumps(whole))
        return path


class Server:
    """``dg dev`` and its GraphQL."""

    def __init__(self, folder: Path, environment: dict[str, str], logs: Path | None = None) -> None:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = (logs or folder) / "dg-dev.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [str(BIN / "dg"), "dev", "--host", "127.0.0.1", "--port", str(self.port)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.location: dict[str, str] = {}

    def ask(self, query: str, **variables: Any) -> Any:
        """Data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said = json.load(answer)
        except urllib.error.HTTPError as refused:
            said = json.load(refused)
        assert "errors" not in said, said
        return said["data"]

    def jobs(self) -> set[str]:
        """Names of the jobs, once the code location is loaded."""
        query = """{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } jobs { name } } } } }"""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                nodes = self.ask(query)["repositoriesOrError"].get("nodes") or []
            except OSError:
                nodes = []
            if nodes:
                (node,) = nodes
                self.location = {"repositoryName": node["name"], "repositoryLocationName": node["location"]["name"]}
                return {j["name"] for j in node["jobs"] if not j["name"].startswith("__")}
            time.sleep(0.3)
        raise AssertionError(self.log.read_text())

    def wait_for(self, run_id: str) -> str:
        """The status in which a run ends."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            run = self.ask("query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)["runOrError"]
            if run.get("status") in ("SUCCESS", "FAILURE", "CANCELED"):
                return str(run["status"])
            time.sleep(0.3)
        raise AssertionError(f"{run}: {self.log.read_text()[-3000:]}")

    def end(self) -> None:
        """End it and what it started."""
        family = [self.process.pid, *(p.pid for p in psutil.Process(self.process.pid).children(recursive=True))]
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    said = made.dg("scaffold", "defs", "holdfast_dagster.RunbookComponent", "ops")
    assert "Creating" in said
    costs = (
        ("parameters", "region: str\ndays: int = 3"),
        (
            "asset:costs/raw",
            "import pandas as pd\nraw = pd.DataFrame({'day': range(days), 'region': region})\nprint('collected')\nraw",
        ),
    )
    checks = ("check:complete", "len(raw) == days"), ("check:large", "len(raw) > 100")
    slices = {"type": "static", "values": ["eu", "us"], "parameter": "region"}
    made.runbook("costs", *costs, *checks, partitions=slices)
    made.runbook("greet", ("parameters", "name: str"), ("step:say", 'print("hello", name)'), parameters={"name": {"pattern": "^[a-z]+$"}})
    made.runbook("broken", ("step:a", "1"), ("step:a", "2"))
    defs = made.source / "defs" / "ops" / "defs.yaml"
    written = yaml.safe_load(defs.read_text())
    assert written == {"type": "holdfast_dagster.RunbookComponent", "attributes": {"path": "runbooks"}}
    written["attributes"] |= {"schedules": [{"runbook": "greet", "cron": "@daily", "parameters": {"name": "bob"}, "enabled": False}]}
    defs.write_text(yaml.safe_dump(written))
    more = made.source / "defs" / "more"
    more.mkdir()
    made.runbook("greet", ("step:a", "1"), folder=more)
    (more / "defs.yaml").write_text("type: holdfast_dagster.RunbookComponent\nattributes: {path: greet.ipynb, prefix: more-}\n")
    return made


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    started = Server(project.folder, project.environment)
    try:
        started.jobs()
        yield started
    finally:
        started.end()


def test_dg_knows_the_component(project: Project) -> None:
    assert "holdfast_dagster.RunbookComponent" in project.dg("list", "components")


def test_dg_refuses_an_attribute_it_does_not_know(project: Project) -> None:
    place = project.source / "defs" / "ops" / "defs.yaml"
    kept = place.read_text()
    try:
        place.write_text("type: holdfast_dagster.RunbookComponent\nattributes: {path: runbooks, executer: holdfast}\n")
        assert "executer" in project.dg("check", "defs", "--no-check-yaml", status=1)
    finally:
        place.write_text(kept)


def test_dg_lists_what_the_runbooks_define_and_tells_what_is_broken(project: Project) -> None:
    said = project.dg("list", "defs", "--json")
    for name in (
        "costs",
        "greet",
        "more_greet",
        "broken",
        "first_runbook",
        "greet__schedule",
        "costs/raw",
        "disk_usage",
        "holdfast_resume",
    ):
        assert f'"{name}"' in said
    assert said.count('"holdfast_resume"') == 1, "one for all components"
    assert "the step 'a' is there twice" in said


@pytest.mark.slow
def test_dg_launches_a_job_and_makes_a_partition_of_assets(project: Project) -> None:
    assert "hello eve" in project.dg("launch", "--job", "greet", "--config-json", json.dumps({"name": "eve"}))
    assert "HF103: name is refused" in project.dg("launch", "--job", "greet", "--config-json", json.dumps({"name": "EVE"}), status=1)
    said = project.dg("launch", "--assets", 'key:"costs/raw" or key:"executed_notebook/costs"', "--partition", "eu")
    assert "ASSET_MATERIALIZATION" in said and "ASSET_CHECK_EVALUATION" in said
    assert "PIPELINE_SUCCESS" in said or "RUN_SUCCESS" in said


@pytest.mark.slow
def test_dg_launches_in_the_repository(tmp_path: Path) -> None:
    set_up(tmp_path / "home")
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home"), "HOLDFAST_JOURNAL": f"sqlite:///{tmp_path}/journal.db"}
    environment |= {"VIRTUAL_ENV": str(BIN.parent), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    listed = subprocess.run(
        [str(BIN / "dg"), "list", "defs", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=200
    )
    assert "examples__restart_workers" in listed.stdout, listed.stderr[-3000:]
    command = [str(BIN / "dg"), "launch", "--job", "examples__restart_workers"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
    assert "RUN_SUSPENDED" in done.stdout + done.stderr, "it waits for a person, and the command ends"


def test_dg_dev_serves_it(server: Server) -> None:
    assert server.jobs() == {"broken", "costs", "first_runbook", "greet", "more_greet"}


VALID = """query ($selector: PipelineSelector!, $config: RunConfigData!) { isPipelineConfigValid(pipeline: $selector, mode: "default",
runConfigData: $config) { __typename ... on RunConfigValidationInvalid { errors { message } } } }"""


@pytest.mark.parametrize(
    ("config", "says"), [({}, "Missing required config entry"), ({"name": 5}, "Invalid scalar"), ({"name": "ann"}, "")]
)
def test_the_launchpad_validates(config: dict[str, Any], says: str, server: Server) -> None:
    answer = server.ask(VALID, selector={**server.location, "pipelineName": "greet"}, config=config)["isPipelineConfigValid"]
    assert says in str(answer)
    assert ("Invalid" in answer["__typename"]) is bool(says)


LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename
... on LaunchRunSuccess { run { runId } } ... on PythonError { message causes { message } } } }"""


def launch(server: Server, job: str, config: dict[str, Any]) -> Any:
    params = {"selector": {**server.location, "jobName": job}, "runConfigData": config}
    return server.ask(LAUNCH, params=params)["launchRun"]


def runs(server: Server, job: str) -> list[Any]:
    query = "query ($job: String!) { runsOrError(filter: {pipelineName: $job}) { ... on Runs { results { runId status } } } }"
    found: list[Any] = server.ask(query, job=job)["runsOrError"]["results"]
    return found


def test_a_launch_that_the_schema_of_a_parameter_refuses_creates_no_run(server: Server) -> None:
    answer = launch(server, "greet", {"name": "B0B"})
    assert answer["__typename"] == "PythonError"
    assert "HF103" in str(answer)
    assert "does not match" in str(answer)
    assert not [r for r in runs(server, "greet") if r["status"] != "SUCCESS"]


def test_a_launched_runbook_runs_with_its_parameters(server: Server) -> None:
    run = launch(server, "greet", {"name": "bob"})["run"]["runId"]
    assert server.wait_for(run) == "SUCCESS"
    query = "query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events { ... on MessageEvent { stepKey message } } } } }"
    told = server.ask(query, id=run)["logsForRun"]["events"]
    assert [e["stepKey"] for e in told if e.get("message") == "hello bob"] == ["say"]


def test_a_broken_notebook_says_so_when_launched(server: Server) -> None:
    run = launch(server, "broken", {})["run"]["runId"]
    assert server.wait_for(run) == "FAILURE"


BACKFILL = """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) { __typename
... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
ASSET = """{ assetNodeOrError(assetKey: {path: ["costs", "raw"]}) { ... on AssetNode {
assetMaterializations { partition runId metadataEntries { __typename label ... on IntMetadataEntry { intValue } ... on MarkdownMetadataEntry
{ mdStr } ... on NotebookMetadataEntry { path } ... on TextMetadataEntry { text } } }
assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } } } } }"""


@pytest.mark.slow
def test_a_backfill_makes_every_partition_and_tells_what_was_made(server: Server) -> None:
    keys = [{"path": ["costs", "raw"]}, {"path": ["executed_notebook", "costs"]}]
    answer = server.ask(BACKFILL, params={"assetSelection": keys, "partitionNames": ["eu", "us"]})["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    deadline = time.monotonic() + 150
    made: dict[str, Any] = {}
    while time.monotonic() < deadline and len(made) < 2:
        node = server.ask(ASSET)["assetNodeOrError"]
        made = {m["partition"]: {e["label"]: e for e in m["metadataEntries"]} for m in node["assetMaterializations"]}
        time.sleep(1)
    assert made.keys() == {"eu", "us"}, server.log.read_text()[-3000:]
    for region, metadata in made.items():
        assert metadata["dagster/row_count"]["intValue"] == 3
        assert f"| 0 | 0 | {region} |" in metadata["table"]["mdStr"]
        assert "collected" in metadata["stdout"]["text"]
        assert Path(metadata["notebook"]["path"]).suffix == ".ipynb"
        assert metadata["execution"]["text"]
    ended = {r["runId"]: server.wait_for(r["runId"]) for r in runs(server, "__ASSET_JOB")}
    assert set(ended.values()) == {"SUCCESS"}
    checks = server.ask(ASSET)["assetNodeOrError"]["assetChecksOrError"]["checks"]
    assert {c["name"] for c in checks} == {"complete", "large"}


def test_dg_dev_works_in_the_repository(tmp_path: Path) -> None:
    set_up(tmp_path / "home")
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home"), "HOLDFAST_JOURNAL": f"sqlite:///{tmp_path}/journal.db"}
    environment |= {"VIRTUAL_ENV": str(BIN.parent), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    started = Server(ROOT, environment, tmp_path)
    try:
        assert "aws__delete_unattached_volumes" in started.jobs()
    finally:
        started.end()
