"""Rules files: what they may say, what is wrong with one, and what a rule makes of an event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from holdfast.errors import LookupFailedError, OperatorError
from holdfast.events.matching import check_runbook, match
from holdfast.events.rules import Rules
from holdfast.events.templates import TemplateTrouble, render
from holdfast.model.event import Event

ALERT = Event(
    id="1",
    source="/sources/am",
    type="io.prometheus.alert.firing",
    subject="f1",
    data={"labels": {"alertname": "Disk", "n": 3, "a.b/c": "x"}, "items": [1, 2], "severity": "page"},
)

FULL = """
[rules.disk]
runbook = "disk"
description = "a full disk"
event = "io.prometheus.alert.*"
source = "/sources/*"
key = "{{ data.labels.alertname }}"
overlap = "queue"
resolved = { then = "signal", event = "io.prometheus.alert.resolved", name = "over" }
dedup = { key = "{{ event.subject }}", window = "2h30m" }
max_age = "1 day"
[rules.disk.criteria]
"data.labels.alertname" = { type = "equals", pattern = "Disk" }
[rules.disk.parameters]
n = "{{ data.labels.n }}"
name = "disk of {{ data.labels['a.b/c'] }}"
"""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook()
    cell = nbformat.v4.new_code_cell("n: int\nname: str = 'x'")
    cell.metadata["tags"] = ["parameters"]
    notebook.cells = [cell, nbformat.v4.new_code_cell("print(n)")]
    nbformat.write(notebook, folder / "disk.ipynb")
    return folder


def load(pack: Path, text: str, name: str = "rules.toml") -> Rules:
    (pack / name).parent.mkdir(exist_ok=True)
    (pack / name).write_text(text)
    return Rules.load([pack.parent])


def test_a_rule_says_all_it_can(pack: Path) -> None:
    rules = load(pack, FULL)
    assert rules.troubles == ()
    (rule,) = rules.rules
    assert rule.id == "pack/disk"
    assert rule.path == pack / "disk.ipynb"
    assert rule.dedup is not None
    assert (rule.dedup.window, rule.max_age, rule.overlap, rule.resolved.name) == (9000.0, 86400.0, "queue", "over")
    found = match(rule, ALERT)
    assert found.matched
    assert found.parameters == {"n": 3, "name": "disk of x"}
    assert (found.key, found.dedup, found.over) == ("Disk", "f1", False)
    assert check_runbook(rule) is None
    assert rules.find("disk") == rules.find("pack/disk") == rule
    with pytest.raises(LookupFailedError, match="pack/disk"):
        rules.find("dsik")


def test_yaml_and_a_folder_of_rules(pack: Path) -> None:
    text = "rules:\n  one:\n    runbook: disk\n    event: [a, b]\n    parameters: {n: 5}\n    resolved: ignore\n"
    rules = load(pack, text, "rules/some.yaml")
    assert [r.id for r in rules.rules] == ["pack/one"]
    assert rules.rules[0].events == ("a", "b")
    assert rules.troubles == ()


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ('runbook = "disk"', 'runbok = "disk"', "runbok", "'runbook'"),
        ('runbook = "disk"', 'runbook = "dikk"', "runbook", "'disk'"),
        ('overlap = "queue"', 'overlap = "queu"', "overlap", "'queue'"),
        ('overlap = "queue"', "overlap = 3", "overlap", "overlap must be"),
        ('then = "signal"', 'then = "singal"', "resolved", "'signal'"),
        ('window = "2h30m"', 'window = "long"', "dedup.window", "length of time"),
        ('type = "equals"', 'type = "equal"', "criteria.data.labels.alertname.type", "'equals'"),
        ('n = "{{ data.labels.n }}"', 'n = "{{ data. }}"', "parameters", "no template"),
        ('key = "{{ data.labels.alertname }}"', 'key = "{% if %}"', "key", "no template"),
        ('event = "io.prometheus.alert.*"\n', "", "event", "missing"),
        ('event = "io.prometheus.alert.*"', "event = []", "event", "event must be"),
        ("max_age", "max_aeg", "max_aeg", "'max_age'"),
    ],
)
def test_what_is_wrong_is_named(pack: Path, old: str, new: str, key: str, words: str) -> None:
    assert old in FULL
    rules = load(pack, FULL.replace(old, new) + '\n[rules.good]\nrunbook = "disk"\nevent = "x"\n')
    assert [r.id for r in rules.rules] == ["pack/good"], "the others stay"
    (trouble,) = rules.troubles
    assert trouble.code == "HF280"
    assert trouble.where["rule"] == "disk"
    assert trouble.where["file"].endswith("rules.toml")
    assert trouble.where["key"] == key
    assert words in str(trouble)


@pytest.mark.parametrize("text", ["rules = 5", "x = [", "[rule.a]\nrunbook = 'disk'", "[rules]\na = 5"])
def test_files_that_are_none(pack: Path, text: str) -> None:
    rules = load(pack, text)
    assert rules.rules == ()
    assert [t.code for t in rules.troubles] == ["HF280"]


def test_two_rules_of_one_name(pack: Path) -> None:
    load(pack, FULL)
    rules = load(pack, FULL, "rules.yaml".replace("yaml", "yml"))
    assert rules.troubles
    (pack / "rules.yml").write_text("rules: {disk: {runbook: disk, event: x}}")
    rules = Rules.load([pack.parent])
    assert len(rules.rules) == 1
    assert "also in" in str(rules.troubles[0])


@pytest.mark.parametrize(
    ("parameters", "words"),
    [("", "requires the parameter 'n'"), ("n = 1\nnaem = 2", "'name'"), ("n = 'many'", "HF103"), ("n = '{{ x }}'", "")],
)
def test_parameters_are_held_against_the_runbook(pack: Path, parameters: str, words: str) -> None:
    (rule,) = load(pack, f'[rules.a]\nrunbook = "disk"\nevent = "x"\n[rules.a.parameters]\n{parameters}\n').rules
    trouble = check_runbook(rule)
    assert (trouble is None) == (not words)
    assert trouble is None or words in str(trouble)


def test_what_does_not_match_says_why(pack: Path) -> None:
    (rule,) = load(pack, FULL).rules
    other = Event(id="1", source="/sources/am", type="io.prometheus.alert.firing", data={"labels": {"alertname": "Cpu"}})
    assert match(rule, other).why == "data.labels.alertname is 'Cpu', not equals 'Disk'"
    assert "the event is t of /s" in match(rule, Event(id="1", source="/s", type="t")).why


def test_the_end_of_a_matter(pack: Path) -> None:
    text = FULL.replace('"io.prometheus.alert.*"', '"io.prometheus.alert.firing"').replace(', event = "io.prometheus.alert.resolved"', "")
    (rule,) = load(pack, text).rules
    over = Event(id="2", source="/sources/am", type="io.prometheus.alert.resolved", data={"labels": {"alertname": "Disk"}})
    assert match(rule, over).over
    assert match(rule, over).key == "Disk"


def test_a_template_that_fails_is_an_error_of_the_rule(pack: Path) -> None:
    (rule,) = load(pack, FULL).rules
    with pytest.raises(OperatorError, match=r"HF282.*'n'"):
        match(rule, Event(id="1", source="/sources/am", type="io.prometheus.alert.firing", data={"labels": {"alertname": "Disk"}}))


def test_templates_keep_types_and_stay_in_their_sandbox() -> None:
    scope: dict[str, Any] = {"data": {"n": 5, "items": [1], "f": 1.5, "none": None, "d": {"a": {"b": 1}}}, "t": '{"x": 1}'}
    given = {
        "n": "{{ data.n }}", "items": "{{ data.items }}", "none": "{{ data.none }}", "d": "{{ {'a': {'b': data.n}} }}",
        "mixed": "n={{ data.n }}", "two": "{{ data.n }}{{ data.n }}", "length": "{{ data['items'] | length }}",
        "default": "{{ data.gone | default(3) }}",
        "json": "{{ t | from_json_string }}", "plain": 7, "list": ["{{ data.f }}", True],
    }  # fmt: skip
    assert render(given, scope) == {
        "n": 5, "items": [1], "none": None, "d": {"a": {"b": 5}}, "mixed": "n=5", "two": "55", "length": 1, "default": 3, "json": {"x": 1},
        "plain": 7, "list": [1.5, True],
    }  # fmt: skip
    for bad in (
        "{{ data.gone }}", "{{ gone }}", "x{{ data.gone.more }}", "{{ ''.__class__.__mro__ }}", "{{ data.n.__init__.__globals__ }}",
        "{{ data.items.append(1) }}", "{{ range(10 ** 9) }}", "{{ data.n / 0 }}", "{% include '/etc/passwd' %}",
    ):  # fmt: skip
        with pytest.raises(TemplateTrouble):
            render(bad, scope)
    assert json.dumps(scope["data"]["items"]) == "[1]"
