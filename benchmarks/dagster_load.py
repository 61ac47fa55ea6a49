"""A code location of many runbooks beside as many plain Dagster jobs: ``python -m benchmarks.dagster_load [--quick]``.

Each measurement is a process of its own: from the imports on to a repository whose every job is resolved. The contestants take turns, so
that a busy moment meets all of them; the fastest of the rounds counts. The plain jobs have as many ops, in the same order, and two
configuration fields.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Row, main

STEPS = 8

_PLAIN = """
import dagster as dg

def job(n):
    ops = []
    for i in range({steps}):
        ins = {{"after": dg.In(dg.Nothing)}} if i else {{}}
        fields = {{"region": dg.Field(dg.String, default_value="eu"), "days": dg.Field(dg.Int, default_value=14)}} if i == 0 else {{}}
        ops.append(dg.op(name=f"job_{{n}}_{{i}}", ins=ins, out=dg.Out(dg.Nothing), config_schema=fields)(lambda context: None))
    def body():
        last = None
        for one in ops:
            last = one() if last is None else one(last)
    return dg.job(name=f"job_{{n}}")(body)

defs = dg.Definitions(jobs=[job(n) for n in range({count})])
"""
_PLAIN_ASSETS = """
import dagster as dg

def made(n):
    ops = []
    for i in range({steps}):
        ins = {{"after": dg.In(dg.Nothing)}} if i else {{}}
        fields = {{"region": dg.Field(dg.String, default_value="eu"), "days": dg.Field(dg.Int, default_value=14)}} if i == 0 else {{}}
        ops.append(dg.op(name=f"graph_{{n}}_{{i}}", ins=ins, out=dg.Out(dg.Nothing), config_schema=fields)(lambda context: None))
    def body():
        first = last = None
        for one in ops:
            last = one() if last is None else one(last)
            first = first if first is not None else last
        return {{"asset": first, "report": last}}
    graph = dg.graph(name=f"graph_{{n}}", out={{"asset": dg.GraphOut(), "report": dg.GraphOut()}})(body)
    keys = {{"asset": dg.AssetKey(f"asset-{{n}}"), "report": dg.AssetKey([f"job_{{n}}", "report"])}}
    above = {{"asset": set(), "report": {{keys["asset"]}}}}
    return dg.AssetsDefinition.from_graph(graph, keys_by_output_name=keys, internal_asset_deps=above)

assets = [made(n) for n in range({count})]
jobs = [dg.define_asset_job(f"job_{{n}}", selection=dg.AssetSelection.assets(*one.keys)) for n, one in enumerate(assets)]
defs = dg.Definitions(assets=assets, jobs=jobs)
"""
_OURS = """
from holdfast_dagster import build_definitions

defs = build_definitions({folder!r})
"""
_MEASURE = """
import time
begun = time.perf_counter()
import dagster
{imports}
imported = time.perf_counter()
{load}
repository = defs.get_repository_def()
repository.load_all_definitions()
built = time.perf_counter()
import resource
jobs = len(repository.get_all_jobs())
print(jobs, imported - begun, built - imported, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def notebook(steps: int, asset: bool) -> str:
    """A runbook of the usual kind: parameters, imports, steps that read from one another."""
    cells = [_cell("parameters", 'region: str = "eu"  # where to look\ndays: int = 14  # how far back', ["parameters"])]
    cells.append(_cell("setup", "import json\n\ndef table(rows):\n    return [dict(r) for r in rows]", ["setup"]))
    for i in range(steps):
        kind = "asset" if asset and i == 0 else "step"
        source = f"rows_{i} = [{{'n': n, 'region': region}} for n in range(days)]\n"
        source += f"seen_{i} = table(rows_{max(i - 1, 0)})\nprint(len(seen_{i}))\njson.dumps(seen_{i})"
        cells.append({"cell_type": "markdown", "id": f"text{i}", "metadata": {}, "source": f"What step {i} does."})
        cells.append(_cell(f"cell{i}", source, [f"{kind}:@NAME@-{i}" if kind == "asset" else f"step:part-{i}"]))
    kernel = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells})


def _cell(id: str, source: str, tags: list[str]) -> dict[str, object]:
    return {"cell_type": "code", "id": id, "metadata": {"tags": tags}, "source": source, "outputs": [], "execution_count": None}


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about a minute, or 15 s when quick."""
    count, rounds = (100, 1) if quick else (500, 3)
    with tempfile.TemporaryDirectory() as folder:
        jobs, assets = Path(folder) / "jobs", Path(folder) / "assets"
        for place, asset in ((jobs, False), (assets, True)):
            place.mkdir()
            text = notebook(STEPS, asset)
            for n in range(count):
                (place / f"job-{n}.ipynb").write_text(text.replace("@NAME@", f"asset-{n}"))
        contestants = {
            "plain jobs": ("", _PLAIN.format(count=count, steps=STEPS)),
            "jobs": ("import holdfast_dagster", _OURS.format(folder=str(jobs))),
            "plain assets": ("", _PLAIN_ASSETS.format(count=count, steps=STEPS)),
            "assets": ("import holdfast_dagster", _OURS.format(folder=str(assets))),
        }
        taken: dict[str, list[Taken]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, (imports, load) in contestants.items():
                taken[name].append(load_once(imports, load))
    best = {name: min(t.load for t in each) for name, each in taken.items()}
    start = {name: min(t.imports for t in each) for name, each in taken.items()}
    size = {name: min(t.mib for t in each) for name, each in taken.items()}
    whole = f"{count} × {STEPS} steps"
    return [
        Row(what=f"load {whole}", reference="plain jobs", theirs=best["plain jobs"], ours=best["jobs"], unit="s", wanted="<= 1 x"),
        Row(
            what=f"load {whole}, assets",
            reference="plain assets",
            theirs=best["plain assets"],
            ours=best["assets"],
            unit="s",
            wanted="<= 1 x",
        ),
        Row(what="imports before that", reference="import dagster", theirs=start["plain jobs"], ours=start["jobs"], unit="s"),
        Row(what="memory with them", reference="plain jobs", theirs=size["plain jobs"], ours=size["jobs"], unit="MB"),
    ]


class Taken(NamedTuple):
    """One measurement: seconds, and MiB of memory."""

    imports: float
    load: float
    mib: int


def load_once(imports: str, load: str) -> Taken:
    """In a new process."""
    program = _MEASURE.format(imports=imports, load=load)
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True).stdout.split()
    return Taken(float(said[1]), float(said[2]), int(said[3]))


if __name__ == "__main__":
    main(measure, __doc__, title="Code locations of runbooks beside plain Dagster")
