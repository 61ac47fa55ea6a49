"""A value comes back exactly as it was: in value, in types, in shared references; or it is refused."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import math
import subprocess
import sys
import textwrap
import threading
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.codecs import decode, encode, values
from holdfast.errors import AuthorError, StoreError

KEY = b"k" * 32


class Shelf:
    """A blob store in memory."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def put(self, data: Any, *, compress: bool = True) -> bytes:
        address = blake3(data, key=KEY).digest()
        self.held[address] = bytes(data)
        return address

    def get(self, address: bytes) -> memoryview:
        return memoryview(self.held[address])


class Colour(enum.Enum):
    RED = 1


class Text(str):
    """A subclass with a field of its own."""

    mark: int


def journaled(stored: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode({"value": stored}))["value"]


def both_ways(value: Any) -> Any:
    """The value after the journal; the first pass must see the same."""
    shelf = Shelf()
    stored = encode(value, blobs=shelf, key=KEY)
    first = decode(stored, blobs=shelf, key=KEY)
    again = decode(journaled(stored), blobs=shelf, key=KEY)
    assert type(first) is type(again)
    return again


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


@given(plain)
@settings(deadline=None, max_examples=200)
def test_json_types_and_bytes_stay_readable_and_exact(value: Any) -> None:
    stored = encode(value, blobs=Shelf(), key=KEY)
    assert set(stored) == {"v"}
    again = both_ways(value)
    assert again == value
    assert repr(again) == repr(value)  # 1 is not True, 0.0 is not -0.0, order of keys


exotic: list[Any] = [
    (1, 2),
    [1, (2, 3)],
    {1: "a"},
    {True: 1, "x": 2},
    {1, 2},
    frozenset({1}),
    2**64,
    -(2**63) - 1,
    1 + 2j,
    bytearray(b"x"),
    "\ud800",
    decimal.Decimal("1.10"),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    datetime.timedelta(seconds=1.5),
    Colour.RED,
    [Colour.RED],
    collections.OrderedDict(a=1),
    collections.Counter("aab"),
    range(3),
    ...,
    int,
    np.float64(1.5),
    np.int32(7),
    [np.float64(0.1)],
]


@pytest.mark.parametrize("value", exotic, ids=repr)
def test_other_types_come_back_as_they_were(value: Any) -> None:
    again = both_ways(value)
    assert again == value
    assert type(again) is type(value)
    assert repr(again) == repr(value)


def test_subclasses_keep_their_fields() -> None:
    value = Text("hello")
    value.mark = 7
    again = both_ways([value])
    assert type(again[0]) is Text
    assert again[0].mark == 7


def test_numbers_that_compare_unequal_to_themselves() -> None:
    assert math.isnan(both_ways(float("nan")))
    assert math.copysign(1, both_ways(-0.0)) == -1
    assert both_ways([float("inf")]) == [float("inf")]


def test_shared_references_and_cycles_survive() -> None:
    row = [0, 0]
    again = both_ways([row, row])
    again[0][0] = 1
    assert again[1][0] == 1
    ring: list[Any] = []
    ring.append(ring)
    back = both_ways(ring)
    assert back[0] is back


def test_frames_and_arrays() -> None:
    frame = pd.DataFrame({"a": [1, 2], "t": pd.to_datetime(["2026-01-01", "2026-01-02"])}, index=["x", "y"])
    pd.testing.assert_frame_equal(both_ways(frame), frame)
    array = np.arange(12, dtype="int16").reshape(3, 4)
    again = both_ways(array)
    assert again.dtype == array.dtype
    assert (again == array).all()


def test_what_the_cell_gets_is_never_the_original_nor_shared() -> None:
    value = {"a": [1]}
    shelf = Shelf()
    stored = encode(value, blobs=shelf, key=KEY)
    decode(stored, blobs=shelf, key=KEY)["a"].append(2)
    assert value == {"a": [1]}
    kept = journaled(stored)
    decode(kept, blobs=shelf, key=KEY)["a"].append(3)
    assert decode(kept, blobs=shelf, key=KEY) == {"a": [1]}


@pytest.mark.parametrize(
    "value", [b"x" * (values.INLINE + 1), ("x" * (values.INLINE + 1),), ["y" * 1000] * 2000], ids=["bytes", "tuple", "list"]
)
def test_large_values_go_to_the_blob_store(value: Any) -> None:
    shelf = Shelf()
    stored = journaled(encode(value, blobs=shelf, key=KEY))
    assert len(shelf.held) == 1
    assert decode(stored, blobs=shelf, key=KEY) == value


@pytest.mark.parametrize("value", [threading.Lock(), (n for n in range(3)), {"c": sys.stdout}], ids=["lock", "generator", "stream"])
def test_what_cannot_be_stored_is_refused_with_a_cure(value: Any) -> None:
    with pytest.raises(AuthorError) as caught:
        encode(value, blobs=Shelf(), key=KEY, step="drain")
    assert caught.value.code == "HF165"
    assert caught.value.where == {"step": "drain"}
    assert caught.value.cure


def test_the_cap() -> None:
    with pytest.raises(AuthorError) as caught:
        encode("x" * 101, blobs=Shelf(), key=KEY, limit=100)
    assert caught.value.code == "HF166"
    encode("x" * 90, blobs=Shelf(), key=KEY, limit=100)


def test_redaction_comes_first() -> None:
    shelf = Shelf()
    stored = encode({"password": "hunter2"}, blobs=shelf, key=KEY, redact=lambda v: {**v, "password": "***"})
    assert decode(stored, blobs=shelf, key=KEY) == {"password": "***"}


class Bomb:
    struck = False

    def __reduce__(self) -> Any:
        return (_strike, ())


def _strike() -> None:
    Bomb.struck = True


@pytest.mark.parametrize("large", [False, True], ids=["inline", "blob"])
def test_nothing_unauthentic_is_unpickled(large: bool) -> None:
    shelf = Shelf()
    good = journaled(encode((b"x" * (values.INLINE if large else 1),), blobs=shelf, key=KEY))
    bomb = encode(Bomb(), blobs=shelf, key=b"j" * 32)
    forged = [
        {"c": "pickle", "b": bomb["b"], "m": bomb["m"]},  # another key's
        {"c": "pickle", "b": bomb["b"], "m": b""},
        {"c": "pickle", "b": bomb["b"]},
        {"c": "pickle", "a": shelf.put(bomb["b"]), "n": 1, "m": good["m"]},  # bytes that the outside could have had stored
        {**good, "c": "msgpack"},
        {**good, "c": "marshal"},
        {"c": "pickle", "b": bomb["b"], "m": blake3(bomb["b"], key=KEY).digest()},  # the address of those bytes as a blob
    ]
    for stored in forged:
        with pytest.raises(StoreError) as caught:
            decode(stored, blobs=shelf, key=KEY)
        assert caught.value.code == "HF511"
    assert not Bomb.struck


def in_a_main(code: str, folder: Any) -> str:
    """Run ``code`` as a script of its own; its ``__main__`` stands for a kernel's."""
    script = folder / "kernel.py"
    script.write_text(
        "import sys\nfrom holdfast.codecs import encode, decode\nfrom holdfast.errors import AuthorError\nimport msgspec\n"
        "KEY = b'k' * 32\nWIRE = sys.argv[1]\n"
        "def save(v): open(WIRE, 'wb').write(msgspec.msgpack.encode(encode(v, blobs=None, key=KEY)))\n"
        "def load(**kw): return decode(msgspec.msgpack.decode(open(WIRE, 'rb').read()), blobs=None, key=KEY, **kw)\n"
        + textwrap.dedent(code)
    )
    done = subprocess.run([sys.executable, str(script), str(folder / "wire")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HOST = "class Host:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return type(o) is type(self) and o.n == self.n\n"


def test_instances_of_notebook_classes_are_of_the_class_the_next_kernel_has(tmp_path: Any) -> None:
    assert in_a_main(HOST + "save([Host(1)]); print(load() == [Host(1)], type(load()[0]) is Host)", tmp_path) == "True True"
    assert in_a_main(HOST + "print(load() == [Host(1)], isinstance(load()[0], Host))", tmp_path) == "True True"


def test_a_lazily_restored_class_is_asked_for(tmp_path: Any) -> None:
    in_a_main(HOST + "save(Host(2))", tmp_path)
    later = f"def bring(name):\n    print(name)\n    exec({HOST!r}, globals())\nprint(load(materialise=bring).n)"
    assert in_a_main(later, tmp_path).split() == ["Host", "2"]


def test_a_class_that_is_gone_is_an_authors_error(tmp_path: Any) -> None:
    in_a_main(HOST + "save(Host(2))", tmp_path)
    assert in_a_main("try: load()\nexcept AuthorError as e: print(e.code, 'Host' in str(e))", tmp_path) == "HF167 True"


def test_a_redefined_or_local_class_goes_by_value(tmp_path: Any) -> None:
    in_a_main(HOST + "old = Host(3)\n" + HOST.replace("self.n = n", "self.n = -n") + "save(old)", tmp_path)
    assert in_a_main("print(load().n)", tmp_path) == "3"
    in_a_main("def make():\n    class Inner:\n        n = 4\n    return Inner()\nsave(make())", tmp_path)
    assert in_a_main("print(load().n)", tmp_path) == "4"


def test_functions_of_the_notebook_go_by_name_and_lambdas_by_value(tmp_path: Any) -> None:
    in_a_main("def double(x): return 2 * x\nsave([double, lambda x: x + 1])", tmp_path)
    assert in_a_main("def double(x): return 20 * x\nf, g = load(); print(f(1), g(1))", tmp_path) == "20 2"
