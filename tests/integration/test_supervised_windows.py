"""Every window between an intent and a command's end is told apart by what the supervisor left."""

from __future__ import annotations

import marshal
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.supervised import Command, Supervised
from holdfast.errors import Fenced, OutcomeUnknownError
from holdfast.executions.running import end_commands, held, send
from holdfast.foundation import process


def attempt(owner: Supervised, number: int = 1, **more: Any) -> Attempt:
    return Attempt(execution="x", step="s", call="k~1", number=number, idempotency_key="t", origin=owner.origin, **more)


def sh(line: str, **more: Any) -> Command:
    return Command(argv=["/bin/sh", "-c", line], mode="separate", capture=True, **more)


def folder(owner: Supervised) -> Path:
    (found,) = owner.root.glob("x.k~1.1.*")
    return found


def wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"{path} never came"
        time.sleep(0.01)


def start_in_another_process(root: Path, line: str) -> subprocess.Popen[str]:
    """A kernel that starts a command and is killed while it follows it."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom holdfast.durable.interceptor import Attempt\n"
        "from holdfast.durable.interceptors.supervised import Command, Supervised\n"
        f"s = Supervised(Path({str(root)!r}))\n"
        "a = Attempt(execution='x', step='s', call='k~1', number=1, idempotency_key='t', origin=s.origin)\n"
        f"s.run(Command(argv=['/bin/sh', '-c', {line!r}], mode='separate', capture=True), a, lambda n, d: print(d.decode(), flush=True))\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def begun_by_one_that_was_killed(root: Path, line: str) -> None:
    """A command of a process that was killed once the command had said something."""
    kernel = start_in_another_process(root, line)
    assert kernel.stdout is not None
    kernel.stdout.readline()
    kernel.kill()
    kernel.wait()
    kernel.stdout.close()


def test_never_started_is_known_and_made_final(tmp_path: Path) -> None:
    first, second = Supervised(tmp_path), Supervised(tmp_path)
    found = second.probe(sh("true"), attempt(second))
    assert found is not None
    assert not found.happened
    with pytest.raises(Fenced):  # the first process wakes up and wants to start what it was about to
        first.run(sh(f"echo twice >> {tmp_path}/effects"), attempt(first))
    assert not (tmp_path / "effects").exists()
    second.run(sh(f"echo once >> {tmp_path}/effects"), attempt(second, number=2))
    assert (tmp_path / "effects").read_text() == "once\n"


def test_killed_between_folder_and_supervisor(tmp_path: Path) -> None:
    first, second = Supervised(tmp_path), Supervised(tmp_path)
    first._claim_folder(attempt(first))
    found = second.probe(sh("true"), attempt(second))
    assert found is not None
    assert not found.happened


def test_a_supervisor_that_comes_too_late_does_not_run_the_command(tmp_path: Path) -> None:
    first, second = Supervised(tmp_path), Supervised(tmp_path)
    place = first._claim_folder(attempt(first))
    found = second.probe(sh("true"), attempt(second))
    assert found is not None
    assert not found.happened
    with first._spawn(sh(f"echo twice >> {tmp_path}/effects"), place) as child:
        child.popen.wait(20)
        with pytest.raises(Fenced):
            first._follow(place, None, True, child, None)
    assert not (tmp_path / "effects").exists()


def test_a_command_still_running_is_followed(tmp_path: Path) -> None:
    kernel = start_in_another_process(
        tmp_path, f"echo begun; echo once >> {tmp_path}/effects; while ! test -e {tmp_path}/go; do sleep 0.02; done; echo done; exit 4"
    )
    assert kernel.stdout is not None
    assert kernel.stdout.readline() == "begun\n"
    kernel.kill()
    kernel.wait()
    owner = Supervised(tmp_path)
    seen: list[bytes] = []

    def sink(stream: int, data: bytes) -> None:
        seen.append(data)
        (tmp_path / "go").touch()

    found = owner.probe(sh("true"), attempt(owner), sink)
    kernel.stdout.close()
    assert found is not None
    assert found.happened
    assert found.value["status"] == 4
    assert b"".join(seen) == b"begun\ndone\n"
    assert (tmp_path / "effects").read_text() == "once\n"


def test_a_command_that_ended_meanwhile_is_taken_as_it_ended(tmp_path: Path) -> None:
    begun_by_one_that_was_killed(tmp_path, "echo begun; sleep 0.1; kill -TERM $$")
    owner = Supervised(tmp_path)
    wait_for(folder(owner) / "end")
    found = owner.probe(sh("true"), attempt(owner))
    assert found is not None
    assert found.value == {"status": -15, "frames": [[1, b"begun\n"]]}


def test_only_a_dead_supervisor_without_an_end_is_unknown(tmp_path: Path) -> None:
    kernel = start_in_another_process(tmp_path, "echo begun; sleep 30")
    assert kernel.stdout is not None
    kernel.stdout.readline()
    owner = Supervised(tmp_path)
    place = folder(owner)
    pid = marshal.loads((place / "start").read_bytes())["pid"]
    kernel.kill()
    kernel.wait()
    kernel.stdout.close()
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while held(place) and time.monotonic() < until:
        time.sleep(0.01)
    assert owner.probe(sh("true"), attempt(owner)) is None
    send(place, signal.SIGKILL)


def test_a_supervisor_killed_while_its_kernel_follows_is_unknown(tmp_path: Path) -> None:
    owner = Supervised(tmp_path)

    def sink(stream: int, data: bytes) -> None:
        os.kill(marshal.loads((folder(owner) / "start").read_bytes())["pid"], signal.SIGKILL)

    with pytest.raises(OutcomeUnknownError, match="HF310"):
        owner.run(sh("echo begun; sleep 30"), attempt(owner), sink)
    send(folder(owner), signal.SIGKILL)


def test_traces_of_another_state_folder_prove_nothing(tmp_path: Path) -> None:
    here, there = Supervised(tmp_path / "here"), Supervised(tmp_path / "there")
    assert here.origin != there.origin
    assert here.probe(sh("true"), attempt(there)) is None
    assert here.probe(sh("true"), Attempt(execution="x", step="s", call="k~1", number=1, idempotency_key="t")) is None
    assert Supervised(tmp_path / "here").origin == here.origin


def test_after_a_restart_of_the_machine_nobody_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = start_in_another_process(tmp_path, "echo begun; sleep 30")
    assert kernel.stdout is not None
    kernel.stdout.readline()
    owner = Supervised(tmp_path)
    before = attempt(owner)
    monkeypatch.setattr(process, "boot_id", lambda: "another-boot.1")
    lost = Attempt(execution="x", step="s", call="lost~1", number=1, idempotency_key="t", origin=before.origin)
    assert owner.probe(sh("true"), lost) is None, "a power cut may have lost the traces"
    assert owner.probe(sh("true"), attempt(owner)) is None
    send(folder(owner), signal.SIGTERM)
    wait_for(folder(owner) / "end")
    found = owner.probe(sh("true"), before)  # an end counts whenever it was written
    assert found is not None
    assert found.value["status"] == -15
    with open(folder(owner) / "out", "r+b") as out:
        out.truncate(3)
    assert owner.probe(sh("true"), before) is None, "the output was not all on the disk"
    (folder(owner) / "end").write_bytes(b"")
    assert owner.probe(sh("true"), before) is None
    kernel.wait()
    kernel.stdout.close()


def test_a_read_is_simply_made_again(tmp_path: Path) -> None:
    first, second = Supervised(tmp_path), Supervised(tmp_path)
    begun_by_one_that_was_killed(tmp_path, "echo old; sleep 30")
    assert second.run(sh("echo new"), attempt(second))["frames"] == [[1, b"new\n"]]
    wait_for(first.root / "x.k~1.1.0" / "end")  # the old one was ended
    assert marshal.loads((first.root / "x.k~1.1.0" / "end").read_bytes())["status"] == -15


def test_an_idempotent_command_begun_before_is_found_again(tmp_path: Path) -> None:
    first, second = Supervised(tmp_path), Supervised(tmp_path)
    first.run(sh(f"echo once >> {tmp_path}/effects; echo out"), attempt(first))
    value = second.run(sh(f"echo twice >> {tmp_path}/effects"), attempt(second, resumed=True))
    assert value["frames"] == [[1, b"out\n"]]
    assert (tmp_path / "effects").read_text() == "once\n"


def test_start_and_forget(tmp_path: Path) -> None:
    owner = Supervised(tmp_path)
    value = owner.run(sh("cat; echo err >&2", stdin=b"given"), attempt(owner))
    assert value == {"status": 0, "frames": [[1, b"given"], [2, b"err\n"]]}
    assert not (folder(owner) / "in").exists(), "what a command read may hold secrets"
    owner.forget(attempt(owner), value)
    assert [p.name for p in owner.root.iterdir()] == ["id"]


def test_what_cannot_be_executed(tmp_path: Path) -> None:
    owner = Supervised(tmp_path)
    value = owner.run(Command(argv=["no-such-program"], mode="merged"), attempt(owner))
    assert value["errno"] == 2
    (tmp_path / "file").write_text("")
    value = owner.run(Command(argv=[str(tmp_path / "file")], mode="pty"), attempt(owner, number=2))
    assert value["errno"] == 13


def test_the_command_gets_vanilla_signals_and_no_descriptors(tmp_path: Path) -> None:
    owner = Supervised(tmp_path)
    value = owner.run(sh("grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd"), attempt(owner))
    text = b"".join(data for _, data in value["frames"]).decode()
    of_the_c_library = 0b11 << 31  # signals 32 and 33, which posix_spawn sets to ignored and no program can use
    assert [int(line.split()[1], 16) & ~of_the_c_library for line in text.splitlines()[:2]] == [0, 0]
    assert text.split("\n", 2)[2].split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def test_the_commands_of_a_cancelled_execution_can_be_ended(tmp_path: Path) -> None:
    kernel = start_in_another_process(tmp_path, "echo begun; sleep 60")
    assert kernel.stdout is not None
    kernel.stdout.readline()
    assert end_commands(tmp_path, "another") == 0
    assert end_commands(tmp_path, "x") == 1
    assert kernel.wait(20) == 0, "its kernel saw it end"
    kernel.stdout.close()
    deadline = time.monotonic() + 20
    while end_commands(tmp_path, "x") != 0:  # its supervisor writes the outcome and goes
        assert time.monotonic() < deadline, "nothing is left to end"


def test_what_ended_long_ago_is_removed(tmp_path: Path) -> None:
    owner = Supervised(tmp_path)
    owner.run(sh("true"), attempt(owner))
    Supervised(tmp_path)
    assert (folder(owner) / "end").exists()
    os.utime(folder(owner) / "end", (0, 0))
    Supervised(tmp_path)
    assert list(owner.root.glob("x.*")) == []


def test_a_timeout_kills(tmp_path: Path) -> None:
    owner = Supervised(tmp_path)
    value = owner.run(sh("echo part; sleep 60"), attempt(owner), timeout=0.3)
    assert value["timed_out"]
    assert value["status"] == -9
    assert value["frames"] == [[1, b"part\n"]]


def test_the_state_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="HF214"):
        _ = Supervised(tmp_path / "file").origin


def test_a_full_disk_does_not_stop_the_command(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom holdfast.durable.interceptor import Attempt\n"
        "from holdfast.durable.interceptors.supervised import Command, Supervised\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"s = Supervised(Path({str(tmp_path)!r}))\n"
        "a = Attempt(execution='x', step='s', call='k~1', number=1, idempotency_key='t', origin=s.origin)\n"
        "v = s.run(Command(argv=['/bin/sh', '-c', 'seq 1 100000; exit 5'], mode='separate', capture=True), a)\n"
        "print(v['status'], v['lost'] + len(v['frames'][0][1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "5 588895\n"  # every byte was read; those that could not be kept were counted
