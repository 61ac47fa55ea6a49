"""The runbooks that may be started: notebooks in the configured folders, known by name; a path never comes from outside."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from holdfast.errors import HoldfastError, LookupFailedError, OperatorError
from holdfast.foundation.rereading import Stamp, stamp_of
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import examine
from holdfast.notebook.reader import read

_PASSED_OVER: Final = frozenset({".ipynb_checkpoints", "node_modules", "__pycache__", "outputs"})
_MOST: Final = 5000


class Runbook(msgspec.Struct, frozen=True, kw_only=True):
    """One notebook on the shelf."""

    name: str
    path: Path
    manifest: Manifest | None  # None when it cannot be read or compiled
    problem: str = ""  # why not


class Shelf:
    """Looks into the folders; what a file compiles to is remembered until it changes.

    Args:
        folders: where runbooks lie, searched with what is below them.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [Path(f).resolve() for f in folders]
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[Stamp, Runbook]] = {}

    def all(self) -> list[Runbook]:
        """Every runbook, by name; of two with one name, both."""
        return [self._look(path) for path in sorted(self._paths(), key=lambda p: (p.stem, str(p)))]

    def names(self) -> list[str]:
        """Their names."""
        return sorted({p.stem for p in self._paths()})

    def get(self, name: str) -> Runbook:
        """The runbook ``name``.

        Raises:
            LookupFailedError: HF607. OperatorError: HF270, there are two.
        """
        found = [p for p in self._paths() if p.stem == name]
        if not found:
            raise LookupFailedError("HF607", "there is no such runbook", cure="GET /api/v1/runbooks lists them.", runbook=name)
        if len(found) > 1:
            raise OperatorError(
                "HF270", "two runbooks have this name", cure="Rename one: the policy knows them by name.", runbook=name,
                files=" and ".join(map(str, found)),
            )  # fmt: skip
        return self._look(found[0])

    def _paths(self) -> list[Path]:
        found: dict[Path, None] = {}
        for folder in self._folders:
            for place, folders, files in os.walk(folder):  # does not follow links to folders
                folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _PASSED_OVER)
                for file in files:
                    path = Path(place, file)
                    if file.endswith(".ipynb") and not file.startswith(".") and path.resolve().is_relative_to(folder):
                        found[path] = None
                if len(found) >= _MOST:
                    break
        return list(found)

    def _look(self, path: Path) -> Runbook:
        try:
            stamp = stamp_of(path)
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                return known[1]
            manifest = examine(read(path)).manifest
            looked = Runbook(
                name=path.stem, path=path, manifest=manifest, problem="" if manifest else "it does not compile: holdfast check"
            )
        except HoldfastError as error:
            looked = Runbook(name=path.stem, path=path, manifest=None, problem=str(error))
        except OSError as error:
            return Runbook(name=path.stem, path=path, manifest=None, problem=error.strerror or "it cannot be read")
        with self._lock:
            self._known[path] = (stamp, looked)
        return looked
