"""The source as the architecture tests see it: parsed once."""

from __future__ import annotations

import ast
import gc
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = (ROOT / "kernel_ext", ROOT / "dagster_defs")


Node = TypeVar("Node", bound=ast.AST)


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str  # as imported
    path: Path
    text: str
    tree: ast.Module

    def nodes(self, kind: type[Node]) -> list[Node]:
        """Every node of exactly this kind, in the order of ``ast.walk``."""
        return self._by_kind[kind]  # type: ignore[return-value]

    @cached_property
    def _by_kind(self) -> dict[type[ast.AST], list[ast.AST]]:
        found = defaultdict[type[ast.AST], list[ast.AST]](list)
        for node in ast.walk(self.tree):
            found[type(node)].append(node)
        return found

    @cached_property
    def definitions(self) -> list[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
        """Every class and function with its dotted name, nested ones included."""

        def walk(node: ast.AST, above: str) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{above}.{child.name}", child
                    yield from walk(child, f"{above}.{child.name}")
                elif not isinstance(child, ast.expr):  # no expression holds a definition
                    yield from walk(child, above)

        return list(walk(self.tree, self.name))

    @property
    def room(self) -> str:
        """``journal`` for ``holdfast.journal.store``."""
        return (self.name.split(".") + [""])[1]


class Exceptions(dict[str, str]):
    """What a rule lets pass: subject -> reason. Entries that nothing needs any more are an error too."""

    def __init__(self, path: Path) -> None:
        self.path, self.used = path, set[str]()
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                subject, _, reason = line.partition("#")
                assert reason.strip(), f"{path.name}:{number}: an exception needs a reason after a #"
                self[subject.strip()] = reason.strip()

    def allows(self, subject: str) -> bool:
        """Whether ``subject`` is excepted, by name or by pattern; notes that the exception is needed."""
        fitting = {pattern for pattern in self if fnmatchcase(subject, pattern)}
        self.used |= fitting
        return bool(fitting)

    @property
    def stale(self) -> list[str]:
        """Exceptions that nothing needed."""
        return sorted(set(self) - self.used)


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every module of both packages."""
    found = []
    gc.disable()  # a million nodes, all of which stay, would be gone through again and again
    for source_root in SOURCE_ROOTS:
        for path in sorted(source_root.rglob("*.py")):
            parts = path.relative_to(source_root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text()
            found.append(Module(name, path, text, ast.parse(text)))
    gc.freeze()
    gc.enable()
    assert len(found) > 10
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """Every file of the repository: what git knows or would take; without git (an unpacked archive), what lies there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0:
        names = [n for n in listed.stdout.split("\0") if n]
    else:
        hidden = {".git", ".venv", ".holdfast", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
        names = [str(p.relative_to(root)) for p in root.rglob("*") if not hidden & set(p.relative_to(root).parts)]
    return [root / n for n in names if (root / n).is_file()]


@pytest.fixture
def exceptions(request: pytest.FixtureRequest) -> Exceptions:
    """The exceptions file beside the test module: ``sizes.txt`` for ``test_sizes.py``."""
    path = Path(request.path).with_name(Path(request.path).stem.removeprefix("test_") + ".txt")
    return Exceptions(path)
