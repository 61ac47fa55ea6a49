"""Reading: every state a file can be in gives a notebook or one clear error."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AuthorError, LookupFailedError
from holdfast.notebook import reader
from holdfast.notebook.reader import read, source_digest


def document(**changes: Any) -> dict[str, Any]:
    cell = {"cell_type": "code", "source": ["x = 1\n", "y = 2"], "metadata": {"tags": ["step:a"]}, "outputs": [], "execution_count": None}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell], **changes}


def test_a_file_is_read_with_its_name_and_cells(tmp_path: Path) -> None:
    path = tmp_path / "disk full.ipynb"
    path.write_text("\ufeff" + json.dumps(document()), encoding="utf-8")
    book = read(path)
    assert (book.name, book.path, book.language) == ("disk full", str(path), "python")
    assert [(c.source, c.tags, c.index, c.type) for c in book.cells] == [("x = 1\ny = 2", ("step:a",), 0, "code")]


def test_text_bytes_and_nodes_are_read_alike() -> None:
    text = json.dumps(document())
    node = nbformat.from_dict(document())
    assert read(text).cells == read(text.encode()).cells == read(node).cells


def test_the_document_is_valid_nbformat_and_keeps_its_ids_when_read_again() -> None:
    book = read(document())
    nbformat.validate(book.node())
    again = read(book.text())
    assert [c.id for c in again.cells] == [c.id for c in book.cells]
    assert again.text() == book.text()


def test_made_ids_do_not_change_when_a_cell_is_put_in_above() -> None:
    def cells(*sources: str) -> list[str]:
        return [c.id for c in read(document(cells=[{"cell_type": "code", "source": s, "metadata": {}} for s in sources])).cells]

    one = cells("a", "b", "b", "c")
    assert len(set(one)) == 4
    assert cells("new", "a", "b", "b", "c")[1:] == one


def test_ids_that_repeat_or_break_the_rules_are_replaced() -> None:
    def cell(identity: Any) -> dict[str, Any]:
        return {"cell_type": "code", "source": "x", "metadata": {}, "id": identity}

    book = read(document(cells=[cell("a"), cell("a"), cell("no good"), cell(5), cell("x" * 65)]))
    ids = [c.id for c in book.cells]
    assert ids[0] == "a"
    assert len(set(ids)) == 5
    nbformat.validate(book.node())


@pytest.mark.parametrize("digit", [1, 2])
def test_the_digest_ignores_line_ends_and_the_white_space_at_the_end_only(digit: int) -> None:
    assert source_digest("x = 1\ny") == source_digest("x = 1\r\ny\n\n  ") == source_digest("x = 1\ry")
    assert source_digest("x = 1") != source_digest(" x = 1")
    assert source_digest("x = '  \n'") != source_digest("x = '\n'")
    assert len(source_digest("x")) == 32


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b'{"cells": [\n1,,2]}', "line 2"),
        (b'{"cells": [\n<<<<<<< HEAD\n', "unfinished merge"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b'{\n"cells": "\xe9"}', "byte 12 is not UTF-8"),
        (b"[1, 2]", "no notebook"),
        (b'{"a": 1}', "no notebook"),
        (b"[" * 200_000, "not valid JSON"),
        (json.dumps({"nbformat": 3, "worksheets": [{"cells": []}], "metadata": {}}).encode(), "old format 3"),
        (json.dumps(document(nbformat=5)).encode(), "format is 5"),
        (json.dumps(document(cells="x")).encode(), "'cells' is not a list"),
        (json.dumps(document(cells=[1])).encode(), "cell 0"),
        (json.dumps(document(cells=[{"cell_type": "code", "source": 5}])).encode(), "cell 0 is no text"),
        (json.dumps(document(cells=[{"cell_type": "code", "source": "x = '\ud800'"}])).encode(), "lone surrogate"),
    ],
)
def test_a_damaged_file_gives_one_clear_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "bad.ipynb"
    path.write_bytes(content)
    with pytest.raises(AuthorError, match="HF101") as caught:
        read(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "drain-node.ipynb").write_text("{}")
    with pytest.raises(LookupFailedError, match=r"HF605.*did you mean 'drain-node.ipynb'"):
        read(tmp_path / "drain-nodes.ipynb")
    with pytest.raises(LookupFailedError, match=r"did you mean .drain-node\.ipynb"):
        read(str(tmp_path / "drain-node"))


def test_a_folder_and_a_huge_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthorError, match="folder"):
        read(tmp_path)
    path = tmp_path / "big.ipynb"
    path.write_text(json.dumps(document()))
    monkeypatch.setattr(reader, "MAX_BYTES", 10)
    with pytest.raises(AuthorError, match="clear its outputs"):
        read(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda c: st.lists(c) | st.dictionaries(st.text(max_size=5), c)
    )
)
def test_any_json_as_metadata_is_borne(junk: Any) -> None:
    cell = {"cell_type": "code", "source": "x", "metadata": junk, "outputs": junk, "id": junk}
    book = read(json.dumps({"nbformat": 4, "nbformat_minor": junk, "metadata": junk, "cells": [cell]}))
    assert len(book.cells) == 1
    assert book.language
    from holdfast.notebook.check import check

    assert isinstance(check(book), list)


@given(st.text(max_size=60))
def test_any_cell_is_borne_by_all_that_reads_it(source: str) -> None:
    from holdfast.notebook.check import check
    from holdfast.notebook.compile import examine
    from holdfast.notebook.graph import mermaid

    if any("\ud800" <= c <= "\udfff" for c in source):
        return
    book = read(
        {
            "nbformat": 4,
            "cells": [
                {"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}},
                {"cell_type": "code", "source": source, "metadata": {}},
            ],
        }
    )
    assert mermaid(examine(book).manifest)
    assert isinstance(check(book), list)
