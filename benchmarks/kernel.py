"""The kernel beside ipykernel, in one run: start, a plain cell, a skipped cell: ``python -m benchmarks.kernel [--quick]``.

*Start* is the time from spawning the process to its answer to ``kernel_info_request``, as a client sees it; kernels start in turns so that
a busy moment meets both. *Plain cell* is the round trip of ``1``; the Holdfast cell includes its synced record. *Resume* is the time in
which the cells of a finished 50-cell notebook come back from the record in a new kernel, its start not counted.
"""

from __future__ import annotations

import compileall
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import holdfast
from benchmarks.table import Row, main
from holdfast.foundation import clock
from holdfast.testing.kernels import HOLDFAST, VANILLA, Front

CELLS = 50


def timed(do: Callable[[], object]) -> float:
    """Seconds that ``do`` takes."""
    started = clock.monotonic()
    do()
    return clock.monotonic() - started


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about a minute, or 20 s when quick."""
    compileall.compile_dir(str(Path(holdfast.__file__).parent), quiet=2)  # as an installed package is
    with tempfile.TemporaryDirectory() as folder:
        return [start(Path(folder), 4 if quick else 12), round_trip(Path(folder), 30 if quick else 150), resume(Path(folder))]


def start(folder: Path, rounds: int) -> Row:
    """From nothing to a kernel that answers."""
    times: dict[tuple[str, ...], list[float]] = {VANILLA: [], HOLDFAST: []}
    for _ in range(rounds):
        for command, seconds in times.items():
            started = clock.monotonic()
            with Front(folder, command=command):
                seconds.append(clock.monotonic() - started)
    theirs, ours = (statistics.median(t) for t in times.values())
    return Row(what="kernel start", reference="ipykernel", theirs=theirs, ours=ours, unit="s", wanted="<= 1.15 x")


def round_trip(folder: Path, rounds: int) -> Row:
    """A cell that does nothing."""
    medians = []
    for command in (VANILLA, HOLDFAST):
        with Front(folder, command=command) as front:
            front.run("0")
            medians.append(statistics.median(timed(lambda: front.run("1")) for _ in range(rounds)))
    return Row(what="plain cell, recorded", reference="ipykernel, not recorded", theirs=medians[0], ours=medians[1], unit="s")


def resume(folder: Path) -> Row:
    """A finished notebook of 50 cells comes back; the reference is running the cells."""
    cells = [(f"c{n}", f"x{n} = list(range({n}))\nlen(x{n})") for n in range(CELLS)]
    bare: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    path = folder / "n.ipynb"
    more = [*cells, ("last", "raise SystemError")]  # so that the execution does not end
    path.write_text(
        json.dumps({"cells": [{**bare, "id": i, "source": s} for i, s in more], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    with Front(folder, notebook=path) as front:
        front.run_all(more)
    with Front(folder, notebook=path) as front:
        ours = timed(lambda: front.run_all(cells))
    with Front(folder, command=VANILLA) as front:
        theirs = timed(lambda: front.run_all(cells))
    return Row(what=f"resume of {CELLS} cells", reference="running them", theirs=theirs, ours=ours, unit="s", wanted="<= 1 s")


if __name__ == "__main__":
    main(measure, __doc__)
