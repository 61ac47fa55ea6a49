"""What people read: the same in text and HTML, nothing of a cell's own text as markup."""

from __future__ import annotations

from holdfast.kernel.notices import notice, suspended, table


def test_text_and_html_say_the_same_and_nothing_is_markup() -> None:
    bundle = notice("<b>title</b>", ["a & b"], commands=["%holdfast answer <id>"])
    assert bundle["text/plain"] == "<b>title</b>\na & b\n    %holdfast answer <id>"
    assert "<b>title" not in bundle["text/html"]
    assert "&lt;b&gt;title&lt;/b&gt;" in bundle["text/html"]
    assert "<code>%holdfast answer &lt;id&gt;</code>" in bundle["text/html"]


def test_tables_align_and_keep_each_row_on_one_line() -> None:
    bundle = table(["step", "what"], [["a", "one\ntwo"], ["long name", None]], title="T")
    assert bundle["text/plain"].split("\n") == ["T", "step       what", "a          one two", "long name"]
    assert bundle["text/html"].count("<tr>") == 3


def test_an_empty_table_says_so() -> None:
    assert table(["a"], [], title="Calls", empty="None.")["text/plain"] == "Calls\nNone."


def test_a_waiting_cell_shows_what_to_type() -> None:
    text = suspended("Did it happen?", "e.12ab", ("happened", "run"))["text/plain"]
    assert "%holdfast answer e.12ab happened|run" in text
    assert "run the cell again" in text
