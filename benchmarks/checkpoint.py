"""Checkpoints beside whole-namespace cloudpickle and dill, in one run: ``python -m benchmarks.checkpoint [--quick]``.

*Small*: 50 cells such as an SRE writes (inventories, alert rows, a log, a few functions and classes); every tool saves after each cell.
*Large*: 20 cells of pandas frames that grow to 0.85 GB. The references write each pickle to a file, ours goes through the SQLite journal's
blob store; the sync, which a step commits with, is left out for all. *Restore*: a new process, from nothing loaded to the first line of a
cell that reads a small part of the state; modules are imported beforehand for all.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import Row, show
from holdfast.foundation import clock

_SETUP = """
import collections, datetime, json, re
class Alert:
    seen = 0
    def __init__(self, name, host, rows): self.name, self.host, self.rows = name, host, rows; Alert.seen += 1
def summarise(rows):
    out = collections.Counter(r["state"] for r in rows)
    return dict(out)
def host(i): return {"name": f"web-{i:04d}.example.org", "zone": "eu-west-1" + "abc"[i % 3],
    "state": "ok" if i % 7 else "failing", "load": i / 7, "tags": ["web", f"rack-{i % 40}"]}
"""


def small_cells() -> list[str]:
    """Fifty cells; about 0.6 MB of state on average, of which each touches a part."""
    cells = [_SETUP, "fleet = [host(i) for i in range(700)]", "alerts = []\nplan = {}\nhistory = {}"]
    cells.append(
        "pods = {f'pod-{i}': {'node': f'n{i % 50}', 'restarts': i % 5, 'phase': 'Running', 'ip': f'10.0.{i % 250}.{i // 250}'}"
        " for i in range(1500)}"
    )
    cells.append(
        "log = '\\n'.join(f'2026-01-01T00:{i % 60:02d}:00Z host-{i % 97} request {i} took {i * 7 % 1000} ms'\n    for i in range(6000))"
    )
    for n in range(45):
        kind = n % 9
        cells.append(_small_cell(n, kind))
    return cells


def _small_cell(n: int, kind: int) -> str:
    if kind == 0:
        return f"rows_{n} = [h for h in fleet if h['state'] != 'ok'][:{40 + n}]\ncount_{n} = len(rows_{n})"
    if kind == 1:
        return f"alerts.append(Alert('disk', 'web-{n}', [{{'at': i, 'value': i * {n}}} for i in range(60)]))"
    if kind == 2:
        return f"plan['{n}'] = {{'volume': 'vol-{n}', 'delete': True}}\ntotal = len(plan)"
    if kind == 3:
        return f"report_{n} = json.dumps(summarise(fleet))\nstamp_{n} = datetime.datetime(2026, 1, 1 + {n} % 28)"
    if kind == 4:
        return f"def check_{n}(h): return h['load'] > {n}\nhot_{n} = [h['name'] for h in fleet if check_{n}(h)][:50]"
    if kind == 5:
        return f"pods['pod-{n}']['restarts'] += 1\nrestarted = [p for p, d in pods.items() if d['restarts'] > 4][:{n}]"
    if kind == 6:
        return f"slow_{n} = len(re.findall(r'took 9\\d\\d', log))"
    if kind == 7:
        return f"history['{n}'] = dict(plan)\nlast = alerts[-1].name if alerts else None"
    return f"window = list(range({n}, {n} + 200))\nlast = plan.get('{n - 3}')"


def large_cells() -> list[str]:
    """Twenty cells of frames that grow to 1 GB."""
    cells = ["import numpy as np, pandas as pd\nrng = np.random.default_rng(0)\nsteps = 0"]
    for n in range(19):
        if n in (6, 12, 18):
            cells.append(f"df_{n - 1}.iloc[10:20, 0] = -1.0\nsteps += 1\nmean_{n} = float(df_{n - 1}['c0'].mean())")
        else:
            cells.append(f"df_{n} = pd.DataFrame(rng.random((830_000, 8)), columns=[f'c{{i}}' for i in range(8)])\nsteps += 1")
    return cells


_LAST = {"small": "answer = total + len(alerts[-1].rows)", "large": "answer = steps"}


# -- one tool over one notebook, in a process of its own


def _namespace() -> dict[str, Any]:
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    return module.__dict__


def _reference(save: Callable[[dict[str, Any]], bytes], cells: list[str], folder: Path) -> Iterator[tuple[float, int]]:
    space = _namespace()
    for n, cell in enumerate(cells):
        exec(compile(cell, f"<cell {n}>", "exec"), space)
        started = clock.monotonic()
        data = save({k: v for k, v in space.items() if not k.startswith("__")})
        with open(folder / "state", "wb") as file:
            file.write(data)
        yield clock.monotonic() - started, len(data)


def _cloudpickle(values: dict[str, Any]) -> bytes:
    import cloudpickle

    return cloudpickle.dumps(values)  # type: ignore[no-any-return]


def _dill(values: dict[str, Any]) -> bytes:
    import dill

    stream = io.BytesIO()
    dill.dump(values, stream, recurse=False)
    return stream.getvalue()


def _ours(cells: list[str], folder: Path) -> Iterator[tuple[float, int]]:
    from holdfast.checkpoint.checkpointer import Checkpointer
    from holdfast.journal.opening import open_store

    store = open_store(f"sqlite:///{folder}/journal.db")
    space = _namespace()
    room = Checkpointer(space, store.blobs)
    room.start()
    deltas: list[str] = []
    before = _size(folder)
    for n, cell in enumerate(cells):
        started = clock.monotonic()
        room.before_cell(cell)
        spent = clock.monotonic() - started
        exec(compile(cell, f"<cell {n}>", "exec"), space)
        started = clock.monotonic()
        made = room.capture(str(n))
        spent += clock.monotonic() - started
        deltas.append(made.delta.hex())
        size = _size(folder)
        yield spent, len(made.delta) + size - before
        before = size
    store.blobs.sync()
    (folder / "deltas.json").write_text(json.dumps(deltas))
    store.close()


def _size(folder: Path) -> int:
    return sum(
        p.stat().st_size
        for p in folder.rglob("*")
        if p.is_file() and "-wal" not in p.name and "-shm" not in p.name and p.name != "deltas.json"
    )


def _restore(tool: str, kind: str, folder: Path) -> float:
    import numpy  # noqa: F401
    import pandas  # noqa: F401

    space = _namespace()
    if tool == "holdfast":
        from holdfast.checkpoint.checkpointer import Checkpointer
        from holdfast.journal.opening import open_store

        store = open_store(f"sqlite:///{folder}/journal.db")
        deltas = [bytes.fromhex(d) for d in json.loads((folder / "deltas.json").read_text())]
        started = clock.monotonic()
        room = Checkpointer(space, store.blobs)
        room.start()
        for n, delta in enumerate(deltas):
            room.apply(str(n), delta)
        room.before_cell(_LAST[kind])
    else:
        import importlib

        load = importlib.import_module(tool).loads
        started = clock.monotonic()
        space.update(load((folder / "state").read_bytes()))
    spent = clock.monotonic() - started
    exec(_LAST[kind], space)
    return spent


def _run(tool: str, kind: str, folder: Path) -> dict[str, Any]:
    """What the child process measures."""
    cells = small_cells() if kind == "small" else large_cells()
    if tool == "holdfast":
        points = list(_ours(cells, folder))
    else:
        points = list(_reference(_cloudpickle if tool == "cloudpickle" else _dill, cells, folder))
    return {
        "seconds": statistics.median(p[0] for p in points),
        "bytes": sum(p[1] for p in points),
        "all": [round(p[0] * 1e3, 2) for p in points],
    }


def _child(*arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.checkpoint", "--child", *arguments], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about 60 s and 14 GB written, or 15 s when quick (no dill, no large frames)."""
    rows: list[Row] = []
    for kind in ("small",) if quick else ("small", "large"):
        tools = ["cloudpickle", "holdfast"] if quick else ["cloudpickle", "dill", "holdfast"]
        found: dict[str, Any] = {}
        for tool in tools:
            with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
                found[tool] = _child("run", tool, kind, folder)
                found[tool]["restore"] = statistics.median(_child("restore", tool, kind, folder) for _ in range(3))
        mine = found.pop("holdfast")
        for tool, theirs in found.items():
            rows += [
                Row(
                    what=f"{kind}: per cell, median", reference=tool, theirs=theirs["seconds"] * 1e3, ours=mine["seconds"] * 1e3, unit="ms"
                ),
                Row(what=f"{kind}: written in all", reference=tool, theirs=theirs["bytes"] / 1e6, ours=mine["bytes"] / 1e6, unit="MB"),
                Row(what=f"{kind}: restore before the next cell", reference=tool, theirs=theirs["restore"], ours=mine["restore"], unit="s"),
            ]
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="checkpoints beside cloudpickle and dill")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", nargs=4)
    options = parser.parse_args()
    if options.child:
        action, tool, kind, folder = options.child
        print(json.dumps(_run(tool, kind, Path(folder)) if action == "run" else _restore(tool, kind, Path(folder))))
        return
    show(measure(quick=options.quick))


if __name__ == "__main__":
    main()
