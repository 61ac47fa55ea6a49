"""Replay always: the kernel dies after every call it makes, over all kinds of runbooks. Outputs and effects are those of a quiet run."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.performing import Performance
from holdfast.testing.rehearsal import find
from holdfast.testing.sandbox import Sandbox

pytestmark = pytest.mark.crash

APPEND = "!printf '{0}\\n' >> far.txt"

RUNBOOKS: dict[str, list[Any]] = {
    "no_tags": [("", "x = [1]"), ("", "!printf 'a\\n' >> far.txt\nx.append(2)"), ("", "!printf 'b\\n' >> far.txt\nx.append(3)\nx")],
    "classes": [
        (
            "step:make",
            (
                "class Box:\n    made = []\n    def __init__(self, n):\n        self.n = n\n        Box.made.append(self)\n\n"
                "first = Box(1)\n!printf 'make\\n' >> far.txt"
            ),
        ),
        ("step:more", "second = Box(2)\n!printf 'more\\n' >> far.txt\nsecond.peer = first"),
        ("step:end", "!printf 'end\\n' >> far.txt\n([b.n for b in Box.made], second.peer is Box.made[0], type(first) is Box)"),
    ],
    "for_each": [
        ("setup", "from holdfast import for_each"),
        (
            "step:items",
            (
                "seen = {}\ndef one(i):\n    !printf 'one {i}\\n' >> far.txt\n    !printf 'two {i}\\n' >> far.txt\n"
                "    seen[i] = i * i\n    return i\n\nlist(for_each(range(4), one, concurrency=2))"
            ),
        ),
        ("step:end", "sorted(seen.items())"),
    ],
    "branches": [
        ("step:top", "base = {'v': 1}\n!printf 'top\\n' >> far.txt"),
        ("step:left", "left = [base['v'], 'l']\n!printf 'left 1\\n' >> far.txt\n!printf 'left 2\\n' >> far.txt", {"after": ["top"]}),
        ("step:right", "right = [base['v'], 'r']\n!printf 'right 1\\n' >> far.txt\n!printf 'right 2\\n' >> far.txt", {"after": ["top"]}),
        ("step:join", "!printf 'join\\n' >> far.txt\n(left, right, base)", {"after": ["left", "right"]}),
    ],
    "python_calls": [
        ("setup", "import subprocess, datetime, uuid, random\nfrom holdfast import call"),
        (
            "step:calls",
            (
                "@call\ndef write(what):\n    with open('far.txt', 'a') as f:\n        f.write(what + '\\n')\n"
                "    return {'wrote': what}\n\n"
                "results = [write(f'call {i}') for i in range(3)]\n"
                "done = subprocess.run(['sh', '-c', 'echo sub >> far.txt; echo out; exit 3'], capture_output=True, text=True)\n"
                "(results, done.returncode, done.stdout)"
            ),
        ),
        (
            "step:loops",
            (
                "total = 0\nwhile total < 3:\n    total += 1\n    try:\n        write('call 0' if total == 2 else f'loop {total}')\n"
                "    except Exception as error:\n        print(error)\ntotal"
            ),
        ),
    ],
    "generators": [
        (
            "step:start",
            "numbers = (n * n for n in range(10))\nit = iter([1, 2, 3])\nnext(numbers); next(it)\n!printf 'start\\n' >> far.txt",
        ),
        ("step:next", "a = next(numbers)\n!printf 'next {a}\\n' >> far.txt\nb = next(it)"),
        ("step:end", "!printf 'end\\n' >> far.txt\n(a, b, next(numbers), list(it))"),
    ],
    "bash": [
        ("step:script", "%%bash\nprintf 'script\\n' >> far.txt\necho said"),
        ("step:captured", "lines = !printf 'one\\ntwo\\n' && printf 'captured\\n' >> far.txt\nlines"),
        ("step:system", "import os\nos.system(\"printf 'system\\n' >> far.txt\")\nlines.s"),
    ],
}


def printed(path: Path) -> list[Any]:
    """What the cells of an output notebook show."""
    found = []
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "stream":
                found.append("".join(output["text"]))
            elif output["output_type"] == "execute_result":
                found.append("".join(output["data"]["text/plain"]))
            elif output["output_type"] == "error":
                found.append(output["ename"])
    return found


SHORT = {"no_tags", "for_each", "branches", "python_calls"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in SHORT else [pytest.mark.slow]) for n in RUNBOOKS])
def test_replay_always(tmp_path: Path, name: str) -> None:
    seen = {}
    for how, faults in {"quiet": "", "cut": "call.after_outcome=kill"}.items():
        folder = tmp_path / how
        folder.mkdir()
        sandbox = Sandbox(folder)
        result = sandbox.holdfast("run", sandbox.notebook(name, RUNBOOKS[name]), "--id", "x", "--json", faults=faults, timeout=240)
        assert result.status == 0, result
        sandbox.assert_laws("x")
        seen[how] = (Counter((folder / "far.txt").read_text().splitlines()), printed(folder / ".holdfast" / "outputs" / "x.ipynb"))
        assert len(sandbox.struck()) >= (2 if faults else 0)
    assert seen["cut"][0] == seen["quiet"][0], "effects"
    assert max(seen["cut"][0].values()) == 1 or name == "python_calls"
    assert seen["cut"][1] == seen["quiet"][1], "outputs"


@pytest.mark.slow
def test_replay_always_over_a_shipped_runbook(tmp_path: Path) -> None:
    book = Path(__file__).parents[2] / "runbooks" / "aws" / "delete-unattached-volumes.ipynb"
    with find(book).stage(tmp_path) as stage:
        performance = Performance(book, stage, tmp_path)
        assert performance.play("call.after_outcome=kill") == "succeeded", performance.last
        assert len(performance.sandbox.struck()) >= 40
        assert len(stage.effects()) == 26
        assert set(stage.effects().values()) == {1}
