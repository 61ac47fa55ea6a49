"""Questions to people in JupyterLab: a form that lives while its cell waits, and the same prompt from elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Lab
from tests.browser.test_jupyterlab import SLOW, opened, outputs, run_all, shows

from holdfast.foundation import clock
from holdfast.testing.sandbox import Sandbox

SCHEMA = {
    "type": "object",
    "required": ["node", "reason"],
    "properties": {
        "node": {"type": "string", "title": "Node", "enum": ["node-1", "node-2"]},
        "reason": {"type": "string", "title": "Reason", "minLength": 3, "description": "why it is drained"},
        "grace": {"type": "integer", "title": "Grace", "default": 30, "minimum": 0, "maximum": 600},
        "force": {"type": "boolean", "title": "Force", "default": False},
        "password": {"type": "string", "title": "Password", "format": "password"},
    },
}
RUNBOOK = [
    ("markdown", "# Drain a node"),
    ("setup", "from holdfast import approve, confirm, form"),
    ("step:form", f"wanted = form('Which node is to be drained?', {SCHEMA!r}, timeout='20 min')\nprint('GOT', wanted)"),
    (
        "step:sure",
        (
            "sure = confirm('Drain node-2 now?', target='node-2', destructive=True, command='kubectl drain node-2', why=True)\n"
            "print('SURE', bool(sure), sure.why)"
        ),
    ),
    (
        "step:two",
        "both = approve('Release it to production?', at_least=2, on_timeout='no', timeout='2 h')\nprint('BOTH', both.approved_by)",
    ),
]


def holdfast(folder: Path, *arguments: str, user: str = "alice") -> Any:
    """The command line in the folder of the notebook, as ``user``."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")} | {"HOLDFAST_USER": user}
    command = [sys.executable, "-m", "holdfast", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return json.loads(done.stdout)


def the_prompt(folder: Path, kind: str, seconds: float = 60.0) -> dict[str, Any]:
    """The open prompt of that kind, once it is asked."""
    deadline = clock.monotonic() + seconds
    while True:
        found = [p for p in holdfast(folder, "prompts") if p["kind"] == kind]
        if found:
            return dict(found[0])
        assert clock.monotonic() < deadline, f"no {kind} is asked"


@pytest.mark.parametrize("front", ["lab", "notebook"])
def test_a_person_fills_a_form_types_a_name_and_somebody_else_votes(lab: Lab, page: Any, tmp_path: Path, front: str) -> None:
    Sandbox(tmp_path).notebook("drain", RUNBOOK)
    opened(page, lab, "drain.ipynb", front)
    started(page)

    # the form: labels, errors where they belong, what is typed stays
    reason = page.get_by_label("Reason *")
    reason.wait_for(timeout=SLOW)
    page.screenshot(path=str(tmp_path / "1-form.png"))
    reason.press_sequentially("ok", delay=40)
    page.get_by_label("Grace").fill("9000")
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("alert").filter(has_text="at least 3").wait_for(timeout=SLOW)
    page.get_by_role("alert").filter(has_text="is needed").wait_for(timeout=SLOW)
    page.get_by_role("alert").filter(has_text="600").wait_for(timeout=SLOW)
    page.screenshot(path=str(tmp_path / "2-errors.png"))
    assert reason.input_value() == "ok"

    # a page that is loaded anew has the form again, and it can be clicked
    page.keyboard.press("Control+s")
    page.get_by_label("Node *").select_option("node-2")
    reason.fill("")
    reason.press_sequentially("disk full, ticket 42", delay=30)
    page.get_by_label("Grace").fill("60")
    page.get_by_label("Password").fill("hunter2-correct")
    page.wait_for_timeout(1500)
    page.keyboard.press("Control+s")
    page.wait_for_timeout(1500)
    page.reload()
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=SLOW)
    page.get_by_label("Reason *").wait_for(timeout=SLOW)
    assert page.get_by_label("Reason *").input_value() == "disk full, ticket 42"
    page.screenshot(path=str(tmp_path / "3-reloaded.png"))
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("answered by").first.wait_for(timeout=SLOW)
    page.screenshot(path=str(tmp_path / "4-answered.png"))
    assert "***" in outputs(page)
    assert not [f for f in tmp_path.rglob("*") if f.is_file() and f.suffix != ".png" and b"hunter2-correct" in f.read_bytes()]

    # the kernel went on to the next question, whose output the page loaded anew does not get: after a restart it is the same prompt
    asked = the_prompt(tmp_path, "confirm")
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Restart Kernel", exact=False).first.click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    page.wait_for_timeout(1000)
    idle(page)
    started(page)
    shows(page, "GOT")  # what is answered is not asked again
    shown = page.locator(".jp-OutputArea")
    yes = shown.get_by_role("button", name="Yes").first
    yes.wait_for(timeout=SLOW)
    assert the_prompt(tmp_path, "confirm")["id"] == asked["id"]

    # a destructive one: the reason is given, the name is typed; somebody else is faster
    yes.click()
    shown.get_by_role("alert").filter(has_text="reason").first.wait_for(timeout=SLOW)
    shown.get_by_label("Reason *").first.fill("the ticket says so")
    shown.get_by_label("Name").first.fill("node-1")
    page.wait_for_timeout(500)
    yes.click()
    shown.get_by_role("alert").filter(has_text="node-1").first.wait_for(timeout=SLOW)
    page.screenshot(path=str(tmp_path / "5-typed.png"))
    holdfast(tmp_path, "answer", asked["id"], "yes", "--typed", "node-2", "--why", "seen", user="bob")
    shows(page, "SURE True seen")
    assert "answered by bob via cli" in outputs(page)

    # two people
    two = the_prompt(tmp_path, "approve")
    holdfast(tmp_path, "answer", two["id"], "yes", user="bob")
    page.get_by_text("1 of 2 have consented: bob").first.wait_for(timeout=SLOW)
    page.screenshot(path=str(tmp_path / "6-votes.png"))
    shown.get_by_role("button", name="Approve").first.click()
    shows(page, "BOTH ('bob',")
    page.screenshot(path=str(tmp_path / "7-end.png"))
    assert page.get_by_role("button", name="Submit").count() == 0


def started(page: Any) -> None:
    """Run all cells. A page that is still connecting to its kernel forgets that it was asked to, so ask until the first has a number."""
    deadline = clock.monotonic() + SLOW / 1000
    first = page.locator(".jp-Notebook .jp-CodeCell .jp-InputArea-prompt").first
    while True:
        run_all(page)
        for _ in range(50):
            if any(mark in first.inner_text() for mark in "*123456789"):
                return
            page.wait_for_timeout(200)
        assert clock.monotonic() < deadline, "the cells are not run"


def idle(page: Any) -> None:
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=SLOW)
