"""Caps, declared effects, dry runs."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.durable.interceptor import Request
from holdfast.errors import AuthorError
from holdfast.model.call import Effect
from holdfast.model.policy import Policy


def test_one_write_too_many_is_refused_before_it_leaves_also_after_a_crash(world: Any, power_cut: Any) -> None:
    policy = Policy(max_effects=2)
    with world.cell(policy=policy):
        world.write("a")
        raise power_cut
    with world.cell(policy=policy):
        world.write("a")
        world.write("r", Effect.READ)
        world.write("b")
        with pytest.raises(AuthorError, match=r"HF151.*do c"):
            world.write("c")
    assert world.far.seen == ["a", "r", "b"]


def test_a_step_declared_to_read_commits_no_intents(world: Any) -> None:
    with world.cell(policy=Policy(effects="read")):
        world.write("unknown command")
    assert [e.kind for e in world.entries()] == ["call.outcome"]
    assert world.entries()[0].data["effect"] == "read"


def test_declaring_never_makes_a_read_a_write(world: Any) -> None:
    with world.cell(policy=Policy(effects="write")):
        world.write("r", Effect.READ)
    assert [e.kind for e in world.entries()] == ["call.outcome"]


def test_a_dry_run_reads_and_lists_what_it_would_write(world: Any) -> None:
    with world.cell(dry_run=True):
        assert world.write("r", Effect.READ) == "r"
        assert world.write("w", assumed=lambda value: {"status": 0}) == {"status": 0}
        assert world.write("i", Effect.IDEMPOTENT) is None
    assert world.far.seen == ["r"]
    assert [(p.operation, p.effect, p.arguments) for p in world.last.plan] == [
        ("do w", "write", {"what": "w"}),
        ("do i", "idempotent", {"what": "i"}),
    ]
    assert world.entries("call.intent") == []


def test_a_dry_run_goes_on_beyond_the_cap(world: Any) -> None:
    with world.cell(dry_run=True, policy=Policy(max_effects=1)):
        world.write("a")
        world.write("b")
    assert [p.operation for p in world.last.plan] == ["do a", "do b"]


def test_a_dry_run_does_not_make_what_destroys_in_a_step_that_says_it_reads(world: Any) -> None:
    with world.cell(dry_run=True, policy=Policy(effects="read")):
        request = Request(kind="call", operation="delete_it()", fingerprint=b"1", effect=Effect.WRITE)
        world.recorder.perform(request, lambda attempt: world.far.take("gone"))
        world.write("look")
    assert [(p.operation, p.destructive) for p in world.last.plan] == [("delete_it()", True)]
    assert world.far.seen == ["look"]


def test_a_new_attempt_of_the_step_retries_anew(world: Any, ask: Any, still: Any) -> None:
    from holdfast.durable.interceptor import Transient
    from holdfast.model.policy import Retry

    def refused(attempt: Any) -> None:
        world.far.take(attempt.number)
        raise ConnectionRefusedError

    def passing(result: Any, error: BaseException | None) -> Transient | None:
        return Transient(reason="refused") if error else None

    for attempt in (1, 2):
        with pytest.raises(ConnectionRefusedError), world.cell(step_attempt=attempt, policy=Policy(on_failure="stop")):
            world.recorder.perform(ask("w"), refused, transient=passing, retry=Retry(count=1))
        world.restart()
    assert world.far.seen == [1, 2, 3, 4]


def test_registered_secrets_are_in_no_entry_and_the_cell_gets_them_back(world: Any, ask: Any) -> None:
    world.recorder.redactor.register("hunter2-secret")
    with world.cell():
        world.write("login hunter2-secret")
        assert world.recorder.perform(ask("get"), lambda attempt: {"token": "hunter2-secret"}) == {"token": "hunter2-secret"}
    assert all(b"hunter2" not in entry.body for entry in world.entries())
    world.restart()
    world.recorder.redactor.register("hunter2-secret")
    with world.cell():
        assert world.write("login hunter2-secret") == "login hunter2-secret"
        assert world.recorder.perform(ask("get"), lambda attempt: None) == {"token": "hunter2-secret"}
