"""The rehearsals of the runbooks in this folder, against a stand-in for Elasticsearch 9."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.rehearsal import Answer, Stage, rehearsal
from holdfast.testing.servers.elasticsearch import API_KEY, NODES, Elasticsearch
from holdfast.testing.servers.standing_in import Came, Said

# Called as `ssh` would be: NODE COMMAND-LINE. A unit that is stopped is a file beside it; what changed something is in its log.
SSH = f"""#!{sys.executable}
import os, shlex, sys
folder = os.path.dirname(os.path.abspath(__file__))
node, (_, _, verb, unit) = sys.argv[1], shlex.split(sys.argv[2])
stopped = os.path.join(folder, "stopped-" + node)
if (verb == "stop") != os.path.exists(stopped):
    with open(folder + "/units.log", "a") as log:
        log.write(verb + " " + unit + " on " + node + "\\n")
    open(stopped, "w").close() if verb == "stop" else os.unlink(stopped)
"""


class Cluster(Elasticsearch):
    """Its nodes are there as long as their unit runs.

    Args:
        folder: where the stopped units are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__()

    def answer(self, came: Came) -> Said:
        self.nodes = {node for node in NODES if not (self._folder / f"stopped-{node}").exists()}
        return super().answer(came)


@rehearsal("es-node-rolling-restart", repeated=frozenset({"flush"}))
@contextmanager
def restarting(folder: Path) -> Iterator[Stage]:
    """A cluster of three nodes (a stand-in for Elasticsearch 9) whose shards lose a copy while one is stopped, and the nodes' units."""
    program, log = folder / "ssh", folder / "units.log"
    program.write_text(SSH)
    program.chmod(0o755)
    with Cluster(folder) as cluster:

        def effects() -> Counter[str]:
            settings = [f"settings, change {n}: {change['persistent']}" for n, change in enumerate(cluster.put, start=1)]
            return Counter([*settings, *(log.read_text().splitlines() if log.exists() else ()), *("flush" for _ in cluster.flushed)])

        yield Stage(
            parameters={
                "nodes": list(NODES[:2]),
                "urls": [cluster.url],
                "period": "0.2 s",
                "reach": [str(program)],
            },
            environment={"ES_API_KEY": API_KEY},
            answers={"one by one": Answer("yes"), "is stopped": Answer("start it, go on")},
            effects=effects,
            state=lambda: (sorted(cluster.nodes), cluster.persistent, cluster.transient, cluster.recovering),
        )
