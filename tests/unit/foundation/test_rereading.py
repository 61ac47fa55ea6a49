"""A file that people edit is read again when it has changed, and not otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from holdfast.foundation.rereading import Reread


def test_it_is_read_once_and_again_after_each_change(tmp_path: Path) -> None:
    path, reads = tmp_path / "settings", []
    path.write_text("one")

    def read(path: Path) -> str:
        reads.append(path.read_text())
        return reads[-1]

    file = Reread(path, read)
    assert [file.current(), file.current()] == ["one", "one"]
    assert reads == ["one"]
    path.write_text("longer")
    assert file.current() == "longer"
    replacement = tmp_path / "new"  # same length, same time: another file nevertheless
    replacement.write_text("LONGER")
    stamp = path.stat()
    os.utime(replacement, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    replacement.replace(path)
    assert file.current() == "LONGER"


def test_trouble_is_told_every_time_until_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "settings"

    def read(path: Path) -> int:
        return int(path.read_text())

    file = Reread(path, read)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            file.current()
    path.write_text("no number")
    for _ in range(2):
        with pytest.raises(ValueError):
            file.current()
    path.write_text("7")
    assert file.current() == 7
    path.unlink()
    with pytest.raises(FileNotFoundError):
        file.current()
