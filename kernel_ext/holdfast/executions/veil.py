"""Masks secret parameters: under their names, and their values wherever they turn up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from holdfast.foundation.secrets import MASK, Redactor
from holdfast.model.execution import Execution


class Veil:
    """What somebody may not see.

    Args:
        hidden: name -> value.
    """

    def __init__(self, hidden: Mapping[str, Any]) -> None:
        self._names = frozenset(hidden)
        self._redactor = Redactor()
        for value in hidden.values():
            for text in _texts(value):
                self._redactor.mask(text)

    @classmethod
    def over(cls, header: Execution) -> Veil:
        """For what leaves the house: all secret parameters of an execution."""
        return cls({name: value for name, value in header.parameters.items() if name in header.secrets})

    def __call__(self, value: Any) -> Any:
        """A copy of ``value`` (JSON types) without them."""
        if not self._names:
            return value
        if isinstance(value, str):
            return self._redactor.text(value)
        if isinstance(value, Mapping):
            return {k: MASK if k in self._names and v is not None else self(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
