"""The room's promises, one by one, in one process: rollback, replay, conflicts, flags, laziness, what is written."""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blake3
import pytest

from holdfast.checkpoint import delta as deltas
from holdfast.checkpoint.checkpointer import Checkpointer
from holdfast.checkpoint.report import Report
from holdfast.errors import AuthorError
from holdfast.foundation import faults


class Blobs:
    """A blob store in memory that counts what it is given."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.read = 0

    def put(self, data: Any, *, compress: bool = True) -> bytes:
        content = bytes(data)
        address = blake3.blake3(content).digest()
        self.kept[address] = content
        return address

    def get(self, address: bytes) -> memoryview:
        self.read += 1
        return memoryview(self.kept[address])

    def map(self, addresses: Any, sizes: Any) -> memoryview:
        return memoryview(bytearray(b"".join(self.get(a) for a in addresses)))

    def sync(self) -> None:
        """Nothing to do."""


class Kernel:
    """A namespace, a room and the cells that ran."""

    def __init__(self, blobs: Blobs, *, replays: bool = True, cells: dict[str, str] | None = None) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.names = module.__dict__
        self.cells = cells if cells is not None else {}
        self.replayed: list[str] = []
        self.room = Checkpointer(self.names, blobs, replayer=self if replays else None)
        self.room.start()
        self.deltas: list[tuple[str, bytes]] = []

    def replay(self, cell: str) -> None:
        self.replayed.append(cell)
        exec(self.cells[cell], self.names)

    def run(self, source: str, name: str | None = None) -> Any:
        name = name or f"c{len(self.cells)}"
        self.cells[name] = source
        self.room.before_cell(source)
        exec(source, self.names)
        made = self.room.capture(name)
        self.deltas.append((name, made.delta))
        return made

    def fail(self, source: str) -> Report:
        self.room.before_cell(source)
        with pytest.raises(ZeroDivisionError):
            exec(source, self.names)
        return self.room.rollback()

    def restored(self, blobs: Blobs, *, replays: bool = True) -> Kernel:
        other = Kernel(blobs, replays=replays, cells=self.cells)
        for name, data in self.deltas:
            other.room.apply(name, data)
        return other


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture(autouse=True)
def _main() -> Iterator[None]:
    main, state = sys.modules["__main__"], random.getstate()
    yield
    sys.modules["__main__"] = main
    random.setstate(state)
    faults.arm("")


# -- rollback


def test_a_failed_cell_leaves_no_trace_in_the_namespace(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("import random\nrandom.seed(1)\na = [1]\nb = a\nd = {'k': 1}\nclass A:\n    n = 0\nx = A()")
    report = kernel.fail("a.append(2)\nd['k'] = 9\nA.n = 5\nnew = 1\nx = None\ndel d\nrandom.random()\n1 / 0")
    names = kernel.names
    assert not report.needs_restart
    assert names["a"] == [1]
    assert names["b"] is names["a"]
    assert names["d"] == {"k": 1}
    assert names["A"].n == 0
    assert isinstance(names["x"], names["A"])
    assert "new" not in names
    again = random.random()
    random.seed(1)
    assert again == random.random()


def test_what_a_rollback_left_is_captured_as_before(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("a = [1]")
    kernel.fail("a.append(2)\n1 / 0")
    kernel.run("a.append(3)")
    other = kernel.restored(blobs)
    other.room.materialise()
    assert other.names["a"] == [1, 3]


def test_rollback_says_when_only_a_new_kernel_can_undo(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("g = (i for i in range(5))")
    report = kernel.fail("next(g)\n1 / 0")
    assert report.needs_restart
    assert report.flags[0].code == "HF138"


def test_an_untouched_object_survives_a_rollback_as_itself(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("big = list(range(1000))\nsmall = [1]")
    before = kernel.names["big"]
    kernel.fail("small.append(2)\n1 / 0")
    assert kernel.names["big"] is before
    assert kernel.names["small"] == [1]


# -- replay


def test_a_generator_is_replayed_on_the_state_that_its_cells_met(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("n = 2\ndef gen():\n    for i in range(10):\n        yield i * n\ng = gen()")
    made = kernel.run("x = next(g) + next(g)")
    kernel.run("n = 100")
    assert made.label == "replay"
    other = kernel.restored(blobs)
    report = other.room.materialise()
    assert report.replayed == ["c0", "c1"]
    assert other.names["n"] == 100
    assert other.names["x"] == 2
    assert next(other.names["g"]) == 200


def test_replay_leaves_process_state_as_recorded(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("import random\nrandom.seed(3)\ng = (random.random() for _ in range(9))\na = next(g)")
    kernel.run("b = random.random()")
    expected = kernel.names["random"].getstate()
    random.seed(99)
    kernel.restored(blobs).room.materialise()
    assert random.getstate() == expected


def test_instances_made_by_a_replay_are_of_the_restored_class(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run(
        "class Source:\n    def rows(self):\n        yield 1\n        yield 2\ns = Source()\ng = s.rows()\nnext(g)\nplain = Source()"
    )
    other = kernel.restored(blobs)
    other.room.materialise()
    names = other.names
    assert type(names["s"]) is type(names["plain"]) is names["Source"]
    assert next(names["g"]) == 2


def test_a_replay_that_fails_is_an_error_and_no_guess(blobs: Blobs, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    kernel = Kernel(blobs)
    kernel.run(f"import os\nos.stat({str(flag)!r})\ng = (i for i in range(3))\na = [1]")
    flag.unlink()
    other = kernel.restored(blobs)
    with pytest.raises(AuthorError, match="HF132") as caught:
        other.room.before_cell("a")
    assert caught.value.cure


def test_without_a_replayer_the_author_is_told_at_once(blobs: Blobs) -> None:
    made = Kernel(blobs, replays=False).run("g = (i for i in range(3))")
    assert made.label == "flagged"
    assert [(f.code, f.name) for f in made.flags] == [("HF130", "g")]


# -- branches


def _branch(kernel: Kernel, blobs: Blobs, source: str, name: str) -> bytes:
    branch = kernel.restored(blobs)
    return bytes(branch.run(source, name).delta)


def test_branches_that_write_different_names_are_merged(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("base = [1]\nclass A: pass\na = A()")
    left, right = _branch(kernel, blobs, "left = A()", "l"), _branch(kernel, blobs, "right = A()", "r")
    other = kernel.restored(blobs)
    other.room.apply("l", left)
    other.room.apply("r", right)
    other.room.materialise()
    names = other.names
    assert type(names["left"]) is type(names["right"]) is type(names["a"]) is names["A"]


def test_branches_that_write_the_same_name_are_refused(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("base = [1]")
    left, right = _branch(kernel, blobs, "base.append(2)", "l"), _branch(kernel, blobs, "base.append(3)", "r")
    other = kernel.restored(blobs)
    other.room.apply("l", left)
    with pytest.raises(AuthorError, match=r"HF134.*base"):
        other.room.apply("r", right)


def test_a_branch_applied_to_a_kernel_that_has_loaded_its_past(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("base = [1]\nother = [0]")
    left = _branch(kernel, blobs, "base.append(2)\nnew = base", "l")
    later = kernel.restored(blobs)
    later.room.materialise()
    later.room.apply("l", left)
    later.room.before_cell("base, new")
    assert later.names["base"] == [1, 2]
    assert later.names["new"] is later.names["base"]
    assert later.names["other"] == [0]


# -- what is written and read


def test_a_small_change_in_a_large_array_stores_its_chunk_only(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("import numpy as np\na = np.arange(2_000_000)")
    before = len(blobs.kept)
    assert before >= 15
    kernel.run("a[1_000_000] = -1")
    assert len(blobs.kept) == before + 1


def test_an_unchanged_cell_writes_next_to_nothing(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("rows = [{'i': i} for i in range(5000)]")
    made = kernel.run("len(rows)")
    assert deltas.decode(made.delta).components == []
    assert len(made.delta) < 300


def test_a_large_variable_that_no_cell_reads_is_not_loaded(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("import numpy as np\na = np.zeros(1_000_000)\nsmall = 1")
    other = kernel.restored(blobs)
    other.room.before_cell("small + 1")
    assert blobs.read == 0
    assert "a" not in other.names
    other.room.before_cell("b = 'a'")  # mentioned in a string: loaded, to be on the safe side
    assert blobs.read > 0
    assert other.names["a"].sum() == 0


def test_an_escape_loads_everything(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("import numpy as np\na = np.zeros(1_000_000)")
    other = kernel.restored(blobs)
    other.room.before_cell("globals()")
    assert "a" in other.names


def test_a_delta_of_another_python_is_refused(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    made = deltas.decode(kernel.run("a = 1").delta)
    made.python = "2.7"
    with pytest.raises(AuthorError, match=r"HF135.*2\.7"):
        Kernel(blobs).room.apply("c", deltas.encode(made))


def test_damaged_bytes_are_refused(blobs: Blobs) -> None:
    with pytest.raises(AuthorError, match="HF135"):
        Kernel(blobs).room.apply("c", b"\x01nonsense")


def test_a_missing_module_is_named(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone_module.py").write_text("class Thing: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    kernel = Kernel(blobs)
    kernel.run("import gone_module\nt = gone_module.Thing()")
    monkeypatch.undo()
    del sys.modules["gone_module"]
    (tmp_path / "gone_module.py").unlink()
    with pytest.raises(AuthorError, match=r"HF136.*gone_module"):
        kernel.restored(blobs).room.materialise()


@pytest.mark.parametrize("point", ["checkpoint.during", "restore.during"])
def test_the_faults_are_passed(blobs: Blobs, point: str) -> None:
    kernel = Kernel(blobs)
    kernel.run("a = [1]")
    faults.arm(f"{point}=raise:OSError:28")
    with pytest.raises(OSError, match="No space left"):
        kernel.run("a.append(1)") if point == "checkpoint.during" else kernel.restored(blobs).room.materialise()


def test_nothing_is_kept_alive_by_a_capture(blobs: Blobs) -> None:
    import weakref

    kernel = Kernel(blobs)
    kernel.run("class A: pass\na = A()\nb = {'a': a}")
    reference = weakref.ref(kernel.names["a"])
    kernel.run("del a, b")
    assert reference() is None


def test_the_room_imports_neither_numpy_nor_pandas(tmp_path: Path) -> None:
    import subprocess

    heavy = "{'numpy', 'pandas', 'requests', 'boto3', 'httpx', 'IPython'}"
    code = f"import sys, holdfast.checkpoint.checkpointer; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_a_failed_append_did_not_commit_is_in_the_next_delta_with_its_blobs(blobs: Blobs) -> None:
    kernel = Kernel(blobs)
    kernel.run("small = [1]\nlarge = bytearray(200_000)\nkept = {'x': 1}")
    before = dict(blobs.kept)
    kernel.run("small.append(2)\nlarge[0] = 7\nlate = {'a': small}")
    kernel.deltas.pop()
    kernel.room.forget()
    blobs.kept = before
    made = kernel.run("unrelated = 1")
    assert {u for c in deltas.decode(made.delta).components for u in c.units} >= {"small", "large", "late", "unrelated"}
    other = kernel.restored(blobs)
    other.room.materialise()
    assert (other.names["small"], other.names["large"][0]) == ([1, 2], 7)
    assert other.names["late"]["a"] is other.names["small"]
