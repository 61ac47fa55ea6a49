"""What every integration must do, shown on its vendor's server or on the best stand-in for it.

An integration subclasses :class:`IntegrationContract` and overrides the fixture ``subject``. Effects are counted where they happen,
never by our own word; every process of a cell is a real one, and its power is really cut.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.model.entry import Kind
from holdfast.testing import laws
from holdfast.testing.cells import EXECUTION, CellRunner, Nest, Passed


class Read(msgspec.Struct, frozen=True):
    """A reading: source that makes it and prints what came of it, and how often the server was asked for it."""

    name: str
    cell: str
    count: Callable[[], int]


class Write(msgspec.Struct, frozen=True):
    """A change: source that makes it and prints what came of it, and how often it *happened*."""

    name: str
    cell: str
    count: Callable[[], int]
    effect: str  # "idempotent" | "write"
    target: str  # a pattern of shells
    prepare: Callable[[], object] | None = None  # before each test: what must be there
    asks: bool = False  # nothing tells whether it happened: a person is asked
    calls: int = 1  # how many changes it takes
    makes: int = 1  # what ``count`` is when it was made once


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An integration and its far side."""

    setup: str  # source before each cell: imports, the client
    reset: Callable[[], None]  # the far side as at the beginning, with nothing counted
    reads: tuple[Read, ...]
    writes: tuple[Write, ...]
    environment: Mapping[str, str] = {}
    modules: tuple[str, ...] = ()  # what takes long to import
    secret: str = ""  # the credential that is used: it must not be found anywhere afterwards
    limit: Callable[[int], None] | None = None  # the next n requests are refused for their rate


class IntegrationContract:
    """Reads and writes, replay, kills, dry run, refusals for the rate, secrets."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Iterator[Subject]:
        """Overridden by each integration."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def nest(cls, subject: Subject) -> Iterator[Nest]:
        """Forks the processes of cells."""
        with Nest(subject.modules) as nest:
            yield nest

    @pytest.fixture
    def cell(self, subject: Subject, nest: Nest, tmp_path: Path) -> Callable[..., CellRunner]:
        """Makes a runner for a cell, on a far side that is as at the beginning; in a folder of its own where one is named."""
        subject.reset()

        def make(source: str, folder: str = "") -> CellRunner:
            (tmp_path / folder).mkdir(exist_ok=True)
            return CellRunner(tmp_path / folder, f"{subject.setup}\n{source}\n", subject.environment, nest=nest)

        return make

    def test_a_reading_is_recorded_once(self, subject: Subject, cell: Callable[..., CellRunner]) -> None:
        runner = cell("\n".join(read.cell for read in subject.reads))
        before = [read.count() for read in subject.reads]
        first = _through(runner.run())
        asked = [read.count() for read in subject.reads]
        assert all(now > then for now, then in zip(asked, before, strict=True)), f"not counted at the far side: {before} {asked}"
        assert _through(runner.run()).out == first.out, "a replay gives what the first pass gave"
        assert [read.count() for read in subject.reads] == asked, "a recorded reading is not made again"
        assert not _changes(runner), "readings are no changes"

    def test_a_change_is_made_once_whatever_is_killed(self, subject: Subject, cell: Callable[..., CellRunner]) -> None:
        for write in subject.writes:
            if write.prepare is not None:
                write.prepare()
            self._kill_and_go_on(subject, write, cell(write.cell, write.name))

    def _kill_and_go_on(self, subject: Subject, write: Write, runner: CellRunner) -> None:
        cut = runner.run("call.after_intent=kill")
        assert cut.killed, f"{write.name}: {cut}"
        assert write.count() == 0, f"{write.name}: nothing was sent yet"
        (intent,) = _changes(runner)
        assert intent["effect"] == write.effect, f"{write.name}: {intent}"
        assert fnmatch.fnmatchcase(intent.get("target", ""), write.target), f"{write.name}: target {intent.get('target')!r}"
        done = runner.run("call.after_effect=kill")
        if done.status == 3:
            assert write.asks, f"{write.name}: a person was asked though the far side can tell: {runner.prompts()}"
            runner.answer("run")
            done = runner.run("call.after_effect=kill")
        assert done.killed, f"{write.name}: {done}"
        for _ in range(2 * write.calls + 1):
            done = runner.run()
            if done.status != 3:
                break
            assert write.asks, f"{write.name}: a person was asked though the far side can tell: {runner.prompts()}"
            runner.answer("happened")
        _through(done)
        assert write.count() == write.makes, f"{write.name}: made {write.count()} times"
        again = _through(runner.run())
        assert again.out == done.out, f"{write.name}: a replay gives what the first pass gave"
        assert write.count() == write.makes, f"{write.name}: made again on a replay"
        store = runner.open()
        try:
            assert laws.broken(store.read(EXECUTION), ()) == []
        finally:
            store.close()
        _assert_secret_is_nowhere(runner.folder, subject.secret)

    def test_a_dry_run_changes_nothing_and_lists_everything(self, subject: Subject, cell: Callable[..., CellRunner]) -> None:
        runner = cell("\n".join(write.cell for write in subject.writes))
        for write in subject.writes:
            if write.prepare is not None:
                write.prepare()
        runner.dry_run = True
        _through(runner.run())
        assert [write.count() for write in subject.writes] == [0] * len(subject.writes)
        planned = runner.planned()
        assert len(planned) == sum(write.calls for write in subject.writes), planned
        assert {one["effect"] for one in planned} == {write.effect for write in subject.writes}
        for write in subject.writes:
            assert any(fnmatch.fnmatchcase(one["target"], write.target) for one in planned), f"{write.name}: {planned}"
        _assert_secret_is_nowhere(runner.folder, subject.secret)

    def test_a_refusal_for_the_rate_is_waited_out(self, subject: Subject, cell: Callable[..., CellRunner]) -> None:
        if subject.limit is None:
            return
        write = subject.writes[0]
        runner = cell(write.cell)
        if write.prepare is not None:
            write.prepare()
        subject.limit(2)
        _through(runner.run())
        assert write.count() == write.makes


def _through(passed: Passed) -> Passed:
    assert passed.status == 0, f"the cell ended with {passed.status}\n{passed.out[-3000:]}\n{passed.err[-2000:]}"
    return passed


def _changes(runner: CellRunner) -> list[dict[str, Any]]:
    """The intents on record."""
    store = runner.open()
    try:
        return [dict(entry.data) for entry in store.read(EXECUTION) if entry.kind == Kind.CALL_INTENT]
    finally:
        store.close()


def _assert_secret_is_nowhere(folder: Path, secret: str) -> None:
    if secret:
        found = [str(path) for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
        assert not found, f"the credential is in {found}"
