"""Runbooks as Dagster sees them: found in a folder, compiled, named; and those that cannot be, with the reason."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec
from dagster._core.definitions.utils import DISALLOWED_NAMES

from holdfast.errors import AuthorError, HoldfastError
from holdfast.model.manifest import Manifest, Step
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.metadata import CellMetadata, RunbookMetadata, cell_metadata, runbook_metadata
from holdfast.notebook.reader import read

#: The node after all steps of a runbook with assets; its asset is the executed notebook.
CLOSING = "executed_notebook"

_SKIPPED = ("__pycache__", "node_modules", "site-packages")


class Runbook(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled runbook with its names in Dagster."""

    name: str  # of its job and graph: unique in the code location, made from the path alone
    path: Path
    manifest: Manifest
    card: RunbookMetadata
    aliases: dict[str, str]  # step -> name of its node

    @property
    def steps(self) -> list[Step]:
        """The steps that Dagster runs; teardowns are offered to people, never run by themselves."""
        return [s for s in self.manifest.steps if s.teardown_of is None]

    @property
    def assets(self) -> list[Step]:
        """The steps that are assets."""
        return [s for s in self.steps if s.asset]

    @property
    def graph_name(self) -> str:
        """The name of its graph: that of its job, except where the job holds the graph as a node."""
        return f"{self.name}__steps" if self.assets else self.name

    def options(self, step: Step) -> CellMetadata:
        """What the cell that starts the step says in its metadata."""
        return cell_metadata(step.cells[0].metadata.get("holdfast") if step.cells else None)[0]

    def error(self, message: str, cure: str, step: Step | None = None) -> AuthorError:
        """Something in this runbook that Dagster cannot take, naming file and cell."""
        cell = step.cells[0] if step and step.cells else None
        return AuthorError("HF190", message, cure=cure, file=str(self.path), cell=f"{cell.index} ({cell.id})" if cell else None)


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook that is no runbook Dagster can run, and why."""

    name: str
    path: Path
    error: HoldfastError


def load(path: Path, name: str | None = None) -> Runbook:
    """Read and compile one notebook.

    Raises:
        AuthorError: HF101, HF102; HF190 when two of its steps would have one name in Dagster.
        LookupFailedError: HF605.
    """
    notebook = read(path)
    manifest = compile_notebook(notebook)
    card, _ = runbook_metadata(notebook.metadata.get("holdfast"))
    runbook = Runbook(name=name or dagster_name(path.stem), path=path.absolute(), manifest=manifest, card=card, aliases={})
    taken: dict[str, str] = {CLOSING: "the node after all steps"}
    for step in runbook.steps:
        alias = dagster_name(step.name)
        if alias in taken:
            other = taken[alias]
            raise runbook.error(f"in Dagster the step {step.name!r} would be called {alias!r}, as {other!r}", "rename one of them", step)
        taken[alias] = step.name
    return msgspec.structs.replace(runbook, aliases={s: a for a, s in taken.items() if a != CLOSING})


def load_all(path: Path, prefix: str = "") -> tuple[list[Runbook], list[Broken]]:
    """Load one notebook, or every notebook in a folder and below it.

    Args:
        path: a file or a folder.
        prefix: put before every name.

    Returns:
        the runbooks, and the notebooks that are broken; both in order of name.
    """
    good: dict[str, Runbook] = {}
    broken: list[Broken] = []
    for place, name in named(path, prefix):
        try:
            if name in good:
                raise AuthorError(
                    "HF190",
                    f"in Dagster this runbook would be called {name!r}, as {good[name].path}",
                    cure="rename one of the two files",
                    file=str(place),
                )
            good[name] = load(place, name)
        except HoldfastError as error:
            broken.append(Broken(name=_free(name, good, broken), path=place, error=error))
        except Exception as error:  # whatever one notebook does to us, the others are loaded
            wrapped = AuthorError(
                "HF190", f"{type(error).__name__}: {error}", cure="run holdfast check on it, and report this", file=str(place)
            )
            broken.append(Broken(name=_free(name, good, broken), path=place, error=wrapped))
    return list(good.values()), broken


def named(path: Path, prefix: str = "") -> Iterator[tuple[Path, str]]:
    """The notebooks at ``path`` with the names they have in Dagster: the path below the folder, so that no other file can change it."""
    if path.is_file() or path.suffix == ".ipynb":
        yield path, dagster_name(prefix + path.stem)
        return
    found = []
    for folder, inside, files in os.walk(path):
        inside[:] = [name for name in inside if not name.startswith(".") and name not in _SKIPPED]
        found += [Path(folder, name) for name in files if name.endswith(".ipynb") and not name.startswith(".")]
    for place in sorted(found):
        yield place, dagster_name(prefix + "__".join(place.relative_to(path).with_suffix("").parts))


def nearest(start: Path) -> Path:
    """The folder ``runbooks`` in ``start``, else that of the project ``start`` lies in, else ``start``."""
    for folder in (start, *start.parents):
        in_project = (folder / "pyproject.toml").exists() or (folder / ".git").exists()
        if (folder / "runbooks").is_dir() and (in_project or folder == start):
            return folder / "runbooks"
        if in_project:
            break
    return start


def dagster_name(text: str) -> str:
    """``text`` as a name that Dagster takes: ASCII letters, digits and underscores.

    Depends on ``text`` alone. Where characters are lost for good, a few digits of a digest keep names apart.
    """
    plain = unicodedata.normalize("NFKD", text)
    ascii_only = "".join(c for c in plain if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9_]", "_", ascii_only)
    if not ascii_only.isascii() or not name.strip("_"):
        name = f"{name.strip('_') or 'x'}_{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"
    return f"{name}_" if name in DISALLOWED_NAMES else name


def _free(name: str, good: dict[str, Runbook], broken: list[Broken]) -> str:
    taken = {*good, *(b.name for b in broken)}
    return next(n for n in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)
