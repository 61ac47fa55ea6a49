"""The codec of JSON types and bytes: msgpack, readable without executing anything."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from typing_extensions import Buffer

from holdfast.codec import Unsuited

_LEAVES: Final = frozenset({type(None), bool, int, float, str, bytes})
_CONTAINERS: Final = frozenset({list, dict})
_KEYS: Final = frozenset({str})

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Native:
    """None, bool, int (64 bit), float, str, bytes, list, dict with text keys; exact types, each container in one place only."""

    name = "msgpack"

    def dumps(self, value: Any) -> bytes:
        """See ``Codec.dumps``."""
        if type(value) not in _LEAVES:
            _check(value)
        try:
            return _encode(value)
        except (OverflowError, UnicodeEncodeError, RecursionError, ValueError, TypeError) as error:
            raise Unsuited(str(error)) from error

    def loads(self, data: Buffer) -> Any:
        """See ``Codec.loads``."""
        return _decode(data)


def _check(value: Any) -> None:
    """msgpack would take a tuple, an enum or a subclass as well, and give back something else; a container that occurs twice would
    come back as two. One set operation per container keeps this cheap."""
    seen: set[int] = set()
    todo = [value]
    while todo:
        container = todo.pop()
        kind = type(container)
        if kind not in _CONTAINERS:
            raise Unsuited(f"{kind.__qualname__} is no JSON type")
        if id(container) in seen:
            raise Unsuited("a list or dict occurs twice in it")
        seen.add(id(container))
        if kind is dict:
            if not _KEYS.issuperset(map(type, container)):
                raise Unsuited("a key is no text")
            members = container.values()
        else:
            members = container
        if not _LEAVES.issuperset(map(type, members)):
            todo += [m for m in members if type(m) not in _LEAVES]
