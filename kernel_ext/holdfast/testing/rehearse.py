"""``python -m holdfast.testing.rehearse RUNBOOK``: a runbook on its stage, killed half-way and resumed, and what the far side says of it.

``RUNBOOK -- COMMAND ...`` sets the stage and runs the command on it instead, e.g. ``holdfast up runbooks``: the runbook's parameters
are printed, and the questions are yours.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from holdfast.testing.performing import EXECUTION, Performance
from holdfast.testing.rehearsal import Rehearsal, Stage, find

_CUT = "call.after_effect@4=kill-both-once"


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse; returns the process's exit status: 0 when it ended as it should and each effect happened once."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    at = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="python -m holdfast.testing.rehearse", description=__doc__)
    parser.add_argument("runbook", type=Path, help="the notebook")
    parser.add_argument("--cut", default=_CUT, metavar="FAULT", help=f"where the power is cut, empty for nowhere (default: {_CUT})")
    given = parser.parse_args(words[:at])
    book = given.runbook.resolve()
    rehearsal = find(book)
    if rehearsal.needs is not None and not rehearsal.needs():
        parser.error(f"what {book.stem} is rehearsed against is not installed; the README of its pack says what that is")
    with tempfile.TemporaryDirectory(prefix="holdfast-rehearsal-") as folder, rehearsal.stage(Path(folder)) as stage:
        if words[at + 1 :]:
            return _on_stage(book, stage, words[at + 1 :])
        return _perform(book, rehearsal, stage, Path(folder), given.cut)


def _on_stage(book: Path, stage: Stage, command: list[str]) -> int:
    say = Console(highlight=False, soft_wrap=True).print
    say(f"[bold]{book.stem}[/]: {json.dumps(dict(stage.parameters))}")
    # in an environment that is not activated, too, `holdfast` is found
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(command, env={**os.environ, "PATH": path, **stage.environment}, check=False).returncode


def _perform(book: Path, rehearsal: Rehearsal, stage: Stage, folder: Path, faults: str) -> int:
    say = Console(highlight=False, soft_wrap=True).print
    say(f"[bold]The stage:[/] {rehearsal.story}")
    say(f"[bold]The runbook:[/] {book.name} {json.dumps(dict(stage.parameters))}")
    performance = Performance(book, stage, folder, lambda said: say(f"[bold]·[/] {said}", markup=True))
    status = performance.play(faults)
    say(performance.sandbox.holdfast("show", EXECUTION).out, markup=False)
    killed = len(performance.sandbox.struck())
    missed = f"never came to {faults}: nothing was killed" if faults and not killed else ""
    return judged(say, status, stage, rehearsal, missed, killed)


def judged(say: Callable[..., object], status: str, stage: Stage, rehearsal: Rehearsal, wrong: str, killed: int) -> int:
    """Show what the far side counted, and say whether it is as promised; returns the process's exit status.

    Args:
        wrong: what else is not as it should be.
        killed: how often something was killed on the way.
    """
    effects = stage.effects()
    table = Table("effect", "times", title="What the far side says")
    for name, times in sorted(effects.items()):
        table.add_row(name, str(times))
    say(table)
    once = all(times == 1 for name, times in effects.items() if name not in rehearsal.repeated)
    if status == stage.ends and once and effects and not wrong:
        say(f"[bold green]It {status}. It was killed {killed} time{'s' * (killed != 1)}; each of {len(effects)} effects happened once.[/]")
        return 0
    say(f"[bold red]It {status}{', but ' + wrong if wrong else '; that is not what was promised'}.[/]")
    return 1


if __name__ == "__main__":
    sys.exit(main())
