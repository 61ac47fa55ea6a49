"""Holdfast's own frames are left out of what an author sees."""

from __future__ import annotations

import traceback
from pathlib import Path

from holdfast.foundation import faults
from holdfast.kernel.shell import clean


def author() -> None:
    try:
        faults.arm("nowhere=kill")  # raises in Holdfast's code
    except ValueError as error:
        raise KeyError("outer") from error


def test_frames_of_the_package_go_everywhere_in_the_chain_and_others_stay() -> None:
    try:
        author()
    except KeyError as error:
        clean(error)
        files = {Path(f.filename).name for e in (error, error.__cause__) for f in traceback.extract_tb(e.__traceback__)}  # type: ignore[union-attr]
    assert files == {Path(__file__).name}


def test_an_error_with_no_other_frames_keeps_its_own() -> None:
    error = ValueError("x")
    error.__context__ = error  # a cycle is no trap
    clean(error)
    assert error.__traceback__ is None
