"""A folder with a journal and runbooks of its own, in which a test runs the real ``holdfast`` command, arms faults and kills processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.journal.opening import open_store
from holdfast.model.entry import Entry
from holdfast.testing import laws, waiting


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a ``holdfast`` command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document that ``--json`` printed."""
        return json.loads(self.out)


class Sandbox:
    """Runs ``holdfast`` in ``folder``.

    Args:
        folder: working directory; the journal lies below it unless ``journal`` names another.
        journal: a journal URL (PostgreSQL); SQLite in the folder by default.
        environment: further environment variables.
    """

    def __init__(self, folder: Path, journal: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.journal = journal or f"sqlite:///{folder}/.holdfast/journal.db"
        self.key_file = folder / "installation.key"
        self.strikes = folder / "strikes.log"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")},
            "HOLDFAST_JOURNAL": self.journal,
            "HOLDFAST_KEY_FILE": str(self.key_file),
            "HOLDFAST_FAULT_LOG": str(self.strikes),
            **(environment or {}),
        }
        self._seen: dict[str, list[Entry]] = {}

    # -- runbooks -------------------------------------------------------------------------------------------------------------------

    def notebook(self, name: str, cells: Sequence[tuple[str, str] | tuple[str, str, dict[str, Any]]], **metadata: Any) -> Path:
        """Write a runbook.

        Args:
            name: of the file, without its ending.
            cells: ``(tags separated by blanks, source[, metadata.holdfast])``; the tag ``markdown`` makes a text cell.
            metadata: the notebook's own ``metadata.holdfast``.
        """
        made: list[dict[str, Any]] = []
        for n, (tags, source, *policy) in enumerate(cells):
            about: dict[str, Any] = {"tags": tags.split()} if tags and tags != "markdown" else {}
            if policy:
                about["holdfast"] = policy[0]
            cell: dict[str, Any] = {"cell_type": "markdown" if tags == "markdown" else "code", "id": f"c{n}", "metadata": about}
            made.append({**cell, "source": source, **({} if tags == "markdown" else {"execution_count": None, "outputs": []})})
        kernel = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
        about_all = {"kernelspec": kernel, **({"holdfast": metadata} if metadata else {})}
        path = self.folder / f"{name}.ipynb"
        path.write_text(json.dumps({"cells": made, "metadata": about_all, "nbformat": 4, "nbformat_minor": 5}, indent=1))
        return path

    # -- the command ----------------------------------------------------------------------------------------------------------------

    def start(self, *arguments: str | Path, faults: str = "", **popen: Any) -> subprocess.Popen[str]:
        """Start ``holdfast ARGUMENTS`` in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "holdfast", *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, "HOLDFAST_FAULTS": faults},
            stdin=subprocess.DEVNULL,
            stdout=popen.pop("stdout", subprocess.PIPE),
            stderr=popen.pop("stderr", subprocess.PIPE),
            text=True,
            start_new_session=True,
            **popen,
        )

    def holdfast(self, *arguments: str | Path, faults: str = "", timeout: float = 120.0) -> Result:
        """Run ``holdfast ARGUMENTS`` to its end (seconds at most)."""
        process = self.start(*arguments, faults=faults)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill(process)
            out, err = process.communicate()
            raise AssertionError(f"holdfast {arguments} took over {timeout} s\n{out[-2000:]}\n{err[-4000:]}") from None
        return Result(status=process.returncode, out=out, err=err)

    def kill(self, process: subprocess.Popen[str], *, kernels: bool = True, engine: bool = True) -> None:
        """SIGKILL to the engine, to its kernels, or to both. Supervised commands live on: they are in sessions of their own."""
        victims = self.kernels(process.pid) if kernels else []
        victims += [process.pid] if engine else []
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if engine:
            process.wait()

    @staticmethod
    def kernels(engine: int) -> list[int]:
        """The pids of the kernels that an engine has running."""
        import psutil

        try:
            children = psutil.Process(engine).children()
            return [child.pid for child in children if "holdfast.kernel" in child.cmdline()]
        except psutil.NoSuchProcess:
            return []

    # -- the journal ----------------------------------------------------------------------------------------------------------------

    def entries(self, execution: str) -> list[Entry]:
        """All entries of an execution, in order."""
        store = open_store(self.journal, key_file=self.key_file)
        try:
            return store.read(execution)
        finally:
            store.close()

    def status(self, execution: str) -> str:
        """The execution's status, or an empty text when there is none of that id."""
        store = open_store(self.journal, key_file=self.key_file)
        try:
            header = store.header(execution)
            return header.status.value if header else ""
        finally:
            store.close()

    def assert_laws(self, execution: str) -> None:
        """Assert the laws; each call also compares with what the one before saw."""
        entries = self.entries(execution)
        assert laws.broken(entries, self._seen.get(execution, ())) == []
        self._seen[execution] = entries

    def struck(self) -> list[str]:
        """The faults that struck so far, one line each."""
        return self.strikes.read_text().splitlines() if self.strikes.exists() else []

    def until(self, condition: Any, what: str, seconds: float = 60.0) -> None:
        """Wait until ``condition()`` is true; an AssertionError after that many seconds."""
        waiting.until(condition, what, seconds)
