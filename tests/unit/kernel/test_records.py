"""What the journal says of cells, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.kernel.records import INLINE_BYTES, RecordBook, label, stored
from holdfast.model.entry import Draft
from holdfast.model.execution import Execution


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/j.db", key_file=tmp_path / "key")
    opened.create(Execution(id="e", runbook="r"))
    yield opened
    opened.close()


def append(store: Store, kind: str, step: str, key: str | None = None, **body: Any) -> None:
    store.append("e", [Draft(kind=kind, step=step, key=key, body=body)], fence=None)


def test_the_last_record_of_a_cell_counts_and_former_ones_can_be_found_by_label(store: Store) -> None:
    book = RecordBook(store, "e")
    append(store, "cell.completed", "s", "a", source_digest="1" * 32, source="one")
    append(store, "cell.completed", "s", "a", source_digest="2" * 32, source="two", attempt=2)
    book.refresh()
    found = book.find("s", "a")
    assert found is not None
    assert found.source == "two"
    former = book.version(label("a", "1" * 32, 1))
    assert former is not None
    assert former.source == "one"
    assert [r.source for r in book.in_order()] == ["two"]


def test_failures_count_attempts_until_the_step_is_reset(store: Store) -> None:
    book = RecordBook(store, "e")
    for attempt in (1, 2):
        append(store, "step.failed", "s", "a", attempt=attempt)
    book.refresh()
    assert (book.attempts("s"), list(book.failed_steps())) == (2, ["s"])
    append(store, "cell.completed", "s", "a", attempt=3)
    book.refresh()
    assert list(book.failed_steps()) == []
    append(store, "step.reset", "s")
    book.refresh()
    assert (book.attempts("s"), book.find("s", "a")) == (0, None)


def test_a_reset_that_keeps_the_calls_makes_the_next_attempt_a_new_one(store: Store) -> None:
    book = RecordBook(store, "e")
    append(store, "cell.completed", "s", "a", attempt=2)
    append(store, "step.reset", "s", keep_calls=True)
    book.refresh()
    assert (book.find("s", "a"), book.attempts("s")) == (None, 2)


def test_large_outputs_go_to_a_blob_and_come_back(store: Store) -> None:
    outputs = [{"type": "stream", "content": {"name": "stdout", "text": "x" * INLINE_BYTES}, "metadata": {}, "buffers": [b"b"]}]
    held = stored(outputs, store)
    assert set(held) == {"blob", "bytes"}
    append(store, "cell.completed", "s", "a", outputs=held)
    book = RecordBook(store, "e")
    book.refresh()
    record = book.find("s", "a")
    assert record is not None
    assert record.outputs(store) == outputs
    assert stored(outputs[:0], store) == []
