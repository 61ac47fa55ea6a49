"""Marks in a stream of bytes, found however the pieces fall."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from holdfast.kernel.streams import split_at_mark

MARK = b"\x00\x1eabc\x1e\x00"


@given(
    parts=st.lists(st.binary(max_size=20).filter(lambda b: MARK not in b), min_size=1, max_size=5),
    cuts=st.lists(st.integers(0, 120), max_size=8),
)
def test_every_mark_is_found_and_nothing_else_is_lost(parts: list[bytes], cuts: list[int]) -> None:
    data = MARK.join(parts)
    if data.count(MARK) != len(parts) - 1:
        return  # two parts made a mark together
    edges = sorted({0, len(data), *(c for c in cuts if c < len(data))})
    held, seen = b"", []
    for start, end in itertools.pairwise(edges):
        pieces, held = split_at_mark(held + data[start:end], MARK)
        seen += pieces
    seen.append(held or b"")
    text = b"".join(MARK if piece is None else piece for piece in seen)
    assert text == data
    assert sum(piece is None for piece in seen) == len(parts) - 1
    assert all(MARK not in piece for piece in seen if piece is not None)


def test_only_what_may_become_a_mark_is_held_back() -> None:
    assert split_at_mark(b"text\n", MARK) == ([b"text\n"], b"")
    assert split_at_mark(b"text\n" + MARK[:3], MARK) == ([b"text\n"], MARK[:3])
