"""The gateway is killed between taking an answer and saying so: the answer stands."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox


@pytest.mark.parametrize("journal", ["sqlite", "postgres"])
def test_an_answer_stands_when_its_reply_is_lost(tmp_path: Path, journal: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("postgres_url") if journal == "postgres" else None
    sandbox = Sandbox(tmp_path, url)
    prompt = ask(sandbox, id="asked")
    place = f"/api/v1/prompts/{prompt.id}/answer"
    with Gateway(sandbox, faults="prompt.after_answer=kill") as gateway, gateway.client() as client:
        with pytest.raises(httpx.HTTPError):
            client.post(place, json={"verdict": "yes", "why": "sure"})
        gateway.process.wait(60)
    with Gateway(sandbox) as gateway, gateway.client() as client:
        shown = client.get(f"/api/v1/prompts/{prompt.id}").json()
        assert (shown["state"], shown["answer"], shown["why"]) == ("answered", "yes", "sure")
        again = client.post(place, json={"verdict": "no"})
        assert (again.status_code, again.json()["code"]) == (409, "HF401")
    assert [e.data["verdict"] for e in sandbox.entries("asked") if e.kind == "prompt.answered"] == ["yes"]
    lines = sandbox.holdfast("audit", "list", "--json").json
    assert [line["outcome"] for line in lines if line["action"] == "answer"] == ["failed", "allowed", "allowed"]
