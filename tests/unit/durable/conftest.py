"""A journal, and cells run by a recorder on it without a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.durable import current
from holdfast.durable.cell import CellContext, Summary
from holdfast.durable.interceptor import Request
from holdfast.durable.recorder import Recorder
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.journal.writer import Writer
from holdfast.model.call import Effect
from holdfast.model.entry import Entry
from holdfast.model.execution import Execution, Status
from holdfast.model.lease import Owner
from holdfast.testing import laws

EXECUTION = "20260101-000000-abcdef"


class PowerCut(BaseException):
    """Ends a cell as a kill would: nothing that follows is written."""


class Far:
    """The far side: counts what reached it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def take(self, what: Any) -> Any:
        """An effect."""
        self.seen.append(what)
        return what


class World:
    """One execution; :meth:`restart` is a new process on it."""

    def __init__(self, store: Store, **settings: Any) -> None:
        self.store, self.settings = store, settings
        self.far = Far()
        self.last = Summary()
        store.create(Execution(id=EXECUTION, runbook="test", status=Status.RUNNING))
        self.restart()

    def restart(self) -> None:
        """Forget everything but the journal."""
        lease = self.store.claim(EXECUTION, Owner(host="h", boot="b", pid=1, started="1"), 60)
        assert lease is not None
        self.writer = Writer(self.store, EXECUTION, lease.fence, "tester")
        self.recorder = Recorder(self.writer, owner="tester", **self.settings)

    @contextmanager
    def cell(self, step: str = "s", cell: str = "c", digest: str = "d", commit: bool = True, **context: Any) -> Iterator[Recorder]:
        """What the kernel does around a cell. A power cut loses what was not committed."""
        self.recorder.begin(CellContext(step=step, cell=cell, source_digest=digest, **context))
        try:
            yield self.recorder
        except PowerCut:
            self.recorder.end()
            self.restart()
            return
        except BaseException:
            self.last = self.recorder.end()
            raise
        self.last = self.recorder.end()
        if commit and self.last.drafts:
            self.writer.append_all(self.last.drafts)

    def write(self, what: Any, effect: Effect = Effect.WRITE, kind: str = "call", **more: Any) -> Any:
        """A call that reaches the far side."""
        return self.recorder.perform(request(what, effect, kind), lambda attempt: self.far.take(what), **more)

    def cut(self, what: Any, effect: Effect = Effect.WRITE) -> None:
        """A call during which the power goes, after its effect."""

        def do(attempt: Any) -> None:
            self.far.take(what)
            raise PowerCut

        with self.cell():
            self.recorder.perform(request(what, effect), do)

    def entries(self, *kinds: str) -> list[Entry]:
        """What the journal has."""
        return self.store.read(EXECUTION, kinds=kinds or None)

    def lawful(self) -> bool:
        """No law is broken."""
        assert laws.broken(self.entries()) == []
        return True


def request(what: Any, effect: Effect = Effect.WRITE, kind: str = "call") -> Request:
    """A request whose fingerprint is its text."""
    return Request(kind=kind, operation=f"do {what}", fingerprint=str(what).encode(), effect=effect, arguments={"what": str(what)})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path}/journal.db")
    yield made
    made.close()


@pytest.fixture
def world(store: Store) -> Iterator[World]:
    yield World(store)
    current.install(None)


@pytest.fixture
def power_cut() -> type[BaseException]:
    return PowerCut


@pytest.fixture
def ask() -> Any:
    return request
