"""PostgreSQL going away: stopped and back, sessions ended, replies lost, requests delivered late. Never double, never silently lost."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from holdfast.errors import StoreError
from holdfast.journal import Store, open_store
from holdfast.journal.stores import postgres_link
from holdfast.model.entry import Draft
from holdfast.model.execution import Execution
from holdfast.testing.postgres import PostgresServer

KEY = bytes(range(32))


class Wire:
    """A TCP relay before the server that can lose a reply, or hold a request back while its client thinks that it is gone."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        at = f"{parts.username}:{parts.password}@127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = urlunsplit(parts._replace(netloc=at))
        self.lose_reply, self.hold_request = threading.Event(), threading.Event()
        self.lost = 0
        self.held: list[tuple[socket.socket, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, request: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if request and self.hold_request.is_set():
                    self.hold_request.clear()
                    self.held.append((target, data))  # delivered later; the client sees its connection die now
                    source.shutdown(socket.SHUT_RDWR)
                    return
                if not request and self.lose_reply.is_set():
                    self.lose_reply.clear()
                    self.lost += 1
                    target.shutdown(socket.SHUT_RDWR)
                    source.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def deliver(self) -> None:
        """Send what was held back, if the server still listens."""
        for server, data in self.held:
            with contextlib.suppress(OSError):
                server.sendall(data)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Wire]:
    wire = Wire(postgres_url)
    yield wire
    wire.close()


def write(store: Store, n: int) -> int:
    """Entry n, in one of the forms that an append can have."""
    if n % 3 == 0:
        store.blobs.put(b"%d" % n * 1000)
        return store.append("e", [Draft(kind="first", key=str(n)), Draft(kind="note", key=str(n), once=f"o{n}")], fence=None)
    return store.append("e", [Draft(kind="note", key=str(n), once=f"o{n}" if n % 3 == 1 else None)], fence=None)


def exactly_once(store: Store, count: int) -> None:
    entries = store.read("e")
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert [e.key for e in entries if e.kind == "note"] == [str(n) for n in range(count)]
    assert [e.key for e in entries if e.kind == "first"] == [str(n) for n in range(0, count, 3)]


def test_a_reply_that_is_lost_after_the_commit(wire: Wire) -> None:
    store = open_store(wire.url, key=KEY)
    wire.lose_reply.set()
    store.create(Execution(id="e", runbook="r", key="k"))
    for n in range(12):
        wire.lose_reply.set()
        last = write(store, n)
        assert last == store.read("e")[-1].seq
    assert wire.lost >= 12
    exactly_once(store, 12)
    assert [h.id for h in store.headers()] == ["e"]
    store.close()


def test_a_request_that_arrives_after_the_client_gave_it_up(wire: Wire) -> None:
    store = open_store(wire.url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    for n in range(6):
        wire.hold_request.set()
        write(store, n)
        wire.deliver()
    time.sleep(0.2)
    assert len(wire.held) == 6
    exactly_once(store, 6)
    store.close()


def test_sessions_ended_by_an_administrator(postgres_url: str) -> None:
    store = open_store(postgres_url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    done = threading.Event()
    ended: list[Any] = []
    written = 0

    def end() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            while not done.wait(0.03):
                ended.extend(
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = 'holdfast' AND datname = current_database()"
                    ).fetchall()
                )

    thread = threading.Thread(target=end)
    thread.start()
    try:
        while written < 150 or len(ended) < 12:
            write(store, written)
            written += 1
    finally:
        done.set()
        thread.join()
    exactly_once(store, written)
    store.close()


@pytest.mark.parametrize("now", [False, True], ids=["stopped", "crashed"])
def test_the_server_is_restarted_while_somebody_writes(now: bool) -> None:
    with PostgresServer() as server:
        store = open_store(server.create_database(), key=KEY)
        store.create(Execution(id="e", runbook="r"))
        reached = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for n in range(300):
                    write(store, n)
                    if n == 50:
                        reached.set()
            except BaseException as error:
                failures.append(error)
                reached.set()

        writer = threading.Thread(target=work)
        writer.start()
        reached.wait(30)
        server.stop(now=now)
        time.sleep(0.3)
        server.start()
        writer.join(60)
        assert failures == []
        exactly_once(store, 300)
        store.close()


def test_a_server_that_stays_away_is_an_error_and_may_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_link, "RECONNECT_SECONDS", 0.5)
    with PostgresServer() as server:
        url = server.create_database()
        store = open_store(url, key=KEY)
        store.create(Execution(id="e", runbook="r"))
        write(store, 0)
        server.stop()
        for ask in (lambda: write(store, 1), lambda: store.header("e"), lambda: open_store(url, key=KEY)):
            with pytest.raises(StoreError) as caught:
                ask()
            assert caught.value.code == "HF503"
            assert str(urlsplit(url).password) not in str(caught.value)
        server.start()
        write(store, 1)
        exactly_once(store, 2)
        store.close()
