"""What a plan says of guardrails is what they then do: each guardrail foreseen on SQLite and PostgreSQL, on counts and locks of other
executions; and nothing is written by looking ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import OperatorError
from holdfast.guardrails.foresight import Foresight
from holdfast.guardrails.settings import GuardrailsFile
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.manifest import Manifest, Step
from holdfast.model.policy import Policy
from holdfast.testing.clocks import still_clock
from holdfast.testing.guarded import Guarded

LIMITS: dict[str, Any] = {"max_effects": 3, "effects_per_hour": 4, "cooldown": "10 min"}


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: Any, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/journal.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = open_store(url, key_file=tmp_path / "key")
    yield opened
    opened.close()


def manifest(about: dict[str, Any], **policies: Any) -> Manifest:
    names = list(policies)
    steps = tuple(Step(name=n, cells=(), after=tuple(names[:i][-1:]), policy=policies[n]) for i, n in enumerate(names))
    return Manifest(name="book", digest="", steps=steps, metadata=about)


def foresight(
    store: Store, about: dict[str, Any], file: Path | None = None, *, attended: bool = True, parent: str | None = None, **policies: Any
) -> Foresight:
    header = Execution(id="planned", runbook="book", parent=parent)
    policies = policies or {"act": Policy()}
    return Foresight(store, header, manifest(about, **policies), GuardrailsFile(file), attended=attended)


class Plan:
    def __init__(self) -> None:
        self.n = 0

    def change(self, what: str, step: str = "act", **more: Any) -> dict[str, Any]:
        self.n += 1
        return {"id": f"{self.n}", "step": step, "kind": "http", "operation": what, "target": what, "destructive": False, **more}


def names(refusals: Any) -> list[str]:
    return [r.guardrail for r in refusals]


def test_each_change_names_every_guardrail_that_would_refuse_it(store: Store) -> None:
    about = {"limits": LIMITS, "concurrency": {"key": "volumes"}}
    with still_clock() as clock:
        other = Guarded(store, "other", about=about)
        with other.cell():
            other.change("a")
            other.change("b")
        clock.sleep(60)
        plan, ahead = Plan(), foresight(store, about)
        found = [ahead.refusals(plan.change(f"PUT {n}")) for n in range(4)]
    assert [names(f) for f in found] == [
        ["lock", "cooldown"], ["lock", "cooldown"], ["lock", "breaker", "cooldown"], ["lock", "cap", "breaker", "cooldown"]
    ]  # fmt: skip
    assert "execution other of book has 'volumes'" in found[0][0].why
    assert "would wait for it" in found[0][0].why
    assert {r.code for r in found[3]} == {"HF807", "HF801", "HF803", "HF802"}
    assert len(store.streams.lines("guardrail:runbook:book:volumes")) == 3  # two changes and one execution: the other's
    assert store.streams.lines("guardrail:execution:planned") == []


def test_its_own_lock_is_no_obstacle(store: Store) -> None:
    about = {"concurrency": {"key": "volumes"}}
    own = Guarded(store, "own", about=about)
    with own.cell():
        own.change("a")
    assert names(foresight(store, about, parent="own").refusals(Plan().change("PUT b"))) == []


def test_unattended_what_destroys_needs_a_question_before_it_and_no_more_than_was_asked_for(store: Store) -> None:
    steps: dict[str, Any] = {"look": Policy(), "gate": Policy(), "act": Policy()}
    plan = Plan()
    ahead = foresight(store, {}, attended=False, **steps)
    (alone,) = ahead.refusals(plan.change("DELETE early", "look", destructive=True))
    assert (alone.guardrail, alone.code) == ("approval", "HF805")
    told = {"count": 2, "assumed": "yes"}
    ahead.asked({"id": "q", "step": "gate", "kind": "approve", "operation": "delete?", "arguments": told})
    found = [names(ahead.refusals(plan.change(f"DELETE {n}", destructive=True))) for n in ("a", "b", "b", "c")]
    assert found == [[], [], [], ["approval"]]
    assert names(ahead.refusals(plan.change("DELETE early", "look", destructive=True))) == ["approval"]  # the question came after it
    assert names(foresight(store, {}, **steps).refusals(plan.change("DELETE x", destructive=True))) == []


def test_caps_of_a_step_by_number_and_share(store: Store) -> None:
    plan, ahead = Plan(), foresight(store, {}, act=Policy(max_effects=2, max_percent=50))
    found = [ahead.refusals(plan.change(f"PUT {n}", population=3)) for n in range(3)]
    assert [[r.code for r in f] for f in found] == [[], ["HF801"], ["HF801", "HF151"]]
    (unsaid,) = foresight(store, {}, act=Policy(max_percent=50)).refusals(plan.change("PUT a"))
    assert unsaid.code == "HF810"


def test_a_step_that_says_it_reads_and_a_freeze(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "guardrails.toml"
    file.write_text('[[freeze]]\nname = "now"\nfrom = 2020-01-01\nuntil = 2120-01-01\neffects = "destructive"\n')
    plan = Plan()
    assert names(foresight(store, {}, file).refusals(plan.change("PUT a"))) == []
    both = foresight(store, {}, file, act=Policy(effects="read")).refusals(plan.change("DELETE a", destructive=True))
    assert names(both) == ["class", "freeze"]
    file.write_text("[[freeze]")
    with pytest.raises(OperatorError, match="HF283"):
        foresight(store, {}, file).refusals(plan.change("PUT a"))
