"""What a setting is, and how its value is read: (value as given, base folder) -> value; a ValueError says what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

SQLITE = "sqlite:///"


class Setting(msgspec.Struct, frozen=True):
    """One setting as the reference page tells it."""

    parse: Callable[[Any, Path], Any]
    type: str
    default: str
    meaning: str


def words(value: Any, base: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value.strip()


def number(least: float, unit: str) -> Callable[[Any, Path], float]:
    def parse(value: Any, base: Path) -> float:
        try:
            number = float(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError):
            number = None
        if number is None or not least <= number < float("inf"):
            raise ValueError(f"must be a number of {unit}, at least {least:g}")
        return number

    return parse


def whole(least: int, most: int | None = None) -> Callable[[Any, Path], int]:
    def parse(value: Any, base: Path) -> int:
        try:
            number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None or number < least or (most is not None and number > most):
            raise ValueError(f"must be a whole number, at least {least}" + (f" and at most {most}" if most is not None else ""))
        return number

    return parse


def switch(value: Any, base: Path) -> bool:
    if isinstance(value, bool):
        return value
    known = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    if not isinstance(value, str) or value.strip().lower() not in known:
        raise ValueError("must be on or off")
    return known[value.strip().lower()]


def names(value: Any, base: Path) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and n.strip().lstrip("-") for n in names):
        raise ValueError("must be a list of names")
    return tuple(n.strip() for n in names)


def path(value: Any, base: Path) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("must be a path")
    return Path(os.path.normpath(base / Path(value).expanduser()))


def key(value: Any, base: Path) -> bytes:
    if isinstance(value, bytes) and len(value) == 32:
        return value
    try:
        key = bytes.fromhex(value)
    except (TypeError, ValueError):
        key = b""
    if len(key) != 32:
        raise ValueError("must be 64 hexadecimal digits (32 bytes)")
    return key


def journal(value: Any, base: Path) -> str:
    if isinstance(value, str) and value.startswith(("postgresql://", "postgres://")):
        return value
    if not isinstance(value, str) or not value.startswith(SQLITE) or value in {SQLITE, SQLITE + ":memory:"}:
        raise ValueError("must be sqlite:///PATH or postgresql://USER@HOST/DATABASE")
    path = Path(value.removeprefix(SQLITE)).expanduser()
    first = path.parts[0] if path.parts else ""
    if not path.is_absolute() and first not in {".", ".."} and value[len(SQLITE)] != "." and len(path.parts) > 1:
        # `sqlite:///var/lib/x.db` is read as relative by some and as absolute by others; the wrong guess makes a second, empty journal.
        if Path("/", first).is_dir() and not (base / first).is_dir():
            raise ValueError(f"is ambiguous: write sqlite:////{path} for the absolute path or sqlite:///./{path} for the relative one")
    return SQLITE + os.path.normpath(base / path)
