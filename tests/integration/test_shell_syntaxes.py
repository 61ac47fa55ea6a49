"""Each notebook syntax does durably what it does without Holdfast, and a replay does it again without running anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from holdfast.durable.interceptors import shell as durable
from holdfast.durable.interceptors.subprocess import SubprocessInterceptor
from holdfast.testing.recorders import MemoryRecorder

CELLS = {
    "bang": "!echo hello; exit 3",
    "bang_tty": "!test -t 1 && test -t 0 && echo terminal; stty size; echo err >&2",
    "bang_signal": "!kill -9 $$",
    "bang_128": "!exit 130",
    "bang_expansion": "name = 'x y'\n!echo {name} $name $$HOME",
    "bang_utf8": "!printf 'gr\\303\\274n\\377\\n'",
    "bang_not_found": "!no-such-program-here",
    "bang_background": "!sleep 1 &",
    "bang_colours": "!ls --color=auto -d /tmp",
    "local_variables": (
        "def f():\n    inner = 5\n    get_ipython().system('echo {inner}')\n    return get_ipython().getoutput('echo {inner}')\nr = f()"
    ),
    "assigned": "r = !echo a; echo b >&2; exit 2",
    "assigned_fields": "r = !printf 'a 1\\nb 2\\n'\nr = (r.n, r.s, r.fields(1), r.grep('b'), type(r).__name__)",
    "double_bang": "!!echo a; echo b",
    "sx": "%sx echo a",
    "sx_cell": "%%sx\necho a\necho b",
    "system_magic": "r = %system echo a",
    "bang_cell": "%%!\necho a\necho b",
    "alias": "%mkdir -p made-here\n%ls -d made-here",
    "bash": "%%bash\necho out\necho err >&2",
    "bash_fails": "%%bash\necho out\nexit 4",
    "bash_no_raise": "%%bash --no-raise-error\nexit 4",
    "bash_variables": "%%bash --out o --err e\necho out\necho err >&2",
    "bash_arguments": "%%bash -s one two\necho $1 $2 $#",
    "sh": "%%sh\necho $0",
    "script": "%%script sort -r\na\nc\nb",
    "script_python": "%%script python3\nprint(1 + 1)",
    "script_missing": "%%script no-such-program-here\nx",
    "getoutput_raises": "get_ipython().system_raise_on_error = True\nr = !echo a; echo b >&2; exit 2",
    "system_raises": "get_ipython().system_raise_on_error = True\n!exit 2",
}


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(colors="nocolor")
    yield shell
    durable.detach(shell)
    InteractiveShell.clear_instance()


def play(shell: Any, cell: str, capfd: pytest.CaptureFixture[str]) -> Any:
    shell.user_ns.pop("_exit_code", None)
    shell.system_raise_on_error = False
    for name in ("r", "o", "e"):
        shell.user_ns.pop(name, None)
    capfd.readouterr()
    result = shell.run_cell(cell)
    out, err = capfd.readouterr()
    error = result.error_in_exec or result.error_before_exec
    kept = {name: shell.user_ns[name] for name in ("_exit_code", "r", "o", "e") if name in shell.user_ns}
    shown = out if error is None else out.partition("------")[0]
    return shown, err, type(error), str(error), kept, repr(result.result)


@pytest.mark.parametrize("name", CELLS)
def test_same_as_without_holdfast_and_on_a_replay(name: str, shell: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cell = CELLS[name]
    vanilla = play(shell, cell, capfd)
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    first = play(shell, cell, capfd)
    made = len(recorder.made)
    recorder.rewind()
    replayed = play(shell, cell, capfd)
    assert first == vanilla
    assert replayed == vanilla
    assert recorder.made == []
    assert made == (0 if name == "bang_background" else 2 if name in {"local_variables", "alias"} else 1)
    assert [p.name for p in (tmp_path / "state").glob("shell/*")] in ([], ["id"]), "traces of recorded calls are left behind"


def test_a_background_script_is_started_once(shell: Any, tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    subprocesses = SubprocessInterceptor()
    subprocesses.install(recorder)
    try:
        for _ in range(2):
            assert shell.run_cell("%%bash --bg --out o\necho begun >> effects; echo shown").success
            assert shell.run_cell("text = await o.read()").success
            assert shell.user_ns["text"] == b"shown\n"
            recorder.rewind()
    finally:
        subprocesses.uninstall()
    assert (tmp_path / "effects").read_text() == "begun\n"


def test_nothing_is_recorded_outside_a_cell(shell: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    with recorder.off():
        assert play(shell, "!echo hello", capfd)[0].split() == ["hello"]
    assert recorder.records == {}
    assert not (tmp_path / "state").exists()


def test_equal_commands_are_told_apart_by_their_order_and_place(shell: Any, tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    cell = (
        "import os\nfor n in range(3):\n    !echo x >> log\n"
        "os.makedirs('deeper', exist_ok=True)\nos.chdir('deeper')\n!echo x >> log\nos.chdir('..')"
    )
    assert shell.run_cell(cell).success
    assert (tmp_path / "log").read_text() == "x\n" * 3
    assert len(recorder.records) == 4
    recorder.rewind()
    assert shell.run_cell(cell).success
    assert (tmp_path / "log").read_text() == "x\n" * 3
    assert (tmp_path / "deeper/log").read_text() == "x\n"


def test_an_edited_command_runs(shell: Any, tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    shell.run_cell("!echo a >> log")
    recorder.rewind()
    shell.run_cell("!echo b >> log")
    assert (tmp_path / "log").read_text() == "a\nb\n"


def test_output_appears_while_the_command_runs(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    seen: list[tuple[str, bool]] = []

    class Out:
        def write(self, text: str) -> None:
            seen.append((text, (tmp_path / "go").exists()))
            (tmp_path / "go").touch()

        def flush(self) -> None:
            pass

    monkeypatch.setattr("sys.stdout", Out())
    shell.run_cell("!echo first; while ! test -e go; do sleep 0.01; done; echo second")
    assert "".join(text for text, _ in seen).split() == ["first", "second"]
    assert not seen[0][1]
    assert seen[0][0].strip() == "first"


def test_a_person_may_take_system_back(shell: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    shell.system = shell.system_raw
    assert play(shell, "!echo raw", capfd)[0] == "raw\n"
    assert recorder.records == {}


def test_long_output_is_shown_in_part_and_kept_whole(shell: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    shell.run_cell("!seq 1 2000000")
    shown = capfd.readouterr().out
    assert len(shown) < 5 << 20
    assert shown.startswith("1\r\n2\r\n")
    assert shown.rstrip().endswith("2000000")
    (kept,) = (tmp_path / "state").glob("shell/*/out")
    assert f"the whole output is kept in {kept}" in shown
    assert kept.stat().st_size > 14_000_000
    (record,) = recorder.records.values()
    assert len(record.value or b"") < 5 << 20


def test_captured_output_is_whole(shell: Any, tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    shell.run_cell("r = !seq 1 1000000")
    assert shell.user_ns["r"][-1] == "1000000"
    assert len(shell.user_ns["r"]) == 1_000_000


def test_what_a_person_says_stands_for_a_result(shell: Any) -> None:
    assert durable.outcome_of(None) == {"status": 0, "frames": []}
    assert durable.outcome_of("text") == {"status": 0, "frames": [[1, b"text"]]}
    assert durable.outcome_of(3) == {"status": 3, "frames": []}
    assert durable.outcome_of({"status": 2, "output": "no"}) == {"status": 2, "frames": [[1, b"no"]]}


def test_detached_it_is_vanilla_again(shell: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recorder = MemoryRecorder(tmp_path / "state")
    durable.attach(shell, recorder)
    durable.detach(shell)
    assert play(shell, "%%bash\necho x", capfd)[0] == "x\n"
    assert recorder.records == {}
