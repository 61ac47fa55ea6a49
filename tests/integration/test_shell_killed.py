"""The kernel is killed at each point of a command's life; the command runs once, and nobody has to be asked."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from holdfast.executions.running import send
from holdfast.testing.cells import CellRunner
from holdfast.testing.waiting import until

POINTS = [
    "call.before_intent",
    "call.after_intent",
    "shell.after_spawn",
    "call.after_effect",
    "call.after_outcome",
    "journal.before_commit",
]
SYNTAXES = {
    "bang": "!echo once >> effects; echo shown",
    "bash": "%%bash\necho once >> effects\necho shown",
    "assigned": "x = !echo once >> effects; echo shown\nprint('\\n'.join(x))",
    "run": "import subprocess\nprint(subprocess.run('echo once >> effects; echo shown', shell=True, stdout=-1, text=True).stdout)",
    "popen": "import os\nprint(os.popen('echo once >> effects; echo shown').read())",
    "asyncio": (
        "import asyncio\np = await asyncio.create_subprocess_shell('echo once >> effects; echo shown', stdout=asyncio.subprocess.PIPE)\n"
        "print((await p.communicate())[0].decode())"
    ),
}


@pytest.mark.parametrize(
    ("syntax", "point"),
    [*(("bang", p) for p in POINTS), ("popen", "call.after_intent"), ("popen", "shell.after_spawn"), ("bash", "shell.after_spawn")],
)
def test_killed_at(syntax: str, point: str, tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, SYNTAXES[syntax])
    assert runner.run(f"{point}=kill").killed
    done = runner.run()
    assert (done.status, runner.prompts()) == (0, []), done.err
    assert "shown" in done.out
    assert (tmp_path / "effects").read_text() == "once\n"
    assert runner.run().out == done.out, "a replay shows the same"
    assert (tmp_path / "effects").read_text() == "once\n"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_killed_after_the_effect(syntax: str, tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, SYNTAXES[syntax])
    assert runner.run("call.after_effect=kill").killed
    done = runner.run()
    assert (done.status, runner.prompts()) == (0, []), done.err
    assert "shown" in done.out
    assert (tmp_path / "effects").read_text() == "once\n"


@pytest.mark.parametrize("syntax", ["bang", "bash", "run", "popen"])
def test_killed_while_it_runs(syntax: str, tmp_path: Path) -> None:
    slow = SYNTAXES[syntax].replace("echo once >> effects", "echo once >> effects; while ! test -e go; do sleep 0.02; done")
    runner = CellRunner(tmp_path, slow)
    kernel = runner.start()
    until((tmp_path / "effects").exists, "effects")
    os.killpg(kernel.pid, signal.SIGKILL)
    kernel.communicate()
    second = runner.start()  # it attaches again while the command waits
    time.sleep(0.3)
    (tmp_path / "go").touch()
    out, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    assert "shown" in out
    assert (tmp_path / "effects").read_text() == "once\n"


def test_killed_again_and_again(tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, "for i in range(4):\n    !echo {i} >> effects")
    for point in ("call.after_intent", "shell.after_spawn", "call.after_effect", "call.after_outcome"):
        runner.run(f"{point}@2=kill")
    assert runner.run().status == 0
    assert (tmp_path / "effects").read_text() == "0\n1\n2\n3\n"


def test_only_a_lost_supervisor_asks_a_person(tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, "!echo $$PPID > supervisor; echo once >> effects; sleep 30\nprint('status', _exit_code)")
    kernel = runner.start()
    until((tmp_path / "effects").exists, "effects")
    os.kill(int((tmp_path / "supervisor").read_text()), signal.SIGKILL)
    out, err = kernel.communicate(timeout=30)
    assert kernel.returncode == 3, out + err
    (place,) = (tmp_path / "state/shell").glob("*.0")
    send(place, signal.SIGKILL)
    (prompt,) = runner.prompts()
    assert prompt.kind == "unknown_outcome"
    assert "echo once" in prompt.request["operation"]
    assert runner.run().status == 3, "it waits"
    runner.answer("happened", value="seen by eye")
    done = runner.run()
    assert done.status == 0, done.err
    assert "seen by eye" in done.out
    assert "status 0" in done.out
    assert (tmp_path / "effects").read_text() == "once\n"


def test_a_person_may_have_it_run(tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, "!echo $$PPID > supervisor; echo again >> effects; test -e go || sleep 30")
    kernel = runner.start()
    until((tmp_path / "effects").exists, "effects")
    os.kill(int((tmp_path / "supervisor").read_text()), signal.SIGKILL)
    kernel.communicate(timeout=30)
    (place,) = (tmp_path / "state/shell").glob("*.0")
    send(place, signal.SIGKILL)
    (tmp_path / "go").touch()
    runner.answer("run")
    assert runner.run().status == 0
    assert (tmp_path / "effects").read_text() == "again\nagain\n"


def test_a_failed_command_stays_failed_on_a_replay_and_is_made_again_in_a_new_attempt(tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, "import subprocess\nsubprocess.run('echo x >> effects; exit 3', shell=True, check=True)")
    assert runner.run().status == 1
    assert runner.run().status == 1
    assert (tmp_path / "effects").read_text() == "x\n"
    runner.attempt = 2
    assert runner.run().status == 1
    assert (tmp_path / "effects").read_text() == "x\nx\n"


def test_an_interrupt_reaches_the_command(tmp_path: Path) -> None:
    cell = "!trap 'echo caught; exit 7' INT; echo ready > ready; while true; do sleep 0.05; done\nprint('status', _exit_code)"
    runner = CellRunner(tmp_path, cell)
    kernel = runner.start()
    until((tmp_path / "ready").exists, "ready")
    os.kill(kernel.pid, signal.SIGINT)
    out, err = kernel.communicate(timeout=30)
    assert kernel.returncode == 0, err
    assert out.split() == ["caught", "status", "7"]
    assert runner.run().out.split() == ["caught", "status", "7"]


def test_secrets_of_a_command_line_are_not_in_the_journal(tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, "!true --password hunter22 https://user:hunter22@example.org/")
    assert runner.run().status == 0
    store = runner.open()
    entries = store.read("20260102-030405-cells0")
    store.close()
    assert entries
    assert all(b"hunter22" not in entry.body for entry in entries)
