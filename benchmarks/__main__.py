"""``make bench``: every benchmark in turn, one table. ``--quick`` for fewer rounds, names to choose (``calls journal ...``)."""

from __future__ import annotations

import argparse
import importlib

from benchmarks.table import Row, show

ALL = ("calls", "journal", "checkpoint", "kernel", "waiting", "dagster_load", "dagster_runs")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("which", nargs="*", help=f"some of: {', '.join(ALL)}")
    options = parser.parse_args()
    if unknown := set(options.which) - set(ALL):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    rows: list[Row] = []
    for name in options.which or ALL:
        rows += importlib.import_module(f"benchmarks.{name}").measure(quick=options.quick)
    show(rows, title="Holdfast beside its references, measured in this run")


if __name__ == "__main__":
    main()
