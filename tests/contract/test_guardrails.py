"""Guardrails on SQLite and on a real PostgreSQL server: what is refused, what counts, and that two executions at once cannot both pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.durable.cell import CellContext
from holdfast.durable.interceptor import Outcome, Request
from holdfast.errors import AuthorError, GuardrailError
from holdfast.guardrails import locks
from holdfast.guardrails.breaking import break_glass
from holdfast.guardrails.counting import Caps, count_in_execution
from holdfast.guardrails.counting import Change as Change_
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.call import Effect
from holdfast.model.entry import Kind
from holdfast.model.execution import Change, Status
from holdfast.model.policy import Policy
from holdfast.testing import laws
from holdfast.testing.clocks import StillClock, still_clock
from holdfast.testing.guarded import Guarded


@pytest.fixture
def still() -> Iterator[StillClock]:
    with still_clock() as stands:  # at 2027-01-15T08:00:00Z
        yield stands


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: Any, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Opens the journal, as often as wanted."""
    url = f"sqlite:///{tmp_path}/journal.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    stores: list[Store] = []

    def once_more() -> Store:
        stores.append(open_store(url, key_file=tmp_path / "key"))
        return stores[-1]

    yield once_more
    for one in stores:
        one.close()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    return opened()


class PowerCut(BaseException):
    """The process is gone."""


def refused(code: str) -> Any:
    return pytest.raises(GuardrailError, match=code)


def lawful(store: Store, *ids: str) -> bool:
    return all(laws.broken(store.read(id)) == [] for id in ids)


def test_an_execution_makes_no_more_changes_than_its_cap_over_steps_and_processes(store: Store) -> None:
    run = Guarded(store, "a", about={"limits": {"max_effects": 2}})
    with run.cell("one"):
        run.change("1")
    run.restart()
    with run.cell("one"):
        assert run.change("1") == "1"  # answered from the record: counted once
    with run.cell("two"):
        run.change("2")
        with refused("HF801.*2 changes at most"):
            run.change("3")
    assert run.made == ["1", "2"]
    assert lawful(store, "a")


def test_a_cap_on_things_counts_each_thing_once(store: Store) -> None:
    run = Guarded(store, "a", about={"limits": {"max_targets": 1}})
    with run.cell():
        run.change("snapshot", target="vol-1")
        run.change("delete", target="vol-1")
        with refused("HF801.*1 things at most"):
            run.change("snapshot", operation="change other", target="vol-2")
    assert run.made == ["snapshot", "delete"]


def test_the_breaker_opens_for_a_runbook_and_target_and_closes_by_itself(store: Store, still: Any) -> None:
    about = {"limits": {"effects_per_hour": 2, "target": "{host}"}}
    first = Guarded(store, "a", about=about, parameters={"host": "web1"})
    with first.cell():
        first.change("1")
        still.at += 1800
        first.change("2")
    second = Guarded(store, "b", about=about, parameters={"host": "web1"})
    with second.cell(), refused("HF802.*effects_per_hour"):
        second.change("3")
    elsewhere = Guarded(store, "c", about=about, parameters={"host": "web2"})
    with elsewhere.cell():
        elsewhere.change("4")
    still.at += 1801  # the first change is more than an hour ago
    with second.cell(attempt=2):
        second.change("3")
        with refused("HF802"):
            second.change("5")
    assert (first.made, second.made, elsewhere.made) == (["1", "2"], ["3"], ["4"])
    assert lawful(store, "a", "b", "c")


def test_executions_in_an_hour_are_those_that_change_something(store: Store, still: Any) -> None:
    about = {"limits": {"executions_per_hour": 1}}
    reader = Guarded(store, "r", about=about)
    with reader.cell(policy=Policy(effects="read")):
        reader.change("looks only")
    first = Guarded(store, "a", about=about)
    with first.cell():
        first.change("1")
        first.change("2")
    with Guarded(store, "b", about=about).cell() as second, refused("HF802.*executions_per_hour"):
        second.change("3")


def test_another_execution_waits_until_the_target_has_cooled_down(store: Store, still: Any) -> None:
    about = {"limits": {"cooldown": "30 min"}}
    first, second = Guarded(store, "a", about=about), Guarded(store, "b", about=about)
    with first.cell():
        first.change("1")
        still.at += 60
        first.change("2")  # its own changes do not hold it up
    still.at += 1740
    with second.cell(), refused(r"HF803.*execution a changed this target"):
        second.change("3")
    still.at += 61
    with second.cell(attempt=2):
        second.change("3")
    assert second.made == ["3"]


@pytest.mark.parametrize("via", ["rule pages", "schedule nightly", "sensor s"])
def test_what_destroys_needs_consent_where_nobody_started_it(store: Store, via: str) -> None:
    run = Guarded(store, "a", via=via)
    with run.cell():
        run.change("harmless")
        with refused("HF805.*no person started"):
            run.destroy("vol-1")
    prompt = run.consent()
    with run.cell(attempt=2):
        run.change("harmless")
        run.destroy("vol-1")
    intent = store.read("a", kinds=(Kind.CALL_INTENT,))[-1].data
    assert (intent["approval"], intent["destructive"], intent["target"]) == (prompt, True, "vol-1")
    assert run.made == ["harmless", "vol-1"]
    assert lawful(store, "a")


def test_a_person_who_starts_it_needs_no_further_consent_unless_the_step_says_so(store: Store) -> None:
    run = Guarded(store, "a")
    with run.cell():
        run.destroy("vol-1")
    with run.cell("asks", policy=Policy(approval=True)), refused("HF805.*its step asks for it"):
        run.change("anything")
    assert run.made == ["vol-1"]


def test_a_refusal_or_a_consent_elsewhere_approves_nothing(store: Store) -> None:
    run = Guarded(store, "a", via="rule r")
    run.consent(verdict="no")
    run.consent(step="elsewhere")
    with run.cell(ancestors=("plan",)), refused("HF805"):
        run.destroy("vol-1")
    run.consent(step="plan")
    with run.cell(ancestors=("plan",), attempt=2):
        run.destroy("vol-1")
    assert run.made == ["vol-1"]


def test_no_more_is_destroyed_than_was_approved(store: Store) -> None:
    run = Guarded(store, "a", via="rule r")
    run.consent(count=2, target="vol-1, vol-2")
    with run.cell():
        run.destroy("vol-1")
        run.change("vol-1 again", operation="delete_snapshot(vol-1)", target="vol-1")  # the same thing
        run.destroy("vol-2")
        with refused("HF806.*2 were approved"):
            run.destroy("vol-3")
    run.consent(count=1)
    with run.cell(attempt=2):
        for name in ("vol-1", "vol-2", "vol-3"):
            run.destroy(name)
    assert run.made == ["vol-1", "vol-1 again", "vol-2", "vol-3"]


def test_a_child_of_what_nobody_started_was_started_by_nobody(store: Store) -> None:
    Guarded(store, "a", via="schedule nightly")
    child = Guarded(store, "b", via="run_runbook", parent="a")
    with child.cell(), refused("HF805"):
        child.destroy("vol-1")


def test_a_step_that_says_it_reads_destroys_nothing(store: Store) -> None:
    run = Guarded(store, "a")
    with run.cell(policy=Policy(effects="read")), refused("HF809"):
        run.destroy("vol-1")
    with run.cell("says so", policy=Policy(effects="destructive")):
        run.change("vol-2")
    assert run.made == ["vol-2"]
    assert store.read("a", kinds=(Kind.CALL_INTENT,))[-1].data["destructive"] is True


def test_nothing_is_changed_while_a_freeze_is_on(store: Store, tmp_path: Path, still: Any) -> None:
    file = tmp_path / "guardrails.toml"
    file.write_text("")
    run = Guarded(store, "a", file=file)
    with run.cell():
        run.change("1")
        file.write_text('[[freeze]]\nname = "launch"\nfrom = 2027-01-15\nuntil = 2027-01-16\nreason = "the launch"\n')
        with refused("HF804.*launch"):
            run.change("2")
    still.at += 86400
    with run.cell(attempt=2):
        run.change("2")
    assert run.made == ["1", "2"]


def test_a_refusal_is_on_record_and_is_met_again_by_a_replay(store: Store) -> None:
    run = Guarded(store, "a", about={"limits": {"max_effects": 1}})
    with run.cell():
        run.change("1")
        with refused("HF801"):
            run.change("2")
        with refused("HF801"):
            run.change("3")
    run.restart()
    with run.cell():
        run.change("1")
        with refused("HF801"):
            run.change("2")
    assert run.made == ["1"]
    outcomes = [e.data for e in store.read("a", kinds=(Kind.CALL_OUTCOME,))]
    assert [o.get("refused") for o in outcomes] == [None, "cap", "cap"]


def test_broken_glass_lets_pass_for_a_while_and_is_on_record(store: Store, still: Any) -> None:
    about = {"limits": {"max_effects": 1, "cooldown": 60}}
    other = Guarded(store, "o", about=about)
    with other.cell():
        other.change("0")
    run = Guarded(store, "a", about=about)
    with run.cell(), refused("HF803"):
        run.change("1")
    header = store.header("a")
    assert header is not None
    break_glass(store, header, who="alice", why="the site is down", guardrails=["cooldown"], seconds=600)
    with run.cell(attempt=2):
        run.change("1")
        with refused("HF801"):  # another guardrail
            run.change("2")
    break_glass(store, header, who="alice", why="the site is down", seconds=600)
    with run.cell(attempt=3):
        run.change("1")
        run.change("2")
        still.at += 601
        with refused("HF801"):
            run.change("3")
    assert run.made == ["1", "2"]
    assert [e.data.get("glass") for e in store.read("a", kinds=(Kind.CALL_INTENT,))] == [["cooldown"], ["cap"]]


def test_one_execution_has_the_lock_until_it_has_ended(store: Store) -> None:
    about = {"concurrency": {"key": "cluster/{cluster}"}}
    first, second = (Guarded(store, i, about=about, parameters={"cluster": "eu"}, runbook=i) for i in "ab")
    with first.cell():
        first.change("1")
    with second.cell(), refused("HF807.*execution a of a has 'cluster/eu'"):
        second.change("2")
    child = Guarded(store, "c", about=about, parameters={"cluster": "eu"}, parent="a")
    with child.cell():
        child.change("its parent's lock is its own")
    first.end(Status.FAILED)
    with second.cell(attempt=2):
        second.change("2")
    first.restart()
    with first.cell(attempt=2), refused("HF807.*execution b"):  # a person went on with it, but the target is another's now
        first.change("3")
    assert (first.made, second.made) == (["1"], ["2"])


def test_of_two_that_find_a_lock_free_one_gets_it(opened: Callable[[], Store]) -> None:
    about = {"concurrency": {"key": "k"}}
    runs = [Guarded(opened(), f"e{n}", about=about) for n in range(4)]
    assert sorted(len(made) for made in race(runs)) == [0, 0, 0, 1]
    holder = locks.holder(runs[0].store, "k")
    assert holder is not None
    (winner,) = [r for r in runs if r.made]
    assert holder.id == winner.id


def test_executions_that_count_at_once_pass_the_breaker_no_oftener_than_one_by_one(opened: Callable[[], Store]) -> None:
    about = {"limits": {"effects_per_hour": 7}}
    runs = [Guarded(opened(), f"e{n}", about=about) for n in range(4)]
    assert sum(len(made) for made in race(runs, changes=5)) == 7


def test_executions_that_begin_at_once_do_not_both_pass_the_cooldown(opened: Callable[[], Store]) -> None:
    about = {"limits": {"cooldown": "1 h"}}
    runs = [Guarded(opened(), f"e{n}", about=about) for n in range(4)]
    assert sorted(len(made) for made in race(runs, changes=2)) == [0, 0, 0, 2]


def test_parallel_branches_share_one_cap(opened: Callable[[], Store]) -> None:
    Guarded(opened(), "a", about={"limits": {"max_effects": 7}})
    cap, stores = Caps(scope="*", max_effects=7), [opened() for _ in range(4)]
    passed: list[str] = []
    line = threading.Barrier(len(stores))

    def branch(number: int, store: Store) -> None:
        line.wait()
        for n in range(5):
            change = Change_(id=f"branch{number}/{n}", operation="PUT", target=f"{number}.{n}", step=f"branch{number}")
            for _ in range(2):  # a replay counts nothing
                try:
                    count_in_execution(store, "a", change, [cap], None, broken=frozenset())
                except GuardrailError:
                    break
            else:
                passed.append(change.id)

    threads = [threading.Thread(target=branch, args=(n, one)) for n, one in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 7


def test_a_child_counts_for_its_own_runbook_and_its_own_execution(store: Store, still: Any) -> None:
    about = {"limits": {"max_effects": 1, "effects_per_hour": 1}}
    parent = Guarded(store, "p", runbook="parent", about=about)
    child = Guarded(store, "c", runbook="child", about=about, parent="p")
    with child.cell():
        child.change("1")
    with parent.cell():
        parent.change("2")  # neither its cap nor its runbook's breaker was touched
        with refused("HF801"):
            parent.change("3")
    sibling = Guarded(store, "d", runbook="child", about=about, parent="p")
    with sibling.cell(), refused("HF802"):
        sibling.change("4")


def test_a_change_that_a_probe_finds_done_counts_once(store: Store) -> None:
    about = {"limits": {"max_effects": 2, "effects_per_hour": 2}}
    run = Guarded(store, "a", about=about)

    def request(what: str) -> Request:
        return Request(kind="call", operation=f"change {what}", fingerprint=what.encode(), effect=Effect.WRITE)

    def cut(attempt: Any) -> str:
        run.made.append("1")
        raise PowerCut

    with pytest.raises(PowerCut), run.cell(policy=Policy(max_effects=2)):
        run.recorder.perform(request("1"), cut)
    run.restart()
    with run.cell(policy=Policy(max_effects=2)):
        assert run.recorder.perform(request("1"), cut, probe=lambda attempt: Outcome(happened=True, value="found")) == "found"
        run.change("2")
        with pytest.raises(AuthorError, match="HF151"):
            run.change("3")
    with run.cell("other"), refused("HF801"):
        run.change("4")
    assert run.made == ["1", "2"]


def test_a_failed_change_that_a_new_attempt_makes_again_counts_once(store: Store) -> None:
    run = Guarded(store, "a", about={"limits": {"max_effects": 2}})
    request = Request(kind="call", operation="change 1", fingerprint=b"1", effect=Effect.WRITE)

    def fail(attempt: Any) -> str:
        run.made.append("1")
        raise ValueError("no")

    for attempt in (1, 2, 3):
        with run.cell(attempt=attempt, policy=Policy(max_effects=2)), pytest.raises(ValueError):
            run.recorder.perform(request, fail)
    with run.cell(attempt=4, policy=Policy(max_effects=2)):
        assert run.recorder.perform(request, lambda attempt: "done") == "done"
        run.change("2")
    assert run.made == ["1", "1", "1", "2"]


def test_the_hour_of_the_breaker_ends_to_the_second_and_a_clock_set_back_opens_nothing(store: Store, still: Any) -> None:
    about = {"limits": {"effects_per_hour": 2, "cooldown": 60}}
    run = Guarded(store, "a", about=about)
    with run.cell():
        run.change("1")
        still.at += 10
        run.change("2")
        begun = still.at
        for later in (3589.9, -7200, -1, 3589.999):  # set back in between: what lies ahead of the clock counts
            still.at = begun + later
            with refused("HF802"):
                run.change(f"at {later}")
        still.at = begun - 10 + 3600
        run.change("3")
        with refused("HF802"):
            run.change("4")  # the second one is ten seconds younger
    still.at = begun - 86400
    other = Guarded(store, "b", about=about)
    with other.cell(), refused("HF803"):
        other.change("5")
    assert run.made == ["1", "2", "3"]


def test_a_share_of_targets_that_are_chosen_again(store: Store) -> None:
    def made(id: str, *choices: tuple[int, list[str]]) -> list[str]:
        passed: list[str] = []
        for population, names in choices:
            for name in names:
                change = Change_(id=f"{population}/{name}/{len(passed)}", operation="PUT", target=name, step="act", population=population)
                try:
                    count_in_execution(store, id, change, [Caps(scope="act", max_percent=50)], None, broken=frozenset())
                except GuardrailError:
                    continue
                passed.append(name)
        return passed

    assert made("gone", (4, ["a"]), (3, ["b", "c"])) == ["a", "b"]  # deleted ones are missing: it is still half of four
    assert made("kept", (4, ["a"]), (4, ["b", "c"])) == ["a", "b"]  # restarted ones are not
    assert made("fewer", (1000, ["a"]), (3, ["b", "c"])) == ["a", "b"]  # what went by itself does not make room
    assert made("more", (2, ["a", "b"]), (6, ["c", "d", "e"])) == ["a", "c", "d"]


def race(runs: list[Guarded], changes: int = 1) -> list[list[str]]:
    """Each in a thread with a journal connection of its own, all at once; what each made."""
    line = threading.Barrier(len(runs))

    def work(run: Guarded) -> None:
        run.recorder.begin(CellContext(step="act", cell="c", source_digest="d"))
        line.wait()
        for n in range(changes):
            try:
                run.change(f"{run.id}-{n}")
            except GuardrailError:
                pass
        run.recorder.end()

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [run.made for run in runs]


def test_a_lock_of_an_execution_that_waits_is_kept(store: Store) -> None:
    about = {"concurrency": {"key": "k"}}
    first, second = Guarded(store, "a", about=about), Guarded(store, "b", about=about)
    with first.cell():
        first.change("1")
    first.writer.append(Kind.EXECUTION_SUSPENDED, {}, change=Change(status=Status.SUSPENDED))
    with second.cell(), refused("HF807.*suspended"):
        second.change("2")
