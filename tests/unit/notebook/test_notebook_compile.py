"""Compiling: which cells make which steps, in which order, with which policies; and what is refused."""

from typing import Any

import pytest

from holdfast.errors import AuthorError
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import compile, examine


def shape(manifest: Manifest) -> list[tuple[str, list[str], tuple[str, ...]]]:
    return [(s.name, [c.id for c in s.cells], s.after) for s in manifest.steps]


def codes(book: Any) -> list[str]:
    return [f.code for f in examine(book).findings]


def test_a_tag_starts_a_step_and_untagged_cells_belong_to_it(notebook: Any) -> None:
    book = notebook("import os", ("step:one", "a"), "b", "md:x", "c", ("asset:db/rows", "d"), ("check:fresh", "e"))
    assert shape(compile(book)) == [
        ("start", ["c0"], ()),
        ("one", ["c1", "c2", "c4"], ("start",)),
        ("db_rows", ["c5"], ("one",)),
        ("fresh", ["c6"], ("db_rows",)),
    ]
    manifest = compile(book)
    assert manifest.steps[2].asset == "db/rows"
    assert manifest.steps[3].check == "fresh"


def test_without_step_tags_each_cell_is_a_step_named_after_its_id(notebook: Any) -> None:
    book = notebook(("parameters", "n = 1"), ("setup", "import os"), "a", "", "b")
    manifest = compile(book)
    assert shape(manifest) == [("c2", ["c2"], ()), ("c4", ["c4"], ("c2",))]
    assert manifest.parameters_cell is not None
    assert [c.id for c in manifest.setup] == ["c1"]


def test_parameters_setup_and_injected_cells_are_no_part_of_steps(notebook: Any) -> None:
    book = notebook(("parameters", "n = 1"), ("injected-parameters", "n = 2"), ("step:a", "x"), ("setup", "import os"), "y", ("skip", "z"))
    manifest = compile(book)
    assert shape(manifest) == [("a", ["c2", "c4"], ())]
    assert manifest.injected_cell is not None
    assert manifest.injected_cell.source == "n = 2"


def test_directive_tag_and_metadata_say_the_same(notebook: Any) -> None:
    by_line = notebook(("step:a", "1"), "#| step: b\n#| after: []\n#| timeout: 5\n#| echo: false\nx")
    by_metadata = notebook(("step:a", "1"), ("", "x", {"step": "b", "after": [], "timeout": 5}))
    by_tag = notebook(("step:a", "1"), ("step:b", "x", {"after": [], "timeout": 5.0}))
    for book in (by_line, by_metadata, by_tag):
        step = compile(book).steps[1]
        assert (step.name, step.after, step.policy.timeout) == ("b", (), 5.0)


def test_policies_are_read(notebook: Any) -> None:
    policy = {
        "retry": {"count": 3, "delay": 2, "backoff": "linear", "max_delay": 9},
        "on_failure": "continue",
        "effects": "read",
        "max_effects": 4,
        "pool": "db",
        "when": "n > 1",
        "record": {"state": "done"},
    }
    step = compile(notebook(("step:a always", "x", policy))).steps[0]
    assert (step.policy.retry.count, step.policy.retry.backoff, step.policy.on_failure, step.policy.effects) == (
        3,
        "linear",
        "continue",
        "read",
    )
    assert (step.policy.max_effects, step.policy.pool, step.policy.when, step.always) == (4, "db", "n > 1", True)
    assert compile(notebook(("step:a", "x"))).steps[0].policy.on_failure == "suspend"


def test_after_makes_branches_and_joins(notebook: Any) -> None:
    book = notebook(
        ("step:a", ""),
        ("step:b", "", {"after": ["a"]}),
        ("step:c", "", {"after": "a"}),
        ("step:d", "", {"after": ["b", "c"]}),
        ("step:e", "", {"after": []}),
    )
    manifest = compile(book)
    assert [(s.name, s.after) for s in manifest.steps] == [("a", ()), ("b", ("a",)), ("c", ("a",)), ("d", ("b", "c")), ("e", ())]
    assert manifest.ancestors("d") == ("a", "b", "c")


def test_a_teardown_stands_outside_the_order(notebook: Any) -> None:
    book = notebook(("step:a", ""), ("teardown:a", ""), ("step:b always", ""), ("step:c", ""))
    manifest = compile(book)
    assert [(s.name, s.after, s.teardown_of) for s in manifest.steps] == [
        ("a", (), None),
        ("teardown-a", ("a",), "a"),
        ("b", ("a",), None),
        ("c", ("b",), None),
    ]


def test_prose_above_becomes_the_description(notebook: Any) -> None:
    book = notebook("md:# Drain a node\nMoves pods away.", "md:Look first.", ("step:look", "# @label: look around\nx"), ("step:act", "y"))
    manifest = compile(book)
    assert (manifest.title, manifest.description) == ("Drain a node", "Moves pods away.")
    assert manifest.steps[0].description == "# Drain a node\nMoves pods away.\n\nLook first."
    assert manifest.steps[0].label == "look around"
    assert manifest.steps[1].description == ""
    assert compile(notebook(("step:a", "x"), metadata={"holdfast": {"title": "T", "owner": "sre"}})).title == "T"


def test_the_digest_follows_code_tags_and_policy_but_not_prose(notebook: Any) -> None:
    base = compile(notebook("md:a", ("step:a", "x"))).digest
    assert compile(notebook("md:other", ("step:a", "x\n"))).digest == base
    assert compile(notebook("md:a", ("step:a", "y"))).digest != base
    assert compile(notebook("md:a", ("step:b", "x"))).digest != base
    assert compile(notebook("md:a", ("step:a", "x", {"timeout": 1}))).digest != base


@pytest.mark.parametrize(
    ("cells", "code", "told"),
    [
        ([("step:a", ""), ("step:a", "")], "NB101", "twice"),
        ([("step:a", ""), ("step:b", "", {"after": ["aa"]})], "NB102", "did you mean 'a'"),
        ([("step:act", "", {"on_failure": "sotp"})], "NB102", "did you mean 'stop'"),
        ([("step:a", ""), ("teardown:b", "")], "NB102", "'b', which is no step"),
        ([("step:a", "", {"after": ["b"]}), ("step:b", "", {"after": ["a"]})], "NB103", "wait for each other"),
        ([("step:a", "", {"after": ["a"]})], "NB103", "a → a"),
        ([("step:a", "", {"on_failure": "a"})], "NB103", "leads back"),
        ([("step:a", ""), ("step:b", "", {"on_failure": "a"})], "NB103", "leads back to 'a'"),
        ([("step:a", ""), ("teardown:a", ""), ("step:b", "", {"after": ["teardown-a"]})], "NB104", "a teardown"),
        ([("step:a", "", {"aftr": ["b"]})], "NB105", "did you mean 'after'"),
        ([("step:a", "", {"retry": {"cuont": 2}})], "NB105", "unknown key 'retry.cuont'"),
        ([("step:a", "", {"retry": {"count": 101}})], "NB105", "from 0 to 100"),
        ([("step:a", "", {"retry": {"backoff": "quick"}})], "NB105", "backoff"),
        ([("step:a", "", {"timeout": 0})], "NB105", "more than 0"),
        ([("step:a", "", {"timeout": "5s"})], "NB105", "timeout"),
        ([("step:a", "", {"max_effects": -1})], "NB105", "negative"),
        ([("step:a", "", {"effects": "reads"})], "NB105", "effects"),
        ([("step:a", "", ["x"])], "NB105", "must be an object"),
        ([("step:stop", "")], "NB107", "on_failure gives the word a meaning"),
        ([("step:a", "", {"step": "create volume"})], "NB107", "no name for a step"),
        ([("step:a", ""), ("", "", {"timeout": 5})], "NB108", "no effect"),
        ([("setup", "", {"retry": {"count": 1}}), ("step:a", "")], "NB108", "no effect"),
        ([("parameters", "a = 1"), ("parameters", "b = 1"), ("step:a", "")], "NB109", "second cell"),
    ],
)
def test_contradictions_are_refused_with_code_and_cure(notebook: Any, cells: list[Any], code: str, told: str) -> None:
    book = notebook(*cells)
    findings = [f for f in examine(book).findings if f.code == code]
    assert findings
    assert told in str(findings[0])
    assert findings[0].severity == "error"
    with pytest.raises(AuthorError, match="HF102"):
        compile(book)


def test_a_step_behind_a_circle_is_told_as_unreachable(notebook: Any) -> None:
    book = notebook(("step:a", "", {"after": ["b"]}), ("step:b", "", {"after": ["a"]}), ("step:c", ""))
    assert codes(book) == ["NB103", "NB104"]


def test_a_slip_in_a_tag_is_told_and_foreign_tags_are_left_alone(notebook: Any) -> None:
    findings = examine(
        notebook(("stp:a", "x"), ("paramters", "y"), ("step", "z"), ("hide-input remove-cell slow", "w"), "#| stpe: q\nx")
    ).findings
    assert [(f.code, f.severity) for f in findings] == [("NB106", "warning")] * 4
    assert "step:NAME" in findings[0].cure


def test_the_error_counts_the_rest(notebook: Any) -> None:
    with pytest.raises(AuthorError, match=r"and 1 more: holdfast check") as caught:
        compile(notebook(("step:a", "", {"x": 1, "after": ["q"]})))
    assert "cell 0 (c0)" in str(caught.value)


def test_a_notebook_of_another_language_is_refused(notebook: Any) -> None:
    with pytest.raises(AuthorError, match="julia"):
        compile(notebook("x = 1", metadata={"kernelspec": {"name": "j", "language": "julia"}}))


def test_unknown_notebook_metadata_is_refused(notebook: Any) -> None:
    with pytest.raises(AuthorError, match="did you mean 'owner'"):
        compile(notebook(("step:a", ""), metadata={"holdfast": {"ownr": "x"}}))
