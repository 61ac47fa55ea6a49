"""What a one-line command gives: JSON whose keys are attributes as well, and JMESPath over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.show.findings import Rows
from holdfast.show.tables import bundle_of


class _Selecting:
    def select(self, expression: str) -> Any:
        """What a JMESPath expression finds: ``vols.select("volumes[].volume_id")``.

        Raises:
            jmespath.exceptions.JMESPathError: it is none (a ``ValueError``).
        """
        import jmespath

        return dotted(jmespath.search(expression, _plain(self)))


class Dotted(_Selecting, dict[str, Any]):
    """A dict: ``x.volumes[0].size`` is ``x["volumes"][0]["size"]``. Methods of a dict go first (``x["items"]``)."""

    def __getattr__(self, name: str) -> Any:
        for key in (name, name.replace("_", "-")):
            if key in self and not name.startswith("__"):
                return self[key]
        raise AttributeError(f"there is no {name!r}; there is {', '.join(map(str, self)) or 'nothing'}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(str(key).replace("-", "_") for key in self)]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        lists = [value for value in self.values() if isinstance(value, Found) and value]
        rows: Any = lists[0] if len(self) == 1 and lists else [{"": key, "value": value} for key, value in self.items()]
        return bundle_of(rows)._repr_mimebundle_()


class Found(_Selecting, Rows):
    """A list of them; shown as a table."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle_of(self if all(isinstance(one, Mapping) for one in self) else [{"": one} for one in self])._repr_mimebundle_()

    def __repr__(self) -> str:
        return list.__repr__(self)


def dotted(value: Any) -> Any:
    """``value`` with dicts as :class:`Dotted` and lists as :class:`Found`, all the way down; what is neither stays as it is."""
    if isinstance(value, Mapping):
        return Dotted({key: dotted(one) for key, one in value.items()})
    if type(value) in (list, tuple, Rows, Found):
        return Found(dotted(one) for one in value)
    return value


def _plain(value: Any) -> Any:
    """As JMESPath wants it: it asks for the very types of JSON."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value
