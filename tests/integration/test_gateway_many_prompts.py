"""However many questions are open, the inbox asks the journal a fixed number of times, and each costs few bytes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.config import Config
from holdfast.gateway.app import application
from holdfast.gateway.hall import Hall
from holdfast.journal.opening import open_store
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft, Kind
from holdfast.model.execution import Execution, Status
from holdfast.model.prompt import PromptKind, Question
from holdfast.prompts.opening import open_prompt

MANY = 150


class Counting:
    """A store that counts how often it is asked what."""

    def __init__(self, store: Any, asked: Counter[str]) -> None:
        self._store, self.asked = store, asked

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name == "streams":
            return Counting(found, self.asked)
        if not callable(found):
            return found

        def counted(*arguments: Any, **options: Any) -> Any:
            self.asked[name] += 1
            return found(*arguments, **options)

        return counted


@pytest.fixture
def asked() -> Counter[str]:
    return Counter()


@pytest.fixture
def hall(tmp_path: Path, asked: Counter[str]) -> Iterator[Hall]:
    store = open_store(f"sqlite:///{tmp_path}/journal.db", key=bytes(32))
    config = Config.load(folder=tmp_path, environment={}, journal=f"sqlite:///{tmp_path}/journal.db")
    yield Hall(Counting(store, asked), config, owner=("ann", "hf_open"))
    store.close()


def open_some(hall: Hall, first: int, count: int) -> None:
    for n in range(first, first + count):
        parameters = {"node": f"n{n}", "password": "hunter2-abc"}
        header = Execution(
            id=f"e{n}", runbook="drain", status=Status.SUSPENDED, started_by="carol", parameters=parameters, secrets=("password",)
        )
        hall.store.create(header, [Draft(kind=Kind.EXECUTION_CREATED)])
        question = Question(target=f"node-{n}", count=3, who=("group:oncall",), why=True)
        writer = Writer(hall.store, f"e{n}", 0, "carol")
        open_prompt(
            writer, step="ask", subject="x", kind=PromptKind.CONFIRM, text=f"Drain node-{n}?", verdicts=("yes", "no"), question=question
        )


def look(hall: Hall, path: str) -> httpx.Response:
    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(application(hall))
        async with httpx.AsyncClient(transport=transport, base_url="http://inbox", headers={"Authorization": "Bearer hf_open"}) as client:
            return await client.get(path)

    return asyncio.run(get())


def test_the_journal_is_asked_no_more_often_for_many(hall: Hall, asked: Counter[str]) -> None:
    costs, sizes = [], []
    for first, count in ((0, MANY // 3), (MANY // 3, 2 * MANY // 3)):
        open_some(hall, first, count)
        asked.clear()
        page = look(hall, "/")
        assert (page.status_code, page.text.count('<li class="card">')) == (200, first + count)
        costs.append(sum(asked.values()))
        sizes.append(len(page.content))
    assert costs[0] == costs[1] <= 8
    assert (sizes[1] - sizes[0]) / (2 * MANY // 3) < 800  # bytes for each question: a thousand are well under a megabyte
    assert "hunter2" not in page.text


def test_words_find_what_is_looked_for_and_no_secrets(hall: Hall) -> None:
    open_some(hall, 0, 12)
    found = look(hall, "/?text=NODE-11").text
    assert (found.count('<li class="card">'), "Drain node-11?" in found, "1 open question" in found) == (1, True, True)
    assert look(hall, "/?text=nothing+like+it").text.count('<li class="card">') == 0
    assert '&lt;b&gt;"' in look(hall, "/?text=<b>%22").text.replace("&#34;", '"')  # what was typed comes back as text
    items = look(hall, "/api/v1/prompts?text=node-1&limit=2&offset=1").json()
    assert ([i["target"] for i in items["items"]], items["total"]) == (["node-10", "node-11"], 3)
    assert look(hall, "/api/v1/prompts?mine=true").json()["total"] == 0  # ann is not in group:oncall
    assert look(hall, "/api/v1/prompts?offset=100").json()["items"] == []
