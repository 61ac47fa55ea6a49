"""Parents and children in the journal, without any kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from holdfast.config import Config
from holdfast.errors import AuthorError
from holdfast.executions.family import MOST_NESTED, ancestors, check_depth, tell_parent
from holdfast.executions.published import published
from holdfast.executions.stopping import let_go_on, settle, stop
from holdfast.executions.waking import claim_wake_up, due
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind, Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.model.lease import Owner
from holdfast.prompts.answering import end_with


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/j.db", key_file=tmp_path / "key")
    yield opened
    opened.close()


def header(store: Store, id: str) -> Execution:
    found = store.header(id)
    assert found is not None
    return found


def waiting(store: Store, parent: str, child: str) -> None:
    """A suspended parent that waits for a child."""
    store.create(Execution(id=parent, runbook="above", status=Status.SUSPENDED))
    store.create(Execution(id=child, runbook="below", parent=parent, status=Status.SUSPENDED))
    body = msgspec.msgpack.encode({"child": child})
    store.append(parent, [Draft(kind=Kind.CHILD_AWAITED)], fence=None, opens=[Pending(execution=parent, kind="child", key="k", body=body)])


def test_a_runbook_that_starts_itself_is_stopped(store: Store) -> None:
    store.create(Execution(id="e0", runbook="snake"))
    for n in range(1, MOST_NESTED):
        check_depth(store, header(store, f"e{n - 1}"), "snake")
        store.create(Execution(id=f"e{n}", runbook="snake", parent=f"e{n - 1}"))
    assert len(ancestors(store, header(store, f"e{MOST_NESTED - 1}"))) == MOST_NESTED - 1
    with pytest.raises(AuthorError) as caught:
        check_depth(store, header(store, f"e{MOST_NESTED - 1}"), "snake")
    assert caught.value.code == "HF162"


def test_the_end_of_a_child_makes_its_parent_due_once(store: Store) -> None:
    waiting(store, "p", "c")
    tell_parent(store, "c")  # it has not ended
    assert due(store) == []
    store.append("c", [Draft(kind=Kind.EXECUTION_SUCCEEDED)], fence=None, change=Change(status=Status.SUCCEEDED))
    tell_parent(store, "c")
    tell_parent(store, "c")
    assert [h.id for h in due(store)] == ["p"]
    assert [e.data["status"] for e in store.read("p", kinds=(Kind.CHILD_ENDED,))] == ["succeeded"]
    assert store.pending() == []


def test_a_parent_that_nobody_told_is_found(store: Store, tmp_path: Path) -> None:
    waiting(store, "p", "c")
    store.append("c", [Draft(kind=Kind.EXECUTION_FAILED)], fence=None, change=Change(status=Status.FAILED))
    settle(store, Config.load(folder=tmp_path, environment={}), end_with=end_with, who="w")
    assert [h.id for h in due(store)] == ["p"]


def test_stopping_goes_down(store: Store, tmp_path: Path) -> None:
    waiting(store, "p", "c")
    store.create(Execution(id="g", runbook="deep", parent="c", status=Status.SUSPENDED))
    config = Config.load(folder=tmp_path, environment={})
    stop(store, config, header(store, "p"), "pause", end_with=end_with, who="ann")
    assert [header(store, i).status for i in "pcg"] == [Status.PAUSED] * 3
    stop(store, config, header(store, "p"), "cancel", end_with=end_with, who="ann", why="enough")
    assert [header(store, i).status for i in "pcg"] == [Status.CANCELLED] * 3
    assert "p, which started it, was cancelled" in header(store, "c").reason


def config_of(folder: Path) -> Config:
    return Config.load(folder=folder, environment={})


def statuses(store: Store, ids: str = "pcg") -> list[str]:
    return [header(store, id).status.value for id in ids]


def test_what_was_paused_together_goes_on_together(store: Store, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    waiting(store, "p", "c")
    store.create(Execution(id="g", runbook="deep", parent="c", status=Status.SUSPENDED))
    stop(store, config, header(store, "p"), "pause", end_with=end_with, who="ann")
    assert let_go_on(store, config, header(store, "p"), who="bob")
    assert statuses(store) == ["suspended"] * 3
    assert [h.id for h in due(store)] == ["p", "c", "g"]
    assert not let_go_on(store, config, header(store, "p"), who="bob"), "it goes on already"


def test_what_a_person_has_paused_by_itself_stays_paused(store: Store, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    waiting(store, "p", "c")
    stop(store, config, header(store, "c"), "pause", end_with=end_with, who="ann")
    stop(store, config, header(store, "p"), "pause", end_with=end_with, who="ann")
    let_go_on(store, config, header(store, "p"), who="ann")
    settle(store, config, end_with=end_with, who="worker")
    assert statuses(store, "pc") == ["suspended", "paused"]


def test_a_child_that_nobody_waits_for_goes_its_own_way(store: Store, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    waiting(store, "p", "c")
    created = Draft(kind=Kind.EXECUTION_CREATED, body={"alone": True})
    store.create(Execution(id="g", runbook="below", parent="p", status=Status.SUSPENDED), [created])
    stop(store, config, header(store, "p"), "pause", end_with=end_with, who="ann")
    assert statuses(store) == ["paused", "paused", "suspended"]
    store.append("p", [Draft(kind=Kind.CHILD_AWAITED, body={"child": "g"})], fence=None)  # `child.wait()`, later
    stop(store, config, header(store, "p"), "cancel", end_with=end_with, who="ann")
    assert statuses(store) == ["cancelled"] * 3


@pytest.mark.parametrize("what", ["pause", "cancel", "resume"])
def test_what_a_crash_kept_from_the_child_is_made_up_for(store: Store, tmp_path: Path, what: str) -> None:
    config = config_of(tmp_path)
    waiting(store, "p", "c")
    if what == "resume":
        stop(store, config, header(store, "p"), "pause", end_with=end_with, who="ann")
        store.append("p", [Draft(kind=Kind.EXECUTION_RESUMED)], fence=None, change=Change(status=Status.RUNNING))
    else:
        end, kind = {"pause": (Status.PAUSED, Kind.EXECUTION_PAUSED), "cancel": (Status.CANCELLED, Kind.EXECUTION_CANCELLED)}[what]
        store.append("p", [Draft(kind=kind)], fence=None, change=Change(status=end))
    for _ in range(2):
        settle(store, config, end_with=end_with, who="worker")
        assert statuses(store, "c") == [{"pause": "paused", "cancel": "cancelled", "resume": "suspended"}[what]]
    if what == "pause":  # a person lets the child go on alone
        let_go_on(store, config, header(store, "c"), who="bob")
        settle(store, config, end_with=end_with, who="worker")
        assert statuses(store, "pc") == ["paused", "suspended"]


def test_a_child_that_works_is_asked_to_end_once(store: Store, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    waiting(store, "p", "c")
    assert store.claim("c", Owner(host="elsewhere", boot="b", pid=1, started="1"), 600) is not None
    store.append("p", [Draft(kind=Kind.EXECUTION_CANCELLED)], fence=None, change=Change(status=Status.CANCELLED))
    for _ in range(3):
        settle(store, config, end_with=end_with, who="worker")
    assert [e.data["what"] for e in store.read("c", kinds=(Kind.REQUESTED,))] == ["cancel"]


def test_of_several_who_notice_one_wakes(store: Store) -> None:
    store.create(Execution(id="e", runbook="r", status=Status.SUSPENDED))
    store.append("e", [Draft(kind=Kind.EXECUTION_SUSPENDED)], fence=None)
    assert [claim_wake_up(store, "e", by) for by in ("one", "two")] == [True, False]
    store.append("e", [Draft(kind=Kind.EXECUTION_SUSPENDED)], fence=None)
    assert claim_wake_up(store, "e", "two")


def test_the_last_value_published_counts_unless_its_step_was_reset(store: Store) -> None:
    store.create(Execution(id="e", runbook="r"))
    for step, values in (("a", {"x": {"v": 1}, "y": {"v": 2}}), ("b", {"x": {"v": 3}})):
        store.append("e", [Draft(kind=Kind.PUBLISHED, step=step, body={"values": values})], fence=None)
    assert published(store, "e") == {"x": {"v": 3}, "y": {"v": 2}}
    store.append("e", [Draft(kind=Kind.STEP_RESET, step="b")], fence=None)
    assert published(store, "e") == {"x": {"v": 1}, "y": {"v": 2}}
