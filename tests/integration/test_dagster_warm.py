"""Run workers forked from a warm server: as those started afresh, whatever becomes of the server and of the definitions."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

dg = pytest.importorskip("dagster")

from dagster._core.definitions.reconstruct import ReconstructableRepository  # noqa: E402

from holdfast.engine import identity  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402

DEFINITIONS = """\
import json, os, random, sys, threading
from pathlib import Path
import dagster as dg
{top}
LOADED = os.getpid()

@dg.op
def tell():
    files = [os.readlink(f"/proc/self/fd/{{n}}") for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{{n}}")]
    told = {{
        "version": {version}, "loaded_here": LOADED == os.getpid(), "dice": random.random(), "session": os.getsid(0) == os.getpid(),
        "cwd": os.getcwd(), "word": os.environ.get("WORD"), "argv": sys.argv[:3], "files": files,
    }}
    Path({told!r}).write_text(json.dumps(told))

@dg.job(executor_def=dg.in_process_executor)
def says():
    tell()

defs = dg.Definitions(jobs=[says])
"""


class House:
    """A home with a warm server, and one job that tells what its worker is like."""

    def __init__(self, folder: Path) -> None:
        self.home = DagsterHome(folder, warm=True)
        self.told = folder / "told.json"

    def define(self, version: int, top: str = "") -> None:
        """Write the definitions."""
        text = DEFINITIONS.format(version=version, top=top, told=str(self.told))
        (self.home.folder / "defs.py").write_text(text)

    def run(self, **environment: str) -> tuple[dict[str, Any], bool]:
        """Launch the job to its end: what it told, and whether its worker was forked."""
        self.told.unlink(missing_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.home.environment, **environment}.items():
                patch.setenv(name, value)
            patch.chdir(self.home.folder)
            instance = dg.DagsterInstance.from_config(str(self.home.home))
            found = ReconstructableRepository.for_file(str(self.home.folder / "defs.py"), "defs", str(self.home.folder))
            job = found.get_reconstructable_job("says")
            run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
            instance.launch_run(run.run_id, None)
            self.home.until(lambda: instance.get_run_by_id(run.run_id).is_finished, "the end of the run")
            assert instance.get_run_by_id(run.run_id).status.value == "SUCCESS"
            started = [e.message for e in instance.all_logs(run.run_id) if "Started dagster-" in e.message]
            instance.dispose()
        return json.loads(self.told.read_text()), started[0].endswith(", warm")

    def until_warm(self) -> str:
        """Wait for the server; which process it is."""
        self.home.until(self.home.warm_server, "the warm server")
        found = self.home.warm_server()
        assert found
        return found

    def sockets(self) -> set[str]:
        """What the server and its children have open to talk with one another."""
        server = identity.parse(self.until_warm())
        assert server is not None
        process = psutil.Process(server.pid)
        folders = [Path(f"/proc/{p.pid}/fd") for p in (process, *process.children(recursive=True))]
        return {os.readlink(f) for folder in folders for f in folder.iterdir() if os.path.lexists(f)}

    def until_templated(self) -> dict[str, Any]:
        """Launch until a worker comes from a process that had loaded the definitions already."""
        told: list[dict[str, Any]] = []

        def templated() -> bool:
            told.append(self.run()[0])
            return not told[-1]["loaded_here"]

        self.home.until(templated, "a worker from a template")
        return told[-1]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests here; each writes the definitions it needs."""
    made = House(tmp_path_factory.mktemp("warm"))
    yield made
    made.home.stop()


def test_the_first_run_starts_the_server_and_later_ones_come_from_it(house: House) -> None:
    house.define(1)
    told, warm = house.run()
    assert (told["version"], warm) == (1, False)
    house.until_warm()
    told, warm = house.run(WORD="given by the caller")
    assert warm
    assert told["word"] == "given by the caller"
    first, second = house.until_templated(), house.run()[0]
    assert not second["loaded_here"]
    assert first["dice"] != second["dice"], "forks share no random state"
    for told in (first, second):
        assert (told["session"], told["cwd"], told["word"]) == (True, str(house.home.folder), None)
        assert told["argv"] == ["dagster", "api", "execute_run"]
        held = {f for f in told["files"] if f.startswith(("socket:", "pipe:"))}  # its own event loop's, perhaps
        assert not held & house.sockets(), "nothing of the server's is open in a worker"


def test_changed_definitions_are_loaded_anew(house: House) -> None:
    house.define(2)
    house.run()
    house.until_warm()
    house.until_templated()
    house.define(3)
    assert house.run()[0]["version"] == 3
    helper = house.home.folder / "helper_of_definitions.json"
    helper.write_text("4")
    house.define(4, top=f"WORD = json.loads(Path({str(helper)!r}).read_text())\nassert WORD in (4, 5)")
    house.until_templated()
    helper.write_text("5")
    told, warm = house.run()
    assert warm and told["loaded_here"], "what the definitions read has changed: they are read again"


def test_definitions_that_leave_a_thread_or_a_file_open_are_loaded_in_each_worker(house: House) -> None:
    house.until_warm()
    house.define(5, top="threading.Thread(target=threading.Event().wait, daemon=True).start()")
    log = house.home.home / "holdfast" / "warm.log"
    house.run()
    house.home.until(lambda: "has started 1 thread" in log.read_text(), "the server to see the thread")
    told, warm = house.run()
    assert warm and told["loaded_here"]
    house.define(6, top="import sqlite3\nDB = sqlite3.connect('held.db')\nDB.execute('create table if not exists t (x)')")
    house.run()
    house.home.until(lambda: "has left open" in log.read_text(), "the server to see the file")
    assert house.run()[0]["loaded_here"]


def test_a_killed_server_is_replaced_and_its_workers_live(house: House) -> None:
    gate = house.home.folder / "gate"
    gate.unlink(missing_ok=True)
    house.define(7, top=f"import time\ndef wait():\n    while not os.path.exists({str(gate)!r}): time.sleep(0.05)")
    house.run()
    server = identity.parse(house.until_warm())
    assert server is not None
    text = (house.home.folder / "defs.py").read_text()
    (house.home.folder / "defs.py").write_text(text.replace("    files =", "    wait()\n    files =", 1))
    forked: list[tuple[dict[str, Any], bool]] = []
    import threading

    house.home.until(lambda: not _workers(server.pid), "the end of the worker of the run before")
    waiting = threading.Thread(target=lambda: forked.append(house.run()))
    waiting.start()
    house.home.until(lambda: _workers(server.pid), "a worker that waits")
    family = psutil.Process(server.pid).children(recursive=True)
    workers = [p for p in family if os.getsid(p.pid) == p.pid]
    os.kill(server.pid, signal.SIGKILL)
    psutil.wait_procs([p for p in family if p not in workers], timeout=60)
    assert all(p.is_running() for p in workers) and workers
    gate.touch()
    waiting.join(60)
    assert [warm for _, warm in forked] == [True]
    told, warm = house.run()
    assert (told["version"], warm) == (7, False)
    assert house.until_warm() != server.text
    assert house.run()[1]


def _workers(server: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(server).children(recursive=True) if os.getsid(p.pid) == p.pid]


def test_a_worker_whose_launcher_dies_before_the_word_does_nothing(house: House) -> None:
    from holdfast_dagster.warm import Request, Warm, interpreter

    house.until_warm()
    server = Warm(house.home.home)
    state = server.state()
    assert state is not None
    environment = {**house.home.environment, **state.interpreter}
    mark = house.home.folder / "began"
    request = Request(
        arguments=["instance", "info"], code="", keeps=False, environment=environment, folder=str(house.home.folder), log=str(mark)
    )
    forked = server.fork(request, state.executable)
    assert not isinstance(forked, str)
    forked.drop()
    house.home.until(lambda: not psutil.pid_exists(forked.pid), "the worker to leave")
    assert mark.read_text() == ""
    again = server.fork(request, state.executable)
    assert not isinstance(again, str)
    again.go()
    house.home.until(lambda: "Instance" in mark.read_text() or "$DAGSTER_HOME" in mark.read_text(), "the word to be followed")
    other = {**environment, "PYTHONHASHSEED": "7"}
    assert interpreter(other) != state.interpreter
    assert "environment" in str(server.fork(Request(**{**_fields(request), "environment": other}), state.executable))


def _fields(request: Any) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}
