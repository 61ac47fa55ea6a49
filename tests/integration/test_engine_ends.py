"""How executions end, with real kernels: policies of steps, retries, conditions, branches, kernels that die."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def states(sandbox: Sandbox, id: str) -> dict[str, str]:
    return {s["id"]: s["state"] for s in sandbox.holdfast("show", id, "--json").json["steps"]}


def texts(output: str | Path) -> dict[str, str]:
    """Cell id -> what it printed or showed as text."""
    cells = json.loads(Path(output).read_text())["cells"]
    return {c["id"]: "".join(_text(o) for o in c.get("outputs", [])) for c in cells if c["cell_type"] == "code"}


def _text(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain") or output.get("ename", "")
    return text if isinstance(text, str) else "".join(text)


def test_a_runbook_runs_to_its_end_and_its_output_is_papermills(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook(
        "plain",
        [
            ("markdown", "# A title"),
            ("parameters", "n: int = 1  # how many"),
            ("setup", "import math"),
            ("step:one", "x = n * 2\nprint('x', x)"),
            ("", "x + math.floor(1.5)"),
            ("step:two", "!echo done-$x"),
        ],
    )
    done = sandbox.holdfast("run", notebook, "-p", "n", "21", "--json", "--output", "out/plain.ipynb")
    assert done.status == 0, done.err
    assert done.json["status"] == "succeeded"
    output = Path(done.json["output"])
    assert output == sandbox.folder / "out" / "plain.ipynb"
    assert texts(output) == {"c1": "", "injected-parameters": "", "c2": "", "c3": "x 42\n", "c4": "43", "c5": "done-42\r\n"}
    document = json.loads(output.read_text())
    papermill = document["metadata"]["papermill"]
    assert papermill["parameters"] == {"n": 21}
    assert papermill["exception"] is None
    assert papermill["duration"] > 0
    assert [c["metadata"]["papermill"]["status"] for c in document["cells"]] == ["completed"] * len(document["cells"])
    assert document["metadata"]["holdfast"]["record"]["execution"] == done.json["id"]
    assert document["metadata"]["language_info"]["name"] == "python"
    assert [c["execution_count"] for c in document["cells"] if c["cell_type"] == "code"] == [1, 2, 3, 4, 5, 6]


def test_a_failed_step_is_tried_again_by_a_person_and_nothing_before_it(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook(
        "mend",
        [
            ("step:first", "!echo first >> far"),
            ("step:second", "import pathlib\n!echo second >> far\nassert pathlib.Path('mended').exists(), 'not yet'\nv = 7"),
            ("step:third", "print('third', v)"),
            ("step:tidy", "!echo tidy >> far", {"always": True}),
            ("step:undo teardown:second", "!echo undo >> far"),
        ],
    )
    failed = sandbox.holdfast("run", notebook, "--id", "m", "--json")
    assert failed.status == 1
    assert failed.json["failure"]["step"] == "second"
    assert failed.json["failure"]["type"] == "AssertionError"
    assert failed.json["failure"]["teardown"] == ["undo"]
    assert (sandbox.folder / "far").read_text().split() == ["first", "second", "tidy"]
    assert states(sandbox, "m") == {"first": "succeeded", "second": "failed", "third": "pending", "tidy": "succeeded", "undo": "pending"}
    assert "AssertionError" in texts(failed.json["output"])["c1"]
    (sandbox.folder / "mended").touch()
    done = sandbox.holdfast("resume", "m", "--json")
    assert done.status == 0, done.err
    # `second` made its call in the first attempt and does not make it again; `tidy` is due at every end
    assert (sandbox.folder / "far").read_text().split() == ["first", "second", "tidy", "tidy"]
    assert texts(done.json["output"])["c2"] == "third 7\n"
    again = sandbox.holdfast("resume", "m", "--json")
    assert (again.status, again.json["status"]) == (0, "succeeded")
    assert len((sandbox.folder / "far").read_text().split()) == 4


def test_retries_start_from_a_clean_state_and_are_counted(sandbox: Sandbox) -> None:
    source = "import pathlib\nlog = pathlib.Path('tries')\nwith log.open('a') as f: f.write('x')\nleft = 'behind'\n"
    source += "assert 'dirt' not in dir(), 'dirty'\ndirt = 1\nassert len(log.read_text()) > 2, 'flaky'"
    policy = {"retry": {"count": 2, "delay": 0.05, "backoff": "constant"}}
    notebook = sandbox.notebook("retry", [("step:a", source, policy), ("step:b", "print(left)")])
    done = sandbox.holdfast("run", notebook, "--json")
    assert done.status == 0, done.err
    assert (sandbox.folder / "tries").read_text() == "xxx"
    assert texts(done.json["output"]) == {"c0": "", "c1": "behind\n"}
    shown = sandbox.holdfast("show", done.json["id"], "--json").json["steps"]
    assert [(s["id"], s["attempts"]) for s in shown] == [("a", 3), ("b", 1)]


def test_retries_run_out_and_a_terminal_error_has_none(sandbox: Sandbox) -> None:
    policy = {"retry": {"count": 1, "delay": 0.01}}
    flaky = sandbox.notebook("flaky", [("step:a", "open('a', 'a').write('x')\n1 / 0", policy)])
    source = "open('t', 'a').write('x')\nfrom holdfast import TerminalError\nraise TerminalError('the region is gone')"
    terminal = sandbox.notebook("terminal", [("step:a", source, policy)])
    first, second = sandbox.holdfast("run", flaky, "--json"), sandbox.holdfast("run", terminal, "--json")
    assert (first.status, second.status) == (1, 1)
    assert (sandbox.folder / "a").read_text() == "xx"
    assert (sandbox.folder / "t").read_text() == "x"
    assert second.json["failure"]["code"] == "HF900"
    assert "the region is gone" in second.json["reason"]


def test_a_step_that_takes_too_long_is_stopped(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook("slow", [("step:a", "import time\ntime.sleep(60)", {"timeout": 1})])
    done = sandbox.holdfast("run", notebook, "--json")
    assert done.status == 1
    assert done.json["failure"]["code"] == "HF180"


def test_what_a_step_waits_is_not_its_own_time(sandbox: Sandbox) -> None:
    waits = "import holdfast, time\nholdfast.wait(4)\n"
    notebook = sandbox.notebook("waits", [("step:a", waits, {"timeout": 3}), ("step:b", waits + "time.sleep(60)", {"timeout": 3})])
    done = sandbox.holdfast("run", notebook, "--json")
    assert (done.status, done.json["failure"]["code"], done.json["failure"]["step"]) == (1, "HF180", "b"), done.err
    assert [e.step for e in sandbox.entries(done.json["id"]) if e.kind == "timer.fired"] == ["a", "b"]


def test_a_timeout_before_the_cell_begins_is_a_recorded_failure_too(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook("early", [("step:a", "import time\ntime.sleep(60)", {"timeout": 0.001})])
    done = sandbox.holdfast("run", notebook, "--json")
    assert (done.status, done.json["failure"]["code"]) == (1, "HF180")
    assert [e.kind for e in sandbox.entries(done.json["id"])].count("step.failed") == 1


def test_a_cell_that_ignores_the_interrupt_loses_its_kernel(sandbox: Sandbox) -> None:
    source = "import time\nwhile True:\n    try: time.sleep(60)\n    except KeyboardInterrupt: pass"
    notebook = sandbox.notebook("deaf", [("step:a", source, {"timeout": 0.5})])
    done = sandbox.holdfast("run", notebook, "--json")
    assert (done.status, done.json["failure"]["code"]) == (1, "HF180")
    kinds = [e.kind for e in sandbox.entries(done.json["id"])]
    assert kinds.count("step.failed") == 1  # written by the engine, since the kernel could not


def test_a_kernel_that_dies_is_replaced_and_goes_on(sandbox: Sandbox) -> None:
    source = "import os, pathlib\n!echo effect >> far\n"
    source += "deaths = pathlib.Path('deaths')\nn = len(deaths.read_text()) if deaths.exists() else 0\n"
    source += "with deaths.open('a') as f: f.write('x')\nif n < 2: os.kill(os.getpid(), 9)"
    notebook = sandbox.notebook("oom", [("step:a", "state = {'k': 1}"), ("step:b", source), ("step:c", "print(state)")])
    done = sandbox.holdfast("run", notebook, "--json")
    assert done.status == 0, done.err
    assert (sandbox.folder / "far").read_text() == "effect\n"
    assert texts(done.json["output"])["c2"] == "{'k': 1}\n"


def test_a_step_that_only_kills_kernels_fails(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook("killer", [("step:a", "import os\nopen('k', 'a').write('x')\nos.kill(os.getpid(), 9)")])
    done = sandbox.holdfast("run", notebook, "--json")
    assert (done.status, done.json["failure"]["code"]) == (1, "HF181")
    assert (sandbox.folder / "k").read_text() == "xxx"


def test_conditions_tags_and_tolerated_failures(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook(
        "paths",
        [
            ("step:a", "x = 1\nopen('order', 'a').write('a')"),
            ("step:never", "open('order', 'a').write('never')", {"when": "x > 1"}),
            ("step:left_out skip", "open('order', 'a').write('skip')"),
            ("step:tolerated", "1 / 0", {"on_failure": "continue"}),
            ("step:b", "open('order', 'a').write('b')", {"when": "x == 1"}),
            ("step:jumps", "1 / 0", {"on_failure": "handler"}),
            ("step:between", "open('order', 'a').write('between')"),
            ("step:handler", "open('order', 'a').write('h')"),
            ("step:expected raises-exception", "1 / 0"),
        ],
    )
    done = sandbox.holdfast("run", notebook, "--json")
    assert done.status == 0, done.err
    assert (sandbox.folder / "order").read_text() == "abh"
    found = states(sandbox, done.json["id"])
    assert [n for n, s in found.items() if s == "skipped"] == ["never", "left_out", "between"]
    assert [n for n, s in found.items() if s == "failed"] == ["tolerated", "jumps"]
    assert "tolerated" in done.json["reason"]


def test_a_broken_condition_fails_the_step(sandbox: Sandbox) -> None:
    done = sandbox.holdfast(
        "run", sandbox.notebook("when", [("step:a", "x = 1"), ("step:b", "pass", {"when": "x > missing_name"})]), "--json"
    )
    assert done.status == 1
    assert done.json["failure"]["code"] == "HF182"
    assert "missing_name" in done.json["failure"]["what"]


def test_branches_run_in_kernels_of_their_own_and_join(sandbox: Sandbox) -> None:
    meet = "import pathlib, time\npathlib.Path('{me}').touch()\nfor _ in range(300):\n    if pathlib.Path('{other}').exists(): break\n"
    meet += "    time.sleep(0.05)\nelse: raise RuntimeError('alone')\nseen = '{name}' in dir()\n{bind} = base + ['{me}']"
    notebook = sandbox.notebook(
        "branches",
        [
            ("step:base", "base = ['base']"),
            ("step:left", meet.format(me="l", other="r", name="right", bind="left"), {"after": ["base"]}),
            ("step:right", meet.format(me="r", other="l", name="left", bind="right"), {"after": ["base"]}),
            ("step:join", "print(left, right)", {"after": ["left", "right"]}),
        ],
    )
    done = sandbox.holdfast("run", notebook, "--json")
    assert done.status == 0, done.err
    assert texts(done.json["output"])["c3"] == "['base', 'l'] ['base', 'r']\n"
    kernels = [e.data["pid"] for e in sandbox.entries(done.json["id"]) if e.kind == "note" and e.data.get("what") == "kernel_started"]
    assert len(set(kernels)) == 2


def test_branches_resume_without_their_neighbours_state(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook(
        "again",
        [
            ("step:base", "base = 1"),
            ("step:left", "left = base + 1\nprint('left')", {"after": ["base"]}),
            ("step:right", "right = base + 2\nprint('right', 'left' in dir())", {"after": ["base"]}),
            ("step:join", "import pathlib\nassert pathlib.Path('go').exists()\nprint(left + right)", {"after": ["left", "right"]}),
        ],
    )
    assert sandbox.holdfast("run", notebook, "--id", "b").status == 1
    (sandbox.folder / "go").touch()
    done = sandbox.holdfast("resume", "b", "--json")
    assert done.status == 0, done.err
    assert texts(done.json["output"]) == {"c0": "", "c1": "left\n", "c2": "right False\n", "c3": "5\n"}
    kernels = [e for e in sandbox.entries("b") if e.kind == "note" and e.data.get("what") == "kernel_started"]
    assert len(kernels) <= 3  # two branches at first; one is enough to show what is recorded and to join


def test_one_kernel_is_enough_when_no_more_are_allowed(sandbox: Sandbox) -> None:
    sandbox.environment["HOLDFAST_PARALLEL_KERNELS"] = "1"
    notebook = sandbox.notebook(
        "narrow",
        [
            ("step:base", "base = 1"),
            ("step:left", "left = base\nprint('right' in dir())", {"after": ["base"]}),
            ("step:right", "right = base\nprint('left' in dir())", {"after": ["base"]}),
            ("step:join", "print(left, right)", {"after": ["left", "right"]}),
        ],
    )
    done = sandbox.holdfast("run", notebook, "--json")
    assert done.status == 0, done.err
    assert texts(done.json["output"]) == {"c0": "", "c1": "False\n", "c2": "False\n", "c3": "1 1\n"}
