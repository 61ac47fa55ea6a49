"""Files people write: read, and complained about with file, table, key and the nearest known name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from holdfast.errors import OperatorError


class Trouble(ValueError):
    """Something in a file that cannot be used: which key, what is wrong, what to do."""

    def __init__(self, what: str, *, key: str | None = None, cure: str = "Correct it.") -> None:
        super().__init__(what)
        self.what, self.key, self.cure = what, key, cure

    def error(self, code: str, **where: Any) -> OperatorError:
        """As an error with a code."""
        return OperatorError(code, self.what, cure=self.cure, **where, key=self.key)


def read_table(path: Path) -> Mapping[str, Any]:
    """A TOML or YAML file as a mapping.

    Raises:
        Trouble: it cannot be read, or holds something else.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Trouble(f"the file cannot be read: {error.strerror}", cure="Make it readable.") from None
    try:
        content = tomllib.loads(raw.decode()) if path.suffix == ".toml" else yaml.safe_load(raw)
    except (ValueError, yaml.YAMLError) as error:
        kind = "TOML" if path.suffix == ".toml" else "YAML"
        raise Trouble(f"the file is not {kind}: {' '.join(str(error).split())}") from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise Trouble("the file must hold tables with names")
    return content


def known_keys(table: Mapping[str, Any], known: Collection[str], inside: str = "") -> None:
    """Raise :class:`Trouble` for the first key that is none of ``known``."""
    for key in table:
        if key not in known:
            raise Trouble(f"unknown key {key!r}", key=f"{inside}{key}", cure=did_you_mean(str(key), known))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A cure that names the nearest of ``known``."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names) or 'none'}."


def expect(table: Mapping[str, Any], key: str, kind: type | tuple[type, ...], what: str, default: Any = None) -> Any:
    """``table[key]`` when it has the right type; the default when it is not there. Raises :class:`Trouble`."""
    value = table.get(key, default)
    if value is default and key not in table:
        return default
    if not isinstance(value, kind) or (isinstance(value, bool) and bool not in (kind if isinstance(kind, tuple) else (kind,))):
        raise Trouble(f"{key} must be {what}, not {value!r}", key=key)
    return value
