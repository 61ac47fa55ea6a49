"""``python -m holdfast_dagster.wake HOME [FD]``: continue what is due in the Dagster home, and what lost its worker, now.

Started by whoever answered a question, or by a worker that sees it due for long. While ``FD`` is open nobody starts another one: this one
is yet to look.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import dagster as dg

from holdfast.client import Client
from holdfast_dagster.children import adopt_children
from holdfast_dagster.recovery import recover_runs
from holdfast_dagster.resuming import resume_due
from holdfast_dagster.storing import outlast_locks


def main() -> None:
    """The program."""
    home, *turn = sys.argv[1:]
    outlast_locks()
    with dg.DagsterInstance.from_config(str(Path(home))) as instance, Client.open() as client:
        for held in turn:
            os.close(int(held))
        resume_due(instance, client, by="wake")
        recover_runs(instance, client)
        adopt_children(instance, client, by="wake")


if __name__ == "__main__":
    main()
