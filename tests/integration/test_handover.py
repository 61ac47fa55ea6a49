"""An execution goes from one person to the next: from the command line, the API and a notebook; the brief says what the journal knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.gateways import Gateway
from holdfast.testing.kernels import Front
from holdfast.testing.sandbox import Result, Sandbox

POLICY = """
[groups]
night = ["bob", "carol"]
[roles.oncall]
see = ["*"]
answer = ["*"]
handover = ["drain", "!secret-*"]
[roles.guest]
see = ["*"]
[grants]
oncall = ["alice", "group:night"]
guest = ["mallory"]
"""
CELLS: list[tuple[str, str] | tuple[str, str, dict[str, Any]]] = [
    ("parameters", "node: str = 'n1'\npassword: str = ''  # secret"),
    ("step:cordon", "!echo cordon {node} >> effects.txt"),
    (
        "step:flaky",
        "import subprocess\nsubprocess.run(['sh', '-c', 'exit 4'], check=True)",
        {"retry": {"count": 1, "delay": 0.01}, "on_failure": "continue"},
    ),
    ("teardown:cordon", "!echo uncordon {node} >> effects.txt"),
    (
        "step:ask",
        "from holdfast import confirm\nif confirm('Drain it?', target=node, timeout='3 h', on_timeout='no'):\n    print('draining')",
    ),
    ("step:later", "!echo drained {node} >> effects.txt"),
]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    made = Sandbox(tmp_path_factory.mktemp("handover"), environment={"HOLDFAST_USER": "alice", "HOLDFAST_HOLD_FOR": "0.5"})
    made.notebook("drain", CELLS)
    ran = made.holdfast("run", "drain.ipynb", "--id", "e", "-p", "password", "hunter2-abc", "--quiet")
    assert ran.status == 3, ran.err
    (made.folder / "policy.toml").write_text(POLICY)
    return made


def as_(sandbox: Sandbox, user: str, *arguments: str) -> Result:
    given = {**sandbox.environment, "HOLDFAST_USER": user, "HOLDFAST_POLICY_FILE": str(sandbox.folder / "policy.toml")}
    other = Sandbox(sandbox.folder, sandbox.journal, given)
    return other.holdfast(*arguments)


def test_the_brief_says_what_was_tried_what_is_open_and_what_is_next(sandbox: Sandbox) -> None:
    found = as_(sandbox, "alice", "handover", "e", "--json").json
    assert (found["owner"], found["status"], found["at_step"], found["to_come"]) == ("alice", "suspended", ["ask"], ["later"])
    tried = {t["step"]: t for t in found["tried"]}
    assert {name: t["state"] for name, t in tried.items()} == {"cordon": "succeeded", "flaky": "failed", "ask": "suspended"}
    assert tried["flaky"]["attempts"] == 2
    assert tried["flaky"]["result"]
    effects = {e["request"]: e for e in found["effects"]}
    assert effects["echo cordon n1 >> effects.txt"]["in_force"]
    assert effects["echo cordon n1 >> effects.txt"]["undo"] == ["teardown-cordon"]
    [question] = found["questions"]
    assert (question["text"], question["target"], question["then"]) == ("Drain it?", "n1", "no")
    assert found["next"][0]["command"].startswith(f"holdfast answer {question['id']}")
    text = as_(sandbox, "alice", "handover", "e").out
    for said in (
        "**owner**: alice",
        "## Next",
        "## Open questions",
        "Drain it?",
        "## Effects in force",
        "echo cordon n1",
        "## What was tried",
    ):
        assert said in text
    assert "hunter2" not in text + json.dumps(found) + as_(sandbox, "alice", "report", "e").out


def test_what_the_policy_does_not_grant_is_refused_and_written_down(sandbox: Sandbox) -> None:
    for arguments in (("--to", "mallory"), ("--accept",), ("--decline",)):
        refused = as_(sandbox, "mallory", "handover", "e", *arguments)
        assert (refused.status, "HF702" in refused.err) == (2, True)
    lines = sandbox.holdfast("audit", "list", "--json").json
    assert [(x["outcome"], x["who"], x["code"]) for x in lines if x["action"] == "handover"] == [("refused", "mallory", "HF702")] * 3
    assert not [e for e in sandbox.entries("e") if e.kind.startswith("handover.")]


def test_it_is_offered_declined_withdrawn_and_taken_over(sandbox: Sandbox) -> None:
    assert as_(sandbox, "alice", "handover", "e", "--to", "group:night", "--note", "the disk").status == 0
    assert [o["note"] for o in as_(sandbox, "bob", "handover", "--json").json] == ["the disk"]
    assert as_(sandbox, "bob", "handover", "e", "--decline", "--why", "ill", "--json").json["state"] == "declined"
    late = as_(sandbox, "carol", "handover", "e", "--accept")
    assert (late.status, "HF420" in late.err, "declined by bob" in late.err) == (2, True, True)
    as_(sandbox, "alice", "handover", "e", "--to", "carol")
    assert "HF421" in as_(sandbox, "bob", "handover", "e", "--withdraw").err
    assert as_(sandbox, "alice", "handover", "e", "--withdraw").status == 0
    as_(sandbox, "alice", "handover", "e", "--to", "bob")
    assert as_(sandbox, "bob", "handover", "e", "--accept", "--why", "my shift", "--json").json["ended_by"] == "bob"
    shown = sandbox.holdfast("show", "e", "--entries", "--json").json
    assert shown["owner"] == "bob"
    assert "taken over from alice: my shift" in [m["text"] for m in shown["entries"]]
    assert "alice to bob" in as_(sandbox, "bob", "report", "e").out
    assert as_(sandbox, "alice", "handover", "e", "--to", "bob", "--accept").status == 2  # these do not go together


@pytest.fixture
def gateway(sandbox: Sandbox) -> Iterator[Gateway]:
    given = {**sandbox.environment, "HOLDFAST_POLICY_FILE": "policy.toml", "HOLDFAST_WORKERS": "queue"}
    with Gateway(Sandbox(sandbox.folder, sandbox.journal, given)) as running:
        yield running


def test_at_the_gateway_of_two_who_take_it_at_once_one_wins(gateway: Gateway, sandbox: Sandbox) -> None:
    tokens = {who: gateway.sandbox.holdfast("token", "make", who, "--json").json["token"] for who in ("alice", "bob", "carol", "mallory")}
    place = "/api/v1/executions/e/handover"
    with gateway.client(tokens["alice"]) as alice, gateway.client(tokens["bob"]) as bob, gateway.client(tokens["carol"]) as carol:
        made = alice.post(place, json={"to": ["group:night"], "note": "again"})
        assert made.status_code == 201
        assert [o["execution"] for o in bob.get("/api/v1/handovers").json()] == ["e"]
        with gateway.client(tokens["mallory"]) as mallory:
            assert [mallory.post(f"{place}/{how}").status_code for how in ("accept", "decline", "withdraw")] == [403, 403, 403]
            assert mallory.post(place, json={"to": ["mallory"]}).json()["code"] == "HF702"
            assert mallory.get(place).status_code == 200  # seeing is granted
        before = alice.get(place).json()["owner"]
        takers = [c for name, c in (("bob", bob), ("carol", carol)) if name != before]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda c: c.post(f"{place}/accept", json={"why": "mine"}), takers * 2))
        won = [a.json()["ended_by"] for a in answers if a.status_code == 200]
        assert len(set(won)) == 1
        assert {a.status_code for a in answers} <= {200, 409}
        assert alice.get(place).json()["owner"] == won[0]
        assert alice.get(f"{place}?format=markdown").text.startswith("# Hand-over: ")
        senseless: list[dict[str, Any]] = [{"to": []}, {"to": [""]}, {"to": "bob"}, {}, {"to": [won[0]]}]
        assert [bob.post(place, json=body).status_code for body in senseless] == [422] * 5
        assert bob.post("/api/v1/executions/none/handover", json={"to": ["bob"]}).status_code == 404
    accepted = [e for e in sandbox.entries("e") if e.kind == "handover.accepted"]
    lines = gateway.sandbox.holdfast("audit", "list", "--json").json
    assert [x["detail"] for x in lines if x["action"] == "handover" and x["who"] == won[0] and x["outcome"] == "allowed"][-1] == "accept"
    assert accepted[-1].data["via"] == "api"


def test_a_session_in_a_notebook_goes_to_the_next_kernel(tmp_path: Path) -> None:
    cells = [("one", "x = [1, 2]"), ("two", "x.append(3); print(x)")]
    bare: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    path = tmp_path / "n.ipynb"
    path.write_text(
        json.dumps({"cells": [{**bare, "id": i, "source": s} for i, s in cells], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    with Front(tmp_path, notebook=path, environment={"HOLDFAST_USER": "alice"}) as alice:
        alice.run_all(cells[:1])
        [said] = alice.run("%holdfast handover --to bob --note 'only the second cell is left'").notices
        assert "Offered to bob" in said
        id = said.split("%holdfast handover ")[1].split()[0]
        with Front(tmp_path, notebook=path, environment={"HOLDFAST_USER": "bob"}) as bob:
            [brief] = bob.run(f"%holdfast handover {id}").shown
            assert "only the second cell is left" in brief
            assert "HF421" in alice.run("%holdfast handover --accept").notices[0]
            [taken] = bob.run(f"%holdfast handover {id} --accept").notices
            assert f"%holdfast resume {id}" in taken
            [stopped] = alice.run("x.append(99)", cell="two").notices
            assert "handed over to bob" in stopped
            bob.run(f"%holdfast resume {id}")
            ran = bob.run_all(cells)
            assert "[1, 2, 3]" in str(ran)
