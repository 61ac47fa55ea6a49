"""An exception <-> what an entry keeps of it, so that a recorded failure can be raised again."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from holdfast.codec import Blobs, Unsuited
from holdfast.codecs import values
from holdfast.codecs.pickled import Pickled
from holdfast.errors import AuthorError, CallError, HoldfastError

_TEXT: Final = 16 * 1024  # characters kept of a message
_CAUSES: Final = 10
_pickled = Pickled()


def encode_error(
    error: BaseException, *, blobs: Blobs, key: bytes, limit: int = values.LIMIT, redact: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """What an entry keeps of ``error``: ``{type, text, code?, causes, exception?, lost?}``.

    The exception itself is kept when it can be made again with the same type and arguments; attributes that cannot be stored are
    left out and named in ``lost``. Otherwise only its text is kept. Causes and contexts are kept as text.

    Args:
        error: as raised.
        blobs, key, limit: see ``values.encode``.
        redact: applied to the texts and to the arguments. When it changes an argument, only text is kept.
    """
    clean = redact or (lambda value: value)
    stored: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "text": _clip(str(clean(_text(error)))),
        "causes": [_clip(str(clean(text))) for text in _causes(error)],
    }
    if isinstance(error, HoldfastError):
        stored["code"] = error.code
    if redact is not None and _changed(redact, error):
        return stored
    copy, lost = _storable(error)
    if copy is not None:
        try:
            stored["exception"] = values.encode(copy, blobs=blobs, key=key, limit=limit)
        except AuthorError:
            return stored
        if lost:
            stored["lost"] = lost
    return stored


def decode_error(
    stored: Mapping[str, Any], *, blobs: Blobs, key: bytes, materialise: Callable[[str], object] | None = None
) -> BaseException:
    """The exception of what :func:`encode_error` made; the caller raises it. A ``CallError`` HF349 with its text when it cannot be
    made again.

    Raises:
        StoreError: HF510, HF511 what is stored is not authentic.
    """
    made: BaseException | None = None
    if "exception" in stored:
        try:
            made = values.decode(stored["exception"], blobs=blobs, key=key, materialise=materialise)
        except AuthorError:
            made = None
    if not isinstance(made, BaseException):
        made = CallError(
            "HF349", f"{stored['type']}: {stored['text']}", cure="This is the recorded failure; its type cannot be made again here."
        )
    for cause in stored.get("causes", ()):
        made.add_note(f"Caused by {cause}")
    return made


def _storable(error: BaseException) -> tuple[BaseException | None, list[str]]:
    """A copy of ``error`` that survives its way through pickle, and the names of the attributes that had to go."""
    if _survives(error):
        return error, []
    attributes = dict(vars(error))
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        try:
            _pickled.loads(_pickled.dumps(value))
        except Exception:  # whatever strangers' reducers raise: the attribute goes
            continue
        kept[name] = value
    try:
        copy = type(error).__new__(type(error), *error.args)
        copy.args = error.args
        vars(copy).update(kept)
    except Exception:
        return None, []
    return (copy, sorted(set(attributes) - set(kept))) if _survives(copy) else (None, [])


def _survives(error: BaseException) -> bool:
    """Whether pickle gives back the same: many exceptions pickle well and cannot be made again, or come back with other arguments."""
    try:
        again = _pickled.loads(_pickled.dumps(error))
    except (Unsuited, Exception):
        return False
    return (
        type(again) is type(error)
        and str(again) == str(error)
        and len(again.args) == len(error.args)
        and vars(again).keys() == vars(error).keys()
    )


def _changed(redact: Callable[[Any], Any], error: BaseException) -> bool:
    """Whether an argument or attribute holds a secret."""
    for value in (*error.args, *vars(error).values(), _text(error)):
        try:
            if redact(value) is not value and redact(value) != value:
                return True
        except Exception:
            return True
    return False


def _causes(error: BaseException) -> list[str]:
    texts: list[str] = []
    seen = {id(error)}
    step: BaseException | None = error
    while step is not None and len(texts) < _CAUSES:
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
        if step is None or id(step) in seen:
            break
        seen.add(id(step))
        texts.append("".join(traceback.format_exception_only(step)).strip())
    return texts


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"<{type(error).__name__} without a text>"


def _clip(text: str) -> str:
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files need not be UTF-8
    return text if len(text) <= _TEXT else text[:_TEXT] + " …"
