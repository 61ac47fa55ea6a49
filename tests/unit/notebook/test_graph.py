"""The picture: every step and label is in it, and it is Mermaid that parses."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.notebook.compile import examine
from holdfast.notebook.graph import escape, mermaid
from holdfast.notebook.labels import blocks

WATCH = """\
# @label: forever
while True:
    # @label: read the summary
    x = 1
    # @label: more flaps?
    if x:
        # @label: collect
        y = 1
    else:
        # @label: nothing
        z = 1
    # @label: then
    w = 1
"""


def draw(book: Any) -> str:
    return mermaid(examine(book).manifest)


def test_steps_order_failure_and_undo_are_drawn(notebook: Any) -> None:
    text = draw(
        notebook(
            ("step:find", "x"),
            ("step:act", "y", {"on_failure": "tell", "retry": {"count": 2}, "when": "x > 1"}),
            ("teardown:act", "z"),
            ("asset:tell skip", "w", {"after": ["find"], "on_failure": "continue"}),
            ("step:end", "v", {"after": ["act", "tell"]}),
        )
    )
    lines = [line.strip() for line in text.split("\n")]
    assert lines[0] == "flowchart TD"
    assert 's0["find"]' in lines
    assert 's1["act<br>(when x #gt; 1, retry 2×)"]' in lines
    assert 's3(["tell<br>(asset, skip)"])' in lines
    for edge in (
        "s0 --> s1",
        's1 -. "on failure" .-> s3',
        's1 -. "undo" .-> s2',
        "s0 --> s3",
        's3 -. "also on failure" .-> s4',
        "s1 --> s4",
    ):
        assert edge in lines
    assert "class s2 undo" in lines
    assert "class s3 skipped" in lines


def test_labels_become_nested_blocks_loops_and_questions(notebook: Any) -> None:
    (forever,) = blocks(WATCH)
    assert (forever.label, forever.kind, forever.line) == ("forever", "loop", 1)
    read, question, then = forever.body
    assert (read.kind, question.kind, then.kind) == ("statement", "decision", "statement")
    assert [b.label for b in question.body] == ["collect"]
    assert [b.label for b in question.orelse] == ["nothing"]
    text = draw(notebook(("step:watch", WATCH)))
    assert 'subgraph b1["↻ forever"]' in text
    assert 'b3{"more flaps?"}' in text
    for edge in ("b2 --> b3", 'b3 -- "yes" --> b4', 'b3 -- "no" --> b5', "b4 --> b6", "b5 --> b6"):
        assert f"    {edge}\n" in text


def test_the_notes_of_a_framed_step_are_a_box_of_their_own(notebook: Any) -> None:
    text = draw(notebook(("step:watch", WATCH, {"when": "n > 1"})))
    assert 'subgraph s0["watch"]' in text
    assert 's0n["when n #gt; 1"]' in text
    assert "s0n ~~~ b1" in text


def test_unlabelled_code_folds_into_the_label_around_it() -> None:
    source = (
        "a = 1\nfor i in range(3):\n    # @label: inside\n    b = i\n# @label: a function\n@deco\ndef f():\n    # @label: deep\n    c = 1\n"
    )
    assert [(b.label, b.kind, [c.label for c in b.body]) for b in blocks(source)] == [
        ("inside", "statement", []),
        ("a function", "function", ["deep"]),
    ]


def test_labels_in_shell_scripts_and_after_the_last_statement_are_kept() -> None:
    assert [b.label for b in blocks("%%bash\n# @label: one\nls\n# @label: two\ndf")] == ["one", "two"]
    assert [b.label for b in blocks("x = 1\n# @label: end of it")] == ["end of it"]
    assert blocks("x = '# @label: not one'") == ()


def test_an_empty_notebook_has_a_picture(notebook: Any) -> None:
    assert "no code cells" in draw(notebook("md:only prose"))


@given(st.text(min_size=1, max_size=80))
def test_any_text_is_escaped(text: str) -> None:
    shown = escape(text)
    assert "\n" not in shown
    assert not set('"<>`\\{}') & set(shown)
    assert re.sub(r"#(\w+);", "", shown).count("#") == 0
