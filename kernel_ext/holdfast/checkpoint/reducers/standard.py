"""Reducers for the standard library: loggers, context variables, standard streams, random number sources."""

from __future__ import annotations

import contextvars
import logging
import sys
from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer

_NONE = "__holdfast_no_value__"


def _logger(context: Context, o: logging.Logger) -> Any:
    if logging.Logger.manager.loggerDict.get(o.name) is o or o is logging.root:
        return logging.getLogger, (None if o is logging.root else o.name,)
    raise context.cannot(o, "it is not registered under its name")


def _context_variable(context: Context, o: contextvars.ContextVar[Any]) -> Any:
    try:
        default = contextvars.Context().run(o.get)
    except LookupError:
        default = _NONE
    here = contextvars.copy_context()
    value = here.get(o, _NONE)
    return make_context_variable, (o.name, default), (value,), None, None, set_context_variable


def make_context_variable(name: str, default: Any) -> contextvars.ContextVar[Any]:
    """A context variable, with its default when it had one."""
    if isinstance(default, str) and default == _NONE:
        return contextvars.ContextVar(name)
    return contextvars.ContextVar(name, default=default)


def set_context_variable(target: contextvars.ContextVar[Any], state: tuple[Any]) -> None:
    """Its value in the current context."""
    if not (isinstance(state[0], str) and state[0] == _NONE):
        _first_tokens[target] = target.set(state[0])


#: The token of the first value given to a variable made anew: the only one whose old value is "none".
_first_tokens: dict[contextvars.ContextVar[Any], contextvars.Token[Any]] = {}


def _token(context: Context, o: contextvars.Token[Any]) -> Any:
    if "used" in repr(o):
        raise context.cannot(o, "it was used")
    old = o.old_value
    return make_token, (o.var, _NONE if old is contextvars.Token.MISSING else old)


def make_token(variable: contextvars.ContextVar[Any], old: Any) -> contextvars.Token[Any]:
    """A token that resets ``variable`` to ``old``."""
    if isinstance(old, str) and old == _NONE:
        return _first_tokens[variable]
    value = variable.get()
    variable.set(old)
    return variable.set(value)


_STREAMS = ("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__")


def standard_stream(o: Any) -> str | None:
    """The name in ``sys`` of a standard stream."""
    return next((n for n in _STREAMS if getattr(sys, n, None) is o), None)


def stream_named(name: str) -> Any:
    """A standard stream of this process."""
    return getattr(sys, name)


def _out_stream(context: Context, o: Any) -> Any:
    name = standard_stream(o)
    if name is None:
        raise context.cannot(o, "a stream of the kernel")
    return stream_named, (name,)


def _system_random(context: Context, o: Any) -> Any:
    return type(o), ()


def _environ(context: Context, o: Any) -> Any:
    import os

    if o is os.environ:
        return environ, ()
    raise context.cannot(o, "a copy of os.environ")


def environ() -> Any:
    """``os.environ``."""
    import os

    return os.environ


def _shell(context: Context, o: Any) -> Any:
    return shell, ()


def shell() -> Any:
    """The running IPython shell."""
    from IPython import get_ipython

    return get_ipython()


def _match(context: Context, o: Any) -> Any:
    return match, (o.re, o.string, o.pos, o.endpos, o.span())


def match(pattern: Any, text: Any, pos: int, endpos: int, span: tuple[int, int]) -> Any:
    """The match that ``pattern`` makes at ``span``."""
    found = pattern.match(text, span[0], endpos)
    if found is None or found.span() != span or pos != found.pos:
        found = next((m for m in pattern.finditer(text, pos, endpos) if m.span() == span), None)
        if found is None or found.pos != pos:
            for method in (pattern.search, pattern.fullmatch, pattern.match):
                candidate = method(text, pos, endpos)
                if candidate is not None and candidate.span() == span:
                    return candidate
    return found


REDUCERS = [
    Reducer("logging:Logger", _logger, subclasses=True),
    Reducer("logging:RootLogger", _logger),
    Reducer(f"{contextvars.ContextVar.__module__}:ContextVar", _context_variable, follow=True),
    Reducer(f"{contextvars.Token.__module__}:Token", _token, follow=True),
    Reducer("ipykernel.iostream:OutStream", _out_stream, subclasses=True),
    Reducer("random:SystemRandom", _system_random),
    Reducer("os:_Environ", _environ),
    Reducer("IPython.core.interactiveshell:InteractiveShell", _shell, subclasses=True),
    Reducer("re:Match", _match),
]
