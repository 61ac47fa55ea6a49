"""Dagster's pages as a stranger meets them: the shipped examples, launched, refused, waiting, continued, terminated, in real Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.foundation import clock

SLOW = 120_000  # milliseconds that anything may take on a busy machine
EXAMPLES = Path(__file__).parents[2] / "runbooks" / "examples"
LOCATION = "/locations/holdfast_dagster.here"


class Stack:
    """``holdfast up`` on a folder of its own."""

    def __init__(self, base: Path) -> None:
        self.base, self.folder = base, base / "runbooks"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DAGSTER"))}
        self.said: list[str] = []
        self.url = ""

    def runbook(self, name: str, cells: list[tuple[str, str]]) -> None:
        made: list[dict[str, Any]] = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {"tags": [tag]}, "source": source, "outputs": [], "execution_count": None}
            for n, (tag, source) in enumerate(cells)
        ]
        (self.folder / f"{name}.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}))

    def __enter__(self) -> Stack:
        command = [sys.executable, "-m", "holdfast", "up", "--lab-port=0", "--dagster-port=0", "--inbox-port=0"]
        pipe = subprocess.PIPE
        self.program = subprocess.Popen(command, cwd=self.base, env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._listen, daemon=True).start()
        deadline = clock.monotonic() + 180
        while not any("all are there" in line for line in self.said):
            if self.program.poll() is not None or clock.monotonic() > deadline:
                self.__exit__()
                raise AssertionError("".join(self.said))
            clock.sleep(0.2)
        self.url = next(m[1] for line in self.said if (m := re.search(r"dagster is at (\S+)", line)))
        return self

    def _listen(self) -> None:
        assert self.program.stdout is not None
        self.said += self.program.stdout

    def __exit__(self, *_: object) -> None:
        self.program.send_signal(signal.SIGTERM)
        try:
            self.program.wait(60)
        except subprocess.TimeoutExpired:
            self.program.kill()

    def holdfast(self, *words: str) -> Any:
        """What the command says, as JSON."""
        command = [sys.executable, "-m", "holdfast", *words, "--json"]
        done = subprocess.run(command, cwd=self.base, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The examples, one that fails until a file is there, one that takes long, and one that is broken."""
    made = Stack(tmp_path_factory.mktemp("stack"))
    shutil.copytree(EXAMPLES, made.folder / "examples", ignore=shutil.ignore_patterns("shop-data"))
    made.runbook(
        "fails", [("step:first", "!echo once >> once.txt"), ("step:second", "import os\nassert os.path.exists('mended'), 'not mended yet'")]
    )
    made.runbook("long", [("step:long", "import time\nfor n in range(3000):\n    time.sleep(0.1)"), ("step:after", "1")])
    made.runbook("broken", [("step:a", "1"), ("step:a", "2")])
    with made:
        yield made


def job(page: Any, stack: Stack, name: str, tab: str = "") -> None:
    page.set_default_timeout(SLOW)
    page.goto(f"{stack.url}{LOCATION}/jobs/{name}{tab}", timeout=SLOW)


def configure(page: Any, text: str) -> None:
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def launch(page: Any, stack: Stack, name: str, config: str = "") -> str:
    """Launch from the launchpad; returns the run's id."""
    job(page, stack, name, "/playground")
    page.get_by_text("No errors").wait_for()
    if config:
        configure(page, config)
    button = page.get_by_role("button", name="Launch Run")
    button.and_(page.locator(":enabled")).click()
    page.wait_for_url("**/runs/*-*")
    return str(page.url).rpartition("/")[2]


def status(page: Any, word: str) -> None:
    """Wait until the run's page says so."""
    page.get_by_text(word, exact=True).first.wait_for()


def log(page: Any) -> str:
    return str(page.locator("body").inner_text())


def test_a_wrong_parameter_is_refused_in_words(stack: Stack, page: Any, tmp_path: Path) -> None:
    job(page, stack, "examples__restart_workers", "/playground")
    page.get_by_text("No errors").wait_for()
    assert "refuse a plan that restarts more than" in log(page), "the author's description stands beside the parameter"
    configure(page, "max_restarts: many")
    page.get_by_text('Value "many" of type').wait_for()
    configure(page, "max_restarts: 0")
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").and_(page.locator(":enabled")).click()
    page.get_by_text("HF103: max_restarts is refused: 0 is less than the minimum of 1").first.wait_for()
    page.screenshot(path=str(tmp_path / "refused.png"))
    assert 'File "' not in log(page), "no stack trace"


def test_a_run_that_waits_says_what_for_and_goes_on_when_answered(stack: Stack, page: Any, tmp_path: Path) -> None:
    run = launch(page, stack, "examples__restart_workers", "speed: careful")
    status(page, "Suspended")
    page.get_by_text("waits for a person, and holds no process meanwhile").first.wait_for()
    page.screenshot(path=str(tmp_path / "waiting.png"))
    shown = log(page)
    assert "worker-2 is still down after its restart" in shown
    (prompt,) = [p for p in stack.holdfast("prompts") if p["step"] == "verify"]
    assert f"holdfast answer {prompt['id']} run|skip|abort" in shown
    assert "interrupted unexpectedly" not in shown and "Traceback" not in shown
    (stack.folder / "examples" / "shop-data" / "worker-2").write_text("working")
    stack.holdfast("answer", prompt["id"], "run")
    status(page, "Success")
    page.screenshot(path=str(tmp_path / "continued.png"))
    assert run in page.url
    page.get_by_text("Succeeded (5)").wait_for()


def test_graphs_show_headings_branches_and_what_is_wrong_with_a_broken_notebook(stack: Stack, page: Any, tmp_path: Path) -> None:
    job(page, stack, "examples__check_host", "/disk")
    page.get_by_text("2a. Disk").first.wait_for()
    assert "In it: how full is the disk?" in log(page)
    assert "## " not in log(page)
    page.screenshot(path=str(tmp_path / "op.png"))
    job(page, stack, "broken")
    page.get_by_text("This notebook cannot be loaded").first.wait_for()
    page.screenshot(path=str(tmp_path / "broken.png"))
    assert "broken.ipynb" in log(page)
    page.goto(f"{stack.url}{LOCATION}/schedules/examples__check_host__schedule")
    page.get_by_text("While one that it started has not ended, the tick is left out").first.wait_for()
    page.screenshot(path=str(tmp_path / "schedule.png"))


def test_an_asset_shows_its_rows_its_picture_its_check_and_where_it_comes_from(stack: Stack, page: Any, tmp_path: Path) -> None:
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
    page.get_by_text("[Show Markdown]").first.wait_for()
    shown = log(page)
    page.screenshot(path=str(tmp_path / "asset.png"), full_page=True)
    for said in ("23:00", "plot", "kept in shop-data", "executed_notebook / ", "shop / error_report"):
        assert said in shown, said
    page.goto(f"{stack.url}/assets/shop/requests?view=checks")
    page.get_by_text("Passed", exact=True).first.wait_for()
    page.goto(f"{stack.url}/asset-groups")
    page.get_by_text("error_report").first.wait_for()
    page.get_by_text("examples__report_errors").first.wait_for()
    page.screenshot(path=str(tmp_path / "lineage.png"))


def test_re_executed_from_failure_the_first_step_is_not_run_again(stack: Stack, page: Any, tmp_path: Path) -> None:
    first = launch(page, stack, "fails")
    status(page, "Failure")
    page.get_by_text("not mended yet").first.wait_for()
    page.screenshot(path=str(tmp_path / "failed.png"))
    (stack.folder / "mended").touch()
    page.get_by_role("button", name=re.compile("Re-execute")).first.locator("xpath=following::button[1]").click()
    page.get_by_role("menuitem", name=re.compile("From failure")).click()
    page.wait_for_url(lambda url: "/runs/" in url and first not in url)
    status(page, "Success")
    assert (stack.folder / "once.txt").read_text() == "once\n"


def test_a_run_is_terminated_from_its_page(stack: Stack, page: Any, tmp_path: Path) -> None:
    launch(page, stack, "long")
    page.get_by_text('Started execution of step "long"').first.wait_for()
    page.get_by_role("button", name=re.compile("Terminate")).first.click()
    page.get_by_role("button", name=re.compile("Terminate")).last.click()
    page.get_by_text("Canceled", exact=True).first.wait_for()
    page.screenshot(path=str(tmp_path / "terminated.png"))
    assert [e["status"] for e in stack.holdfast("list") if e["runbook"] == "long"] == ["cancelled"]
