"""subprocess, os and asyncio do durably what they do without Holdfast; a replay starts nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.durable.interceptors.subprocess import SubprocessInterceptor
from holdfast.testing.recorders import MemoryRecorder

PIPE = subprocess.PIPE


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryRecorder]:
    monkeypatch.chdir(tmp_path)
    recorder = MemoryRecorder(tmp_path / "state")
    interceptor = SubprocessInterceptor()
    interceptor.install(recorder)
    yield recorder
    interceptor.uninstall()


def fields(done: subprocess.CompletedProcess[Any]) -> Any:
    return done.args, done.returncode, done.stdout, done.stderr


def raised(do: Callable[[], Any]) -> Any:
    try:
        do()
    except Exception as e:
        return type(e), str(e), getattr(e, "output", None), getattr(e, "stderr", None), getattr(e, "filename", None)
    raise AssertionError("nothing was raised")


def popen_lines() -> Any:
    with subprocess.Popen("echo 1; echo 2 >&2; kill -9 $$", shell=True, stdout=PIPE, stderr=PIPE, text=True) as p:
        return list(p.stdout or ()), (p.stderr.read() if p.stderr else ""), p.wait(), p.args


def popen_ended() -> Any:
    p = subprocess.Popen(["sleep", "60"])
    alive = p.poll()
    p.terminate()
    return alive, p.wait(timeout=20), p.poll()


def popen_timeout() -> Any:
    p = subprocess.Popen(["sleep", "60"])
    error = raised(lambda: p.wait(timeout=0.05))
    p.send_signal(signal.SIGINT)
    return error, p.wait()


def into_file() -> Any:
    with open("out.txt", "w") as file:
        file.write("before\n")
        subprocess.run(["echo", "to file"], stdout=file, check=True)
        file.write("after\n")
    return Path("out.txt").read_text()


def from_file() -> Any:
    Path("in.txt").write_text("given")
    with open("in.txt") as file:
        return subprocess.run(["cat"], stdin=file, stdout=PIPE, check=True).stdout


def in_asyncio() -> Any:
    async def play() -> Any:
        one = await asyncio.create_subprocess_shell("cat; exit 7", stdin=PIPE, stdout=PIPE)
        two = await asyncio.create_subprocess_exec("echo", "exec", stdout=PIPE)
        return await one.communicate(b"fed"), one.returncode, await two.communicate(), two.returncode

    return asyncio.run(play())


CASES: dict[str, Callable[[], Any]] = {
    "run": lambda: fields(subprocess.run(["echo", "a b"], capture_output=True, text=True)),
    "run_bytes": lambda: fields(subprocess.run(["printf", r"\r\n\377"], stdout=PIPE)),
    "run_newlines": lambda: fields(subprocess.run(["printf", r"a\r\nb\rc"], stdout=PIPE, text=True)),
    "run_shell": lambda: fields(subprocess.run("echo x; echo y >&2; exit 3", shell=True, stdout=PIPE, stderr=subprocess.STDOUT)),
    "run_separate": lambda: fields(subprocess.run("echo x; echo y >&2; exit 3", shell=True, stdout=PIPE, stderr=PIPE)),
    "run_shell_list": lambda: fields(subprocess.run(["echo $0 $1", "zero", "one"], shell=True, stdout=PIPE, text=True)),
    "run_input": lambda: fields(subprocess.run(["cat"], input="grün", stdout=PIPE, encoding="latin-1")),
    "run_env": lambda: fields(subprocess.run("echo $A:$HOME", shell=True, env={"A": "1"}, stdout=PIPE, text=True)),
    "run_cwd": lambda: fields(subprocess.run(["pwd"], cwd="/", stdout=PIPE, text=True)),
    "run_devnull": lambda: fields(subprocess.run("echo x; echo y >&2", shell=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)),
    "run_no_stdin": lambda: fields(subprocess.run(["cat"], stdin=subprocess.DEVNULL, stdout=PIPE)),
    "run_signal": lambda: subprocess.run("kill -15 $$", shell=True).returncode,
    "run_check": lambda: raised(lambda: subprocess.run("echo o; echo e >&2; exit 2", shell=True, capture_output=True, check=True)),
    "run_timeout": lambda: raised(lambda: subprocess.run("echo part; sleep 60", shell=True, stdout=PIPE, timeout=0.5)),
    "run_missing": lambda: raised(lambda: subprocess.run(["no-such-program"])),
    "run_forbidden": lambda: raised(lambda: subprocess.run(["/etc/passwd"])),
    "run_no_folder": lambda: raised(lambda: subprocess.run(["true"], cwd="/no/such/folder")),
    "run_both_inputs": lambda: raised(lambda: subprocess.run(["cat"], stdin=PIPE, input=b"")),
    "run_both_outputs": lambda: raised(lambda: subprocess.run(["cat"], stdout=PIPE, capture_output=True)),
    "call": lambda: (subprocess.call(["true"]), subprocess.call("exit 4", shell=True)),
    "check_call": lambda: raised(lambda: subprocess.check_call(["false"])),
    "check_output": lambda: subprocess.check_output(["cat"], input=b"in"),
    "getoutput": lambda: (subprocess.getoutput("echo a; echo b >&2"), subprocess.getstatusoutput("echo q; exit 2")),
    "os_system": lambda: (os.system("exit 4"), os.system("kill -9 $$")),
    "os_popen": lambda: os.popen("echo pop").read(),
    "os_popen_status": lambda: (lambda p: (p.read(), p.close()))(os.popen("exit 3")),
    "popen": popen_lines,
    "popen_ended": popen_ended,
    "popen_communicate": lambda: subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE).communicate(b"fed"),
    "popen_missing": lambda: raised(lambda: subprocess.Popen(["no-such-program"])),
    "popen_cwd": lambda: subprocess.Popen(["pwd"], cwd="/", stdout=PIPE, text=True).communicate(),
    "popen_setsid": lambda: subprocess.Popen(["echo", "s"], preexec_fn=os.setsid, stdout=PIPE).communicate(),  # noqa: PLW1509
    "into_file": into_file,
    "from_file": from_file,
    "asyncio": in_asyncio,
}


@pytest.mark.parametrize("name", CASES)
def test_same_as_without_holdfast_and_on_a_replay(name: str, recorder: MemoryRecorder) -> None:
    play = CASES[name]
    with recorder.off():
        vanilla = play()
    first = play()
    made = len(recorder.made)
    recorder.rewind()
    replayed = play()
    assert first == vanilla
    assert replayed == vanilla
    assert recorder.made == []
    assert made >= (0 if "both" in name else 1)


def test_waiting_and_signals(recorder: MemoryRecorder) -> None:
    with recorder.off():
        vanilla = popen_timeout()
    assert popen_timeout() == vanilla


def test_what_is_not_captured_is_shown(recorder: MemoryRecorder, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        subprocess.run("echo out; echo err >&2", shell=True)
        os.system("echo system")
        shown = capsys.readouterr()
        assert shown.out == "out\nsystem\n"
        assert shown.err == "err\n"
        recorder.rewind()


def test_the_effect_is_by_the_table_of_commands(recorder: MemoryRecorder) -> None:
    subprocess.run(["cat", "/dev/null"])
    subprocess.run("cat /dev/null | sort", shell=True)
    subprocess.run("true && rm -f x", shell=True)
    assert [r.effect for r in recorder.made] == ["read", "read", "write"]


def test_modules_that_ask_while_they_are_imported_are_not_recorded(
    recorder: MemoryRecorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "asks_on_import.py").write_text("import subprocess\nSAID = subprocess.check_output(['echo', 'x'])\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import asks_on_import  # type: ignore[import-not-found]

    assert asks_on_import.SAID == b"x\n"
    assert recorder.records == {}


def test_helpers_that_hand_out_credentials_are_not_recorded(recorder: MemoryRecorder) -> None:
    with subprocess.Popen(["echo", "token"], stdout=PIPE, env={"KUBERNETES_EXEC_INFO": "{}", "PATH": os.defpath}) as p:
        assert p.communicate()[0] == b"token\n"
    assert recorder.records == {}


def test_a_process_started_before_a_crash_is_found_again(recorder: MemoryRecorder, tmp_path: Path) -> None:
    line = f"echo begun >> {tmp_path}/effects; echo one; while ! test -e {tmp_path}/go; do sleep 0.02; done; echo two; exit 3"
    p = subprocess.Popen(line, shell=True, stdout=PIPE, text=True)
    assert p.stdout is not None
    assert p.stdout.readline() == "one\n"
    os.kill(p.pid, signal.SIGKILL)  # what stands in for it in this kernel dies with the kernel
    p.wait()
    p.stdout.close()
    recorder.forget_outcome()
    again = subprocess.Popen(line, shell=True, stdout=PIPE, text=True)
    (tmp_path / "go").touch()
    assert again.communicate()[0] == "one\ntwo\n"
    assert again.returncode == 3
    assert (tmp_path / "effects").read_text() == "begun\n"
