"""The kernel as the engine drives it: under a fence it was given, with what each request says of its step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.execution import Execution, Status, new_id
from holdfast.testing.kernels import Front, Ran


class Engine:
    """An execution with its lease, and kernels for it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.id = new_id(store.now())
        store.create(Execution(id=self.id, runbook="r", status=Status.RUNNING))
        lease = store.claim(self.id, this_process("engine"), 60)
        assert lease is not None
        self.fence = lease.fence

    def kernel(self) -> Front:
        """A new kernel for the execution."""
        environment = {
            "HOLDFAST_JOURNAL": f"sqlite:///{self.folder}/j.db",
            "HOLDFAST_KEY_FILE": str(self.folder / "key"),
            "HOLDFAST_EXECUTION": self.id,
            "HOLDFAST_FENCE": str(self.fence),
        }
        return Front(self.folder, environment=environment)

    def kinds(self) -> list[str]:
        return [e.kind for e in self.store.read(self.id)]


def send(front: Front, code: str, cell: str, step: str, **run: Any) -> Ran:
    return front.run(code, cell, holdfast_run={"step": step, "last": True, "attempt": 1, "source": "engine", **run})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    store = open_store(f"sqlite:///{tmp_path}/j.db", key_file=tmp_path / "key")
    yield Engine(tmp_path, store)
    store.close()


def test_a_step_of_one_cell_without_calls_is_one_entry_and_the_execution_is_the_engine_s(engine: Engine) -> None:
    with engine.kernel() as front:
        ran = send(front, "x = 1", "a", "one")
        assert (ran.state, ran.told["execution"], ran.notices) == ("ran", engine.id, [])
        front.shutdown()
    assert engine.kinds() == ["cell.completed"]
    header = engine.store.header(engine.id)
    assert header is not None
    assert header.status == Status.RUNNING  # its end is the engine's to say
    assert header.owner == this_process("engine").text
    [entry] = engine.store.read(engine.id)
    assert (entry.step, entry.key, entry.data["last"], entry.fence) == ("one", "a", True, engine.fence)


def test_another_kernel_gets_the_state_of_the_ancestors_and_only_theirs(engine: Engine) -> None:
    with engine.kernel() as front:
        send(front, "a = [1]", "c1", "one", last=False)
        send(front, "a.append(2)", "c2", "one")
        send(front, "b = 3", "c3", "two", ancestors=["one"])
    with engine.kernel() as front:
        assert send(front, "'b' in globals(), a", "c4", "three", ancestors=["one"]).result == "(False, [1, 2])"
    with engine.kernel() as front:
        assert send(front, "b = 3", "c3", "two", ancestors=["one"], apply=False).state == "skipped"
        assert send(front, "'a' in globals(), 'b' in globals()", "c5", "four").result == "(False, False)"
        assert send(front, "a, b", "c6", "five", ancestors=["one", "two"]).result == "([1, 2], 3)"


def test_a_record_counts_only_with_its_source_and_its_parameters(engine: Engine) -> None:
    with engine.kernel() as front:
        assert send(front, "1", "a", "one", parameters_digest="p").state == "ran"
        assert send(front, "1  ", "a", "one", parameters_digest="p").state == "skipped"
        assert send(front, "1", "a", "one", parameters_digest="q").state == "ran"
        assert send(front, "2", "a", "one", parameters_digest="q").state == "ran"
        assert send(front, "1", "a", "other", parameters_digest="q").state == "ran"


def test_a_failure_is_recorded_and_undone(engine: Engine) -> None:
    with engine.kernel() as front:
        send(front, "n = [0]", "a", "one")
        failing = "print('out')\nn.append(1)\nraise ValueError(len(n))"
        failed = send(front, failing, "b", "two", ancestors=["one"])
        assert (failed.state, failed.told["terminal"], failed.told["rolled_back"]) == ("failed", False, True)
        assert failed.told["error"] == {"type": "ValueError", "what": "2"}
        assert send(front, failing, "b", "two", ancestors=["one"], attempt=2).told["error"]["what"] == "2"
        ended = send(front, "from holdfast import TerminalError\nraise TerminalError('gone')", "b", "two", attempt=3)
        assert (ended.told["terminal"], ended.told["error"]["code"]) == (True, "HF900")
    bodies = [e.data for e in engine.store.read(engine.id, kinds=["step.failed"])]
    assert [b["attempt"] for b in bodies] == [1, 2, 3]
    assert bodies[0]["outputs"][0]["content"]["text"] == "out\n"
    assert bodies[0]["error"]["what"] == "2"


def test_when_is_evaluated_on_the_state_of_the_ancestors_and_recorded_nowhere(engine: Engine) -> None:
    with engine.kernel() as front:
        send(front, "n = 3", "a", "one")
    with engine.kernel() as front:
        run = {"role": "when", "when": "n > 2", "ancestors": ["one"], "step": "two", "source": "engine"}
        ran = front.run("", silent=True, user_expressions={"when": "n > 2"}, holdfast_run=run)
        assert ran.reply["user_expressions"]["when"]["data"]["text/plain"] == "True"
    assert engine.kinds() == ["cell.completed"]


def test_setup_runs_in_every_kernel_and_is_answered_from_its_record(engine: Engine) -> None:
    source = "import uuid\nclient = uuid.uuid4()\n!echo once >> effects\nprint(client)"
    printed = []
    for _ in range(2):
        with engine.kernel() as front:
            ran = send(front, source, "s", "setup", role="setup")
            assert ran.state == "ran"
            printed.append(ran.stdout)
            send(front, "seen = str(client)", "a", "one")
    assert printed[0] == printed[1]
    assert (engine.folder / "effects").read_text() == "once\n"


def test_a_kernel_whose_engine_was_replaced_is_fenced(engine: Engine) -> None:
    with engine.kernel() as front:
        send(front, "1", "a", "one")
        assert engine.store.claim(engine.id, this_process("other"), 60, dead=this_process("engine").text) is not None
        ran = send(front, "2", "b", "two")
        assert ran.state == "fenced"
        assert ran.reply["status"] == "error"
        assert "other on" in ran.notices[0]
    assert engine.kinds() == ["cell.completed"]


def test_a_person_s_errors_that_are_allowed_are_recorded_like_a_success(engine: Engine) -> None:
    with engine.kernel() as front:
        assert send(front, "1/0", "a", "one", allow_errors=True).state == "ran"
        assert send(front, "1/0", "a", "one", allow_errors=True).state == "skipped"
