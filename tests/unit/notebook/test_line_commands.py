"""One-line commands by their text: which lines they are, what they read, what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.durable.line_commands import Variables, value_of
from holdfast.errors import AuthorError
from holdfast.notebook.check import check
from holdfast.notebook.compile import compile
from holdfast.notebook.line_commands import families, family_of, is_command, made_into, understand_line
from holdfast.notebook.line_words import split
from holdfast.notebook.names import names_of
from holdfast.notebook.python import to_python

HF = "get_ipython().run_line_magic('hf', "


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("!ec2 delete-volume vol", f"{HF}'ec2 delete-volume vol')\n"),
        ("! ec2 list-volumes", f"{HF}'ec2 list-volumes')\n"),
        ("x = !slack ask --message What?", f"x = {HF}'slack ask --message What?')\n"),
        ("!slack ask --message What?", f"{HF}'slack ask --message What?')\n"),
        ("%hf slack ask What?", f"{HF}'slack ask What?')\n"),
        ("if x:\n    y['a'] = !ec2 list-volumes", f"if x:\n    y['a'] = {HF}'ec2 list-volumes')\n"),
        ("!hf ask go?", f"{HF}'hf ask go?')\n"),
        # the programs of these names
        ("!!slack ask", "get_ipython().getoutput('slack ask')\n"),
        ("!command slack ask", "get_ipython().system('command slack ask')\n"),
        ("!/opt/slack ask", "get_ipython().system('/opt/slack ask')\n"),
        ("!aws ec2 describe-volumes", "get_ipython().system('aws ec2 describe-volumes')\n"),
        ("!slack-cli x", "get_ipython().system('slack-cli x')\n"),
        ("!holdfast list", "get_ipython().system('holdfast list')\n"),
        ("!hf download model", "get_ipython().system('hf download model')\n"),
        ("!echo slack ask", "get_ipython().system('echo slack ask')\n"),
    ],
)
def test_a_line_is_a_command_of_an_integration_by_its_first_word(source: str, python: str) -> None:
    assert to_python(source) == python


def test_continued_lines_and_several_lines_keep_their_numbers() -> None:
    source = "a = !slack ask --message 'x' \\\n  --options a,b\nls = !ls\n!ec2 delete-volume v\nprint(a)"
    lines = to_python(source).split("\n")
    assert (lines[2], lines[4]) == ("ls = get_ipython().getoutput('ls')", "print(a)")
    assert lines[3] == f"{HF}'ec2 delete-volume v')"
    assert is_command(" ec2\n") and not is_command("ec2/x")


class Box:
    id = "vol-1"


HERE: dict[str, Any] = {
    "msg": "hello",
    "vol": Box(),
    "rows": [{"id": "a"}, {"id": "b"}],
    "i": 0,
    "n": 3,
    "json": __import__("json"),
    "f": len,
    "Box": Box,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("msg", "hello"),
        ("'msg'", "msg"),
        ('"msg"', "msg"),
        ("$msg", "hello"),
        ("vol.id", "vol-1"),
        ("rows[0]['id']", "a"),
        ("rows[i + 1]['id']", "b"),
        ("rows[0:1]", [{"id": "a"}]),
        ("n", 3),
        ("{n}", 3),
        ("{n + 1}", 4),
        ("{[r['id'] for r in rows]}", ["a", "b"]),
        ("{len(rows)}", 2),
        ('"{n} of {n:03}"', "3 of 003"),
        ("'{msg!r}'", "'hello'"),
        ("x-{n}", "x-3"),
        ('"{n}"', "3"),
        ("{{n}}", "{n}"),
        ("'{\"a\": [1, 2]}'", '{"a": [1, 2]}'),
        ("'{}'", "{}"),
        ("unbound", "unbound"),
        ("unbound.example.com", "unbound.example.com"),
        ("junos-default", "junos-default"),
        ("msg-x", "msg-x"),
        ("json", "json"),
        ("f", "f"),
        ("Box", "Box"),
        ("all", "all"),
        ("#general", "#general"),
        ("10.0.0.1/24", "10.0.0.1/24"),
        ("a\\ b", "a b"),
        ('"say \\"hi\\""', 'say "hi"'),
        ("it's fine'", "its fine"),
        ("$5", "$5"),
        ('"cost $5"', "cost $5"),
    ],
)
def test_what_a_word_stands_for(text: str, value: Any) -> None:
    (word,) = split(text)
    assert value_of(word, Variables(HERE, HERE), text) == value


@pytest.mark.parametrize("text", ["vol.idd", "rows[9]", "{nope}", "'{nope} x'", "msg.example.com"])
def test_a_bound_name_without_that_value_is_no_text(text: str) -> None:
    (word,) = split(text)
    with pytest.raises(AuthorError, match="has no value") as caught:
        value_of(word, Variables(HERE, HERE), text)
    assert caught.value.code == "HF168" and caught.value.cure


def test_names_of_the_function_go_first_and_those_of_ipython_do_not_count() -> None:
    out: list[str] = []
    variables = Variables({"x": 1}, {"x": 2, "y": 3, "Out": out, "In": ["a"]}, {"Out": out, "In": []})
    found = [value_of(word, variables, "") for word in split("x y Out In {x + y}")]
    assert found == [1, 3, "Out", ["a"], 4]


@pytest.mark.parametrize("line", ["x | y", "x > y", "a && b", "$(x)", "`x`", "'open", "[open", "{open", "--a!b c", "a;b"])
def test_what_a_shell_would_do_is_refused(line: str) -> None:
    with pytest.raises(AuthorError) as caught:
        split(line)
    assert caught.value.code == "HF168"


def test_options_are_matched_with_the_functions_parameters() -> None:
    called = understand_line("slack ask --message hi --retry_interval 5s --why --options=a,b")
    assert {name: getattr(word, "text", word) for name, word in called.values.items()} == {
        "message": "hi",
        "retry_interval": "5s",
        "why": True,
        "options": "a,b",
    }
    assert understand_line("slack ask hi --no-why").values["why"] is False
    assert understand_line("email send a@x 'the subject' text --sender b@x --tls false").values["tls"].text == "false"  # type: ignore[union-attr]
    twice = understand_line("slack ask hi --options a --options b").values["options"]
    assert isinstance(twice, tuple) and [w.text for w in twice] == ["a", "b"]
    assert understand_line("ec2").help and understand_line("ec2 delete-volume --help").command is not None
    assert understand_line("k8s scale prod web -1").values["replicas"].text == "-1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("ec2 delete-volum x", "did you mean 'delete-volume'"),
        ("ec2 list-volumes --stat available", "did you mean 'state'"),
        ("ec2 delete-volume", "needs --volume"),
        ("ec2 delete-volume a b", "'b'"),
        ("slack ask --message", "needs a value"),
        ("slack ask hi --message hi", "'hi'"),
        ("ec2 delete-volume --volume a --volume b", "twice"),
        ("slak ask", "did you mean 'slack'"),
    ],
)
def test_a_line_that_does_not_fit_says_why(line: str, what: str) -> None:
    with pytest.raises(AuthorError) as caught:
        understand_line(line)
    assert caught.value.code == "HF168" and what in f"{caught.value} {caught.value.cure}"


def test_texts_are_made_into_what_is_wanted() -> None:
    assert made_into(int | None, "3") == 3
    assert made_into(list[str] | None, "a, b c,d") == ["a", "b c", "d"]
    assert made_into(list[int], "1,2") == [1, 2]
    assert made_into(str | float | None, "15m") == "15m"
    assert made_into(bool, "true") is True


@pytest.mark.parametrize("name", families())
def test_every_announced_family_can_be_loaded_and_has_help(name: str) -> None:
    """Without its vendor's client: that is imported when a function is called."""
    for command in family_of(name).commands.values():
        assert command.about and (name == "holdfast" or understand_line(f"{name} {command.name} --help").help)


def test_the_analysis_sees_what_a_line_reads(notebook: Any) -> None:
    assert {e.name for e in names_of("!slack ask --message msg --channel ops --name {who}").events} == {"msg", "ops", "who"}
    cells = [
        ("step:a", "msg = 'x'"),
        ("step:b", "vol = 1\nother = 2"),
        ("step:c", "y = !slack ask --message msg"),
        ("step:d", "!ec2 delete-volume vol"),
        ("step:e", "def f(v):\n    !ec2 delete-volume v --region other\nf(y)"),
        ("step:f", "%wait other"),
    ]
    reads = {step.name: set(step.reads) for step in compile(notebook(*cells)).steps}
    assert reads == {"a": set(), "b": set(), "c": {"msg"}, "d": {"vol"}, "e": {"y", "other"}, "f": {"other"}}


def test_the_checks_see_what_a_line_does(notebook: Any) -> None:
    def codes(*cells: str) -> list[str]:
        return [f.code for f in check(notebook(*cells)) if f.code.startswith(("NB2", "NB3", "NB5", "NB6"))]

    assert codes("vol = 'v'\n!ec2 delete-volume vol") == ["NB504"]
    assert codes("vol = 'v'\n!slack ask --message vol --options yes,no\n!ec2 delete-volume vol") == ["NB502"]
    assert codes("vol = 'v'\n%confirm vol\n!ec2 delete-volume vol") == []
    assert codes("vol = 'v'\n!hf confirm vol\n!ec2 delete-volume vol") == []
    asked = "a = !slack ask 'delete it?' --options yes,no\n"
    assert codes(f"{asked}if a == 'no':\n    !ec2 delete-volume x") == ["NB501"]
    assert codes(f"{asked}if a == 'yes':\n    !ec2 delete-volume x") == []
    assert codes("vols = !ec2 list-volumes --state available\nprint(vols)") == []
    assert codes("vols = !ec2 list-volumes --stat available\nprint(vols)") == ["NB604"]
    assert codes("n = 'x'\n!k8s scale prod web n") == []
    assert codes("!k8s scale prod web many") == ["NB604"]
