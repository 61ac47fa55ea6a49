"""Every shipped runbook on its stage, killed at the worst moments: it ends as the undisturbed one, and the far side saw each effect once.

A runbook takes part by having a rehearsal in the ``rehearsals.py`` of its pack. The short form kills some; ``make test-long`` kills all.
"""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.entry import Entry
from holdfast.testing.performing import EXECUTION, Performance, cut
from holdfast.testing.rehearsal import Rehearsal, rehearsals

pytestmark = pytest.mark.crash

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
REHEARSALS = {f"{pack.name}/{name}": one for pack in sorted(RUNBOOKS.iterdir()) if pack.is_dir() for name, one in rehearsals(pack).items()}
#: Where the power is cut, and after which share of the times that the point is passed.
CUTS = {
    "call.after_intent": (0.0, 0.5, 1.0),
    "call.after_effect": (0.0, 0.4, 0.8, 1.0),
    "call.after_outcome": (0.5,),
    "step.after_commit": (0.5,),
    "prompt.after_open": (1.0,),
    "prompt.before_take": (1.0,),
    "timer.after_set": (1.0,),
    "timer.after_fire": (1.0,),
}
#: The short form: one cut each, of some.
SHORT = {
    "aws/delete-unattached-volumes": ("call.after_effect", 0.8),
    "linux/disk-filling": ("call.after_intent", 0.5),
    "security/compromised-account": ("call.after_effect", 0.8),
}


@functools.cache
def undisturbed(name: str) -> tuple[str, Counter[str], Any, list[Entry]]:
    """How it ends when nothing is killed: status, effects, state of the far side, journal."""
    with tempfile.TemporaryDirectory(prefix="holdfast-rehearsal-") as folder:
        return performed(name, Path(folder))[:4]


def performed(name: str, folder: Path, faults: str = "") -> tuple[str, Counter[str], Any, list[Entry], Performance]:
    """Play the runbook on a stage of its own."""
    folder.mkdir(exist_ok=True)
    rehearsal: Rehearsal = REHEARSALS[name]
    with rehearsal.stage(folder) as stage:
        performance = Performance(RUNBOOKS / f"{name}.ipynb", stage, folder)
        status = performance.play(faults)
        assert status == stage.ends, performance.last
        return status, stage.effects(), stage.state(), performance.sandbox.entries(EXECUTION), performance


def cases() -> list[Any]:
    made = []
    for name, rehearsal in REHEARSALS.items():
        for point, shares in CUTS.items():
            for share in shares:
                marks = [] if SHORT.get(name) == (point, share) else [pytest.mark.slow]
                made.append(pytest.param(name, point, share, id=f"{name}-{point}-{share}", marks=marks))
        assert rehearsal.story, f"{name}: the rehearsal needs a docstring that says what its stage is"
    return made


@pytest.mark.parametrize(("name", "point", "share"), cases())
def test_a_killed_runbook_ends_as_the_undisturbed_one(tmp_path: Path, name: str, point: str, share: float) -> None:
    rehearsal = REHEARSALS[name]
    if rehearsal.needs is not None and not rehearsal.needs():
        pytest.skip(f"what {name} is rehearsed against is not installed")
    status, effects, state, entries = undisturbed(name)
    assert effects, "a rehearsal in which nothing is done proves nothing"
    assert {effect: n for effect, n in effects.items() if n != 1 and effect not in rehearsal.repeated} == {}, "undisturbed"
    faults = cut(point, share, entries)
    if not faults:
        pytest.skip("this runbook never comes to that point")
    seen = performed(name, tmp_path, faults)
    if not seen[4].sandbox.struck():  # it waited at other moments this time, so that no one process passed the point so often
        seen = performed(name, tmp_path / "again", cut(point, 0.0, entries))
    assert len(seen[4].sandbox.struck()) == 1
    assert seen[0] == status
    assert {effect: n for effect, n in seen[1].items() if n != 1 and effect not in rehearsal.repeated} == {}, "each effect once"
    assert set(seen[1]) == set(effects)
    assert seen[2] == state


def test_every_shipped_runbook_is_rehearsed() -> None:
    books = {f"{book.parent.name}/{book.stem}" for book in RUNBOOKS.glob("*/*.ipynb") if book.parent.name != "examples"}
    assert books == set(REHEARSALS)
