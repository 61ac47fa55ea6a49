"""Dagster's pages in a browser: what a person presses there to launch a runbook.

``page`` is a tab of Playwright's; ``url`` is Dagster's address, as ``holdfast up`` says it.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

#: Milliseconds that anything may take on a busy machine.
SLOW = 120_000
_TRIES = 4
#: Where the pages of the code location are that ``holdfast up`` serves.
LOCATION = "/locations/holdfast_dagster.here"


def job(page: Any, url: str, name: str, tab: str = "") -> None:
    """Open the page of a job."""
    page.set_default_timeout(SLOW)
    page.goto(f"{url}{LOCATION}/jobs/{name}{tab}", timeout=SLOW)


def configure(page: Any, text: str) -> None:
    """Put the text in place of what the editor holds."""
    page.locator(".CodeMirror").last.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def scaffolded(page: Any) -> dict[str, Any]:
    """What the editor holds: before anybody has typed, the defaults."""
    held = page.locator(".CodeMirror").last.evaluate("editor => editor.CodeMirror.getValue()")
    return yaml.safe_load(held) or {}


def launch(page: Any, url: str, name: str, config: str = "") -> str:
    """Launch from the launchpad, with its defaults or with ``config`` (YAML) in their place; returns the run's id."""
    _launchpad(page, url, name)
    if config:
        configure(page, config)
    page.get_by_text("No errors").wait_for()
    return _pressed(page)


def launch_with(page: Any, url: str, name: str, parameters: Mapping[str, Any]) -> str:
    """Launch from the launchpad as a person does: what it has filled in stays, but for what is given; returns the run's id."""
    _launchpad(page, url, name)
    configure(page, _typed({**scaffolded(page), **parameters}))
    page.get_by_text("No errors").wait_for()
    return _pressed(page)


def materialize_latest(page: Any, url: str, name: str, graph: str, parameters: Mapping[str, Any]) -> str:
    """Make the assets of a runbook with partitions, for the latest one; returns the run's id.

    Args:
        graph: of the runbook: what its parameters stand under.
    """
    latest = page.get_by_role("button", name="Latest", exact=True)
    for _ in range(_TRIES):  # pressed while the graph is still being loaded, the button may do nothing
        job(page, url, name)
        page.wait_for_load_state("networkidle")
        page.get_by_role("button", name=re.compile("Materialize")).first.click()
        with contextlib.suppress(Exception):
            latest.wait_for(timeout=SLOW / _TRIES)
            break
    latest.click()
    page.get_by_text("Config", exact=True).click()
    page.get_by_role("button", name="Add config").click()
    page.locator(".CodeMirror").last.wait_for()
    configure(page, _typed({"ops": {graph: {"config": dict(parameters)}}}))
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Save config").click()
    page.get_by_role("button", name="Launch 1 run").click()
    page.get_by_role("button", name="View", exact=True).or_(page.get_by_role("link", name="View", exact=True)).first.click()
    page.wait_for_url("**/runs/*-*")
    return _run_of(page)


def status(page: Any, word: str) -> None:
    """Wait until the run's page says so."""
    page.get_by_text(word, exact=True).first.wait_for()


def text(page: Any) -> str:
    """All that the page says."""
    return str(page.locator("body").inner_text())


def _typed(config: Mapping[str, Any]) -> str:
    return json.dumps(config, indent=1, ensure_ascii=False)  # which is YAML


def _launchpad(page: Any, url: str, name: str) -> None:
    """Open it; when this returns, it has filled in the defaults and looked at them."""
    job(page, url, name, "/playground")
    page.get_by_text("No errors").or_(page.get_by_text("Missing required config")).first.wait_for()


def _pressed(page: Any) -> str:
    page.get_by_role("button", name="Launch Run").and_(page.locator(":enabled")).click()
    page.wait_for_url("**/runs/*-*")
    return _run_of(page)


def _run_of(page: Any) -> str:
    return str(page.url).rpartition("/")[2].partition("?")[0]


__all__ = ["LOCATION", "SLOW", "configure", "job", "launch", "launch_with", "materialize_latest", "scaffolded", "status", "text"]
