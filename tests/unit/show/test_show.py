"""Tables, charts and ticks: what a terminal, a browser and a reader of Markdown get."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from holdfast.show import bars, lines, table, tick


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What was displayed: mimetype to content."""
    seen: list[dict[str, str]] = []

    def display(*things: Any) -> None:
        seen.extend(thing._repr_mimebundle_() for thing in things)

    monkeypatch.setattr("IPython.core.display_functions.display", display)
    return seen


def test_a_table_reads_the_same_on_a_terminal(shown: list[dict[str, str]]) -> None:
    at = datetime.datetime(2026, 3, 1, 9, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    table([{"name": "a|b", "GiB": 10, "at": at}, {"name": "c\nd", "GiB": 2.50, "gone": True}])
    assert shown[0]["text/plain"].splitlines() == [
        "name   GiB  at                   gone",
        "-----  ---  -------------------  ----",
        "a|b     10  2026-03-01 08:30:00",
        "c ⏎ d  2.5                       yes",
    ]
    markdown = shown[0]["text/markdown"].splitlines()
    assert markdown[1] == "|---|---:|---|---|"
    assert markdown[2:] == [r"| a\|b | 10 | 2026-03-01 08:30:00 |  |", "| c<br>d | 2.5 |  | yes |"]


def test_a_long_table_is_cut_and_says_so_and_an_empty_one_says_none(shown: list[dict[str, str]]) -> None:
    table([{"n": n} for n in range(10)], "n", limit=3)
    assert shown[0]["text/plain"].splitlines()[-2:] == ["2", "… and 7 more"]
    table([], "n", title="Pods")
    assert shown[1] == {"text/plain": "Pods: none", "text/markdown": "**Pods**: none"}


def test_names_from_outside_cannot_break_out_of_a_table(shown: list[dict[str, str]]) -> None:
    table([{"name": "<img src=x onerror=alert(1)> **x** [a](b)"}], "name")
    assert "<img" not in shown[0]["text/markdown"]
    assert r"\*\*x\*\*" in shown[0]["text/markdown"]
    bars({"<script>": 1})
    lines({"<script>": [(0, 1)]}, title="<b>")
    for one in shown[1:]:
        assert "<script>" not in one["image/svg+xml"] and "<b>" not in one["image/svg+xml"]


def test_charts_are_valid_pictures_and_have_a_text(shown: list[dict[str, str]]) -> None:
    start = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    points = [(start + datetime.timedelta(minutes=n), 100.0 - n) for n in range(20)]
    lines({"free": points, "none": []}, title="Space", unit="GiB", limit=85)
    bars({"logs": 30, "data": 0}, unit="GiB")
    bars({})
    lines({})
    for one in shown[:2]:
        assert ElementTree.fromstring(one["image/svg+xml"]).tag.endswith("svg")
    picture = ElementTree.fromstring(shown[0]["image/svg+xml"])
    paths = [e.attrib["points"].split() for e in picture.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(p) for p in paths] == [2, 20]
    assert float(paths[1][0].split(",")[1]) < float(paths[1][-1].split(",")[1]), "what falls goes down"
    assert shown[0]["text/plain"].splitlines()[0] == "Space"
    assert shown[0]["text/plain"].endswith("last 81 GiB")
    assert shown[1]["text/plain"].splitlines()[0].endswith("█ 30 GiB")


@pytest.mark.parametrize("good", [True, False])
def test_a_tick_says_it_and_gives_it_back(shown: list[dict[str, str]], good: bool) -> None:
    assert tick(good, "3 of 12 pods crash", [{"pod": "a"}]) is good
    assert shown[0]["text/plain"] == f"{'✔' if good else '✘'} 3 of 12 pods crash"
    assert "pod" in shown[1]["text/plain"]
