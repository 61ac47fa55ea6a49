"""``papermill --engine holdfast``: papermill's own command line over Holdfast's engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def papermill(sandbox: Sandbox, *arguments: str, faults: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "papermill", "--engine", "holdfast", "--no-progress-bar", *arguments]
    environment = {**sandbox.environment, "HOLDFAST_FAULTS": faults}
    return subprocess.run(command, cwd=cwd or sandbox.folder, env=environment, capture_output=True, text=True, timeout=120)


def cells(path: Path) -> list[dict[str, Any]]:
    return [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]


def printed(cell: dict[str, Any]) -> str:
    return "".join("".join(o.get("text", "")) for o in cell["outputs"])


def executions(sandbox: Sandbox) -> list[dict[str, Any]]:
    return sandbox.holdfast("list", "--json").json


def test_parameters_folder_files_and_timing(sandbox: Sandbox) -> None:
    sandbox.notebook(
        "in",
        [
            ("markdown", "# Words"),
            ("parameters", "n = 1"),
            ("step:a", "import os, sys\nprint(n, os.getcwd())\nprint('to stderr', file=sys.stderr)"),
            ("step:b", "import ipywidgets\nipywidgets.IntSlider(value=n)"),
            ("step:c", "h = display('first', display_id='d')"),
            ("step:d", "h.update('second')"),
        ],
    )
    (sandbox.folder / "work").mkdir()
    done = papermill(
        sandbox,
        "in.ipynb",
        "out-{n}.ipynb",
        "-p",
        "n",
        "7",
        "--cwd",
        "work",
        "--stdout-file",
        "o.txt",
        "--stderr-file",
        "e.txt",
        "--log-output",
    )
    assert done.returncode == 0, done.stderr
    output = sandbox.folder / "out-7.ipynb"
    document = json.loads(output.read_text())
    found = cells(output)
    assert printed(found[2]).startswith(f"7 {sandbox.folder / 'work'}\n")
    # click opens these files when something is first written, in the folder of --cwd: papermill's own engine does the same
    assert (sandbox.folder / "work" / "o.txt").read_text() == f"7 {sandbox.folder / 'work'}\n"
    assert "to stderr" in (sandbox.folder / "work" / "e.txt").read_text()
    assert "to stderr" in done.stderr
    assert {c["metadata"]["papermill"]["status"] for c in document["cells"]} == {"completed"}
    assert all(c["metadata"]["papermill"]["duration"] is not None for c in found)
    assert document["metadata"]["papermill"]["parameters"] == {"n": 7}
    assert document["metadata"]["papermill"]["exception"] is None
    assert list(document["metadata"]["widgets"]) == ["application/vnd.jupyter.widget-state+json"]
    assert found[4]["outputs"][0]["data"]["text/plain"] == ["'second'"] or found[4]["outputs"][0]["data"]["text/plain"] == "'second'"
    assert [e["status"] for e in executions(sandbox)] == ["succeeded"]


def test_the_same_command_continues_what_a_crash_left(sandbox: Sandbox) -> None:
    sandbox.notebook(
        "in", [("step:a", "!echo a >> far\nkept = 1"), ("step:b", "!echo b >> far\nprint('kept', kept)"), ("step:c", "!echo c >> far")]
    )
    broken = papermill(sandbox, "in.ipynb", "out.ipynb", faults="engine.after_step@2=kill")
    assert broken.returncode == -9
    json.loads((sandbox.folder / "out.ipynb").read_text())  # whole, whenever the power goes
    done = papermill(sandbox, "in.ipynb", "out.ipynb")
    assert done.returncode == 0, done.stderr
    assert (sandbox.folder / "far").read_text().split() == ["a", "b", "c"]
    assert printed(cells(sandbox.folder / "out.ipynb")[1]) == "kept 1\n"
    assert len(executions(sandbox)) == 1
    # a finished one is not continued: the command means a new execution
    assert papermill(sandbox, "in.ipynb", "out.ipynb").returncode == 0
    assert len(executions(sandbox)) == 2
    assert (sandbox.folder / "far").read_text().split() == ["a", "b", "c"] * 2


def test_a_failure_is_papermills_failure_and_the_next_call_goes_on(sandbox: Sandbox) -> None:
    sandbox.notebook(
        "in",
        [
            ("step:a", "!echo a >> far"),
            ("step:b", "import os\nif not os.path.exists('ok'): raise ValueError('not yet')"),
            ("step:c", "print('end')"),
        ],
    )
    failed = papermill(sandbox, "in.ipynb", "out.ipynb")
    assert failed.returncode == 1
    assert "ValueError: not yet" in failed.stderr
    document = json.loads((sandbox.folder / "out.ipynb").read_text())
    assert "papermill-error-cell-tag" in str(document["cells"][0]["metadata"])
    assert [c["metadata"]["papermill"]["status"] for c in cells(sandbox.folder / "out.ipynb")] == ["completed", "failed", "pending"]
    (sandbox.folder / "ok").touch()
    done = papermill(sandbox, "in.ipynb", "out.ipynb")
    assert done.returncode == 0, done.stderr
    assert (sandbox.folder / "far").read_text().split() == ["a"]
    assert printed(cells(sandbox.folder / "out.ipynb")[2]) == "end\n"


def test_a_suspended_execution_says_how_to_go_on(sandbox: Sandbox) -> None:
    source = "from holdfast import call\n@call(effect='write')\ndef pay():\n    open('far', 'a').write('paid ')\n    return 5"
    sandbox.notebook("in", [("setup", source), ("step:a", "print('got', pay())"), ("step:b", "print('end')")])
    assert papermill(sandbox, "in.ipynb", "out.ipynb", faults="call.after_effect=kill-both-once").returncode == -9
    waits = papermill(sandbox, "in.ipynb", "out.ipynb")
    assert waits.returncode != 0
    assert "HF256" in waits.stderr
    prompt = sandbox.holdfast("prompts", "--json").json[0]["id"]
    assert prompt in waits.stderr
    assert "pending" in [c["metadata"]["papermill"]["status"] for c in cells(sandbox.folder / "out.ipynb")]
    assert sandbox.holdfast("answer", prompt, "happened", "--value", "5").status == 0
    done = papermill(sandbox, "in.ipynb", "out.ipynb")
    assert done.returncode == 0, done.stderr
    assert (sandbox.folder / "far").read_text() == "paid "
    assert printed(cells(sandbox.folder / "out.ipynb")[1]) == "got 5\n"


def test_prepare_only_timeouts_and_expected_errors(sandbox: Sandbox) -> None:
    sandbox.notebook("in", [("step:a raises-exception", "1 / 0"), ("step:b", "import time\ntime.sleep(60)")])
    assert papermill(sandbox, "in.ipynb", "prepared.ipynb", "--prepare-only").returncode == 0
    assert sandbox.holdfast("list", "--json").json == []
    slow = papermill(sandbox, "in.ipynb", "out.ipynb", "--execution-timeout", "2")
    assert slow.returncode == 1
    assert "CellTimeoutError" in slow.stderr or "timed out" in slow.stderr
    assert [c["metadata"]["papermill"]["status"] for c in cells(sandbox.folder / "out.ipynb")][1] == "failed"


def test_from_python_with_nbclients_hooks(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    program = """
import papermill, json
seen = []
nb = papermill.execute_notebook(
    "in.ipynb", "out.ipynb", engine_name="holdfast", progress_bar=False, allow_errors=True,
    on_cell_executed=lambda cell, cell_index, execute_reply: seen.append(cell_index),
)
"""
    sandbox.notebook("in", [("step:a", "x = 1"), ("markdown", "words"), ("step:b", "1 / 0"), ("step:c", "print(x)")])
    script = program + "print(json.dumps(seen))\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=sandbox.folder, env=sandbox.environment, capture_output=True, text=True, timeout=120
    )
    # papermill looks for error outputs itself, whatever nbclient allows; every cell was run before it did
    assert "ZeroDivisionError" in done.stderr
    found = json.loads((sandbox.folder / "out.ipynb").read_text())["cells"]
    assert printed([c for c in found if c["cell_type"] == "code"][-1]) == "1\n"
