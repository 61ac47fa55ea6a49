"""Who answers for an execution: offered, taken over once, declined, withdrawn, replaced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from holdfast.errors import HoldfastError, OperatorError, PromptError
from holdfast.executions import handover
from holdfast.journal.opening import open_store
from holdfast.journal.ownership import this_process
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.handover import HandoverState


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/journal.db", key=bytes(32))
    opened.create(Execution(id="e", runbook="drain", started_by="alice", status=Status.SUSPENDED), [Draft(kind=Kind.EXECUTION_CREATED)])
    yield opened
    opened.close()


def header(store: Store) -> Execution:
    found = store.header("e")
    assert found is not None
    return found


def owner(store: Store) -> str:
    return handover.in_charge(header(store), handover.handovers(store, "e"))


def refused(code: str, what: Any, *arguments: Any, **options: Any) -> HoldfastError:
    with pytest.raises((PromptError, OperatorError), match=code) as caught:
        what(*arguments, **options)
    return caught.value


def test_it_moves_when_the_receiver_acknowledges(store: Store) -> None:
    handover.offer(store, header(store), to=["group:night"], who="alice", note="the disk fills again at 4")
    assert owner(store) == "alice"
    assert [(o.execution, o.to, o.note) for o in handover.offers(store)] == [("e", ("group:night",), "the disk fills again at 4")]
    refused("HF421", handover.accept, store, header(store), who="mallory", groups=["day"], via="cli")
    done = handover.accept(store, header(store), who="bob", groups=["night"], via="cli", why="my shift")
    assert (done.state, done.ended_by, done.why, owner(store)) == ("accepted", "bob", "my shift", "bob")
    assert handover.offers(store) == []
    assert handover.accept(store, header(store), who="bob", via="cli") == done  # again: the same, and nothing more is written
    refused("HF420", handover.accept, store, header(store), who="carol", groups=["night"], via="cli")


def test_it_goes_on_from_hand_to_hand(store: Store) -> None:
    for giver, taker in (("alice", "bob"), ("bob", "carol"), ("carol", "alice")):
        assert owner(store) == giver
        handover.offer(store, header(store), to=[taker], who=giver)
        handover.accept(store, header(store), who=taker, via="cli")
    assert owner(store) == "alice"
    assert [(h.giver, h.ended_by) for h in handover.handovers(store, "e")] == [("alice", "bob"), ("bob", "carol"), ("carol", "alice")]


@pytest.mark.parametrize(("how", "who", "state"), [("decline", "bob", "declined"), ("withdraw", "alice", "withdrawn")])
def test_an_offer_that_ended_otherwise_cannot_be_taken(store: Store, how: handover.How, who: str, state: str) -> None:
    handover.offer(store, header(store), to=["bob"], who="alice")
    assert handover.end(store, header(store), how, who=who, via="cli", why="no").state == state
    assert state in refused("HF420", handover.accept, store, header(store), who="bob", via="cli").what
    assert owner(store) == "alice"


def test_a_new_offer_takes_the_place_of_the_open_one(store: Store) -> None:
    handover.offer(store, header(store), to=["bob"], who="alice")
    handover.offer(store, header(store), to=["carol"], who="dave")  # in alice's place: she has gone home
    assert [h.state for h in handover.handovers(store, "e")] == [HandoverState.WITHDRAWN, HandoverState.OFFERED]
    refused("HF421", handover.accept, store, header(store), who="bob", via="cli")
    refused("HF421", handover.withdraw, store, header(store), who="bob", via="cli")
    handover.withdraw(store, header(store), who="alice", via="cli")  # it is hers


@pytest.mark.parametrize("to", [[], [""], ["  "], ["alice"], ["bob", " "]])
def test_offers_that_make_no_sense(store: Store, to: list[str]) -> None:
    refused("HF422", handover.offer, store, header(store), to=to, who="alice")
    assert handover.handovers(store, "e") == []


def test_nobody_takes_what_they_have_or_what_was_not_offered(store: Store) -> None:
    for how in ("accept", "decline", "withdraw"):
        refused("HF423", handover.end, store, header(store), how, who="bob", via="cli")
    handover.offer(store, header(store), to=["everyone"], who="alice")
    refused("HF421", handover.accept, store, header(store), who="alice", via="cli")
    refused("HF421", handover.decline, store, header(store), who="alice", via="cli")


def test_what_has_ended_is_not_handed_over_but_a_failure_is(store: Store) -> None:
    store.append("e", (), fence=None, change=Change(status=Status.FAILED))
    handover.offer(store, header(store), to=["bob"], who="alice")
    store.append("e", (), fence=None, change=Change(status=Status.CANCELLED))
    refused("HF253", handover.accept, store, header(store), who="bob", via="cli")
    refused("HF253", handover.offer, store, header(store), to=["carol"], who="alice")
    assert handover.offers(store) == []


def test_of_many_who_take_it_at_once_one_wins(store: Store) -> None:
    names = [f"p{n}" for n in range(8)]
    handover.offer(store, header(store), to=["everyone"], who="alice")
    start, said = Barrier(len(names)), dict[str, str]()

    def take(name: str) -> None:
        start.wait()
        try:
            said[name] = str(handover.accept(store, header(store), who=name, via="cli").ended_by)
        except PromptError as error:
            said[name] = f"{error.code} {error.what}"

    threads = [Thread(target=take, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [winner] = [name for name, got in said.items() if got == name]
    assert owner(store) == winner
    assert all(got.startswith("HF420") and winner in got for name, got in said.items() if name != winner)
    assert [e.kind for e in store.read("e")].count(Kind.HANDOVER_ACCEPTED) == 1


def test_a_session_goes_with_its_pen(store: Store) -> None:
    store.create(Execution(id="s", runbook="drain", started_by="alice", mode=Mode.INTERACTIVE, status=Status.RUNNING))
    pen = store.claim("s", this_process("lab"), 600)
    assert pen is not None
    session = store.header("s")
    assert session is not None
    handover.offer(store, session, to=["bob"], who="alice")
    handover.accept(store, session, who="bob", via="cli")
    after = store.header("s")
    assert after is not None
    assert (after.owner, after.status, after.reason) == (None, Status.SUSPENDED, "handed over to bob")
    assert after.fence > pen.fence  # alice's kernel is refused at its next write
    taken = store.claim("s", this_process("lab"), 600)
    assert taken is not None
    store.append("s", [Draft(kind=Kind.EXECUTION_STARTED)], fence=taken.fence, change=Change(status=Status.RUNNING))
    handover.accept(store, after, who="bob", via="cli")  # a second click does not take it from bob's own kernel
    assert (found := store.header("s")) is not None
    assert found.fence == taken.fence
