"""What other packages add is found by group, loaded late, and refused when it is ambiguous or broken."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.errors import OperatorError
from holdfast.foundation import plugins

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package with entry points on the path, as an installer would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(package: str, announcements: str) -> None:
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(announcements)
        (tmp_path / f"{package}.py").write_text("THING = 7\n")

    plugins.find.cache_clear()
    yield put
    plugins.find.cache_clear()
    for name in ("plug_one", "plug_two"):
        sys.modules.pop(name, None)


def test_a_plugin_is_found_and_loaded_only_when_asked_for(install: Install) -> None:
    install("plug_one", "[holdfast.checks]\nzz-mine = plug_one:THING\n[other.group]\nx = plug_one:THING\n")
    (mine,) = [p for p in plugins.find("holdfast.checks") if p.name == "zz-mine"]
    assert mine.package == "plug_one 1.0"
    assert "plug_one" not in sys.modules
    assert mine.load() == 7


def test_two_packages_under_one_name_are_refused(install: Install) -> None:
    install("plug_one", "[holdfast.reducers]\nmine = plug_one:THING\n")
    install("plug_two", "[holdfast.reducers]\nmine = plug_two:THING\n")
    with pytest.raises(OperatorError, match=r"HF212.*plug_(one|two) 1.0 and plug_(one|two) 1.0 both announce mine"):
        plugins.find("holdfast.reducers")


@pytest.mark.parametrize("target", ["plug_one:MISSING", "no_such_module_anywhere:x"])
def test_a_broken_plugin_says_whose_it_is(install: Install, target: str) -> None:
    install("plug_one", f"[holdfast.checks]\nmine = {target}\n")
    (mine,) = [p for p in plugins.find("holdfast.checks") if p.target == target]
    with pytest.raises(OperatorError, match=r"HF213.*plug_one 1.0"):
        mine.load()


def test_an_unknown_group_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="unknown plugin group"):
        plugins.find("holdfast.typo")
