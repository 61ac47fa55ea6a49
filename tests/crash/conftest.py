"""What the crash suites share: a runbook with every kind of call, a far side that counts, and a person who answers by looking there."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Result, Sandbox
from holdfast.testing.servers.counting import CountingServer

ORDERS = 3

RUNBOOK: list[Any] = [
    ("parameters", "url: str\nfar: str\norders: int = 3"),
    ("setup", "import random, time, uuid\nimport requests\nfrom holdfast import now"),
    (
        "step:read",
        (
            "started = now()\n"
            "token = str(uuid.uuid4())\n"
            "dice = [random.random() for _ in range(3)]\n"
            "where = requests.get(f'{url}/where').json()['path']\n"
            "words = !echo one two three\n"
            "bag = {'log': [], 'dice': dice}\n"
            "log = bag['log']"
        ),
    ),
    (
        "step:order",
        (
            "for i in range(orders):\n"
            "    !printf 'line {i}\\n' >> {far}\n"
            "    answer = requests.post(f'{url}/orders', json={'order': i, 'token': token})\n"
            "    log.append(answer.json()['body'])"
        ),
    ),
    ("", "for i in range(orders):\n    requests.put(f'{url}/things/{i}', data=f'thing {i}').raise_for_status()\nprint('put', orders)"),
    ("step:settle", "total = sum(len(line) for line in log)\nsums = {n: n * n for n in range(total % 7 + 3)}\nsums"),
    (
        "step:end",
        (
            "assert bag['log'] is log and len(log) == orders, (len(log), orders)\n"
            "assert dice is bag['dice'] and started.tzinfo is not None\n"
            "print('END', where, words, [line.replace(token, 'TOKEN') for line in log], total, sums)"
        ),
    ),
]


class World:
    """One execution of the runbook against its far side."""

    def __init__(self, sandbox: Sandbox, server: CountingServer) -> None:
        self.sandbox, self.server = sandbox, server
        self.far = sandbox.folder / "far.txt"
        self.book = sandbox.notebook("orders", RUNBOOK)
        self.asked: list[dict[str, Any]] = []

    def run(self, faults: str = "", **options: Any) -> Result:
        """Start the execution ``x``."""
        return self.sandbox.holdfast(
            "run", self.book, "--id", "x", "-p", "url", self.server.url, "-p", "far", self.far, "--json", faults=faults, **options
        )

    def carry_on(self, result: Result, faults: str = "", rounds: int = 12) -> Result:
        """Resume, and answer what is asked, until the execution has come to its end."""
        for _ in range(rounds):
            self.sandbox.assert_laws("x") if self.sandbox.status("x") else None
            if result.status in (0, 1, 2, 4):
                return result
            if result.status == 3:
                self.answer()
            if not self.sandbox.status("x"):  # killed before there was an execution
                result = self.run(faults)
            else:
                result = self.sandbox.holdfast("resume", "x", "--json", faults=faults)
        raise AssertionError(f"no end after {rounds} rounds; last: {result}")

    def answer(self) -> None:
        """Answer every open prompt as a person would who looks at the far side first."""
        prompts = self.sandbox.holdfast("prompts", "--json").json
        assert prompts, "suspended, but nothing is asked"
        for prompt in prompts:
            self.asked.append(prompt)
            assert prompt["kind"] == "unknown_outcome", prompt
            request = json.dumps(prompt["request"])
            order = re.search(r"order\W+(\d+)", request)
            assert order and "/orders" in request, prompt
            made = [r for r in self.server.requests("POST", "/orders") if json.loads(r["body"])["order"] == int(order[1])]
            if made:
                value = json.dumps({"body": made[0]["body"]})  # what the server answered, as far as the runbook looks at it
                given = self.sandbox.holdfast("answer", prompt["id"], "happened", "--value", value, "--why", "the log has it", "--json")
            else:
                given = self.sandbox.holdfast("answer", prompt["id"], "run", "--why", "the log has it not", "--json")
            assert given.status == 0, given

    def assert_once(self) -> None:
        """Each effect happened once, by the far side's own record."""
        assert self.far.read_text().splitlines() == [f"line {i}" for i in range(ORDERS)]
        orders = [json.loads(r["body"]) for r in self.server.requests("POST", "/orders")]
        assert Counter(order["order"] for order in orders) == dict.fromkeys(range(ORDERS), 1)
        assert len({order["token"] for order in orders}) == 1, "the recorded token changed on the way"
        assert {r["path"] for r in self.server.requests("PUT")} == {f"/things/{i}" for i in range(ORDERS)}

    def assert_end(self) -> None:
        """The execution succeeded and printed what an uninterrupted one prints."""
        assert self.sandbox.status("x") == "succeeded"
        output = json.loads((self.sandbox.folder / ".holdfast" / "outputs" / "x.ipynb").read_text())
        streams = [[o for o in cell.get("outputs", []) if o["output_type"] == "stream"] for cell in output["cells"]]
        texts = ["".join("".join(o["text"]) for o in outputs) for outputs in streams]  # what is flushed in two parts may be two outputs
        log = [json.dumps({"order": i, "token": "TOKEN"}) for i in range(ORDERS)]
        total = sum(len(line) - len("TOKEN") + 36 for line in log)
        sums = {n: n * n for n in range(total % 7 + 3)}
        assert f"END /where ['one two three'] {log} {total} {sums}\n" in texts
        assert f"put {ORDERS}\n" in texts
        assert not [o for cell in output["cells"] for o in cell.get("outputs", []) if o["output_type"] == "error"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CountingServer]:
    """A far side in a process of its own."""
    with CountingServer(tmp_path) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def journal(request: pytest.FixtureRequest) -> str | None:
    """Both kinds of journal."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def world(tmp_path: Path, server: CountingServer, journal: str | None) -> World:
    """A runbook and its far side, on either journal."""
    return World(Sandbox(tmp_path, journal, {"HOLDFAST_STATE_DIR": str(tmp_path / ".holdfast")}), server)


#: In the short form PostgreSQL sees the worst victim of each cut; `make test-long` has them all.
WORST = {"both", "kill-tree-once"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what the short form leaves out to the long one."""
    for item in items:
        given = getattr(getattr(item, "callspec", None), "params", {})
        if item.path.name == "test_power_cuts.py" and given.get("journal") == "postgres" and given.get("victim", "both") not in WORST:
            item.add_marker(pytest.mark.slow)
