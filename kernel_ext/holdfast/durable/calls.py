"""``@call``: any function as one durable call."""

from __future__ import annotations

import functools
import inspect
import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, ParamSpec, TypeVar, overload

import msgspec

from holdfast.durable import canonical, current
from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.durable.lanes import HERE
from holdfast.durable.values import text_of
from holdfast.errors import AuthorError, HoldfastError
from holdfast.model.call import Effect
from holdfast.model.policy import Retry

P = ParamSpec("P")
R = TypeVar("R")

_SHOWN = 200  # characters of an argument that people see


class _Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What the decorator was told."""

    function: Callable[..., Any]
    name: str
    signature: inspect.Signature
    effect: Effect
    probe: Callable[..., Any] | None
    retry: Retry | None
    retry_on: tuple[type[Exception], ...]
    ignore: frozenset[str]
    key: Callable[..., Any] | None


@overload
def call(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def call(
    *,
    effect: Literal["read", "idempotent", "write"] | Effect = ...,
    name: str | None = ...,
    probe: Callable[..., Outcome | bool | None] | None = ...,
    retry: Retry | None = ...,
    attempts: int | None = ...,
    retry_on: type[Exception] | tuple[type[Exception], ...] = ...,
    ignore: Iterable[str] = ...,
    key: Callable[..., Any] | None = ...,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def call(
    function: Callable[..., Any] | None = None,
    /,
    *,
    effect: Literal["read", "idempotent", "write"] | Effect = Effect.WRITE,
    name: str | None = None,
    probe: Callable[..., Outcome | bool | None] | None = None,
    retry: Retry | None = None,
    attempts: int | None = None,
    retry_on: type[Exception] | tuple[type[Exception], ...] = Exception,
    ignore: Iterable[str] = (),
    key: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Record each call of the decorated function once: what it returned or raised is kept, and a later pass through the step takes it
    from there. Its own calls (HTTP, shell ...) are part of it and not recorded singly. Outside a Holdfast kernel it is the plain function.

    Works for functions, methods and coroutine functions: ``@call`` or ``@call(effect="idempotent", attempts=3)``.

    Args:
        effect: what doing it again would do: ``read`` nothing, ``idempotent`` nothing more (it uses :func:`idempotency_key`, or names its
            result), ``write`` again. When the process dies in the middle, a ``write`` is not repeated without asking.
        name: identifies the function in the journal; by default its qualified name. Keep it when you rename the function.
        probe: called with the same arguments when it is unknown whether a ``write`` happened; returns ``Outcome(happened=True,
            value=...)``, ``Outcome(happened=False)``, True, False, or None when it cannot tell.
        retry: how often and how far apart it is tried again when it raises.
        attempts: short for a retry with this many attempts in all.
        retry_on: the exceptions that are worth another try; Holdfast's own (``TerminalError`` among them) never are.
        ignore: parameters that are no part of the request, such as a client, a connection, ``self``.
        key: called with the same arguments; what it returns, instead of them, makes two calls the same.

    Raises:
        AuthorError: HF154 when the function cannot be a call or ``ignore`` names no parameter of it. On calling: HF150 when the arguments
            cannot be recognised again.
    """
    options = {
        "effect": Effect(effect),
        "probe": probe,
        "retry": retry if attempts is None else Retry(count=max(0, attempts - 1)),
        "retry_on": retry_on if isinstance(retry_on, tuple) else (retry_on,),
        "ignore": frozenset(ignore),
        "key": key,
    }
    decorate = functools.partial(_decorate, name, options)
    return decorate if function is None else decorate(function)


def _decorate(name: str | None, options: dict[str, Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """See :func:`call`."""
    generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if not callable(function) or generates or isinstance(function, type):
        cure = "decorate a function that returns its result; make a list of what it yields"
        kind = "class" if isinstance(function, type) else "generator function" if generates else f"object of type {type(function).__name__}"
        name = getattr(function, "__name__", "")
        raise AuthorError("HF154", f"the {kind} {name}".rstrip() + " cannot be a call", cure=cure)
    signature = inspect.signature(function)
    unknown = options["ignore"] - set(signature.parameters)
    if unknown:
        said = f"`ignore` names no parameter of {function.__qualname__}: {', '.join(sorted(unknown))}"
        raise AuthorError("HF154", said, cure="correct the name")
    return _wrapper(_Spec(function=function, name=name or _name_of(function), signature=signature, **options))


def _wrapper(spec: _Spec) -> Callable[..., Any]:
    function = spec.function
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def durable_async(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return await _invoke_async(spec, args, kwargs)

        return durable_async

    @functools.wraps(function)
    def durable(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return _invoke(spec, args, kwargs)

    return durable


def idempotency_key() -> str:
    """Inside a function marked ``@call``: a UUID that is the same for every attempt at this call, also after a crash. Send it along, so
    that the other side recognises a repetition. Outside a Holdfast kernel: a new one each time.

    Raises:
        AuthorError: HF155, called in a cell but outside a call.
    """
    here = HERE.get()
    if here is not None and here.attempt is not None and here.attempt.idempotency_key:
        return here.attempt.idempotency_key
    if current.active() is not None:
        raise AuthorError("HF155", "`idempotency_key()` was called outside a call", cure="call it inside a function marked `@call`")
    return str(uuid.uuid4())


def _invoke(spec: _Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    recorder = current.active()
    if recorder is None:
        return spec.function(*args, **kwargs)

    def do(attempt: Attempt) -> Any:
        __tracebackhide__ = True
        return spec.function(*args, **kwargs)

    return recorder.perform(
        _request(spec, args, kwargs), do, probe=_probe(spec, args, kwargs), transient=_transient(spec), retry=spec.retry
    )


async def _invoke_async(spec: _Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    recorder = current.active()
    if recorder is None:
        return await spec.function(*args, **kwargs)

    def do(attempt: Attempt) -> Awaitable[Any]:
        made: Awaitable[Any] = spec.function(*args, **kwargs)
        return made

    return await recorder.perform_async(
        _request(spec, args, kwargs), do, probe=_probe(spec, args, kwargs), transient=_transient(spec), retry=spec.retry
    )


def _request(spec: _Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Request:
    bound = spec.signature.bind(*args, **kwargs)
    bound.apply_defaults()
    told = {n: v for n, v in bound.arguments.items() if n not in spec.ignore} if spec.ignore else bound.arguments
    same = told if spec.key is None else spec.key(*args, **kwargs)
    shown = {n: for_people(v) for n, v in told.items()}
    return Request(
        kind="call",
        operation=f"{spec.name}({', '.join(f'{n}={v!r}' for n, v in shown.items())})",
        fingerprint=canonical.digest([spec.name, dict(same) if spec.key is None else same], what=f"the call of {spec.name}"),
        effect=spec.effect,
        arguments=shown,
    )


def _probe(spec: _Spec, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Attempt], Outcome | None] | None:
    given = spec.probe
    if given is None:
        return None

    def probe(attempt: Attempt) -> Outcome | None:
        found = given(*args, **kwargs)
        return Outcome(happened=found) if isinstance(found, bool) else found

    return probe


def _transient(spec: _Spec) -> Callable[[Any, BaseException | None], Transient | None] | None:
    if spec.retry is None or not spec.retry.count:
        return None
    return functools.partial(_judge, spec.retry_on)


def _judge(retry_on: tuple[type[Exception], ...], result: Any, error: BaseException | None) -> Transient | None:
    if isinstance(error, retry_on) and not isinstance(error, HoldfastError):
        return Transient(reason=text_of(error))
    return None


def for_people(value: Any) -> Any:
    """A value as lists show it: JSON types where they are short, else the beginning of its text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else None
    if text is None:
        try:
            text = repr(value)
        except Exception:
            text = f"<{type(value).__qualname__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _name_of(function: Any) -> str:
    name: str = function.__qualname__
    module: str = function.__module__
    return name if module in ("__main__", None) else f"{module}.{name}"
