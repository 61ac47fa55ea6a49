"""Random numbers drawn in cells: recorded, so that a replay draws the same.

A draw is made on a replay too and the recorded one handed over, so that a generator that the author seeded stands where it would
stand without the crash. Draws that pick from the author's own objects record positions, never the objects.
"""

from __future__ import annotations

import functools
import os
import random
import secrets
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from holdfast.durable import current
from holdfast.durable.cheap import record, recording

_KIND = "random"

Durable = Callable[..., Any]

#: Functions of the module ``random`` whose result is a number or bytes.
_NUMBERS = (
    "random uniform triangular randint randrange getrandbits randbytes gauss normalvariate lognormvariate expovariate vonmisesvariate "
    "gammavariate betavariate paretovariate weibullvariate binomialvariate"
).split()


def table() -> dict[Any, Durable]:
    """Function or class -> its durable replacement, for call sites."""
    found: dict[Any, Durable] = {}
    for name in _NUMBERS:
        function = getattr(random, name, None)
        if function is not None:
            found[function] = functools.partial(_drawn, function, f"random.{name}")
    found[random.choice] = functools.partial(_choice, random.choice, "random.choice")
    found[random.choices] = _choices
    found[random.sample] = _sample
    found[random.shuffle] = _shuffle
    found[random.Random] = functools.partial(_seeded, random.Random)
    for name in ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "randbits"):
        function = getattr(secrets, name)
        found[function] = functools.partial(_secret, function, f"secrets.{name}")
    found[secrets.choice] = functools.partial(_choice, secrets.choice, "secrets.choice")
    found[os.urandom] = functools.partial(_secret, os.urandom, "os.urandom")
    for function in (uuid.uuid1, uuid.uuid4):
        found[function] = functools.partial(_uuid, function)
    return found


def numpy_table() -> dict[Any, Durable]:
    """The same for NumPy, which must be imported already. Its draws can be large: the state before is recorded instead."""
    numpy_random = sys.modules["numpy.random"]
    state = numpy_random.mtrand._rand
    found: dict[Any, Durable] = {}
    for name in dir(numpy_random):
        function = getattr(numpy_random, name)
        if getattr(function, "__self__", None) is state and name not in ("seed", "get_state", "set_state"):
            found[function] = functools.partial(_from_state, function)
    for maker in (numpy_random.default_rng, numpy_random.RandomState):
        found[maker] = functools.partial(_seeded, maker)
    return found


def _detail(site: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return f"{site}\0{args!r}\0{kwargs!r}" if kwargs else f"{site}\0{args!r}"


def _drawn(function: Durable, operation: str, site: str, *args: Any, **kwargs: Any) -> Any:
    recorder = recording(operation)
    drawn = _streamed(function, args, kwargs) if recorder is None else function(*args, **kwargs)
    return drawn if recorder is None else record(recorder, _KIND, operation, _detail(site, args, kwargs), lambda: drawn)


def _choice(function: Durable, operation: str, site: str, seq: Sequence[Any]) -> Any:
    recorder = recording(operation)
    if recorder is None or not len(seq):
        return _streamed(function, (seq,), {})
    drawn = function(range(len(seq)))
    return seq[record(recorder, _KIND, operation, f"{site}\0{len(seq)}", lambda: drawn)]


def _choices(site: str, population: Sequence[Any], weights: Any = None, *, cum_weights: Any = None, k: int = 1) -> list[Any]:
    recorder = recording("random.choices")
    if recorder is None or not len(population):
        return _streamed(random.choices, (population, weights), {"cum_weights": cum_weights, "k": k})  # type: ignore[no-any-return]
    drawn = random.choices(range(len(population)), weights, cum_weights=cum_weights, k=k)
    places = record(recorder, _KIND, "random.choices", f"{site}\0{len(population)}\0{k}", lambda: drawn)
    return [population[i] for i in places]


def _sample(site: str, population: Sequence[Any], k: int, *, counts: Any = None) -> list[Any]:
    recorder = recording("random.sample")
    if recorder is None or not isinstance(population, Sequence):
        return _streamed(random.sample, (population, k), {"counts": counts})  # type: ignore[no-any-return]
    drawn = random.sample(range(len(population)), k, counts=counts)
    places = record(recorder, _KIND, "random.sample", f"{site}\0{len(population)}\0{k}", lambda: drawn)
    return [population[i] for i in places]


def _shuffle(site: str, x: Any) -> None:
    recorder = recording("random.shuffle")
    if recorder is None:
        _streamed(random.shuffle, (x,), {})
        return
    drawn = list(range(len(x)))
    random.shuffle(drawn)
    places = record(recorder, _KIND, "random.shuffle", f"{site}\0{len(x)}", lambda: drawn)
    x[:] = [x[i] for i in places]


def _secret(function: Durable, operation: str, site: str, *args: Any, **kwargs: Any) -> Any:
    recorder = recording(operation)
    if recorder is None:
        return function(*args, **kwargs)
    value = record(recorder, _KIND, operation, _detail(site, args, kwargs), lambda: function(*args, **kwargs))
    if isinstance(value, str):
        recorder.redactor.mask(value)
    return value


def _uuid(function: Durable, site: str, *args: Any, **kwargs: Any) -> uuid.UUID:
    recorder = recording(function.__name__)
    if recorder is None:
        return function(*args, **kwargs)  # type: ignore[no-any-return]
    read = functools.partial(function, *args, **kwargs)
    detail = _detail(site, args, kwargs)
    return record(recorder, _KIND, f"uuid.{function.__name__}", detail, read, store=str, load=uuid.UUID)  # type: ignore[no-any-return]


def _seeded(maker: Durable, site: str, *args: Any, **kwargs: Any) -> Any:
    """A generator that the author did not seed gets a recorded seed."""
    given = args[0] if args else kwargs.get("seed", kwargs.get("x"))
    operation = f"{maker.__module__}.{maker.__qualname__}"
    recorder = recording(operation) if given is None and len(args) + len(kwargs) <= 1 else None
    if recorder is None:
        return maker(*args, **kwargs)
    return maker(record(recorder, _KIND, operation, site, lambda: secrets.randbits(32)))


def _streamed(function: Durable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Draw without recording the draw: the generator's state before the first of many is recorded instead."""
    recorder = current.active()
    cell = recorder.cell if recorder is not None else None
    own = getattr(function, "__self__", None) is random._inst  # the module's generator, not `secrets`'
    if recorder is not None and cell is not None and own and _first(cell, "random"):
        state = record(recorder, _KIND, "random.getstate", "", random.getstate)
        random.setstate(state)
    return function(*args, **kwargs)


def _from_state(function: Durable, site: str, *args: Any, **kwargs: Any) -> Any:
    """NumPy's global generator: its state is recorded before the first draw, and again after each call that reached the outside."""
    recorder = current.active()
    cell = recorder.cell if recorder is not None else None
    if recorder is not None and cell is not None and _first(cell, "numpy"):
        numpy_random = sys.modules["numpy.random"]
        numpy_random.set_state(record(recorder, _KIND, "numpy.random.get_state", "", numpy_random.get_state))
    return function(*args, **kwargs)


def _first(cell: Any, generator: str) -> bool:
    """Whether this is the first draw from ``generator`` since the last call."""
    with cell.lock:
        if cell.offsets.get(generator) == cell.calls:
            return False
        cell.offsets[generator] = cell.calls
        return True
