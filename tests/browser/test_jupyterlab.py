"""The Holdfast kernel as a person in JupyterLab meets it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.browser.conftest import Lab

from holdfast.foundation import clock
from holdfast.testing.sandbox import Sandbox

SLOW = 60_000  # milliseconds that anything may take

RUNBOOK = [
    ("markdown", "# Restart the workers"),
    ("step:look", "import random\nchosen = random.randint(0, 10**9)\nprint('chosen', chosen)"),
    ("step:act", "!printf 'acted\\n' >> far.txt\nprint('acted once')"),
    ("step:wait", "import os, time\nprint('waiting')\nwhile not os.path.exists('gate'):\n    time.sleep(0.1)\nprint('went on')"),
    ("step:end", "print('end', chosen)"),
]


def outputs(page: Any) -> str:
    """All outputs shown."""
    return "\n".join(page.locator(".jp-OutputArea-output").all_inner_texts())


def shows(page: Any, text: str, seconds: float = 60.0) -> None:
    deadline = clock.monotonic() + seconds
    while text not in outputs(page):
        assert clock.monotonic() < deadline, f"{text!r} is not shown; shown is: {outputs(page)}"
        page.wait_for_timeout(100)


def run_all(page: Any) -> None:
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()


def opened(page: Any, lab: Lab, name: str, front: str = "lab") -> None:
    page.goto(lab.notebook(name, front), timeout=SLOW)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=SLOW)
    page.wait_for_timeout(1500)
    choose = page.get_by_role("button", name="Select Kernel")
    if choose.is_visible():  # Lab sometimes asks which kernel although the notebook names one
        choose.click()
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=SLOW)


def kernel_pids(folder: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        if "holdfast.kernel" in (process.info["cmdline"] or []) and process.info["cwd"] == str(folder):
            found.append(process.info["pid"])
    return found


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_run_all_after_a_restart_resumes_and_says_so(lab: Lab, page: Any, tmp_path: Path, how: str) -> None:
    Sandbox(tmp_path).notebook("workers", RUNBOOK)
    opened(page, lab, "workers.ipynb")
    run_all(page)
    shows(page, "waiting")
    chosen = next(line for line in outputs(page).splitlines() if line.startswith("chosen"))
    page.screenshot(path=str(tmp_path / "1-waiting.png"))
    if how == "kill":
        for pid in kernel_pids(tmp_path):
            os.kill(pid, signal.SIGKILL)
        page.get_by_text("has died and is being restarted").or_(page.get_by_text("appears to have died")).first.wait_for(timeout=SLOW)
        page.get_by_role("button", name="Ok", exact=True).click()
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=SLOW)
        (tmp_path / "gate").touch()
        run_all(page)
    else:
        before = kernel_pids(tmp_path)
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Restart Kernel and Run All Cells", exact=False).click()
        page.get_by_role("button", name="Confirm Kernel Restart").click()
        while set(before) & set(kernel_pids(tmp_path)) or not kernel_pids(tmp_path):
            page.wait_for_timeout(100)
        (tmp_path / "gate").touch()
    shows(page, f"end {chosen.split()[1]}")
    page.screenshot(path=str(tmp_path / "2-resumed.png"))
    assert "went on" in outputs(page)
    assert "resum" in outputs(page).lower(), outputs(page)
    assert (tmp_path / "far.txt").read_text() == "acted\n"
