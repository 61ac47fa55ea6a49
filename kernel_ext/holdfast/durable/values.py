"""Values and errors of calls as the journal keeps them, and what the cell is handed for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.codecs import failures, values
from holdfast.errors import AuthorError
from holdfast.foundation.secrets import Redactor
from holdfast.journal.store import Store

_HELD = ("request", "response", "_request", "_response")  # requests, httpx: sockets, and the request's credentials


class Values:
    """The codecs, bound to one journal.

    Args:
        store: whose blobs take large values and whose key authenticates pickles.
        redactor: registered secrets never reach the journal; the cell gets them back.
        limit: bytes a stored value may have.
        materialise: see ``codecs.values.decode``.
    """

    def __init__(
        self, store: Store, redactor: Redactor, *, limit: int = values.LIMIT, materialise: Callable[[str], object] | None = None
    ) -> None:
        self._blobs, self._key, self._limit, self._materialise = store.blobs, store.key, limit, materialise
        self._redactor = redactor

    def encode(self, value: Any) -> Any:
        """What goes into an entry's body.

        Raises:
            AuthorError: HF165 it cannot be stored, HF166 it is too large. StoreError.
        """
        kind = type(value)
        if kind is str:
            if len(value) < 65536 and not self._redactor.has_values:
                return {"v": value}
        elif value is None or kind is bool or kind is float:
            return {"v": value}
        if self._redactor.has_values:
            value = self._redactor.hide(value)
        return values.encode(value, blobs=self._blobs, key=self._key, limit=self._limit)

    def decode(self, stored: Any) -> Any:
        """The value; a new object every time.

        Raises:
            StoreError: HF510, HF511. LookupFailedError: HF604. AuthorError: HF167.
        """
        value = values.decode(stored, blobs=self._blobs, key=self._key, materialise=self._materialise)
        return self._redactor.reveal(value) if self._redactor.has_values else value

    def encode_error(self, error: Exception) -> tuple[dict[str, Any], Exception]:
        """The stored form of ``error``, and what the cell is handed: ``error`` itself, or, when a later process could not raise its
        type again, what that process will raise instead."""
        state = getattr(error, "__dict__", {})
        held = {name: state[name] for name in _HELD if name in state}
        state.update(dict.fromkeys(held))
        try:
            stored = failures.encode_error(error, blobs=self._blobs, key=self._key, limit=self._limit, redact=self._redactor.redact)
        finally:
            state.update(held)
        if "exception" in stored or self._encode_parts(stored, error):
            return stored, error
        substitute = self.decode_error(stored)
        substitute.__cause__ = error
        return stored, substitute

    def _encode_parts(self, stored: dict[str, Any], error: Exception) -> bool:
        """Exceptions whose ``__init__`` does not take their ``args`` back (keyword-only parameters, say) are made again without it."""
        if not str(error).startswith(stored["text"]):  # a secret was taken out
            return False
        try:
            kept = {name: value for name, value in vars(error).items() if self._keeps(value)}
            parts = {**stored, "parts": self.encode((type(error), error.args, kept))}
            again = self.decode_error(parts)
        except Exception:  # whatever a foreign type does when it is made again: then only its text is kept
            return False
        if type(again) is not type(error) or str(again) != str(error):
            return False
        stored.update(parts)
        return True

    def _keeps(self, value: Any) -> bool:
        try:
            self.encode(value)
        except AuthorError:
            return False
        return True

    def decode_error(self, stored: dict[str, Any]) -> Exception:
        """The exception to raise."""
        if "parts" in stored:
            cls, args, kept = self.decode(stored["parts"])
            again: Exception = cls.__new__(cls, *args)
            again.args = args
            vars(again).update(kept)
            return again
        made = failures.decode_error(stored, blobs=self._blobs, key=self._key, materialise=self._materialise)
        if not isinstance(made, Exception):
            raise made  # control flow is never recorded; a journal that says so is not followed silently
        return made


def text_of(error: BaseException) -> str:
    """``Type: message`` on one line, at most 2,000 characters."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message}"[:2000] if message else type(error).__name__
