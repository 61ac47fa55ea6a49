"""Well-written runbooks give no finding: the shipped ones, and the shape that the how-to teaches."""
# ruff: noqa: E501 - a cell in one line is easier to read than one cut into pieces

from pathlib import Path
from typing import Any

import pytest

from holdfast.notebook.check import check
from holdfast.notebook.compile import compile
from holdfast.notebook.graph import mermaid
from holdfast.notebook.reader import read

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "runbooks").rglob("*.ipynb"))

SETUP = """\
import json
import subprocess

import requests
from holdfast import ask, confirm, for_each, wait


def kubectl(*arguments):
    done = subprocess.run(["kubectl", "-n", namespace, *arguments], check=True, capture_output=True, text=True)
    return done.stdout
"""

RESTART = [
    "md:# Crash loop\nPods restart again and again.",
    ("parameters", "namespace: str  # where it runs\nworkload: str\nmax_restarts: int = 3  # at most\n"),
    ("setup", SETUP),
    "md:## Is it real?",
    ("step:is-it-real", 'pods = json.loads(kubectl("get", "pods", "-o", "json"))["items"]\nbad = [p for p in pods if p["restarts"] > 3]'),
    ("step:logs", "# @label: for each bad pod\nlogs = {}\nfor pod in bad:\n    logs[pod['name']] = kubectl('logs', pod['name'])", {"effects": "read"}),
    ("step:deploys", "history = !kubectl -n {namespace} rollout history deploy/{workload}", {"after": ["is-it-real"]}),
    (
        "step:plan",
        'targets = [p["name"] for p in bad][:max_restarts]\nfor name in targets:\n    print(name, len(logs[name]), history)',
        {"after": ["logs", "deploys"]},
    ),
    ("step:gate", '# @label: anything to restart?\nif targets:\n    confirm(f"restart {len(targets)} of {len(pods)} pods in {namespace}?")'),
    (
        "step:act",
        'def restart(name):\n    kubectl("delete", "pod", name)\n\n\n# @label: one first\nrestart(targets[0])\nwait(30)\nfor_each(targets[1:], restart, max_errors="10%")',
        {"when": "bool(targets)", "max_effects": 3},
    ),
    ("step:verify", 'try:\n    requests.get("http://web/health", timeout=5).raise_for_status()\nexcept requests.ConnectionError:\n    print("not yet")\n    raise',
     {"retry": {"count": 5, "delay": 10}, "on_failure": "hand-over"}),
    ("teardown:act", "!kubectl -n {namespace} rollout undo deploy/{workload}\nassert _exit_code == 0"),
    ("step:hand-over", 'who = ask("Who takes over?")\nprint(f"handed to {who}")'),
]  # fmt: skip


def test_a_runbook_of_the_taught_shape_gives_no_finding(notebook: Any) -> None:
    book = notebook(*RESTART)
    assert [str(f) for f in check(book)] == []
    manifest = compile(book)
    assert [p.name for p in manifest.parameters if p.required] == ["namespace", "workload"]
    assert set(manifest.ancestors("plan")) == {"is-it-real", "logs", "deploys"}
    assert mermaid(manifest).startswith("flowchart TD\n")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_runbook_gives_no_finding(path: Path) -> None:
    assert [str(f) for f in check(read(path))] == []
    assert compile(read(path)).steps
