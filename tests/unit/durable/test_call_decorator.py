"""`@call`: any function as one durable call."""

from __future__ import annotations

import asyncio
import pickle
import uuid
from typing import Any

import pytest

import holdfast
from holdfast import Outcome, Retry, TerminalError, call, idempotency_key
from holdfast.durable import current


def passes(world: Any, cell: Any, times: int = 2) -> list[Any]:
    """What the cell gives in each of several processes."""
    found = []
    for _ in range(times):
        with world.cell():
            found.append(cell())
        world.restart()
    return found


def test_it_is_made_once(world: Any) -> None:
    @call
    def pay(amount: int, to: str = "bob") -> Any:
        return world.far.take((amount, to))

    assert passes(world, lambda: [pay(1), pay(2, to="eve"), pay(1)]) == [[(1, "bob"), (2, "eve"), (1, "bob")]] * 2
    assert len(world.far.seen) == 3


def test_how_arguments_are_passed_makes_no_difference(world: Any) -> None:
    @call
    def pay(amount: int, to: str = "bob") -> Any:
        return world.far.take((amount, to))

    with world.cell():
        pay(1, "bob")
    with world.cell():
        pay(to="bob", amount=1)
    assert len(world.far.seen) == 1


def test_people_see_name_and_arguments(world: Any) -> None:
    @call(name="billing.pay")
    def pay(amount: int, token: str) -> None: ...

    passes(world, lambda: pay(3, "s3cr3t"), 1)
    (intent,) = world.entries("call.intent")
    assert intent.data["operation"].startswith("billing.pay(amount=3, token=")
    assert intent.data["arguments"] == {"amount": 3, "token": "***"}
    assert b"s3cr3t" not in intent.body


def test_coroutine_functions_and_methods(world: Any) -> None:
    class Client:
        def __init__(self) -> None:
            self.open = True

        @call(ignore=["self"])
        def send(self, text: str) -> Any:
            return world.far.take((text, self.open))

    @call
    async def fetch(n: int) -> Any:
        await asyncio.sleep(0)
        return world.far.take(n)

    async def main() -> Any:
        return [*(await asyncio.gather(fetch(1), fetch(2))), Client().send("x")]

    assert passes(world, lambda: asyncio.run(main())) == [[1, 2, ("x", True)]] * 2
    assert len(world.far.seen) == 3


def test_its_own_calls_are_part_of_it(world: Any) -> None:
    @call
    def inner() -> Any:
        return world.far.take("inner")

    @call
    def outer() -> Any:
        return inner()

    passes(world, outer)
    assert world.far.seen == ["inner"]
    assert len(world.entries("call.intent")) == 1


def test_the_idempotency_key_is_the_calls_own(world: Any) -> None:
    @call(effect="idempotent")
    def pay(n: int) -> str:
        return idempotency_key()

    (first, second), again = passes(world, lambda: (pay(1), pay(2)))
    assert (first, second) == again
    assert first != second
    assert str(uuid.UUID(first)) == first
    assert first in {e.data["idempotency_key"] for e in world.entries("call.intent")}
    with pytest.raises(holdfast.HoldfastError, match=r"HF155"), world.cell():
        idempotency_key()


def test_attempts_and_what_is_worth_one(world: Any, still: Any) -> None:
    @call(attempts=3, retry_on=ConnectionError)
    def flaky() -> Any:
        world.far.take("try")
        if len(world.far.seen) < 3:
            raise ConnectionResetError
        return "done"

    @call(retry=Retry(count=5))
    def hopeless() -> None:
        world.far.take("hopeless")
        raise TerminalError("give up")

    @call(attempts=3, retry_on=ConnectionError)
    def other() -> None:
        world.far.take("other")
        raise ValueError

    assert passes(world, flaky) == ["done"] * 2
    with pytest.raises(TerminalError), world.cell(cell="two"):
        hopeless()
    with pytest.raises(ValueError), world.cell(cell="three"):
        other()
    assert world.far.seen == ["try"] * 3 + ["hopeless", "other"]


@pytest.mark.parametrize(("found", "times"), [(True, 1), (Outcome(happened=True, value=1), 1), (False, 2)])
def test_a_probe_gets_the_arguments(world: Any, power_cut: Any, found: Any, times: int) -> None:
    asked = []

    def was_paid(amount: int) -> Any:
        asked.append(amount)
        return found

    @call(probe=was_paid)
    def pay(amount: int) -> Any:
        world.far.take(amount)
        if len(world.far.seen) == 1:
            raise power_cut
        return amount

    with world.cell():
        pay(7)
    with world.cell():
        pay(7)
    assert asked == [7]
    assert len(world.far.seen) == times


@pytest.mark.parametrize("options", [{"ignore": ["connection"]}, {"key": lambda connection, n: n}])
def test_what_cannot_be_recognised_again_must_be_left_out(world: Any, tmp_path: Any, options: Any) -> None:
    def send(connection: Any, n: int) -> Any:
        return world.far.take(n)

    with open(tmp_path / "f", "w") as connection:
        with pytest.raises(holdfast.HoldfastError, match=r"HF150.*ignore"), world.cell():
            call(send)(connection, 1)
        passes(world, lambda: call(**options)(send)(connection, 1))
    assert world.far.seen == [1]


def test_generators_cannot_be_calls() -> None:
    with pytest.raises(holdfast.HoldfastError, match=r"HF154: the generator function several cannot be a call"):

        @call
        def several() -> Any:
            yield 1


@pytest.mark.parametrize(("thing", "says"), [(int, "the class int cannot"), (7, "the object of type int cannot")])
def test_what_cannot_be_a_call_is_named(thing: Any, says: str) -> None:
    with pytest.raises(holdfast.HoldfastError, match=says):
        call(thing)


def test_outside_a_kernel_it_is_the_plain_function() -> None:
    current.install(None)
    seen = []

    @call(effect="idempotent", attempts=3)
    def pay(n: int) -> int:
        """Pays."""
        seen.append((n, idempotency_key()))
        return n

    assert [pay(1), pay(1)] == [1, 1]
    assert len({key for _, key in seen}) == 2
    assert (pay.__name__, pay.__doc__) == ("pay", "Pays.")


@call
def module_level(n: int) -> int:
    return n + 1


def test_a_decorated_function_pickles() -> None:
    import cloudpickle

    assert pickle.loads(cloudpickle.dumps(module_level))(1) == 2
