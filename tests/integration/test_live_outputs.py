"""What a cell shows is seen while it runs, while it waits, and after its kernel was killed; then its record counts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.executions.live import LiveOutputs, live, tell
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.testing.gateways import Gateway
from holdfast.testing.sandbox import Sandbox

UNTIL = "import os, threading\nwhile not os.path.exists({!r}):\n    threading.Event().wait(0.05)\n"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, environment={"HOLDFAST_USER": "alice"})


def shown(sandbox: Sandbox, execution: str) -> list[LiveOutputs]:
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        return live(store, execution)
    finally:
        store.close()


def events(client: httpx.Client, place: str) -> Iterator[tuple[str, Any]]:
    """The server-sent events at ``place``, until they end."""
    with client.stream("GET", place) as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


def test_somebody_who_looks_on_sees_it_before_the_cell_ends(sandbox: Sandbox) -> None:
    told = "print('first', password)\n" + UNTIL.format("go") + "print('second')"
    sandbox.notebook("slow", [("parameters", "password: str = ''  # secret"), ("step:quick", "print('quick')"), ("step:slow", told)])
    run = sandbox.start("run", "slow.ipynb", "--id", "e", "-p", "password", "hunter2-xyz", "--quiet")
    with Gateway(sandbox) as gateway, gateway.client() as client:
        sandbox.until(lambda: sandbox.status("e") == "running", "the execution runs")
        seen = []
        for name, data in events(client, "/api/v1/executions/e/live"):
            if name == "output":
                seen.append(data)
                assert (data["step"], data["text"].split()[0], data["cut"]) == ("slow", "first", False)
                if not (sandbox.folder / "go").exists():
                    assert "second" not in data["text"]
                    page = client.get("/executions/e", headers={"accept": "text/html"}).text
                    assert 'role="log"' in page
                    notebook = client.get("/api/v1/executions/e/outputs").json()
                    assert "first" in json.dumps(notebook["cells"][-1]["outputs"])
                    assert "hunter2" not in json.dumps(data) + json.dumps(notebook)
                    (sandbox.folder / "go").touch()
        assert seen
        assert run.wait(60) == 0
        assert shown(sandbox, "e") == []
        assert 'role="log"' not in client.get("/executions/e", headers={"accept": "text/html"}).text
        assert "second" in json.dumps(client.get("/api/v1/executions/e/outputs").json())


def test_what_a_waiting_cell_has_shown_stays_and_what_a_killed_one_has(sandbox: Sandbox) -> None:
    waits = "print('before the question')\nfrom holdfast import confirm\nif confirm('Go on?'):\n    print('after')"
    sandbox.notebook("waits", [("step:dies", "print('before the kill')\n" + UNTIL.format("go")), ("step:waits", waits)])
    sandbox.environment["HOLDFAST_HOLD_FOR"] = "0"
    run = sandbox.start("run", "waits.ipynb", "--id", "e", "--quiet")
    sandbox.until(lambda: [o.text for o in shown(sandbox, "e")] == ["before the kill\n"], "the first cell shows something")
    sandbox.kill(run)
    assert [o.text for o in shown(sandbox, "e")] == ["before the kill\n"]
    (sandbox.folder / "go").touch()
    assert sandbox.holdfast("resume", "e", "--quiet").status == 3
    assert [(o.step, o.text.splitlines()[0]) for o in shown(sandbox, "e")] == [("waits", "before the question")]
    [prompt] = sandbox.holdfast("prompts", "--json").json
    assert sandbox.holdfast("answer", prompt["id"], "yes").status == 0
    assert sandbox.holdfast("resume", "e", "--quiet").status == 0
    assert shown(sandbox, "e") == []


def test_of_very_much_the_end_is_kept(sandbox: Sandbox) -> None:
    store = open_store(sandbox.journal, key_file=sandbox.key_file, create=True)
    try:
        lines = "".join(f"line {n}\n" for n in range(100_000))
        stream = {"type": "stream", "content": {"name": "stdout", "text": lines}, "metadata": {}, "buffers": []}
        image = {"type": "display_data", "content": {"data": {"image/png": "A" * 10_000_000}}, "metadata": {}, "buffers": []}
        now = clock.now()
        for n, outputs in enumerate(([image, stream], [stream, image], [stream])):
            tell(store, "e", LiveOutputs(step="s", cell=f"c{n}", started_at=now + n, at=now, outputs=outputs))
        first, second, third = live(store, "e", ends=())
        assert [(o.cut, o.text.endswith("line 99999\n")) for o in (first, second, third)] == [(True, True), (True, False), (True, True)]
        assert all(len(c.body) < 300_000 for c in store.streams.cursors("live/e/"))
    finally:
        store.close()
