"""Reducers that other packages announce are used for their types."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.checkpoint import reducers
from holdfast.foundation import plugins

MODULE = """
from holdfast.checkpoint.reducer import Reducer
class Pump:
    def __init__(self, place): self.place, self.wire = place, (i for i in ())
    def __reduce__(self): raise TypeError("no")
def put_away(context, pump): return Pump, (pump.place,)
ONE = Reducer("plug_pump:Pump", put_away)
TWO = [ONE, Reducer("plug_pump:Valve", put_away)]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    info = tmp_path / "plug_pump-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plug_pump\nVersion: 1.0\n")
    (tmp_path / "plug_pump.py").write_text(MODULE)
    plugins.find.cache_clear()
    yield info / "entry_points.txt"
    plugins.find.cache_clear()
    sys.modules.pop("plug_pump", None)


@pytest.mark.parametrize(("name", "types"), [("ONE", ["plug_pump:Pump"]), ("TWO", ["plug_pump:Pump", "plug_pump:Valve"])])
def test_an_entry_point_names_one_reducer_or_several(package: Path, name: str, types: list[str]) -> None:
    package.write_text(f"[holdfast.reducers]\npump = plug_pump:{name}\n")
    assert [r.type for r in reducers.announced()] == types


def test_the_room_uses_them(package: Path) -> None:
    from holdfast.checkpoint import pickler
    from holdfast.checkpoint.checkpointer import Checkpointer

    package.write_text("[holdfast.reducers]\npump = plug_pump:ONE\n")
    import plug_pump  # type: ignore[import-not-found]

    state = Checkpointer({}, None).state  # type: ignore[arg-type]
    made = pickler.dump(state.space, state.reducers, (plug_pump.Pump("cellar"),))
    assert not made.holes
    (pump,) = pickler.load(state.space, made.stream.getvalue(), [])
    assert pump.place == "cellar"
