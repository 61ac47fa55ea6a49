"""Events out: what happened reaches real sinks, at least once, in order, whoever dies or refuses meanwhile."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from holdfast.events.cloudevents import read_http
from holdfast.events.settings import SinkSettings
from holdfast.events.sinks import UNDELIVERED, deliver_due, sink_state
from holdfast.foundation import clock
from holdfast.journal import Store, Writer, open_store
from holdfast.model.event import Event
from holdfast.model.execution import Execution
from holdfast.testing.contracts.store import held

KEY = bytes(range(32))


class Receiver:
    """A real HTTP server that keeps what it was sent; ``answers`` are given first, then 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                answer = receiver.answers.pop(0) if receiver.answers else 200
                if answer == 200:
                    receiver.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(answer)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def events(self) -> list[Event]:
        return [event for headers, body in self.requests for event in read_http(headers, body)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    yield store
    store.close()


def happened(store: Store, execution: str, *kinds: str) -> None:
    if store.header(execution) is None:
        store.create(Execution(id=execution, runbook=f"book-{execution}"))
    writer = Writer(store, execution, held(store, execution).fence, "me")
    for kind in kinds:
        writer.append(kind, {"last": True, "reason": "because", "value": "s3cret"}, step="s", key="k")


def deliver(store: Store, *sinks: SinkSettings) -> int:
    return deliver_due(store, sinks, patience=60)


def test_events_reach_a_server_in_order_and_once(store: Store, receiver: Receiver) -> None:
    sink = SinkSettings(name="a", url=receiver.url, begins="beginning", secret=b"k", headers={"X-Mine": "yes"})
    happened(store, "one", "execution.started", "call.intent", "cell.completed", "note", "execution.succeeded")
    happened(store, "two", "prompt.answered")
    assert deliver(store, sink) == 4
    assert [(e.type, e.id) for e in receiver.events] == [
        ("io.holdfast.execution.started", "one/1"),
        ("io.holdfast.step.succeeded", "one/3"),
        ("io.holdfast.execution.succeeded", "one/5"),
        ("io.holdfast.prompt.answered", "two/1"),
    ]
    headers, body = receiver.requests[0]
    assert headers["x-mine"] == "yes"
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert headers["x-holdfast-signature"] == f"sha256={hmac.new(b'k', body, hashlib.sha256).hexdigest()}"
    first = receiver.events[0]
    assert (first.source, first.subject) == ("/holdfast", "one")
    assert first.data == {"execution": "one", "seq": 1, "runbook": "book-one", "step": "s", "actor": "me", "reason": "because"}
    assert b"s3cret" not in b"".join(body for _, body in receiver.requests)
    assert deliver(store, sink) == 0
    happened(store, "one", "step.failed")
    assert deliver(store, sink) == 1


def test_a_new_sink_is_told_of_what_comes(store: Store, receiver: Receiver) -> None:
    sink = SinkSettings(name="a", url=receiver.url, types=("io.holdfast.execution.*",), runbooks=("book-one",))
    happened(store, "one", "execution.started")
    assert deliver(store, sink) == 0
    happened(store, "one", "execution.failed", "step.failed")
    happened(store, "two", "execution.failed")
    assert deliver(store, sink) == 1
    assert [e.id for e in receiver.events] == ["one/2"]


def test_a_dead_sink_holds_up_no_other_and_is_tried_again(
    store: Store, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = SinkSettings(name="dead", url="http://127.0.0.1:9/", begins="beginning")
    slow = SinkSettings(name="slow", url=receiver.url, begins="beginning")
    file = SinkSettings(name="file", file=tmp_path / "out" / "events.jsonl", begins="beginning")
    happened(store, "one", "execution.started", "execution.succeeded")
    receiver.answers = [503]
    assert deliver(store, dead, slow, file) == 2
    lines = [json.loads(line) for line in (tmp_path / "out" / "events.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["one/1", "one/2"]
    for name, words in (("dead", "refused"), ("slow", "503")):
        place, state = sink_state(store, name)
        assert place == 0
        assert (state.attempts, state.owner) == (1, None)
        assert words in (state.error or "")
    assert deliver(store, dead, slow, file) == 0, "not before its time"
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 2)
    assert deliver(store, dead, slow, file) == 2
    assert [e.id for e in receiver.events] == ["one/1", "one/2"]
    assert sink_state(store, "slow")[1].attempts == 0
    assert sink_state(store, "dead")[1].attempts == 2


def test_what_a_sink_refuses_for_good_is_put_aside(store: Store, receiver: Receiver) -> None:
    sink = SinkSettings(name="a", url=receiver.url, begins="beginning")
    happened(store, "one", "execution.started", "execution.suspended", "execution.succeeded")
    receiver.answers = [200, 422]
    assert deliver(store, sink) == 2
    assert [e.id for e in receiver.events] == ["one/1", "one/3"]
    (line,) = store.streams.lines(UNDELIVERED)
    assert (line.data["event"]["id"], line.data["error"]) == ("one/2", "HTTP 422")


def test_a_failure_in_the_midst_keeps_the_order(store: Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = SinkSettings(name="a", url=receiver.url, begins="beginning")
    happened(store, "one", *["step.failed"] * 25)
    receiver.answers = [200] * 13 + [500]
    assert deliver(store, sink) == 13
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 2)
    assert deliver(store, sink) == 12
    assert [e.id for e in receiver.events] == [f"one/{n}" for n in range(1, 26)]


def test_two_at_once_do_not_mix(store: Store, receiver: Receiver, tmp_path: Path) -> None:
    sink = SinkSettings(name="a", url=receiver.url, begins="beginning")
    happened(store, "one", *["step.failed"] * 60)
    other = open_store(f"sqlite:///{tmp_path}/journal.db", key=KEY)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda s=s: counts.append(deliver(s, sink))) for s in (store, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sum(counts) == 60
    assert [e.id for e in receiver.events] == [f"one/{n}" for n in range(1, 61)]
