"""From the inbox to executions: once per rule and event, with every policy, however many dispatch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from holdfast.client import Client
from holdfast.errors import LookupFailedError, OperatorError, RequestError
from holdfast.events import decisions
from holdfast.events.dispatch import dispatch_due
from holdfast.events.inbox import accept, find_event, list_events, receive
from holdfast.events.rules import Rules
from holdfast.events.settings import EventsFile
from holdfast.foundation import clock
from holdfast.model.entry import Draft, Kind
from holdfast.model.event import Event
from holdfast.model.execution import Change, Status


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("n: int = 0")
    cell.metadata["tags"] = ["parameters"]
    notebook.cells = [cell, nbformat.v4.new_code_cell("print(n)")]
    nbformat.write(notebook, folder / "disk.ipynb")
    return folder


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client.open(folder=tmp_path, journal=f"sqlite:///{tmp_path}/journal.db", user="ann") as client:
        yield client


def rules(pack: Path, more: str = "", name: str = "r") -> Rules:
    text = f'[rules.{name}]\nrunbook = "disk"\nevent = "fire"\nparameters = {{ n = "{{{{ data.n }}}}" }}\n{more}\n'
    (pack / "rules.toml").write_text(text)
    found = Rules.load([pack])
    assert not found.troubles
    return found


def send(client: Client, *events: tuple[str, Any], type: str = "fire") -> None:
    accept(client.store, [Event(id=id, source="/s", type=type, subject=f"matter-{n}", data={"n": n}) for id, n in events], via="test")


def end(client: Client, id: str, status: Status = Status.SUCCEEDED) -> None:
    kind = Kind.EXECUTION_SUCCEEDED if status == Status.SUCCEEDED else Kind.EXECUTION_FAILED
    client.store.append(id, [Draft(kind=kind)], fence=None, change=Change(status=status))


def values(client: Client) -> list[Any]:
    return sorted(e.parameters["n"] for e in client.list())


def test_an_event_starts_its_runbook_once(client: Client, pack: Path) -> None:
    found = rules(pack)
    send(client, ("a", 1), ("b", 2), ("a", 3))
    told = dispatch_due(client, found)
    assert (told.events, len(told.started)) == (2, 2)
    assert values(client) == [1, 2]
    for _ in range(2):
        assert dispatch_due(client, found).started == []
    send(client, ("a", 1), ("c", 3))
    assert len(dispatch_due(client, found).started) == 1
    (one,) = [e for e in client.list() if e.parameters["n"] == 1]
    assert one.key == "rule/pack/r//s/a"
    assert client.entries(one.id)[0].data["via"] == "rule pack/r"
    assert one.status == "queued"


def test_many_dispatchers_at_once(client: Client, pack: Path, tmp_path: Path) -> None:
    found = rules(pack, 'key = "{{ data.n % 3 }}"')
    send(client, *((f"e{n}", n) for n in range(30)))
    ready = threading.Barrier(4)
    started: list[str] = []

    def work() -> None:
        with Client.open(folder=tmp_path, journal=f"sqlite:///{tmp_path}/journal.db", user="ann") as mine:
            ready.wait()
            started.extend(dispatch_due(mine, found).started)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(client) == [0, 1, 2], "one per key runs, the others were skipped"
    assert len(client.store.streams.lines(decisions.DECISIONS, kinds=[decisions.START])) == 3
    assert len(client.store.streams.lines(decisions.DECISIONS, kinds=[decisions.SKIP])) == 27


def test_a_rule_sees_what_comes_after_it_was_first_loaded(client: Client, pack: Path) -> None:
    send(client, ("a", 1))
    first = rules(pack)
    dispatch_due(client, first)
    send(client, ("b", 2))
    dispatch_due(client, first)
    both = Rules(rules=(*first.rules, *rules(pack, name="later").rules))
    dispatch_due(client, both)
    assert values(client) == [1, 2]
    send(client, ("c", 3))
    dispatch_due(client, first)
    assert values(client) == [1, 2, 3]
    dispatch_due(client, both)
    assert values(client) == [1, 2, 3, 3], "though another dispatcher, without the new rule, was further by then"


def test_overlap_skip(client: Client, pack: Path) -> None:
    found = rules(pack, 'key = "one"')
    send(client, ("a", 1), ("b", 2))
    (id,) = dispatch_due(client, found).started
    assert values(client) == [1]
    (line,) = client.store.streams.lines(decisions.DECISIONS, kinds=[decisions.SKIP])
    assert id in line.data["why"]
    end(client, id, Status.FAILED)
    send(client, ("c", 3))
    dispatch_due(client, found)
    assert values(client) == [1, 3]


def test_overlap_allow(client: Client, pack: Path) -> None:
    send(client, ("a", 1), ("b", 2))
    dispatch_due(client, rules(pack, 'key = "one"\noverlap = "allow"'))
    assert values(client) == [1, 2]


def test_overlap_queue_keeps_the_order(client: Client, pack: Path) -> None:
    found = rules(pack, 'key = "one"\noverlap = "queue"')
    send(client, ("a", 1), ("b", 2), ("c", 3))
    (first,) = dispatch_due(client, found).started
    assert dispatch_due(client, found).started == []
    end(client, first)
    send(client, ("d", 4))  # must not overtake
    (second,) = dispatch_due(client, found).started
    assert client.get(second).parameters["n"] == 2
    for n in (3, 4):
        end(client, second)
        (second,) = dispatch_due(client, found).started
        assert client.get(second).parameters["n"] == n
    end(client, second)
    assert dispatch_due(client, found).started == []


def test_overlap_replace(client: Client, pack: Path) -> None:
    found = rules(pack, 'key = "one"\noverlap = "replace"')
    send(client, ("a", 1))
    (first,) = dispatch_due(client, found).started
    send(client, ("b", 2))
    (second,) = dispatch_due(client, found).started
    assert client.get(first).status == "cancelled"
    assert second in client.get(first).reason
    assert client.get(second).status == "queued"


def test_dedup_within_a_window(client: Client, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = rules(pack, 'overlap = "allow"\ndedup = { key = "{{ data.n }}", window = "1h" }')
    send(client, ("a", 1), ("b", 1), ("c", 2))
    dispatch_due(client, found)
    assert values(client) == [1, 2]
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 3700)
    send(client, ("d", 1), ("e", 1))
    dispatch_due(client, found)
    assert values(client) == [1, 1, 2]


def test_an_old_event_and_a_disabled_rule_start_nothing(client: Client, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    send(client, ("a", 1))
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 3700)
    send(client, ("b", 2))
    dispatch_due(client, rules(pack, 'max_age = "1h"'))
    assert values(client) == [2]
    dispatch_due(client, rules(pack, "enabled = false"))
    send(client, ("c", 3))
    dispatch_due(client, rules(pack, "enabled = false"))
    dispatch_due(client, rules(pack))
    assert values(client) == [2], "enabling it later does not bring back what it let pass"


def test_resolved_cancels_what_runs_and_drops_what_waits(client: Client, pack: Path) -> None:
    found = rules(pack, 'overlap = "queue"\nresolved = { then = "cancel", event = "over" }')
    send(client, ("a", 1), ("b", 1), ("c", 2))
    dispatch_due(client, found)
    assert values(client) == [1, 2]
    send(client, ("d", 1), type="over")
    send(client, ("e", 9), type="over")
    dispatch_due(client, found)
    by_value = {e.parameters["n"]: e for e in client.list()}
    assert by_value[1].status == "cancelled"
    assert "over" in by_value[1].reason
    assert by_value[2].status == "queued"
    assert dispatch_due(client, found).started == []
    assert [line.data["why"] for line in client.store.streams.lines(decisions.DECISIONS, kinds=[decisions.SKIP])] == [
        "it is over, and nothing runs for it"
    ]


def test_resolved_signals_what_runs_once(client: Client, pack: Path) -> None:
    found = rules(pack, 'resolved = { then = "signal", event = "over", name = "all-clear" }')
    send(client, ("a", 1))
    (id,) = dispatch_due(client, found).started
    send(client, ("b", 1), type="over")
    dispatch_due(client, found)
    client.store.streams.move(client.store.streams.cursor("decisions"), 0)  # as if the dispatcher had died before it noted how far it was
    dispatch_due(client, found)
    (entry,) = [e for e in client.entries(id) if e.kind == Kind.SIGNAL_RECEIVED]
    assert entry.key == "all-clear"
    assert client.get(id).status == "queued"


def test_resolved_comes_in_the_same_look_as_what_it_ends(client: Client, pack: Path) -> None:
    send(client, ("a", 1))
    send(client, ("b", 1), type="over")
    dispatch_due(client, rules(pack, 'resolved = { then = "cancel", event = "over" }'))
    assert [e.status for e in client.list()] == ["cancelled"]


def test_what_cannot_be_started_is_said_once_and_stands_in_nobodys_way(client: Client, pack: Path) -> None:
    found = rules(pack)
    send(client, ("a", "many"), ("b", None), ("c", 3))
    accept(client.store, [Event(id="d", source="/s", type="fire", data={})], via="test")
    told = dispatch_due(client, found)
    assert values(client) == [3]
    assert sorted(line.data["error"]["code"] for line in told.refused) == ["HF103", "HF103", "HF282"]
    assert dispatch_due(client, found).refused == []
    (line,) = [d for d in decisions.decisions_about(client.store, 1) if d.kind == decisions.REFUSED]
    assert line.data["rule"] == "pack/r"
    (pack / "disk.ipynb").unlink()
    send(client, ("e", 5))
    (refused,) = dispatch_due(client, found).refused
    assert refused.data["error"]["code"] == "HF605"


def test_the_inbox(client: Client) -> None:
    send(client, ("a", 1), ("b", 2))
    assert [e.event.id for e in list_events(client.store)] == ["b", "a"]
    assert find_event(client.store, "2").event.id == "b"
    assert find_event(client.store, "a").seq == 1
    accept(client.store, [Event(id="a", source="/other", type="fire")], via="test")
    for which in ("a", "9", "none"):
        with pytest.raises(LookupFailedError, match="HF609"):
            find_event(client.store, which)


def test_receiving(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "events.toml").write_text(
        '[sources.am]\ntype = "alertmanager"\ntoken = "file:token"\n[sources.open]\ntype = "webhook"\nevent_type = "fire"\n'
    )
    events = EventsFile.load(client.config.load(folder=tmp_path, environment={}))
    body = b'{"alerts": [{"status": "firing", "labels": {"a": "b"}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f"}]}'
    (one,) = receive(client.store, "am", {"Authorization": "Bearer s3cret"}, body, events=events)
    assert (one.seq, one.new, one.via, one.event.subject) == (1, True, "am", "f")
    (again,) = receive(client.store, "am", {"Authorization": "Bearer s3cret"}, body, events=events)
    assert (again.seq, again.new) == (1, False)
    cases: list[tuple[str, str, dict[str, str], bytes]] = [
        ("HF720", "am", {"Authorization": "Bearer other"}, body),
        ("HF722", "am", {"Authorization": "Bearer s3cret"}, b"{}"),
        ("HF720", "open", {}, b"{}"),
    ]
    for code, source, headers, sent in cases:
        with pytest.raises(RequestError) as caught:
            receive(client.store, source, headers, sent, events=events)
        assert caught.value.code == code
    (known,) = receive(client.store, "open", {}, b"{}", events=events, known="ann")
    assert (known.via, known.event.type) == ("ann", "fire")
    with pytest.raises(LookupFailedError, match=r"HF608.*'am'"):
        receive(client.store, "amm", {}, b"{}", events=events)
    assert len(list_events(client.store)) == 2


@pytest.mark.parametrize(
    ("text", "table", "key", "words"),
    [
        ("[source.x]", "", "source", "'sources'"),
        ('[sources.x]\ntype = "alertmanger"', "sources.x", "type", "'alertmanager'"),
        ('[sources.x]\ntype = "webhook"\nsecret = "plain"', "sources.x", "secret", "env:NAME"),
        ('[sources.x]\ntype = "webhook"\nsecret = "file:gone"', "sources.x", "secret", "cannot be read"),
        ('[sources.x]\ntype = "webhook"\nsecret = "env:SURELY_NOT_SET"', "sources.x", "secret", "SURELY_NOT_SET"),
        ('[sources.x]\ntype = "webhook"\nwindow = -1', "sources.x", "window", "more than 0"),
        ("[sinks.x]", "sinks.x", "url", "either url or file"),
        ('[sinks.x]\nurl = "ftp://x"', "sinks.x", "url", "http://"),
        ('[sinks.x]\nurl = "http://x"\ntypo = 1', "sinks.x", "typo", "'type"),
    ],
)
def test_events_files_that_cannot_be_used(client: Client, tmp_path: Path, text: str, table: str, key: str, words: str) -> None:
    (tmp_path / "events.toml").write_text(text)
    with pytest.raises(OperatorError) as caught:
        EventsFile.load(client.config.load(folder=tmp_path, environment={}))
    assert caught.value.code == "HF281"
    assert caught.value.where.get("table", "") == table
    assert caught.value.where["key"] == key
    assert words in str(caught.value)
