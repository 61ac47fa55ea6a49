"""Runs a case: some cells with a capture after each, death, restore in a new process, the remaining cells; compares ``probe`` with an
uninterrupted run. One warm process forks for each part, so that hundreds of cases take seconds.

A case file is text: ``=== name``, then cells parted by ``---`` lines; ``--- kill`` marks where the process dies. ``# expect: flagged`` in
the first line of a case says that the author must have been told.
Run as a script: ``python harness.py [--lazy|--eager|--everywhere] [word in the name ...]``.
"""

from __future__ import annotations

import ast
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

HERE = pathlib.Path(__file__).parent
_dumps, _loads = json.dumps, json.loads  # a case may patch the module
LIMIT = 30  # seconds for one process


@dataclass(frozen=True)
class Case:
    """Cells, and after how many of them the process dies."""

    name: str
    cells: list[str]
    kill: int
    flagged: bool = False


def read_cases(*files: str) -> Iterator[Case]:
    """All cases of the named files, or of every file."""
    for path in sorted(HERE.glob("*.cases")):
        if files and path.stem not in files:
            continue
        for block in path.read_text().split("\n=== ")[1:]:
            head, _, body = block.partition("\n")
            cells: list[list[str]] = [[]]
            kill = 0
            for line in body.split("\n"):
                if line == "--- kill":
                    kill = len(cells)
                if line in {"---", "--- kill"}:
                    cells.append([])
                elif not line.startswith("# expect:"):
                    cells[-1].append(line)
            sources = ["\n".join(c).strip("\n") for c in cells]
            assert 0 < kill < len(sources), head
            yield Case(f"{path.stem}:{head.strip()}", sources, kill, "# expect: flagged" in body)


class FileBlobs:
    """Blobs as files of one folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def put(self, data: Any, *, compress: bool = True) -> bytes:
        import blake3

        content = bytes(data)
        address = blake3.blake3(content).digest()
        (self.folder / address.hex()).write_bytes(content)
        return address

    def get(self, address: bytes) -> memoryview:
        return memoryview((self.folder / address.hex()).read_bytes())

    def map(self, addresses: Any, sizes: Any) -> memoryview:
        return memoryview(bytearray(b"".join(self.get(a) for a in addresses)))

    def sync(self) -> None:
        pass


class Session:
    """A namespace that behaves as ``__main__`` of a kernel, ``_``, ``Out`` and kin included."""

    def __init__(self) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.namespace: dict[str, Any] = module.__dict__
        history: dict[int, Any] = {}
        self.namespace.update({"_": "", "__": "", "___": "", "_oh": history, "Out": history, "In": [""], "__builtins__": __builtins__})
        self.count = 0

    def run(self, source: str) -> None:
        """Run a cell; the value of a last expression becomes ``_`` and ``Out[n]``."""
        self.count += 1
        tree = ast.parse(source)
        last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if last is not None:
            tree.body = tree.body[:-1]
        exec(compile(tree, f"<ipython-input-{self.count}>", "exec"), self.namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"<ipython-input-{self.count}>", "eval"), self.namespace)
            if value is not None:
                names = self.namespace
                names["___"], names["__"], names["_"] = names["__"], names["_"], value
                names[f"_{self.count}"] = names["_oh"][self.count] = value


@dataclass
class Outcome:
    """What became of a case."""

    verdict: str  # ok, SILENT, FLAGGED, LOUD
    detail: str = ""
    labels: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)


def forked(work: Callable[[], Any], folder: pathlib.Path) -> Any:
    """Run ``work`` in a fork, in ``folder``; returns its JSON result, or ``{"error": ...}``. The fork dies by SIGKILL."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            os.chdir(folder)
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            signal.alarm(LIMIT)
            try:
                result = work()
            except BaseException as error:
                result = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
            data = _dumps(result).encode()
            while data:
                data = data[os.write(write, data) :]
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write)
    data = b""
    while chunk := os.read(read, 1 << 16):
        data += chunk
    os.close(read)
    os.waitpid(pid, 0)
    try:
        return _loads(data)
    except ValueError:
        return {"error": f"the process died or hung: {data[:200]!r}"}


def uninterrupted(case: Case) -> dict[str, Any]:
    session = Session()
    for cell in case.cells:
        session.run(cell)
    return {"probe": repr(session.namespace["probe"])}


def first_life(case: Case, kill: int, blobs: pathlib.Path, replay: bool) -> dict[str, Any]:
    from holdfast.checkpoint.checkpointer import Checkpointer

    session = Session()
    room = Checkpointer(session.namespace, FileBlobs(blobs), replayer=Again(session, case) if replay else None)
    room.start()
    deltas, labels, flags = [], [], []
    for number, cell in enumerate(case.cells[:kill]):
        room.before_cell(cell)
        session.run(cell)
        made = room.capture(str(number))
        deltas.append(made.delta.hex())
        labels.append(made.label)
        flags.append([f"{f.code} {f.name}: {f.why}" for f in made.flags])
    return {"deltas": deltas, "labels": labels, "flags": flags}


class Again:
    """The replayer of the tests: runs the recorded source."""

    def __init__(self, session: Session, case: Case) -> None:
        self.session, self.case = session, case

    def replay(self, cell: str) -> None:
        self.session.run(self.case.cells[int(cell)])


def second_life(case: Case, kill: int, blobs: pathlib.Path, deltas: list[str], mode: str) -> dict[str, Any]:
    from holdfast.checkpoint import restore
    from holdfast.checkpoint.checkpointer import Checkpointer

    if mode == "lazy":
        restore.EAGER = 0
    session = Session()
    replayer = Again(session, case)
    room = Checkpointer(session.namespace, FileBlobs(blobs), replayer=None if mode == "no replay" else replayer)
    room.start()
    for number, delta in enumerate(deltas):
        room.apply(str(number), bytes.fromhex(delta))
    session.count = kill
    replayed: list[str] = []
    if mode == "eager":
        replayed += room.materialise().replayed
    for number, cell in enumerate(case.cells[kill:]):
        replayed += room.before_cell(cell).replayed
        session.count = kill + number
        session.run(cell)
        room.capture(str(kill + number))
    return {"probe": repr(session.namespace["probe"]), "replayed": replayed}


def run_case(case: Case, mode: str = "small", kill: int | None = None) -> Outcome:
    """Both runs and their comparison. Modes: ``small`` (as in use), ``lazy`` (nothing before it is needed), ``eager``, ``no replay``."""
    kill = case.kill if kill is None else kill
    root = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-case-"))
    try:
        whole, parts = root / "run", root / "run2"
        whole.mkdir()
        expected = forked(lambda: uninterrupted(case), whole)
        shutil.rmtree(whole)
        if "error" in expected:
            return Outcome("BROKEN", expected.get("trace", expected["error"]))
        parts.mkdir()
        parts.rename(whole)  # the same paths in both runs
        first = forked(lambda: first_life(case, kill, root / "blobs", mode != "no replay"), whole)
        if "error" in first:
            return Outcome("LOUD", "capture: " + first.get("trace", first["error"]))
        flags = [f for cell in first["flags"] for f in cell]
        second = forked(lambda: second_life(case, kill, root / "blobs", first["deltas"], mode), whole)
        if second.get("probe") == expected["probe"]:
            return Outcome("ok", "", first["labels"], flags, second["replayed"])
        detail = f"expected {expected['probe']}, got {second.get('probe')} {second.get('trace', second.get('error', ''))}"
        verdict = "FLAGGED" if flags else "LOUD" if "error" in second else "SILENT"
        return Outcome(verdict, detail, first["labels"], flags)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def warm_up() -> None:
    """Import what many cases need, once."""
    import asyncio  # noqa: F401
    import decimal  # noqa: F401
    import logging  # noqa: F401

    import numpy  # noqa: F401
    import pandas  # noqa: F401

    import holdfast.checkpoint.checkpointer  # noqa: F401


def main(words: list[str]) -> None:
    """Print the verdict of each case."""
    mode = words.pop(0)[2:] if words and words[0].startswith("--") else "small"
    every = mode == "everywhere"
    warm_up()
    counts: dict[str, int] = {}
    began = time.perf_counter()
    for case in read_cases():
        if words and not any(w in case.name for w in words):
            continue
        for kill in range(1, len(case.cells)) if every else [case.kill]:
            outcome = run_case(case, "small" if every else mode, kill)
            counts[outcome.verdict] = counts.get(outcome.verdict, 0) + 1
            if words or outcome.verdict != "ok" or outcome.flags:
                print(
                    outcome.verdict,
                    case.name,
                    f"kill {kill}" if every else "",
                    outcome.labels,
                    outcome.flags,
                    outcome.replayed,
                    outcome.detail,
                )
    print(counts, f"{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
