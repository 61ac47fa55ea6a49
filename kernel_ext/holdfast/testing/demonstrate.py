"""``python -m holdfast.testing.demonstrate [RUNBOOK]``: an alert comes in, and you are asked.

Something breaks on the runbook's stage. Prometheus and Alertmanager (the real ones where they are installed) notice and notify a gateway;
a rule starts the runbook with the alert's labels as its parameters; a worker takes it to its first question, which waits in the inbox for
you. On the way gateway and worker are killed at the worst moments and started again. In the end: what the far side counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from holdfast.errors import HoldfastError
from holdfast.testing import waiting
from holdfast.testing.demonstrating import CUTS, Demonstration
from holdfast.testing.rehearsal import find
from holdfast.testing.rehearse import judged

_RUNBOOK = Path("runbooks/kubernetes/crash-loop.ipynb")
_PATIENCE = 24 * 3600.0  # a person's
_QUICK = 300.0  # by itself


def main(arguments: Sequence[str] | None = None) -> int:
    """Demonstrate; returns the process's exit status: 0 when it ended as it should and each effect happened once."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.demonstrate", description=__doc__)
    parser.add_argument("runbook", type=Path, nargs="?", default=_RUNBOOK, help=f"the notebook (default: {_RUNBOOK})")
    parser.add_argument("--by-itself", action="store_true", help="questions are answered as in the rehearsal")
    parser.add_argument("--no-kill", action="store_true", help="let gateway and worker live")
    given = parser.parse_args(arguments)
    say = Console(highlight=False, soft_wrap=True).print
    book = given.runbook.resolve()
    try:
        rehearsal = find(book)
        with tempfile.TemporaryDirectory(prefix="holdfast-demonstration-") as folder, rehearsal.stage(Path(folder)) as stage:
            say(f"[bold]The stage:[/] {rehearsal.story}")
            cuts = ("", "") if given.no_kill else CUTS
            with Demonstration(book, stage, Path(folder), lambda said: say("·", said, markup=False), cuts=cuts) as demonstration:
                say("[bold]The monitoring:[/]", demonstration.monitoring.story)
                say("[bold]The inbox:[/]", demonstration.inbox)
                status = _watch(demonstration, by_itself=given.by_itself)
                (execution,) = demonstration.executions()
                say(demonstration.sandbox.holdfast("show", execution.id).out, markup=False)
                if sys.stdin.isatty() and not given.by_itself:
                    input("Look round in the inbox; Enter ends it. ")
                wrong = "the alert still fires" if demonstration.alert.firing() else ""
                return judged(say, status, stage, rehearsal, wrong, len(demonstration.sandbox.struck()))
    except HoldfastError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130


def _watch(demonstration: Demonstration, *, by_itself: bool) -> str:
    """Until the execution has ended; returns its status."""

    def ended() -> bool:
        if by_itself:
            demonstration.answer()
        return demonstration.ended()

    waiting.until(ended, "the end of the execution", _QUICK if by_itself else _PATIENCE)
    return demonstration.look()


if __name__ == "__main__":
    sys.exit(main())
