"""What a person gets who mistypes ``%holdfast``, switches Holdfast off, or meets a journal that another process holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from holdfast.testing.kernels import Front


@pytest.mark.parametrize("line", ["new --help", "status b", "prompts x", "checkpoint a"])
def test_a_command_that_takes_no_arguments_refuses_them_and_does_nothing(tmp_path: Path, line: str) -> None:
    with Front(tmp_path, notebook=tmp_path / "n.ipynb") as front:
        front.run("x = 1", "a")
        [text] = front.run(f"%holdfast {line}").notices
        assert "HF242" in text
        assert "takes no arguments" in text
        assert front.run("x", "look").result == "1"


def test_calls_of_an_unknown_step_are_not_said_to_be_none(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=tmp_path / "n.ipynb") as front:
        front.run("x = 1", "a")
        [text] = front.run("%holdfast calls nowhere").notices
        assert "HF603" in text
        assert "Recorded steps: a." in text


def test_switched_off_it_says_so_and_begins_nothing(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=tmp_path / "n.ipynb", environment={"HOLDFAST_DURABLE": "off"}) as front:
        assert front.run("x = 1", "a").told == {}
        for line in ("", "new", "calls"):
            [text] = front.run(f"%holdfast {line}").notices
            assert "HOLDFAST_DURABLE" in text
        assert front.run("x", "look").result == "1"
        assert "%holdfast rerun STEP" in front.run("%holdfast help").notices[0]
    assert not (tmp_path / ".holdfast").exists()


def test_an_error_of_the_journal_is_shown_once_and_nothing_leaves(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=tmp_path / "n.ipynb") as front:
        front.run("x = 1", "a")
        with sqlite3.connect(tmp_path / ".holdfast" / "journal.db") as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON entry BEGIN SELECT RAISE(FAIL, 'no room'); END")
        ran = front.run("!echo once >> effects", "b")
        assert ran.reply["status"] == "error"
        assert len(ran.errors) == 1
        assert not (tmp_path / "effects").exists()
        with sqlite3.connect(tmp_path / ".holdfast" / "journal.db") as other:
            other.execute("DROP TRIGGER full")
        assert front.run("!echo once >> effects", "b").state == "ran"
    assert (tmp_path / "effects").read_text() == "once\n"
