"""Kernels forked by a nursery: the same as those started afresh, and gone when their engine is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.testing.sandbox import Sandbox

LOOK = """\
import os, sys, random, json, __main__
class Thing:
    def __init__(self): self.x = [1, {'two'}]
thing = Thing()
words = !echo hello
told = {
    'argv': [os.path.basename(a) for a in sys.argv[:2]], 'main': __main__.__name__, 'thing': __main__.Thing is Thing,
    'path': sys.path[0] in ('', os.getcwd()), 'cwd': os.getcwd(), 'word': os.environ.get('WORD'), 'words': list(words),
    'foreign': [m for m in sys.modules if m.startswith('dagster')],
    'set': list({'a', 'b', 'c', 'd'}), 'session': os.getsid(0) == os.getpid(), 'shell': type(get_ipython()).__name__,
}
print('TOLD', json.dumps(told, sort_keys=True))
print('DICE', random.Random().random(), random.random())
"""


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """One, and its socket. It may have packages from ``late-packages``."""
    place = tmp_path / "n"
    (tmp_path / "late-packages").mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONPATH": str(tmp_path / "late-packages")}
    command = [sys.executable, "-m", "holdfast.kernel.nursery", str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as process:
        Sandbox.until(None, place.exists, "the nursery")  # type: ignore[arg-type]
        yield process, place
        process.kill()


def late(folder: Path) -> dict[str, str]:
    """What the interpreters are given, so that it is as the nursery's."""
    return {"PYTHONPATH": str(folder / "late-packages")}


def told(sandbox: Sandbox, execution: str) -> tuple[dict[str, Any], list[str]]:
    """What the runbook said."""
    output = json.loads((sandbox.folder / ".holdfast" / "outputs" / f"{execution}.ipynb").read_text())
    text = "".join("".join(o.get("text", "")) for cell in output["cells"] for o in cell.get("outputs", []))
    (line,) = [line for line in text.splitlines() if line.startswith("TOLD ")]
    (dice,) = [line for line in text.splitlines() if line.startswith("DICE ")]
    return json.loads(line.removeprefix("TOLD ")), dice.split()[1:]


def parents(sandbox: Sandbox, execution: str) -> list[int]:
    """Of the kernels of an execution: who forked or started them (0: it has ended)."""
    found = []
    for entry in sandbox.entries(execution):
        if entry.data.get("what") == "kernel_started":
            pid = entry.data["pid"]
            found.append(psutil.Process(pid).ppid() if psutil.pid_exists(pid) else 0)
    return found


def test_a_forked_kernel_is_as_one_started_afresh(tmp_path: Path, nursery: tuple[subprocess.Popen[bytes], Path]) -> None:
    _, place = nursery
    sandbox = Sandbox(tmp_path, environment={"WORD": "given", **late(tmp_path)})
    book = sandbox.notebook("looks", [("step:look", LOOK), ("step:again", "assert thing.x == [1, {'two'}]")])
    assert sandbox.holdfast("run", book, "--id", "cold").status == 0
    sandbox.environment["HOLDFAST_KERNEL_NURSERY"] = str(place)
    for name in ("one", "two"):
        assert sandbox.holdfast("run", book, "--id", name).status == 0
    cold, one, two = (told(sandbox, name) for name in ("cold", "one", "two"))
    assert one[0] == two[0] == cold[0]
    assert cold[0]["word"] == "given" and cold[0]["foreign"] == []
    assert len({*cold[1], *one[1], *two[1]}) == 6, "no random state is shared"
    for name in ("cold", "one", "two"):
        sandbox.assert_laws(name)


def test_a_forked_kernel_ends_with_its_engine_and_not_with_the_nursery(
    tmp_path: Path, nursery: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, place = nursery
    sandbox = Sandbox(tmp_path, environment={"HOLDFAST_KERNEL_NURSERY": str(place), **late(tmp_path)})
    reached, go = tmp_path / "reached", tmp_path / "go"
    wait = f"import os, time\nopen({str(reached)!r}, 'a').write('x')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.05)"
    book = sandbox.notebook("waits", [("step:wait", wait), ("step:end", "1")])
    engine = sandbox.start("run", book, "--id", "x")
    sandbox.until(reached.exists, "the first kernel")
    assert parents(sandbox, "x") == [process.pid]
    (first,) = [e.data["pid"] for e in sandbox.entries("x") if e.data.get("what") == "kernel_started"]
    process.send_signal(signal.SIGSTOP)  # it can say nothing to anybody
    sandbox.kill(engine, kernels=False)
    sandbox.until(lambda: not psutil.pid_exists(first) or psutil.Process(first).status() == "zombie", "the kernel to follow its engine")
    process.send_signal(signal.SIGCONT)
    engine = sandbox.start("resume", "x")
    sandbox.until(lambda: len(reached.read_text()) == 2, "the second kernel")
    assert parents(sandbox, "x")[-1] == process.pid
    process.kill()
    process.wait()
    go.touch()
    out, err = engine.communicate(timeout=120)
    assert engine.returncode == 0, out + err
    assert sandbox.holdfast("run", book, "--id", "y").status == 0, "without a nursery they are started the usual way"
    sandbox.assert_laws("x")


def test_what_a_fork_cannot_have_is_started_afresh(tmp_path: Path, nursery: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, place = nursery
    sandbox = Sandbox(tmp_path, environment={"HOLDFAST_KERNEL_NURSERY": str(place), **late(tmp_path), "PYTHONINTMAXSTRDIGITS": "5000"})
    gate = tmp_path / "gate"
    wait = f"import os, sys, time\nassert sys.get_int_max_str_digits() == 5000\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    book = sandbox.notebook("waits", [("step:wait", wait)])
    engine = sandbox.start("run", book, "--id", "x")
    sandbox.until(lambda: sandbox.status("x") and parents(sandbox, "x"), "the kernel")
    assert parents(sandbox, "x") == [engine.pid] != [process.pid]
    gate.touch()
    engine.communicate(timeout=120)
    assert engine.returncode == 0


PLUGIN = """\
class Late:
    name, modules = "late", ("decimal",)
    def install(self, recorder): print("LATE is in place")
    def uninstall(self): pass
"""


def test_an_interceptor_that_is_installed_later_is_in_place(tmp_path: Path, nursery: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, place = nursery
    sandbox = Sandbox(tmp_path, environment={"HOLDFAST_KERNEL_NURSERY": str(place), **late(tmp_path)})
    book = sandbox.notebook(
        "looks", [("step:look", "import decimal, os, sys; print('LATE' if 'late' in sys.modules else 'nothing', os.getppid())")]
    )

    def said(execution: str) -> list[str]:
        assert sandbox.holdfast("run", book, "--id", execution).status == 0
        output = json.loads((sandbox.folder / ".holdfast" / "outputs" / f"{execution}.ipynb").read_text())
        return "".join("".join(o.get("text", "")) for cell in output["cells"] for o in cell.get("outputs", [])).split()

    assert said("before") == ["nothing", str(process.pid)]
    announced = tmp_path / "late-packages" / "late-1.dist-info"
    announced.mkdir()
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1\n")
    (announced / "entry_points.txt").write_text("[holdfast.interceptors]\nlate = late:Late\n")
    (announced.parent / "late.py").write_text(PLUGIN)
    assert "LATE" in said("after")
    assert process.wait(60) == 0, "its memory is of before, so it has ended"
