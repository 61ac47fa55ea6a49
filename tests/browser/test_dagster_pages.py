"""Dagster's pages as a stranger meets them: the shipped examples, launched, refused, waiting, continued, terminated, in real Chromium."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.foundation import clock
from holdfast.testing.dagster_pages import LOCATION, SLOW, configure, job, launch, scaffolded, status, text
from holdfast.testing.rehearsal import Stage, rehearsals
from holdfast.testing.stack import Stack

SHIPPED = Path(__file__).parents[2] / "runbooks"


KINDS = """\
from datetime import date
from typing import Literal

day: date  # which day
ports: list[int] = [80, 443]
ticket: str | None = None
size: Literal[1, 2] = 1
labels: dict[str, str] = {}
token: str = "hunter2"
"""
ASKS = "from holdfast import confirm\nconfirm('Restart the database?')"


class House(Stack):
    """``holdfast up`` on shipped runbooks and some of the tests' own."""

    def __init__(self, base: Path, stage: Stage) -> None:
        super().__init__(base, {**stage.environment, "HOLDFAST_HOLD_FOR": "2"})
        self.folder, self.stage = base / "runbooks", stage

    def runbook(self, name: str, cells: list[tuple[str, str]], **metadata: Any) -> None:
        made: list[dict[str, Any]] = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {"tags": [tag]}, "source": source, "outputs": [], "execution_count": None}
            for n, (tag, source) in enumerate(cells)
        ]
        document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"holdfast": metadata} if metadata else {}, "cells": made}
        (self.folder / f"{name}.ipynb").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The examples, the runbook for AWS on its stage, one that fails until a file is there, one that takes long, one that a clock starts,
    and one that is broken."""
    base = tmp_path_factory.mktemp("stack")
    with rehearsals(SHIPPED / "aws")["delete-unattached-volumes"].stage(base) as stage:
        yield from _served(House(base, stage))


def _served(made: House) -> Iterator[House]:
    for pack in ("aws", "examples"):
        shutil.copytree(SHIPPED / pack, made.folder / pack, ignore=shutil.ignore_patterns("shop-data", "*.py"))
    made.runbook(
        "fails", [("step:first", "!echo once >> once.txt"), ("step:second", "import os\nassert os.path.exists('mended'), 'not mended yet'")]
    )
    made.runbook("long", [("step:long", "import time\nfor n in range(3000):\n    time.sleep(0.1)"), ("step:after", "1")])
    made.runbook("clock", [("step:tell", "!echo tick >> ticks.txt")], schedule={"cron": "* * * * *", "enabled": False})
    made.runbook("kinds", [("parameters", KINDS), ("step:show", "print(day, ports, ticket, size, labels, len(token))")])
    made.runbook("asks", [("step:before", "!echo once >> asked.txt"), ("step:gate", ASKS), ("step:after", "!echo after >> asked.txt")])
    made.runbook("broken", [("step:a", "1"), ("step:a", "2")])
    with made:
        yield made


def test_a_wrong_parameter_is_refused_in_words(stack: House, page: Any, tmp_path: Path) -> None:
    job(page, stack.url, "examples__restart_workers", "/playground")
    page.get_by_text("No errors").wait_for()
    assert "refuse a plan that restarts more than" in text(page), "the author's description stands beside the parameter"
    configure(page, "max_restarts: many")
    page.get_by_text('Value "many" of type').wait_for()
    configure(page, "max_restarts: 0")
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").and_(page.locator(":enabled")).click()
    page.get_by_text("HF103: max_restarts is refused: 0 is less than the minimum of 1").first.wait_for()
    page.screenshot(path=str(tmp_path / "refused.png"))
    assert 'File "' not in text(page), "no stack trace"


def test_the_launchpad_takes_what_the_notebook_takes(stack: House, page: Any, tmp_path: Path) -> None:
    job(page, stack.url, "kinds", "/playground")
    page.get_by_text("Missing required config").wait_for()
    assert scaffolded(page) == {"labels": {}, "ports": [80, 443], "size": 1}, "the defaults; but a secret's is nobody's business"
    page.screenshot(path=str(tmp_path / "launchpad.png"))
    configure(page, "day: 2026-02-30")
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").and_(page.locator(":enabled")).click()
    page.get_by_text("HF103: day is '2026-02-30', which is no date").first.wait_for()
    page.get_by_role("button", name="OK").click()
    launch(page, stack.url, "kinds", "day: 2026-01-31\nports: []\nticket: null\nsize: 2\nlabels: {a: b}\n")
    status(page, "Success")
    page.get_by_text("2026-01-31 [] None 2 {'a': 'b'} 7").first.wait_for()
    page.get_by_role("button", name="View tags and config").click()
    page.get_by_text("day: 2026-01-31").or_(page.get_by_text("day: '2026-01-31'")).first.wait_for()
    page.screenshot(path=str(tmp_path / "config.png"))
    assert "hunter2" not in text(page)


def test_a_run_that_waits_says_what_for_and_goes_on_when_answered(stack: House, page: Any, tmp_path: Path) -> None:
    run = launch(page, stack.url, "examples__restart_workers", "speed: careful")
    status(page, "Suspended")
    page.get_by_text("waits for a person, and holds no process meanwhile").first.wait_for()
    page.screenshot(path=str(tmp_path / "waiting.png"))
    shown = text(page)
    assert "worker-2 is still down after its restart" in shown
    (prompt,) = [p for p in stack.holdfast("prompts") if p["step"] == "verify"]
    assert f"holdfast answer {prompt['id']} run|skip|abort" in shown
    assert "Who may answer: anybody whom the policy lets" in shown
    assert "interrupted unexpectedly" not in shown and "Traceback" not in shown
    (stack.folder / "examples" / "shop-data" / "worker-2").write_text("working")
    answer = page.locator("a[href*='/prompts/']").first.get_attribute("href")
    page.goto(stack.inbox)
    page.goto(answer)
    page.get_by_role("button", name="Run it").click()
    page.get_by_text("answered", exact=False).first.wait_for()
    page.goto(f"{stack.url}/runs/{run}")
    status(page, "Success")
    page.get_by_text("Succeeded (5)").wait_for()
    page.screenshot(path=str(tmp_path / "continued.png"))
    page.goto(page.locator("a[href*='/executions/']").first.get_attribute("href"))
    page.get_by_text("Restart the shop's workers").first.wait_for()
    page.screenshot(path=str(tmp_path / "execution.png"))
    page.get_by_role("link", name=f"run {run[:8]}").click()
    page.wait_for_url(f"{stack.url}/runs/{run}*")


def test_checks_and_reports_come_to_their_end(stack: House, page: Any, tmp_path: Path) -> None:
    launch(page, stack.url, "examples__check_host")
    status(page, "Success")
    page.get_by_text("Succeeded (5)").wait_for()
    page.screenshot(path=str(tmp_path / "checked.png"))
    assert "problems:" in text(page)


@pytest.mark.slow
def test_volumes_are_deleted_once_somebody_has_consented(stack: House, page: Any, tmp_path: Path) -> None:
    """The runbook for AWS, on a local AWS that counts."""
    run = launch(page, stack.url, "aws__delete_unattached_volumes", "dry_run: false\nmin_age_days: 0")
    status(page, "Suspended")
    page.get_by_text("Delete 12 unattached volumes").first.wait_for()
    page.screenshot(path=str(tmp_path / "asked.png"))
    assert "yes|no --typed '12 volumes'" in text(page)
    assert not stack.stage.effects()
    (prompt,) = [p for p in stack.holdfast("prompts") if p["step"] == "gate"]
    stack.holdfast("answer", prompt["id"], "yes", "--typed", "12 volumes")
    page.goto(f"{stack.url}/runs/{run}")
    status(page, "Success")
    page.screenshot(path=str(tmp_path / "deleted.png"))
    assert set(stack.stage.effects().values()) == {1}
    assert len(stack.stage.effects()) == 24, "12 snapshots, 12 deletions"


@pytest.mark.slow
def test_a_schedule_that_is_switched_on_ticks(stack: House, page: Any, tmp_path: Path) -> None:
    page.set_default_timeout(SLOW)
    page.goto(f"{stack.url}{LOCATION}/schedules/clock__schedule")
    page.locator("input[type=checkbox]").first.evaluate("box => box.click()")
    deadline = clock.monotonic() + SLOW / 1000
    while not (stack.folder / "ticks.txt").exists():
        assert clock.monotonic() < deadline
        clock.sleep(1)
    page.get_by_text("1 run requested").first.wait_for()
    page.screenshot(path=str(tmp_path / "ticked.png"))
    page.locator("input[type=checkbox]").first.evaluate("box => box.click()")
    assert set((stack.folder / "ticks.txt").read_text().split()) == {"tick"}


def test_graphs_show_headings_branches_and_what_is_wrong_with_a_broken_notebook(stack: House, page: Any, tmp_path: Path) -> None:
    job(page, stack.url, "examples__check_host", "/disk")
    page.get_by_text("2a. Disk").first.wait_for()
    assert "In it: how full is the disk?" in text(page)
    assert "## " not in text(page)
    page.screenshot(path=str(tmp_path / "op.png"))
    job(page, stack.url, "broken")
    page.get_by_text("This notebook cannot be loaded").first.wait_for()
    page.screenshot(path=str(tmp_path / "broken.png"))
    assert "broken.ipynb" in text(page)
    page.goto(f"{stack.url}{LOCATION}/schedules/examples__check_host__schedule")
    page.get_by_text("While one that it started has not ended, the tick is left out").first.wait_for()
    page.screenshot(path=str(tmp_path / "schedule.png"))


def test_an_asset_shows_its_rows_its_picture_its_check_and_where_it_comes_from(stack: House, page: Any, tmp_path: Path) -> None:
    page.set_default_timeout(SLOW)
    page.goto(f"{stack.url}/assets/shop/requests")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Confirm").click()  # the executed notebook is made with it
    page.get_by_role("button", name="Latest", exact=True).click()
    page.get_by_role("button", name=re.compile("^Launch")).last.click()
    deadline = clock.monotonic() + SLOW / 1000
    while not [e for e in stack.holdfast("list") if e["runbook"] == "count-requests" and e["status"] == "succeeded"]:
        assert clock.monotonic() < deadline
        clock.sleep(1)
    page.goto(f"{stack.url}/assets/shop/requests")  # what was made is on the page that is opened next
    wanted = ("[Show Markdown]", "23:00", "plot", "kept in shop-data", "executed_notebook / ", "shop / error_report")
    while missing := [said for said in wanted if said not in text(page)]:  # tables come after the rest of the page
        assert clock.monotonic() < deadline, missing
        clock.sleep(0.5)
    page.screenshot(path=str(tmp_path / "asset.png"), full_page=True)
    page.goto(f"{stack.url}/assets/shop/requests?view=checks")
    page.get_by_text("Passed", exact=True).first.wait_for()
    page.goto(f"{stack.url}/assets/shop/error_report")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Latest", exact=True).click()
    page.get_by_role("button", name=re.compile("^Launch")).last.click()
    while not [e for e in stack.holdfast("list") if e["runbook"] == "report-errors" and e["status"] == "succeeded"]:
        assert clock.monotonic() < deadline + SLOW / 1000
        clock.sleep(1)
    page.goto(f"{stack.url}/assets/shop/error_report")
    page.get_by_text("requests ended with an error").first.wait_for()
    page.screenshot(path=str(tmp_path / "report.png"), full_page=True)
    page.goto(f"{stack.url}/asset-groups")
    page.get_by_text("error_report").first.wait_for()
    page.get_by_text("examples__report_errors").first.wait_for()
    page.screenshot(path=str(tmp_path / "lineage.png"))


def test_re_executed_from_failure_it_goes_on_and_re_executed_all_it_begins_anew(stack: House, page: Any, tmp_path: Path) -> None:
    first = launch(page, stack.url, "fails")
    status(page, "Failure")
    page.get_by_text("not mended yet").first.wait_for()
    page.screenshot(path=str(tmp_path / "failed.png"))
    (stack.folder / "mended").touch()
    page.get_by_role("button", name=re.compile("Re-execute")).first.locator("xpath=following::button[1]").click()
    page.get_by_role("menuitem", name=re.compile("From failure")).click()
    page.wait_for_url(lambda url: "/runs/" in url and first not in url)
    status(page, "Success")
    assert (stack.folder / "once.txt").read_text() == "once\n"
    second = page.url
    page.get_by_role("button", name=re.compile("Re-execute")).first.locator("xpath=following::button[1]").click()
    page.get_by_role("menuitem", name=re.compile("All steps")).click()
    page.wait_for_url(lambda url: "/runs/" in url and url != second and first not in url)
    status(page, "Success")
    page.screenshot(path=str(tmp_path / "all_again.png"))
    assert (stack.folder / "once.txt").read_text() == "once\nonce\n", "everything anew"
    assert len([e for e in stack.holdfast("list") if e["runbook"] == "fails"]) == 2


def test_a_run_is_terminated_from_its_page(stack: House, page: Any, tmp_path: Path) -> None:
    launch(page, stack.url, "long")
    page.get_by_text('Started execution of step "long"').first.wait_for()
    page.get_by_role("button", name=re.compile("Terminate")).first.click()
    page.get_by_role("button", name=re.compile("Terminate")).last.click()
    page.get_by_text("Canceled", exact=True).first.wait_for()
    page.get_by_text("Process for run exited").wait_for()
    page.screenshot(path=str(tmp_path / "terminated.png"))
    assert "requested a retry" not in text(page) and "dagster._core" not in text(page), "nothing of Dagster's own troubles"
    assert [e["status"] for e in stack.holdfast("list") if e["runbook"] == "long"] == ["cancelled"]


def test_a_waiting_run_is_terminated_by_force(stack: House, page: Any, tmp_path: Path) -> None:
    """Dagster's dialog offers nothing milder for a run without a process, and it does no harm."""
    run = launch(page, stack.url, "asks")
    status(page, "Suspended")
    page.get_by_text("Step gate waits for a person").first.wait_for()
    (prompt,) = [p for p in stack.holdfast("prompts") if p["step"] == "gate"]
    execution = prompt["id"].rpartition(".")[0]
    assert text(page).count("Waiting for an answer: ") == 1, "the question is told once, and then why the run waits"
    page.get_by_role("button", name=re.compile("Terminate")).first.click()
    page.get_by_text("1 run will be terminated").wait_for()
    page.screenshot(path=str(tmp_path / "force.png"))
    page.get_by_role("button", name=re.compile("Force termination")).click()
    page.get_by_text(f"Cancelled, and the execution {execution} with it: what it asked is withdrawn, what it did stays done").wait_for()
    page.goto(f"{stack.url}/runs/{run}")
    status(page, "Canceled")
    page.screenshot(path=str(tmp_path / "forced.png"))
    assert [e["status"] for e in stack.holdfast("list") if e["id"] == execution] == ["cancelled"]
    assert [p for p in stack.holdfast("prompts") if p["id"] == prompt["id"]] == []
    answer = page.locator("a[href*='/prompts/']").first.get_attribute("href")
    page.goto(stack.inbox)
    page.goto(answer)
    page.get_by_text("withdrawn").first.wait_for()
    page.screenshot(path=str(tmp_path / "withdrawn.png"))
    assert page.get_by_role("button", name="Yes").count() == 0
    assert (stack.folder / "asked.txt").read_text() == "once\n"
