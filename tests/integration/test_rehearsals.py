"""A rehearsal tells a runbook that does something twice from one that does not, and lends its stage to other commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from holdfast.errors import LookupFailedError
from holdfast.testing.rehearsal import find
from holdfast.testing.rehearse import main
from holdfast.testing.sandbox import Sandbox

PACK = '''
from collections import Counter
from contextlib import contextmanager
from holdfast.testing.rehearsal import Answer, Stage, rehearsal

def staged(folder):
    far = folder / "far"
    lines = lambda: far.read_text().splitlines() if far.exists() else []
    return Stage(
        environment={"FAR": str(far)},
        parameters={"far": str(far)},
        answers={"Go on?": Answer("yes")},
        effects=lambda: Counter(lines()),
        state=lines,
    )

@rehearsal("careful")
@contextmanager
def careful(folder):
    """A file."""
    yield staged(folder)

@rehearsal("careless")
@contextmanager
def careless(folder):
    """The same file."""
    yield staged(folder)
'''
ASK = ("step:ask", "from holdfast import confirm\nconfirm('Go on?')")
CUT = "call.after_effect@2=kill-both-once"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Two runbooks: one appends to a file by a recorded command, the other behind Holdfast's back."""
    folder = tmp_path / "pack"
    folder.mkdir()
    sandbox = Sandbox(folder)
    given = ("parameters", "far: str")
    sandbox.notebook("careful", [given, ASK, ("step:act", "!printf 'one\\n' >> {far}\n!printf 'two\\n' >> {far}")])
    sandbox.notebook("careless", [given, ASK, ("step:act", "open(far, 'a').write('one\\n')\n!true\n!true\n!true")])
    sandbox.notebook("unknown", [("step:a", "1")])
    (folder / "rehearsals.py").write_text(PACK)
    return folder


def test_each_effect_once_is_shown(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(pack / "careful.ipynb"), "--cut", CUT]) == 0
    shown = capsys.readouterr().out
    assert "rehearsal answers yes to: Go on?" in shown
    assert "It was killed 1 time; each of 2 effects happened once." in " ".join(shown.split())


def test_an_effect_that_happens_twice_is_found(pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(pack / "careless.ipynb"), "--cut", CUT]) == 1
    assert "that is not what was promised" in capsys.readouterr().out


def test_the_stage_is_lent_to_another_command(pack: Path) -> None:
    program = "import json, os, pathlib; pathlib.Path('seen.json').write_text(json.dumps(os.environ['FAR']))"
    assert main([str(pack / "careful.ipynb"), "--", sys.executable, "-c", f"import os; os.chdir({str(pack)!r}); {program}"]) == 0
    assert json.loads((pack / "seen.json").read_text()).endswith("/far")


def test_a_runbook_without_a_rehearsal_is_told(pack: Path) -> None:
    with pytest.raises(LookupFailedError, match="no rehearsal of unknown"):
        find(pack / "unknown.ipynb")
