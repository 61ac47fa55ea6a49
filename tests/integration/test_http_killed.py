"""The kernel is killed at each point of a request; the server's own log says how often it was made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.servers.counting import CountingServer

POINTS = ["call.before_intent", "call.after_intent", "call.after_effect", "call.after_outcome"]

CLIENTS = {
    "requests": "import requests\nr = requests.{method}('{url}')\nprint(r.status_code)",
    "httpx": "import httpx\nr = httpx.{method}('{url}')\nprint(r.status_code)",
    "urllib": (
        "from urllib.request import Request, urlopen\nwith urlopen(Request('{url}', method='{method}'.upper())) as r:\n    print(r.status)"
    ),
    "aiohttp": "import aiohttp\nasync with aiohttp.ClientSession() as s, s.{method}('{url}') as r:\n    print(r.status)",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(shared: CountingServer) -> CountingServer:
    shared.log.write_text("")
    return shared


def runner_for(client: str, method: str, url: str, folder: Path) -> CellRunner:
    return CellRunner(folder, CLIENTS[client].format(method=method, url=url))


@pytest.mark.parametrize("point", POINTS)
def test_a_write_killed_at(point: str, server: CountingServer, tmp_path: Path) -> None:
    runner = runner_for("requests", "post", server.url + "/orders", tmp_path)
    assert runner.run(f"{point}=kill").killed
    done = runner.run()
    made = len(server.requests(path="/orders"))
    if point in {"call.before_intent", "call.after_outcome"}:
        assert (done.status, made) == (0, 1), done.err
        return
    # The process died between intent and outcome: whether it happened is for a person to say.
    assert done.status == 3
    assert made == (1 if point == "call.after_effect" else 0), "asked before it was repeated"
    runner.answer("happened" if made else "run")
    done = runner.run()
    assert (done.status, done.out.strip()) == (0, "200"), done.err
    assert len(server.requests(path="/orders")) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_delete_killed_after_the_effect(client: str, server: CountingServer, tmp_path: Path) -> None:
    import requests

    requests.put(f"{server.url}/things/{client}", timeout=10)
    runner = runner_for(client, "delete", f"{server.url}/things/{client}", tmp_path)
    assert runner.run("call.after_effect=kill").killed
    done = runner.run()
    assert (done.status, done.out.strip(), runner.prompts()) == (0, "204", []), done.err
    assert len(server.requests("DELETE")) == 2, "made again, and 'already gone' counted as done"
    assert runner.run().out.strip() == "204"
    assert len(server.requests("DELETE")) == 2


@pytest.mark.parametrize("client", CLIENTS)
def test_a_write_killed_after_the_outcome_is_replayed(client: str, server: CountingServer, tmp_path: Path) -> None:
    runner = runner_for(client, "post", server.url + "/orders", tmp_path)
    assert runner.run("call.after_outcome=kill").killed
    done = runner.run()
    assert (done.status, done.out.strip()) == (0, "200"), done.err
    assert len(server.requests(path="/orders")) == 1


def test_an_authors_key_makes_a_write_safe_to_repeat(server: CountingServer, tmp_path: Path) -> None:
    cell = f"import requests\nprint(requests.post('{server.url}/pay?honour=1', headers={{'Idempotency-Key': 'order-7'}}).json()['number'])"
    runner = CellRunner(tmp_path, cell)
    assert runner.run("call.after_effect=kill").killed
    done = runner.run()
    assert (done.status, runner.prompts()) == (0, []), done.err
    numbers = {r["headers"]["Idempotency-Key"] for r in server.requests(path="/pay")}
    assert numbers == {"order-7"}
    assert len(server.requests(path="/pay")) == 2


def test_a_step_that_says_its_writes_are_idempotent_repeats_with_the_stored_key(server: CountingServer, tmp_path: Path) -> None:
    runner = CellRunner(
        tmp_path, f"import requests\nprint(requests.post('{server.url}/pay?honour=1').json()['number'])", policy={"effects": "idempotent"}
    )
    assert runner.run("call.after_effect=kill").killed
    first = server.requests(path="/pay")[0]["headers"]["Idempotency-Key"]
    done = runner.run()
    assert (done.status, runner.prompts()) == (0, []), done.err
    assert [r["headers"]["Idempotency-Key"] for r in server.requests(path="/pay")] == [first, first]


def test_a_loop_killed_again_and_again(server: CountingServer, tmp_path: Path) -> None:
    cell = f"import requests\nfor i in range(4):\n    print(requests.put('{server.url}/things/loop-%d' % i).status_code)"
    runner = CellRunner(tmp_path, cell)
    for point in ("call.after_intent", "call.after_outcome"):
        for nth in (1, 2):
            assert runner.run(f"{point}@{nth}=kill").killed
    done = runner.run()
    assert (done.status, done.out.split()) == (0, ["201"] * 4), done.err
    assert sorted(r["path"] for r in server.requests("PUT")) == [f"/things/loop-{i}" for i in range(4)]
