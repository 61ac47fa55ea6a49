"""``python -m holdfast_dagster.wake HOME``: continue what is due in the Dagster home, now; started by whoever answered a question."""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from holdfast.client import Client
from holdfast_dagster.resuming import resume_due


def main() -> None:
    """The program."""
    (home,) = sys.argv[1:]
    with dg.DagsterInstance.from_config(str(Path(home))) as instance, Client.open() as client:
        resume_due(instance, client, by="wake")


if __name__ == "__main__":
    main()
