"""The codec of everything else: pickle, protocol 5. Only authenticated bytes may be handed to :meth:`Pickled.loads`.

What the notebook defines (functions and classes of ``__main__``) goes by name as long as the name still means that very object,
so that an instance is one of the class that the next kernel has restored. A class that was redefined since, or that lives inside
a function, has no such name and goes by value.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any

import cloudpickle
from typing_extensions import Buffer

from holdfast.codec import Unsuited


class Pickled:
    """Anything that pickles.

    Args:
        materialise: called with a name that ``__main__`` lacks while a value is loaded; a kernel that restores its namespace lazily
            puts the name there.
    """

    name = "pickle"

    def __init__(self, materialise: Callable[[str], object] | None = None) -> None:
        self._materialise = materialise

    def dumps(self, value: Any) -> bytes:
        """See ``Codec.dumps``."""
        out = io.BytesIO()
        try:
            _Pickler(out, protocol=5).dump(value)
        except Exception as error:  # reducers of strangers may raise anything
            raise Unsuited(f"{type(error).__name__}: {error}") from error
        return out.getvalue()

    def loads(self, data: Buffer) -> Any:
        """See ``Codec.loads``. Raises whatever the value's own code raises."""
        return _Unpickler(io.BytesIO(data), self._materialise).load()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, types.FunctionType)) and obj.__module__ == "__main__" and _main(obj.__qualname__) is obj:
            return obj.__qualname__  # pickle then writes the name only
        return super().reducer_override(obj)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, materialise: Callable[[str], object] | None) -> None:
        super().__init__(file)
        self._materialise = materialise

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__" and self._materialise is not None and _main(name) is None:
            self._materialise(name.partition(".")[0])
        return super().find_class(module, name)


def _main(qualname: str) -> Any:
    """What ``__main__`` has under that name now; None when there is nothing."""
    found: Any = sys.modules["__main__"]
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
