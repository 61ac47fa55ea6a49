"""What goes wrong on any day, as an operator reads it in Dagster: a message that says what to do, nothing lost, no secret told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

dg = pytest.importorskip("dagster")

from holdfast.client import Client  # noqa: E402
from holdfast.errors import AuthorError  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402
from holdfast_dagster.launching import launch  # noqa: E402

BY_REFERENCE, AS_PARAMETER = "hunter2/zq+9 by reference", "hunter2/zq+9 as parameter"
USES = """import sys, urllib.request
given = urllib.request.Request(url + '/orders', data=b'one', headers={'X-Token': token, 'X-Password': db_password})
urllib.request.urlopen(given).status
print('it is', token, db_password)
print(token, file=sys.stderr)
token"""
FAILS = "raise RuntimeError(f'refused: Bearer {token}, {db_password}')"
FILL = """import os
if not os.path.exists({filled!r}):
    open({filled!r}, 'w').close()
    ballast = open({ballast!r}, 'wb', buffering=0)
    try:
        while ballast.write(bytes(4096)):
            pass
    except OSError:
        ballast.close()
"""


@pytest.fixture(scope="module")
def house(dagster_house: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A house, and one run of each runbook, all launched at once."""
    keep = tmp_path_factory.mktemp("keep")
    (keep / "token").write_text(BY_REFERENCE)
    with CountingServer(keep) as server, dagster_house("troubles", warm=True) as house:
        book = house.home.runbook
        have = f"from holdfast import secret\ntoken = secret('env:TOKEN_OF_TODAY')\nassert token == 'given'\n{house.record('used')}"
        books = {
            "lacks": book("lacks", [("step:before", house.record("before")), ("step:use", have), ("step:after", house.record("after"))]),
            "tells": book(
                "tells",
                [
                    ("parameters", "url: str\ndb_password: str"),
                    ("setup", f"from holdfast import secret\ntoken = secret('file:{keep}/token')"),
                    ("step:use", USES),
                    ("step:fail", FAILS),
                ],
            ),
            "typed": book("typed", [("parameters", "count: int\nhow: str = 'fast'"), ("step:a", "1")]),
        }
        given = {"tells": {"url": server.url, "db_password": AS_PARAMETER}}
        with Client.open() as client:
            house.client, house.server, house.books = client, server, books
            house.first = {n: launch(books[n], given.get(n), instance=house.instance, client=client).run for n in ("lacks", "tells")}
            for run in house.first.values():
                house.instance.launch_run(run, None)  # as the daemon does with what is in the queue
            yield house


def failures(house: Any, run: str) -> list[str]:
    """What the failed steps of a run say."""
    return [e.step_failure_data.error.message for e in house.events(run) if e.is_step_failure]


def again(house: Any, run: str) -> str:
    """Press "Re-execute from failure"; the new run's id."""
    parent = house.run(run)
    tags = {**parent.tags, "dagster/is_resume_retry": "true", "dagster/parent_run_id": run, "dagster/root_run_id": run}
    return str(house.launch(parent.job_name, tags=tags, parent_run_id=run, root_run_id=run, run_config=parent.run_config))


def test_a_credential_that_is_missing_is_named_and_once_given_the_run_goes_on(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = house.first["lacks"]
    house.until(run, "FAILURE")
    (said,) = failures(house, run)
    what, where, cure = said.splitlines()
    assert "HF219" in what and "the environment has no TOKEN_OF_TODAY" in what
    assert where == "Where: step use, cell 1 (c1) of lacks.ipynb"
    assert "Re-execute from failure" in cure
    assert house.effects() == ["before"]
    monkeypatch.setenv("TOKEN_OF_TODAY", "given")
    house.until(again(house, run), "SUCCESS")
    assert house.effects() == ["before", "used", "after"]
    house.home.assert_laws(house.execution(run))


def test_parameters_of_a_wrong_type_are_refused_before_anything_is_begun(house: Any) -> None:
    before = len(house.client.list()), house.instance.get_runs_count()
    with pytest.raises(AuthorError) as refused:
        launch(house.books["typed"], {"count": "many", "haw": 1}, instance=house.instance, client=house.client)
    assert refused.value.code == "HF103"
    assert "count" in str(refused.value) and "'many'" in str(refused.value)
    assert "unknown parameter 'haw' (did you mean 'how'?)" in str(refused.value)
    with pytest.raises(dg.DagsterInvalidConfigError, match=r'Value "many" of type .* is not valid for expected type "Int"'):
        house.create("typed", run_config={"count": "many"})
    assert (len(house.client.list()), house.instance.get_runs_count()) == before


def test_secrets_are_nowhere_in_what_dagster_keeps_and_shows(house: Any) -> None:
    run = house.first["tells"]
    house.until(run, "FAILURE")
    (said,) = failures(house, run)
    assert said.startswith("RuntimeError: refused: Bearer ***, ***\n"), said
    assert "it is *** ***" in house.said(run)
    asked, *_ = house.server.requests("POST", "/orders")
    assert (asked["headers"]["X-Token"], asked["headers"]["X-Password"]) == (BY_REFERENCE, AS_PARAMETER)
    assert list((house.home.home / "history").rglob("*.db")), "where Dagster's event log is"
    forms = set()
    for value in (BY_REFERENCE, AS_PARAMETER):
        raw = value.encode()
        forms |= {raw, quote(raw, safe="").encode(), raw.hex().encode(), base64.b64encode(raw)[:-4], json.dumps(value).encode()}
    kept = [(path, path.read_bytes()) for path in house.home.home.rglob("*") if path.is_file()]
    assert [str(path.relative_to(house.home.home)) for path, text in kept if any(form in text for form in forms)] == []


@pytest.mark.slow
def test_done_again_from_the_start_it_has_the_secret_that_dagster_has_not(house: Any) -> None:
    parent = house.until(house.first["tells"], "FAILURE")
    family = {"parent_run_id": parent.run_id, "root_run_id": parent.run_id}
    tags = {**parent.tags, "dagster/parent_run_id": parent.run_id, "dagster/root_run_id": parent.run_id}
    assert parent.run_config["db_password"] == "***"
    before = len(house.server.requests("POST", "/orders"))
    run = house.launch("tells", tags=tags, run_config=parent.run_config, **family)
    alone = house.launch("tells", run_config=parent.run_config)  # what somebody copied from the run's page into the launchpad
    house.until(run, "FAILURE")
    assert house.execution(run) != house.execution(parent.run_id)
    asked = house.server.requests("POST", "/orders")
    assert [r["headers"]["X-Password"] for r in asked[before:]] == [AS_PARAMETER]
    house.until(alone, "FAILURE")
    (said,) = failures(house, alone)
    assert "HF103: db_password is secret, so the run's configuration has *** in its place" in said
    assert "launch the runbook anew and give db_password" in said
    assert len(house.server.requests("POST", "/orders")) == before + 1
