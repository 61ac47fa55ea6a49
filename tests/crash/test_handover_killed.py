"""The process that hands over, or takes over, is killed: the journal says whose the execution is, and doing it again ends it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox

OFFERED = ["handover.offered"]
ACCEPTED = ["handover.offered", "handover.accepted"]


@pytest.mark.parametrize(
    ("arguments", "fault", "left"),
    [
        (("--to", "bob"), "handover.before_offer", []),
        (("--to", "bob"), "handover.after_offer", OFFERED),
        (("--accept",), "handover.before_accept", OFFERED),
        (("--accept",), "handover.after_accept", ACCEPTED),
    ],
    ids=["before-offer", "after-offer", "before-accept", "after-accept"],
)
@pytest.mark.parametrize("journal", ["sqlite", "postgres"])
def test_a_kill_leaves_one_owner(
    tmp_path: Path, arguments: tuple[str, ...], fault: str, left: list[str], journal: str, request: pytest.FixtureRequest
) -> None:
    sandbox = Sandbox(tmp_path, request.getfixturevalue("postgres_url") if journal == "postgres" else None)
    ask(sandbox, id="e", started_by="alice")
    sandbox.environment["HOLDFAST_USER"] = "alice"
    if arguments[0] == "--accept":
        assert sandbox.holdfast("handover", "e", "--to", "bob").status == 0
        sandbox.environment["HOLDFAST_USER"] = "bob"
    assert sandbox.holdfast("handover", "e", *arguments, faults=f"{fault}=kill").status == -9
    assert [e.kind for e in sandbox.entries("e") if e.kind.startswith("handover.")] == left
    found = sandbox.holdfast("handover", "e", "--json").json
    assert found["owner"] == ("bob" if left == ACCEPTED else "alice")
    assert sandbox.holdfast("handover", "e", *arguments).status == 0  # again, by the same person
    sandbox.environment["HOLDFAST_USER"] = "bob"
    assert sandbox.holdfast("handover", "e", "--accept").status == 0
    assert sandbox.holdfast("handover", "e", "--json").json["owner"] == "bob"
    assert [e.kind for e in sandbox.entries("e")].count("handover.accepted") == 1
    sandbox.assert_laws("e")


def test_the_gateway_dies_between_taking_over_and_saying_so(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    prompt = ask(sandbox, id="e", started_by="alice")
    sandbox.environment["HOLDFAST_USER"] = "alice"
    assert sandbox.holdfast("handover", "e", "--to", "everyone").status == 0
    sandbox.environment["HOLDFAST_USER"] = "bob"
    place = "/api/v1/executions/e/handover"
    with Gateway(sandbox, faults="handover.after_accept=kill") as gateway, gateway.client() as client:
        with pytest.raises(httpx.HTTPError):
            client.post(f"{place}/accept")
        gateway.process.wait(60)
    with Gateway(sandbox) as gateway, gateway.client() as client:
        found = client.get(place).json()
        assert (found["owner"], [q["id"] for q in found["questions"]]) == ("bob", [prompt.id])  # the question is open as before
        assert client.post(f"{place}/accept").json()["ended_by"] == "bob"
        assert client.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "no"}).status_code == 200
