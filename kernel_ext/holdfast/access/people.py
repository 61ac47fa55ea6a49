"""Who there is: groups, and where people can be reached. The part of the policy file that holds no rules."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from holdfast.errors import OperatorError

#: What the file may say of a person: ``email`` and ``slack`` are where channels reach them and what they are known by there.
KEYS: Final = ("name", "email", "slack", "groups")
#: Keys by which a message from outside becomes a person; no two people may have the same.
KNOWN_BY: Final = ("email", "slack")
GROUP: Final = "group:"


class People:
    """Tables ``[groups]`` and ``[people]``.

    Args:
        content: the parsed file.
        file: its name, for errors.

    Raises:
        OperatorError: HF265, something in them is not understood.
    """

    def __init__(self, content: Mapping[str, Any], file: str = "") -> None:
        self._file = file
        self.about: dict[str, dict[str, Any]] = {}  # person -> what the file says of them
        found: dict[str, list[str]] = {}
        for group, members in table(content, "groups", file).items():
            found.setdefault(group, []).extend(names(members, f"groups.{group}", file))
        for name, about in table(content, "people", file).items():
            if not isinstance(about, dict):
                raise wrong(f"people.{name} is not a table", file)
            unknown(about, KEYS, f"people.{name}", file)
            self.about[name] = dict(about)
            for group in names(about.get("groups", []), f"people.{name}.groups", file):
                found.setdefault(group, []).append(name)
        #: group -> its people
        self.groups: Mapping[str, tuple[str, ...]] = {group: tuple(dict.fromkeys(members)) for group, members in found.items()}
        self._check()

    @classmethod
    def load(cls, path: Path | None) -> People:
        """Those of the policy file ``path``; nobody without one.

        Raises:
            OperatorError: HF265.
        """
        return cls(read(path), str(path)) if path is not None else cls({})

    def groups_of(self, who: str) -> tuple[str, ...]:
        """The groups that a person is in."""
        return tuple(sorted(group for group, members in self.groups.items() if who in members))

    def by(self, key: str, value: str) -> str | None:
        """The person whose ``key`` (one of :data:`KNOWN_BY`) is ``value``: how a message from outside becomes somebody of the policy."""
        return next((name for name, about in self.about.items() if value and about.get(key) == value), None)

    def knows(self, name: str) -> bool:
        """Whether the file speaks of this person."""
        return name in self.about or any(name in members for members in self.groups.values())

    def _check(self) -> None:
        for key in KNOWN_BY:
            values = [about[key] for about in self.about.values() if key in about]
            if not all(isinstance(v, str) and v for v in values):
                raise wrong(f"a person's {key} is a text", self._file)
            if doubled := sorted({v for v in values if values.count(v) > 1}):
                raise wrong(f"two people have the {key} {doubled[0]}", self._file)
        both = sorted(self.groups.keys() & {*self.about, *(person for members in self.groups.values() for person in members)})
        if both:
            raise wrong(f"a group and a person have the same name, {both[0]!r}", self._file)


# ---- reading a policy file


def read(path: Path) -> Mapping[str, Any]:
    """The parsed file. Raises ``OperatorError`` HF265."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        what = f"the policy file cannot be read: {error}"
        raise OperatorError("HF265", what, cure="Mend it; until then all is denied.", file=str(path)) from None


def table(content: Mapping[str, Any], name: str, file: str) -> Mapping[str, Any]:
    """``content[name]``, a table. Raises ``OperatorError`` HF265."""
    found = content.get(name, {})
    if not isinstance(found, dict):
        raise wrong(f"{name} is not a table", file)
    return found


def names(value: Any, where: str, file: str) -> list[str]:
    """``value``, a list of names. Raises ``OperatorError`` HF265."""
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip("!") for v in value):
        raise wrong(f"{where} is not a list of names", file)
    return value


def unknown(given: Iterable[str], known: Iterable[str], where: str, file: str) -> None:
    """Raise ``OperatorError`` HF265 for the first of ``given`` that is none of ``known``."""
    import difflib

    known = list(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise wrong(f"{where} has an unknown entry {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""), file)


def wrong(what: str, file: str) -> OperatorError:
    """HF265."""
    return OperatorError("HF265", f"the policy is not understood: {what}", cure="Mend it; until then all is denied.", file=file)
