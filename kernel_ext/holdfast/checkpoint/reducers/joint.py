"""Reducers for objects that a library itself holds and variables may hold too: they are referred to, so that both stay one; and for
objects whose own pickle loses what matters."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from holdfast.checkpoint import space as spaces
from holdfast.checkpoint.reducer import Context, Reducer


def _decimal_context(context: Context, o: Any) -> Any:
    import decimal

    return (current_decimal_context, ()) if o is decimal.getcontext() else o.__reduce__()


def current_decimal_context() -> Any:
    """The decimal context in use; its settings are process state."""
    import decimal

    return decimal.getcontext()


def _random(context: Context, o: Any) -> Any:
    import random

    return (module_random, ()) if o is random._inst else o.__reduce_ex__(5)


def module_random() -> Any:
    """The generator behind the functions of ``random``; its state is process state."""
    import random

    return random._inst


def _numpy_random(context: Context, o: Any) -> Any:
    return (numpy_module_random, ()) if o is sys.modules["numpy.random.mtrand"]._rand else o.__reduce_ex__(5)


def numpy_module_random() -> Any:
    """The generator behind the functions of ``numpy.random``; its state is process state."""
    import numpy.random.mtrand

    return numpy.random.mtrand._rand


def _finalizer(context: Context, o: Any) -> Any:
    found = o.peek()
    if found is None:
        return dead_finalizer, ()
    target, function, arguments, named = found
    return live_finalizer, (target, function, arguments, named, o.atexit)


def live_finalizer(target: Any, function: Any, arguments: Any, named: Any, at_exit: bool) -> Any:
    """A finalizer that waits; not for a copy made on trial, which goes at once."""
    if spaces.current().trial:
        return dead_finalizer()
    made = weakref.finalize(target, function, *(arguments or ()), **(named or {}))
    made.atexit = at_exit
    return made


def dead_finalizer() -> Any:
    """A finalizer that ran or was detached."""
    return object.__new__(weakref.finalize)


def _arguments_parser(context: Context, o: Any) -> Any:
    import argparse

    state = {k: v for k, v in vars(o).items() if v is not argparse.SUPPRESS}
    marked = tuple(k for k, v in vars(o).items() if v is argparse.SUPPRESS)
    return bare, (type(o),), (state, marked), None, None, fill_arguments_parser


def bare(cls: type) -> Any:
    """An object without attributes."""
    return object.__new__(cls)


def fill_arguments_parser(target: Any, state: tuple[dict[str, Any], tuple[str, ...]]) -> None:
    """``argparse`` tells its mark for "no default" from other strings by identity."""
    import argparse

    vars(target).update(state[0])
    vars(target).update(dict.fromkeys(state[1], argparse.SUPPRESS))


def _figure(context: Context, o: Any) -> Any:
    made = o.__reduce_ex__(5)
    state = {k: v for k, v in made[2].items() if k != "_restore_to_pylab"}  # pyplot's figures are process state, with their numbers
    return (*made[:2], state, *made[3:])


REDUCERS = [
    Reducer("matplotlib.figure:Figure", _figure, subclasses=True, follow=True),
    Reducer("decimal:Context", _decimal_context),
    Reducer("random:Random", _random),
    Reducer("numpy.random.mtrand:RandomState", _numpy_random),
    Reducer("weakref:finalize", _finalizer, parts=lambda o: list(o.peek() or ())),
    Reducer("argparse:_AttributeHolder", _arguments_parser, subclasses=True, follow=True),
]
