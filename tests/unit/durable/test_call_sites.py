"""Clocks and randomness written in a cell are recorded; everything else runs as written."""

from __future__ import annotations

import ast
import random
import time
import traceback
from typing import Any

import pytest

from holdfast.durable import callsite
from holdfast.durable.cheap import KEPT

IMPORTS = "import asyncio, datetime, os, random, secrets, time, uuid\nfrom datetime import datetime as DT\nfrom time import time as tick\n"

READINGS = [
    "tick()", "time.time_ns()", "time.monotonic()", "time.perf_counter_ns()", "DT.now()", "DT.now(datetime.timezone.utc)",
    "DT.utcnow()",
    "datetime.date.today()", "time.localtime().tm_yday", "uuid.uuid1()", "uuid.uuid4()", "random.random()", "random.randint(1, 10**9)",
    "random.choice(range(10**9))", "random.sample(range(99), 3)", "random.choices(range(10**9), k=3)", "random.gauss(0, 1)",
    "random.Random().random()", "os.urandom(8)", "secrets.token_hex()", "secrets.randbelow(10**9)", "secrets.choice(range(10**9))",
    "[f'{uuid.uuid4()}' for _ in range(2)]", "(lambda: random.random())()", "np.random.rand(3).tolist()",
    "np.random.default_rng().random()",
    "np.random.RandomState().rand()",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _installed() -> Any:
    import numpy.random  # noqa: F401

    callsite.install()
    callsite.add_numpy()
    yield
    callsite.uninstall()


def run(source: str, namespace: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run ``source`` as a kernel would."""
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    tree = callsite.CallSites().visit(ast.parse(source))
    exec(compile(ast.fix_missing_locations(tree), "<cell>", "exec"), namespace)
    return namespace


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
@pytest.mark.parametrize("reading", READINGS)
def test_a_replay_reads_the_same(world: Any, reading: str) -> None:
    found = []
    for _ in range(2):
        with world.cell():
            found.append(run(f"{IMPORTS}import numpy as np\nx = {reading}")["x"])
        world.restart()
    assert found[0] == found[1]
    assert type(found[0]) is type(found[1])


def test_every_reading_in_a_loop_is_its_own(world: Any) -> None:
    with world.cell():
        first = run(f"{IMPORTS}x = [uuid.uuid4() for _ in range(5)]")["x"]
    assert len(set(first)) == 5


def test_a_shuffle_is_repeated_on_the_authors_own_list(world: Any) -> None:
    found = []
    for _ in range(2):
        with world.cell():
            found.append(run(f"{IMPORTS}x = y = list(range(50)); random.shuffle(x)\nassert x is y")["x"])
        world.restart()
    assert found[0] == found[1] != list(range(50))


def test_choice_hands_over_the_object_itself(world: Any) -> None:
    with world.cell():
        run(f"{IMPORTS}a = [object(), object()]\nassert random.choice(a) in a and random.sample(a, 1)[0] in a")


def cutting(world: Any, power_cut: type[BaseException]) -> Any:
    """A write; the power goes after the first one."""

    def cut() -> None:
        world.write("w")
        if world.far.seen == ["w"]:
            world.far.take("cut")
            raise power_cut

    return cut


def test_a_seeded_generator_stands_after_a_replay_where_it_stood(world: Any, power_cut: Any) -> None:
    source = f"{IMPORTS}random.seed(7)\nx = [random.random() for _ in range(2)]\ncut()\nx.append(random.random())"
    cut = cutting(world, power_cut)
    with world.cell():
        run(source, {"cut": cut})
    with world.cell():
        assert run(source, {"cut": cut})["x"] == _seeded(7, 3)


def _seeded(seed: int, n: int) -> list[float]:
    generator = random.Random(seed)
    return [generator.random() for _ in range(n)]


def test_a_counter_goes_on_after_a_replay(world: Any, power_cut: Any, monkeypatch: Any) -> None:
    source = f"{IMPORTS}first = time.monotonic()\ncut()\nsecond = time.monotonic()"
    cut, real = cutting(world, power_cut), time.monotonic
    with world.cell():
        run(source, {"cut": cut})
    recorded = world.entries("call.outcome")[0].data["value"]["v"]

    def monotonic() -> float:  # another machine, started later
        return real() - 1e6

    monkeypatch.setattr(time, "monotonic", monotonic)
    callsite.uninstall()
    callsite.install()
    with world.cell():
        found = run(source, {"cut": cut})
    assert found["first"] == recorded
    assert 0 <= found["second"] - found["first"] < 60


def test_a_recorded_sleep_is_over(world: Any) -> None:
    for limit in (60.0, 0.2):
        began = time.monotonic()
        with world.cell():
            run(f"{IMPORTS}time.sleep(0.4)\nasyncio.run(asyncio.sleep(0.4))")
        assert time.monotonic() - began < limit
        world.restart()


def test_a_loop_that_only_looks_at_the_clock_does_not_fill_the_journal(world: Any) -> None:
    with world.cell():
        run(f"{IMPORTS}for _ in range({KEPT} * 3): time.time(); random.random()")
        world.write("w")
        run(f"{IMPORTS}y = time.time()")
    kept = world.entries("call.outcome")
    assert len([e for e in kept if e.data.get("operation") == "time.time"]) == KEPT + 1
    assert len([e for e in kept if e.data.get("operation") == "random.random"]) == KEPT
    assert len([e for e in kept if e.data.get("operation") == "random.getstate"]) == 1


def test_many_draws_replay_through_the_generators_state(world: Any) -> None:
    found = []
    for _ in range(2):
        with world.cell():
            found.append(run(f"{IMPORTS}x = [random.random() for _ in range({KEPT} + 50)]")["x"])
        world.restart()
        random.seed()
    assert found[0] == found[1]


def test_an_edit_elsewhere_does_not_move_a_reading(world: Any) -> None:
    with world.cell():
        first = run(f"{IMPORTS}token = uuid.uuid4()")["token"]
    world.restart()
    with world.cell(digest="edited"):
        second = run(f"{IMPORTS}other = uuid.uuid4()\ntoken = uuid.uuid4()")
    assert second["token"] == first != second["other"]


PLAIN = '''
"""A docstring."""
from __future__ import annotations
import dataclasses, functools, warnings

def outer():
    x = 1
    def inner(): return x, sorted(locals())
    return inner()

class Base:
    def __init__(self, n: int = max(1, 2)): self.n = n
class Derived(Base):
    """Doc."""
    def __init__(self): super().__init__(5); self.name = __class__.__name__
    @property
    def twice(self): return self.n * 2
    @staticmethod
    def make(*args, **kwargs): return dict(*args, **kwargs)

@dataclasses.dataclass
class D:
    x: list = dataclasses.field(default_factory=list)

@functools.lru_cache(maxsize=None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)

async def gen():
    for i in range(3): yield i
async def co(): return [i async for i in gen()]

def deep(n):
    warnings.warn("here", stacklevel=2)
    return n

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    deep(1)
import asyncio
out = [__doc__, outer(), Derived().n, Derived().name, Derived().twice, Derived.make([(1, 2)], a=3), D().x, fib(20), asyncio.run(co()),
       f"{fib(3)!r:>4}", [y for x in range(3) if (y := fib(x))], eval("fib(5)"),
       Derived.__doc__, caught[0].lineno, (lambda *a, k=fib(2): (a, k))(1)]
match D([1]):
    case D(x=[n]): out.append(n)
'''


def test_rewritten_code_does_what_it_did(world: Any) -> None:
    plain: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(PLAIN, "<cell>", "exec"), plain)
    with world.cell():
        assert run(PLAIN)["out"] == plain["out"]


def test_tracebacks_are_the_authors_own(world: Any) -> None:
    source = "def g(x):\n    return (1 +\n            x.nothing(2))\n\ng(  3 )\n"
    frames = []
    for execute in (run, lambda s: exec(compile(s, "<cell>", "exec"), {})):
        with pytest.raises(AttributeError) as caught:
            execute(source)
        cell = [f for f in traceback.extract_tb(caught.tb) if f.filename == "<cell>"]
        frames.append([(f.name, f.lineno, f.end_lineno, f.colno, f.end_colno) for f in cell])
        assert not [f for f in traceback.extract_tb(caught.tb) if f.filename == callsite.__file__]
    assert frames[0] == frames[1]


def test_annotations_and_compiled_functions_stay_as_written() -> None:
    source = "def f(a: g(1), *b: g(2)) -> g(3):\n    x: g(4) = 1\n@njit(cache=True)\ndef k(x):\n    return h(x)"
    text = ast.unparse(callsite.CallSites().visit(ast.parse(source)))
    assert "a: g(1), *b: g(2)" in text
    assert "-> g(3)" in text
    assert "x: g(4)" in text
    assert "return h(x)" in text


def test_without_a_recorder_rewritten_functions_still_run() -> None:
    from holdfast.durable import current

    current.install(None)
    assert run(f"{IMPORTS}x = time.time(); y = random.choice([1])")["y"] == 1
