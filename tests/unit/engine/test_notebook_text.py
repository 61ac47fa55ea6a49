"""Notebooks are written as nbformat writes them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nbformat
import pytest

from holdfast.engine.notebook_text import text_of

ROOT = Path(__file__).parents[3]


def notebook(**more: Any) -> Any:
    """One with an output of every kind."""
    new: Any = nbformat.v4
    data = {
        "text/plain": "a\nb",
        "text/html": "<b>\u2028ü</b>\n",
        "application/json": {"x": "one\ntwo", "n": [1, 2.5, None, True, 0.1]},
        "application/vnd.x+json": {"y": "\n"},
        "image/png": "aGFsbG8=\n",
        "image/svg+xml": "<svg>\n</svg>",
    }
    outputs = [
        new.new_output("stream", text="one\r\ntwo\x1b[0m\x7f\x00"),
        new.new_output("execute_result", data=data, metadata={"b": 1, "a": {}}, execution_count=3),
        new.new_output("display_data", data={}, metadata={}),
        new.new_output("error", ename="E", evalue="v\nw", traceback=["a\nb", "c"]),
    ]
    code = new.new_code_cell("x = 'ä'\n\n", id="c1", metadata={"trusted": True, "tags": []}, outputs=outputs, execution_count=1)
    text = new.new_markdown_cell("![p](attachment:p)", id="m1", attachments={"p": {"image/png": "aGFs\nbG8="}})
    cells = [code, text, new.new_raw_cell("", id="r1"), new.new_code_cell("", id="c2")]
    return new.new_notebook(
        cells=cells, metadata={"orig_nbformat": 4, "kernelspec": {"name": "x", "display_name": "X"}, "signature": "s", **more}
    )


def test_every_kind_of_output_is_written_alike() -> None:
    made = notebook()
    assert text_of(made) == nbformat.writes(made)
    assert made == notebook(), "writing changes nothing"


@pytest.mark.parametrize("path", sorted((ROOT / "runbooks").rglob("*.ipynb"))[:10], ids=lambda p: p.stem)
def test_shipped_runbooks_are_written_alike(path: Path) -> None:
    found = nbformat.read(path, nbformat.NO_CONVERT)
    assert text_of(found) == nbformat.writes(found)


def test_what_is_no_json_is_left_to_nbformat() -> None:
    odd = notebook(when={1: "a key that is no text"})
    assert text_of(odd) == nbformat.writes(odd)
    with pytest.raises(TypeError, match="not JSON serializable"):
        text_of(notebook(thing=object()))


def test_a_number_that_is_none_in_json_is_none() -> None:
    assert '"half": null' in text_of(notebook(half=math.nan))


def test_an_old_notebook_is_left_to_nbformat() -> None:
    old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell(input="1")])])
    assert text_of(old) == nbformat.writes(old, version=3)
