"""What a step shows as metadata of its materialisation: tables with their real number of rows, pictures, values."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from holdfast_dagster.showing import metadata_of
from holdfast_dagster.tables import table_of

pd = pytest.importorskip("pandas")
FRAME = pd.DataFrame({"zone": ["a", "a", "b"], "disk": ["x", "y", "x"], "size": [1, 2, 3]})


def told(value: Any, **more: Any) -> dict[str, Any]:
    """The metadata of a cell whose last line is ``value``."""
    data = {"text/plain": repr(value), **more}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_()
    return {key: found.value for key, found in metadata_of([{"output_type": "execute_result", "data": data}]).items()}


def table(value: Any) -> list[str]:
    """The rows of its table, without the rule."""
    lines = told(value)["table"].splitlines()
    return [line.strip("| ") for n, line in enumerate(lines) if n != 1]


def test_a_data_frame_has_the_rows_it_has() -> None:
    assert told(FRAME)["dagster/row_count"] == 3
    assert told(FRAME[FRAME["size"] > 9])["dagster/row_count"] == 0, "that there are none is worth knowing"
    long = told(pd.concat([FRAME] * 400, ignore_index=True))
    assert long["dagster/row_count"] == 1200
    assert long["table"].endswith("\n1200 rows in all")


def test_names_of_an_index_are_a_part_of_the_head_and_no_row() -> None:
    grouped = FRAME.groupby("zone")[["size"]].sum()
    assert told(grouped)["dagster/row_count"] == 2
    assert table(grouped) == ["zone | size", "a | 3", "b | 3"]


def test_a_cell_that_reaches_over_rows_and_columns_is_in_each_of_them() -> None:
    assert table(FRAME.set_index(["zone", "disk"])) == ["zone | disk | size", "a | x | 1", "a | y | 2", "b | x | 3"]
    wide = FRAME.pivot_table(index="zone", values=["size"], aggfunc=["min", "max"])
    assert table(wide) == ["zone | min size | max size", "a | 1 | 2", "b | 3 | 3"]


def test_a_frame_of_polars_says_its_shape() -> None:
    rows = "".join(f"<tr><td>{n}</td></tr>" for n in ("0", "&hellip;", "1999"))
    found = table_of(f"<small>shape: (2_000, 1)</small><table><thead><tr><th>n</th></tr><tr><td>i64</td></tr></thead><tbody>{rows}</table>")
    assert found is not None
    assert found.rows == 2000
    assert (found.markdown or "").startswith("| n i64 |\n| --- |\n| 0 |")


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (FRAME["size"], 3),
        (FRAME.set_index("zone")["size"], 3),
        (pd.Series(range(5000)), 5000),
        ([1, 2], 2),
        ([], 0),
        ([None, "a|b", {"c": 1}], 3),
        ((1, 2), None),
        ({"a": 1}, None),
        ("[1, 2]", None),
        ([object()], None),
        ("dtype: int64", None),
        (5, None),
    ],
)
def test_a_series_and_a_list_have_a_length(value: Any, rows: int | None) -> None:
    found = told(value)
    assert found.get("dagster/row_count") == rows
    assert "table" not in found
    assert found["result"], "and are shown as they are"


def test_a_list_that_is_cut_off_by_dots_is_not_counted() -> None:
    assert "dagster/row_count" not in told(None, **{"text/plain": "[0,\n 1,\n ...]"})


def test_a_list_of_objects_is_a_table() -> None:
    found = told([{"id": "vol-1", "tags": {"a": 1}}, {"id": "a|b\n<b>", 5: None}])
    assert found["dagster/row_count"] == 2
    assert found["table"].splitlines() == [
        "| id | tags | 5 |",
        "| --- | --- | --- |",
        "| vol-1 | {'a': 1} |  |",
        "| a\\|b &lt;b> |  | None |",
    ]


@pytest.mark.parametrize(("kind", "text"), [("image/png", "iVBO\nRw==\n"), ("image/jpeg", "/9j/"), ("image/svg+xml", "<svg/>")])
def test_a_picture_is_shown_unless_it_is_too_large_for_an_event(kind: str, text: str) -> None:
    assert told(None, **{kind: text})["plot"].startswith(f"![plot](data:{kind};base64,")
    assert "\n" not in told(None, **{kind: text})["plot"]
    large = metadata_of([{"output_type": "display_data", "data": {kind: "A" * 4_000_000}}])["plot"]
    assert isinstance(large, dg.TextMetadataValue)
    assert "see the notebook" in (large.text or "")
