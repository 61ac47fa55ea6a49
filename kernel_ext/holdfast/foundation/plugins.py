"""Finds what other packages add, through entry points.

A package announces an interceptor, a check, a reducer … in its ``pyproject.toml``::

    [project.entry-points."holdfast.interceptors"]
    mylib = "mypackage.interceptor:MyInterceptor"

and every room asks here by group. What an announcement points to is imported only when asked for by :meth:`Plugin.load`.
"""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from holdfast.errors import OperatorError

#: Every group that exists.
GROUPS: Final[frozenset[str]] = frozenset(
    {
        "holdfast.interceptors",
        "holdfast.checks",
        "holdfast.commands",
        "holdfast.reducers",
        "holdfast.channels",
        "holdfast.launchers",
        "holdfast.services",
        "holdfast.secrets",
    }
)


class Plugin(msgspec.Struct, frozen=True):
    """One announced thing."""

    name: str
    group: str
    target: str  # "module:attribute"
    package: str  # the distribution that announces it, with its version

    def load(self) -> Any:
        """Import it.

        Raises:
            OperatorError: HF213 when its module or attribute cannot be loaded.
        """
        try:
            return EntryPoint(name=self.name, value=self.target, group=self.group).load()
        except Exception as e:
            raise OperatorError(
                "HF213",
                f"the plugin {self.name} of {self.package} cannot be loaded: {type(e).__name__}: {e}",
                cure=f"Repair or uninstall {self.package}.",
                group=self.group,
                target=self.target,
            ) from e


@functools.cache
def find(group: str) -> tuple[Plugin, ...]:
    """The plugins of ``group``, by name. Read once per process.

    Raises:
        ValueError: no such group.
        OperatorError: HF212 when two packages announce different things under one name.
    """
    if group not in GROUPS:
        raise ValueError(f"unknown plugin group {group!r}")
    found: dict[str, Plugin] = {}
    for one in entry_points(group=group):
        package = f"{one.dist.name} {one.dist.version}" if one.dist else "an unknown package"
        other = found.setdefault(one.name, Plugin(one.name, group, one.value, package))
        if other.target != one.value:
            raise OperatorError(
                "HF212",
                f"{other.package} and {package} both announce {one.name}",
                cure="Uninstall one of them.",
                group=group,
                targets=f"{other.target} and {one.value}",
            )
    return tuple(found[name] for name in sorted(found))
