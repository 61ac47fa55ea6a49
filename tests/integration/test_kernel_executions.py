"""A real kernel as worker of its execution: begun, resumed, taken over, lost, ended."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.execution import Execution, Mode, Status
from holdfast.testing.kernels import VANILLA, Front


def notebook_of(folder: Path, cells: Iterable[tuple[str, str]], **tags: list[str]) -> Path:
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": i, "source": s, "metadata": {"tags": tags.get(i, [])}, "outputs": [], "execution_count": None}
        for i, s in cells
    ]
    path = folder / "n.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@contextmanager
def journal(folder: Path) -> Iterator[Store]:
    """The kernel's journal, opened beside it."""
    store = open_store(f"sqlite:///{folder}/.holdfast/journal.db", key_file=folder / ".holdfast" / "key")
    try:
        yield store
    finally:
        store.close()


def executions(folder: Path) -> list[Execution]:
    with journal(folder) as store:
        return store.headers(newest_first=False)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


EFFECT = "!echo once >> effects\n"
#: Kills the kernel, but only once.
DIE = """import os, pathlib, signal
if pathlib.Path('fuse').exists():
    pathlib.Path('fuse').unlink()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_run_all_after_a_kill_resumes_and_nothing_happens_twice(tmp_path: Path) -> None:
    """The kernel dies in the middle of the second cell, after its first effect."""
    effects, fuse = tmp_path / "effects", tmp_path / "fuse"
    cells = [("a", f"x = [1]\n{EFFECT}"), ("b", f"x.append(2)\n{EFFECT}{DIE}{EFFECT}x"), ("c", f"{EFFECT}x")]
    path = notebook_of(tmp_path, cells)
    fuse.touch()
    with Front(tmp_path, notebook=path) as front:
        assert front.run(cells[0][1], "a").state == "ran"
        front.send(cells[1][1], "b")
        front.wait_until_dead()
    assert lines(effects) == 2
    with Front(tmp_path, notebook=path) as front:
        ran = front.run_all(cells)
        assert [r.state for r in ran.values()] == ["skipped", "ran", "ran"]
        assert ran["c"].result == "[1, 2]"
        [banner] = ran["a"].notices
    assert lines(effects) == 4
    [header] = executions(tmp_path)
    assert header.status == Status.SUCCEEDED
    assert header.mode is Mode.INTERACTIVE
    assert header.id in banner
    assert "1 of 3 steps" in banner
    assert "%holdfast new" in banner


def test_an_ended_execution_is_followed_by_a_new_one_in_a_new_kernel_only(tmp_path: Path) -> None:
    cells = [("a", EFFECT), ("b", EFFECT)]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path) as front:
        assert [r.state for r in front.run_all(cells).values()] == ["ran", "ran"]
        assert [r.state for r in front.run_all(cells).values()] == ["skipped", "skipped"]
        front.shutdown()
    assert lines(tmp_path / "effects") == 2
    with Front(tmp_path, notebook=path) as front:
        ran = front.run_all(cells)
        assert [r.state for r in ran.values()] == ["ran", "ran"]
        assert not any(r.notices for r in ran.values())
    assert lines(tmp_path / "effects") == 4
    assert [h.status for h in executions(tmp_path)] == [Status.SUCCEEDED, Status.SUCCEEDED]


def test_a_cell_added_after_the_end_takes_the_execution_up_again(tmp_path: Path) -> None:
    cells = [("a", "x = 1")]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path) as front:
        front.run_all(cells)
        assert executions(tmp_path)[0].status == Status.SUCCEEDED
        assert front.run("y = x + 1", "unsaved").state == "ran"
        front.run("1/0", "failing")
        notebook_of(tmp_path, [*cells, ("unsaved", "y = x + 1"), ("failing", "1/0")])
        front.kill()
    with Front(tmp_path, notebook=path) as front:
        assert front.run("y = x + 1", "unsaved").state == "skipped"
        assert front.run("y", "look").result == "2"
    assert len(executions(tmp_path)) == 1


def test_an_edited_cell_runs_again_and_makes_what_reads_from_it_stale(tmp_path: Path) -> None:
    cells = [("a", f"x = 1\n{EFFECT}"), ("b", f"y = x + 1\n{EFFECT}"), ("c", f"z = 5\n{EFFECT}"), ("d", "raise SystemError")]
    path = notebook_of(tmp_path, cells)
    edited = [("a", f"x = 10\n{EFFECT}"), *cells[1:]]
    with Front(tmp_path, notebook=path) as front:
        front.run_all(cells)
        assert lines(tmp_path / "effects") == 3
        ran = front.run_all(edited)  # not saved: the text that is sent counts
        assert [r.state for r in ran.values()] == ["ran", "ran", "skipped", "failed"]
        assert "step a" in ran["b"].notices[0]
        assert front.run("x, y, z", "look").result == "(10, 11, 5)"
        front.kill()
    assert lines(tmp_path / "effects") == 3  # the same request in an edited cell is the same call
    with Front(tmp_path, notebook=path) as front:
        ran = front.run_all(edited)
        assert [r.state for r in ran.values()] == ["skipped", "skipped", "skipped", "failed"]
        assert front.run("x, y, z", "look").state == "skipped"
        assert front.run("x, y, z", "look again").result == "(10, 11, 5)"


def test_a_failed_cell_starts_again_from_the_state_it_met(tmp_path: Path) -> None:
    cells = [("a", "n = [0]"), ("b", "n.append(1); m = 2\nif len(n) < 3: raise ValueError(n)")]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path) as front:
        assert front.run_all(cells)["b"].errors[0]["evalue"] == "[0, 1]"
        assert front.run(cells[1][1], "b").errors[0]["evalue"] == "[0, 1]"
        assert front.run("n, m", "look").result == "([0, 1], 2)"  # what it left is there to be looked at
        front.kill()
    with Front(tmp_path, notebook=path) as front:
        front.run("n = [0]", "a")
        assert front.run("n, m", "look").state == "skipped"
        assert front.run("n", "other").result == "[0, 1]"  # and is part of what came after it


def test_the_second_kernel_of_a_notebook_is_told_who_has_it(tmp_path: Path) -> None:
    cells = [("a", EFFECT), ("b", "1/0")]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path) as first:
        first.run_all(cells)
        with Front(tmp_path, notebook=path) as second:
            ran = second.run(EFFECT, "a")
            assert ran.reply["status"] == "error"
            assert "HF250" in ran.reply["evalue"]
            assert str(first.pid) in ran.reply["evalue"]
            assert ran.errors
            first.shutdown()
            assert second.run(EFFECT, "a").state == "skipped"
    assert lines(tmp_path / "effects") == 1


def test_a_kernel_that_lost_its_lease_stops_in_the_middle_of_a_cell(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, [("a", "1"), ("b", "2")])
    with Front(tmp_path, notebook=path, environment={"HOLDFAST_LEASE_TTL": "0.6"}) as front:
        front.run("1", "a")
        request = front.send("import time\nprint('on', flush=True)\ntime.sleep(60)\nprint('still here')", "b")
        front.receive(request, until=lambda m: m["header"]["msg_type"] == "stream")
        with journal(tmp_path) as store:
            [header] = store.headers()
            assert store.claim(header.id, this_process("thief"), 60, dead=header.owner) is not None
        ran = front.receive(request)
        assert ran.state == "fenced"
        assert "thief" in ran.notices[0]
        assert not ran.errors
        again = front.run("print('no')", "c")
        assert again.state == "fenced"
        assert again.stdout == ""


def test_a_notebook_opened_on_an_unusable_journal_runs_nothing_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Front(tmp_path, environment={"HOLDFAST_JOURNAL": f"sqlite:///{tmp_path}/file/journal.db"}) as front:
        ran = front.run("open('made', 'w')", "a")
        assert ran.reply["status"] == "error"
        assert "HF221" in ran.errors[0]["evalue"]
        assert not (tmp_path / "made").exists()
        assert "HF221" in front.run("%holdfast status").notices[0]


def test_a_wrong_setting_is_said_at_the_first_cell(tmp_path: Path) -> None:
    with Front(tmp_path, environment={"HOLDFAST_LEASE_TTLL": "3"}) as front:
        ran = front.run("open('made', 'w')", "a")
        assert "HF201" in ran.errors[0]["evalue"]
        assert not (tmp_path / "made").exists()


def test_durable_off_is_a_plain_kernel(tmp_path: Path) -> None:
    with Front(tmp_path, environment={"HOLDFAST_DURABLE": "off"}) as front:
        assert front.run("1 + 1", "a").result == "2"
        assert front.run("1 + 1", "a").told == {}
    assert not (tmp_path / ".holdfast").exists()


def test_a_headless_client_gets_an_execution_that_ends_with_the_kernel(tmp_path: Path) -> None:
    with Front(tmp_path) as front:
        assert [front.run(code).state for code in ("x = 1", "x", "x")] == ["ran", "ran", "ran"]
        front.shutdown()
    with Front(tmp_path) as front:
        front.run("1/0")
        front.shutdown()
    assert [h.status for h in executions(tmp_path)] == [Status.SUCCEEDED, Status.FAILED]


def test_a_shut_down_kernel_leaves_its_execution_suspended_and_free(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, [("a", "1"), ("b", "2")])
    with Front(tmp_path, notebook=path) as front:
        front.run("1", "a")
        front.shutdown()
    [header] = executions(tmp_path)
    assert header.status == Status.SUSPENDED
    assert header.owner is None


def test_setup_cells_run_in_every_kernel_and_their_calls_are_answered(tmp_path: Path) -> None:
    cells = [("s", f"import json, uuid\nid = uuid.uuid4()\n{EFFECT}"), ("a", "print(id)"), ("b", "1/0")]
    path = notebook_of(tmp_path, cells, s=["setup"])
    with Front(tmp_path, notebook=path) as front:
        front.run(cells[0][1], "s", tags=["setup"])
        first = front.run_all(cells[1:])["a"].stdout
        front.kill()
    with Front(tmp_path, notebook=path) as front:
        assert front.run(cells[0][1], "s", tags=["setup"]).state == "ran"
        assert front.run("print(id)", "a").stdout == first
        assert front.run("print(json.dumps(str(id)))", "new").stdout.strip() == json.dumps(first.strip())
    assert lines(tmp_path / "effects") == 1


def test_when_and_skip_leave_cells_out(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, [("a", "n = 0"), ("b", EFFECT), ("c", EFFECT), ("d", "n")])
    with Front(tmp_path, notebook=path) as front:
        front.run("n = 0", "a")
        assert front.run(EFFECT, "b", tags=["step:maybe"], holdfast={"when": "n > 0"}).told["left_out"]
        assert front.run(EFFECT, "c", tags=["skip"]).told["left_out"]
        ran = front.run(EFFECT, "e", tags=["step:broken"], holdfast={"when": "nowhere > 0"})
        assert "HF175" in ran.errors[0]["evalue"]
        front.kill()
    with Front(tmp_path, notebook=path) as front:
        assert front.run(EFFECT, "b", tags=["step:maybe"], holdfast={"when": "n > 0"}).told["left_out"]
    assert not (tmp_path / "effects").exists()


class Counter(BaseHTTPRequestHandler):
    """Counts what arrives."""

    posts = 0

    def do_POST(self) -> None:
        type(self).posts += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Counter.posts = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Counter) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/"
        httpd.shutdown()


@pytest.mark.parametrize("verdict", ["run", "happened"])
@pytest.mark.parametrize("swallow", [False, True])
def test_an_unknown_outcome_suspends_the_cell_until_it_is_answered(tmp_path: Path, server: str, verdict: str, swallow: bool) -> None:
    """Also when the cell's own bare ``except`` catches what unwinds it."""
    post = f"urllib.request.urlopen({server!r}, data=b'x').status"
    code = f"import urllib.request\nstatus = {post}" if not swallow else f"import urllib.request\ntry: status = {post}\nexcept: pass"
    path = notebook_of(tmp_path, [("a", code), ("b", "1")])
    with Front(tmp_path, notebook=path, environment={"HOLDFAST_FAULTS": "call.after_effect=kill"}) as front:
        front.send(code, "a")
        front.wait_until_dead()
    assert Counter.posts == 1
    with Front(tmp_path, notebook=path) as front:
        ran = front.run(code, "a")
        assert ran.state == "suspended"
        assert ran.reply["ename"] == "Suspend"
        assert not ran.errors
        prompt = ran.told["prompt"]
        assert prompt in ran.notices[-1]
        assert "happened|run|skip|abort" in ran.notices[-1].replace(" ", "")
        assert prompt in front.run("%holdfast prompts").notices[0]
        assert Counter.posts == 1
        value = " --value '{\"status\": 204}'" if verdict == "happened" else ""
        assert "Answered" in front.run(f"%holdfast answer {prompt} {verdict}{value}").notices[0]
        ran = front.run(code, "a")
        assert ran.state == "ran", ran.errors
    assert Counter.posts == (2 if verdict == "run" else 1)


def test_input_is_asked_once(tmp_path: Path) -> None:
    """What a person typed is not asked for again after a crash."""
    cell = f"name = input('name? ')\n{DIE}"
    (tmp_path / "fuse").touch()
    path = notebook_of(tmp_path, [("a", "1"), ("b", cell), ("c", "name")])
    with Front(tmp_path, notebook=path) as front:
        front.send(cell, "b", stdin=True)
        asked = front.client.get_stdin_msg(timeout=60)
        assert asked["content"]["prompt"] == "name? "
        front.client.input("Ada")
        front.wait_until_dead()
    with Front(tmp_path, notebook=path) as front:
        assert front.run(cell, "b", stdin=True).state == "ran"
        assert front.run("name", "c").result == "'Ada'"


def test_an_interrupt_ends_the_cell_and_nothing_else(tmp_path: Path) -> None:
    path = notebook_of(tmp_path, [("a", "x"), ("b", "1")])
    with Front(tmp_path, notebook=path) as front:
        request = front.send("import time\nx = 1\nprint('on', flush=True)\ntime.sleep(60)", "a")
        front.receive(request, until=lambda m: m["header"]["msg_type"] == "stream")
        front.interrupt()
        ran = front.receive(request)
        assert (ran.state, ran.reply["ename"]) == ("failed", "KeyboardInterrupt")
        request = front.send("import asyncio\nprint('on', flush=True)\nawait asyncio.sleep(60)", "a")
        front.receive(request, until=lambda m: m["header"]["msg_type"] == "stream")
        front.interrupt()
        assert front.receive(request).state == "failed"
        assert front.run("x = 2", "a").state == "ran"


def test_tracebacks_show_the_author_s_frames_only(tmp_path: Path) -> None:
    code = "import urllib.request\ndef f():\n    return urllib.request.urlopen('http://127.0.0.1:9/')\nf()"
    environment = {"HOLDFAST_RETRY_COUNT": "0"}
    with Front(tmp_path, environment=environment) as front:
        for text in (code, "raise ValueError('x')", "import subprocess\nsubprocess.run(['false'], check=True)"):
            trace = "\n".join(front.run(text).errors[0]["traceback"])
            assert "holdfast" not in trace, trace


def test_the_extension_makes_a_running_plain_kernel_durable(tmp_path: Path) -> None:
    cells = [("a", f"x = [1]\n{EFFECT}print(x)"), ("b", "import os\n_ = os.write(1, b'tail')\nx"), ("c", "1/0")]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path, command=VANILLA) as front:
        assert "next cell" in front.run("%load_ext holdfast").notices[0]
        first = front.run_all(cells)
        assert [r.state for r in first.values()] == ["ran", "ran", "failed"]
        assert first["b"].stdout == "tail"
        front.kill()
    with Front(tmp_path, notebook=path, command=VANILLA) as front:
        front.run("%load_ext holdfast")
        again = front.run_all(cells)
        assert [r.state for r in again.values()] == ["skipped", "skipped", "failed"]
        assert (again["a"].stdout, again["b"].stdout, again["b"].result) == ("[1]\n", "tail", "[1]")
        assert front.run("%load_ext holdfast").reply["status"] == "ok"
        front.shutdown()
    assert lines(tmp_path / "effects") == 1
    assert executions(tmp_path)[0].status == Status.SUSPENDED


def test_a_teardown_is_run_after_a_failure_only(tmp_path: Path) -> None:
    cells = [("a", "print(1)"), ("b", EFFECT)]
    path = notebook_of(tmp_path, cells, a=["step:make"], b=["teardown:make"])
    with Front(tmp_path, notebook=path) as front:
        front.run("print(1)", "a", tags=["step:make"])
        assert front.run(EFFECT, "b", tags=["teardown:make"]).told["left_out"]
        front.run("1/0", "a", tags=["step:make"])
        assert front.run(EFFECT, "b", tags=["teardown:make"]).told.get("left_out") is None
    assert lines(tmp_path / "effects") == 1


def test_a_kernel_that_exits_by_itself_gives_its_execution_back(tmp_path: Path) -> None:
    with Front(tmp_path) as front:
        front.run("x = 1")
        front.send("exit()")
        front.wait_until_dead()
    [header] = executions(tmp_path)
    assert (header.status, header.owner) == (Status.SUCCEEDED, None)


@pytest.mark.parametrize("top_level_await", [False, True])
def test_what_cannot_be_stored_is_made_anew_by_its_cell_quietly(tmp_path: Path, top_level_await: bool) -> None:
    """A generator: its cell runs again, its effects do not, and nothing of it is shown."""
    first = "import asyncio\nawait asyncio.sleep(0)\n" if top_level_await else ""
    cells = [("a", f"{first}print('loud')\n{EFFECT}g = (n * n for n in range(10))\nnext(g), next(g)"), ("b", "next(g)"), ("c", "1/0")]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path) as front:
        assert front.run_all(cells)["b"].result == "4"
        front.kill()
    with Front(tmp_path, notebook=path) as front:
        front.run_all(cells)
        ran = front.run("print('only this'); next(g)", "d")
        assert (ran.stdout, ran.result) == ("only this\n", "9")
        assert not ran.of("display_data")
    assert lines(tmp_path / "effects") == 1


@pytest.mark.parametrize("nth", range(2, 8))
def test_whichever_commit_fails_once_going_on_ends_as_if_none_had(tmp_path: Path, nth: int) -> None:
    """A disk that is full for a moment: the cell says so, and running it again goes on."""
    cells = [("a", f"x = [1]\n{EFFECT}"), ("b", f"x.append(2)\n{EFFECT}len(x)"), ("c", "x.append(3)"), ("d", "1/0")]
    path = notebook_of(tmp_path, cells)
    with Front(tmp_path, notebook=path, environment={"HOLDFAST_FAULTS": f"journal.before_commit@{nth}=raise:OSError:28"}) as front:
        failed = 0
        for cell, code in cells[:-1]:
            while (ran := front.run(code, cell)).reply["status"] != "ok":
                failed += 1
                assert "HF502" in ran.reply["evalue"], ran.reply
                assert failed == 1
        assert failed == 1
        front.kill()
    with Front(tmp_path, notebook=path) as front:
        assert [r.state for r in front.run_all(cells).values()] == ["skipped", "skipped", "skipped", "failed"]
        assert front.run("x", "look").result == "[1, 2, 3]"
    assert lines(tmp_path / "effects") == 2
