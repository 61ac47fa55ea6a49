"""Guardrails in real kernels, from the command line: locks, caps over targets, freezes, approvals; effects counted at the far side."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Result, Sandbox
from holdfast.testing.servers.counting import CountingServer

CELLS: list[Any] = [
    ("parameters", "url: str\ncluster: str = 'eu'"),
    ("setup", "import requests\nfrom holdfast import changing, confirm, targets"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    return Sandbox(tmp_path_factory.mktemp("guardrails"), environment={"HOLDFAST_HOLD_FOR": "0"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("far")) as running:
        yield running


def run(sandbox: Sandbox, server: CountingServer, book: Path, id: str, *more: str) -> Result:
    return sandbox.holdfast("run", book, "--id", id, "--json", "-p", "url", server.url, *more)


def answer(sandbox: Sandbox, id: str) -> Result:
    (prompt,) = sandbox.holdfast("prompts", "--execution", id, "--json").json
    assert sandbox.holdfast("answer", prompt["id"], "yes", "--json").status == 0
    return sandbox.holdfast("resume", id, "--json")


def reached(server: CountingServer, method: str, under: str) -> list[str]:
    return [r["path"] for r in server.requests(method) if r["path"].startswith(under)]


def error(sandbox: Sandbox, id: str) -> Any:
    failed = [e.data["error"] for e in sandbox.entries(id) if e.kind == "step.failed"]
    return failed[-1]


@pytest.mark.parametrize(("overlap", "status"), [pytest.param("skip", 4, marks=pytest.mark.slow), ("refuse", 1)])
def test_while_one_has_the_target_another_makes_way(sandbox: Sandbox, server: CountingServer, overlap: str, status: int) -> None:
    cells = [*CELLS, ("step:ask", "confirm('restart?')"), ("step:act", f"requests.post(f'{{url}}/{overlap}/{{cluster}}')")]
    book = sandbox.notebook(f"one-{overlap}", cells, concurrency={"key": overlap + "/{cluster}", "overlap": overlap})
    assert run(sandbox, server, book, f"{overlap}-1").status == 3
    second = run(sandbox, server, book, f"{overlap}-2")
    assert second.status == status, second
    assert f"execution {overlap}-1 of one-{overlap} has" in second.json["reason"]
    assert run(sandbox, server, book, f"{overlap}-3", "-p", "cluster", "us").status == 3
    assert answer(sandbox, f"{overlap}-1").status == 0
    assert reached(server, "POST", f"/{overlap}/eu") == [f"/{overlap}/eu"]
    if overlap == "refuse":
        assert sandbox.holdfast("resume", f"{overlap}-2", "--json").status == 3  # its turn now: it asks
        sandbox.assert_laws(f"{overlap}-2")


@pytest.mark.slow  # three executions and a worker, one after the other
def test_those_that_queue_for_a_target_take_it_in_turn(sandbox: Sandbox, server: CountingServer) -> None:
    cells = [*CELLS, ("step:ask", "confirm('restart?')"), ("step:act", "requests.post(f'{url}/queue/{cluster}')")]
    book = sandbox.notebook("queue", cells, concurrency={"key": "queue/{cluster}"})
    assert run(sandbox, server, book, "q1").status == 3
    waits = [run(sandbox, server, book, id) for id in ("q2", "q3")]
    assert [w.status for w in waits] == [3, 3]
    assert "execution q1 of queue has 'queue/eu'" in waits[0].json["reason"]
    assert sandbox.holdfast("prompts", "--execution", "q2", "--json").json == []
    worker = sandbox.start("worker", stdout=None, stderr=None)
    try:
        for id in ("q1", "q2", "q3"):
            sandbox.until(lambda id=id: sandbox.holdfast("prompts", "--execution", id, "--json").json, f"{id} to ask", 120)
            asking = [p["execution"] for p in sandbox.holdfast("prompts", "--json").json if p["execution"].startswith("q")]
            assert asking == [id]
            (prompt,) = sandbox.holdfast("prompts", "--execution", id, "--json").json
            sandbox.holdfast("answer", prompt["id"], "yes")
            sandbox.until(lambda id=id: sandbox.status(id) == "succeeded", f"the end of {id}", 120)
            sandbox.assert_laws(id)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    assert len(reached(server, "POST", "/queue/eu")) == 3


ACT_ON_EACH = """
for v in volumes:
    with changing(v, why="unattached", read=lambda: requests.get(f"{url}/things/{v['id']}").status_code):
        requests.put(f"{url}/share/{v['id']}")
"""


def test_a_share_of_the_targets_is_all_that_is_changed(sandbox: Sandbox, server: CountingServer) -> None:
    cells = [
        *CELLS,
        ("step:plan", "volumes = targets(lambda: [{'id': f'v{n}', 'free': n % 2 == 0} for n in range(12)], where=lambda v: v['free'])"),
        ("step:act", ACT_ON_EACH, {"max_percent": 25}),
    ]
    done = run(sandbox, server, sandbox.notebook("share", cells), "share")
    assert done.status == 1
    assert "HF801" in done.json["reason"]
    assert "3 of 12" in done.json["reason"]
    assert reached(server, "PUT", "/share/") == ["/share/v0", "/share/v2", "/share/v4"]
    intents = [e.data for e in sandbox.entries("share") if e.kind == "call.intent"]
    assert [(i["target"], i["why"], i["before"]) for i in intents] == [(f"v{n}", "unattached", 404) for n in (0, 2, 4)]
    assert [e.data["after"] for e in sandbox.entries("share") if e.kind == "effect.seen"] == [404] * 3
    sandbox.assert_laws("share")
    shown = sandbox.holdfast("effects", "share", "--json").json
    assert [(e["target"], e["why"], e["before"], e["after"], e["state"]) for e in shown] == [
        *((f"v{n}", "unattached", 404, 404, "succeeded") for n in (0, 2, 4)),
        ("v6", "unattached", 404, None, "refused by the cap"),
    ]
    assert "unattached" in sandbox.holdfast("report", "share").out


def test_targets_that_have_grown_old_are_read_again_before_anything_is_changed(sandbox: Sandbox, server: CountingServer) -> None:
    listing = sandbox.folder / "volumes.json"
    listing.write_text('["v1", "v2", "v3"]')
    cells = [
        *CELLS,
        (
            "step:plan",
            "import json, pathlib\nvolumes = targets(lambda: json.loads(pathlib.Path('volumes.json').read_text()), max_age=0.05)",
        ),
        ("step:ask", "confirm('delete?', target=volumes.labels, count=len(volumes))"),
        ("step:act", "for v in volumes:\n    requests.put(f'{url}/aged/{v}')"),
    ]
    book = sandbox.notebook("aged", cells)
    assert run(sandbox, server, book, "aged").status == 3
    listing.write_text('["v1", "v3", "v4"]')  # while a person thinks: v2 goes, v4 comes
    done = answer(sandbox, "aged")
    assert done.status == 0, done
    assert reached(server, "PUT", "/aged/") == ["/aged/v1", "/aged/v3"]
    assert next(e.data["gone"] for e in sandbox.entries("aged") if e.kind == "targets.reread") == ["v2"]


def test_what_destroys_is_denied_unattended_until_somebody_has_approved(sandbox: Sandbox, server: CountingServer) -> None:
    unattended = Sandbox(sandbox.folder, environment={"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_UNATTENDED": "on"})
    bare = unattended.notebook("bare", [*CELLS, ("step:act", "requests.delete(f'{url}/bare/1')")])
    denied = run(unattended, server, bare, "bare")
    assert denied.status == 1
    assert "HF805" in denied.json["reason"]
    assert reached(server, "DELETE", "/bare") == []
    asks = unattended.notebook(
        "asks",
        [*CELLS, ("step:ask", "confirm('delete 1?', count=1)"), ("step:act", "for n in (1, 2):\n    requests.delete(f'{url}/asks/{n}')")],
    )
    assert run(unattended, server, asks, "asks").status == 3
    done = answer(unattended, "asks")
    assert done.status == 1
    assert "HF806" in done.json["reason"]
    assert reached(server, "DELETE", "/asks") == ["/asks/1"]
    assert run(sandbox, server, sandbox.folder / "bare.ipynb", "by-hand").status == 0
    assert error(sandbox, "bare")["code"] == "HF805"


def test_a_freeze_holds_until_the_glass_is_broken(sandbox: Sandbox, server: CountingServer) -> None:
    place = sandbox.folder / "frozen"
    place.mkdir()
    (place / "guardrails.toml").write_text('[[freeze]]\nname = "always"\nfrom = 2020-01-01\nuntil = 2120-01-01\nrunbooks = ["frozen*"]\n')
    frozen = Sandbox(place)
    book = frozen.notebook("frozen-book", [*CELLS, ("step:act", "requests.get(f'{url}/where')\nrequests.put(f'{url}/frozen')")])
    denied = run(frozen, server, book, "f")
    assert denied.status == 1
    assert "HF804" in denied.json["reason"]
    assert reached(server, "PUT", "/frozen") == []
    refused = frozen.holdfast("break-glass", "f", "--why", "no", "--json")
    assert refused.status == 2, refused
    broken = frozen.holdfast("break-glass", "f", "--why", "the site is down, INC-7", "--guardrail", "freeze", "--json")
    assert broken.status == 0, broken
    assert frozen.holdfast("resume", "f", "--json").status == 0
    assert len(reached(server, "PUT", "/frozen")) == 1
    (intent,) = [e.data for e in frozen.entries("f") if e.kind == "call.intent"]
    assert intent["glass"] == ["freeze"]
    said = frozen.holdfast("audit", "list", "--json")
    assert "break-glass" in json.dumps(said.json), said


def test_a_failed_execution_is_undone_by_its_teardown_steps_also_when_that_is_killed(sandbox: Sandbox, server: CountingServer) -> None:
    cells = [
        *CELLS,
        ("step:cordon", "node = 'n1'\nrequests.put(f'{url}/undo/cordon')"),
        ("step:drain", "requests.put(f'{url}/undo/drain')\nraise ValueError('the node is busy')"),
        ("step:after", "requests.put(f'{url}/undo/never')"),
        ("teardown:cordon", "print('uncordon', node)\nrequests.delete(f'{url}/undo/{node}')"),
        ("teardown:drain", "requests.put(f'{url}/undo/refill')"),
        ("teardown:after", "requests.put(f'{url}/undo/never')"),
    ]
    book = sandbox.notebook("undone", cells, limits={"max_effects": 2})
    failed = run(sandbox, server, book, "undone")
    assert failed.status == 1
    assert failed.json["failure"]["teardown"] == ["teardown-cordon", "teardown-drain"]
    assert failed.json["failure"]["undoes"]["teardown-cordon"] == [f"PUT {server.url}/undo/cordon (succeeded)"]
    assert sandbox.holdfast("rollback", "undone", "teardown-cordn", "--json").status == 2
    killed = sandbox.holdfast("rollback", "undone", "--json", faults="call.after_effect@1=kill-both")
    assert killed.status == -9, killed
    done = sandbox.holdfast("resume", "undone", "--json")  # goes on with what a person asked for
    assert done.status == 0, done
    assert done.json["undone"] == ["teardown-drain", "teardown-cordon"]
    assert "the node is busy" in done.json["reason"]
    assert sandbox.status("undone") == "failed"
    assert set(reached(server, "PUT", "/undo/")) == {"/undo/cordon", "/undo/drain", "/undo/refill"}
    assert reached(server, "DELETE", "/undo/") == ["/undo/n1"]  # what the undone step left in memory is there
    sandbox.assert_laws("undone")
