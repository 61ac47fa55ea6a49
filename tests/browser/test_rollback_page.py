"""After a failure: what the teardown steps would undo, who may press the button, and what comes of it; in real Chromium, a real worker
running the steps. The plan of a new start stands on the same page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.access.tokens import Tokens
from holdfast.testing.gateways import Gateway
from holdfast.testing.sandbox import Sandbox

PHONE = {"width": 390, "height": 844}
CELLS: list[Any] = [
    (
        "setup",
        """from holdfast import call
@call
def cordon(node):
    open('far', 'a').write(f'cordon {node}\\n')
@call
def delete_pods(node):
    open('far', 'a').write(f'delete {node}\\n')
@call
def uncordon(node):
    open('far', 'a').write(f'uncordon {node}\\n')""",
    ),
    ("step:cordon", "cordon('n1')\ncordon('n2')"),
    ("step:drain", "delete_pods('n1')\nraise ValueError('the node is busy')"),
    ("teardown:cordon", "uncordon('n1')\nuncordon('n2')"),
    ("teardown:drain", "print('nothing to bring back')"),
]
POLICY = """
[groups]
oncall = ["alice"]
[roles.looks]
see = ["*"]
[roles.undoes]
includes = ["looks"]
rollback = ["*"]
start = ["*"]
[grants]
looks = ["everyone"]
undoes = ["group:oncall"]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("rollback"), environment={"HOLDFAST_USER": "alice"})
    (sandbox.folder / "policy.toml").write_text(POLICY)
    sandbox.notebook("drain-node", CELLS)
    for id in ("busy", "dry"):
        assert sandbox.holdfast("run", "drain-node.ipynb", "--id", id, "--quiet").status == 1
    (sandbox.folder / "far").unlink()
    with Gateway(sandbox, environment={"HOLDFAST_POLICY_FILE": str(sandbox.folder / "policy.toml")}) as running:
        yield running


def tab_of(chromium: Any, gateway: Gateway, who: str) -> Any:
    tokens = Tokens(gateway.sandbox.folder / ".holdfast" / "tokens.json")
    context = chromium.new_context(viewport=PHONE, base_url=gateway.address)
    tab = context.new_page()
    tab.goto(f"/login?token={tokens.make(who)}")
    return tab


def shot(tab: Any, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        tab.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def far(gateway: Gateway) -> list[str]:
    place = gateway.sandbox.folder / "far"
    return place.read_text().splitlines() if place.exists() else []


def test_who_may_presses_and_a_worker_undoes_it_once(chromium: Any, gateway: Gateway) -> None:
    stranger = tab_of(chromium, gateway, "bob")
    stranger.goto("/executions/busy")
    assert stranger.get_by_role("button", name="Roll back").count() == 0
    assert "these may: group:oncall" in stranger.locator("#undo").inner_text()
    shot(stranger, "rollback-not-allowed")
    forged = gateway.client(token=Tokens(gateway.sandbox.folder / ".holdfast" / "tokens.json").make("bob"))
    assert forged.post("/api/v1/executions/busy/rollback").status_code == 403
    stranger.context.close()

    tab = tab_of(chromium, gateway, "alice")
    tab.goto("/executions/busy")
    offer = tab.locator("#undo")
    assert "cordon(node='n1')" in offer.inner_text()
    assert "delete_pods(node='n1')" in offer.inner_text()
    assert "May be pressed by: group:oncall" in offer.inner_text()
    shot(tab, "rollback-offered")
    for box in tab.get_by_role("checkbox").all():
        box.uncheck()
    tab.get_by_role("button", name="Roll back").click()
    assert "no teardown step was chosen" in tab.get_by_role("alert").inner_text()
    assert tab.locator("#undo input[type=checkbox]:checked").count() == 2
    tab.locator("#undo").get_by_label("Reason").fill("INC-9: the drain hangs")
    tab.get_by_role("button", name="Roll back").click()
    gateway.sandbox.until(lambda: any(e.kind == "execution.failed" and "undone by" in str(e.data.get("reason"))
                                      for e in gateway.sandbox.entries("busy")), "the teardown steps to be run", 120)  # fmt: skip
    tab.goto("/executions/busy")
    assert "undone by teardown-drain, teardown-cordon" in tab.locator("#overview").inner_text()
    shot(tab, "rollback-done")
    tab.context.close()
    assert far(gateway) == ["uncordon n1", "uncordon n2"]
    acts = [a for a in gateway.sandbox.holdfast("audit", "list", "--json").json if a["action"] == "rollback"]
    assert [(a["who"], a["outcome"]) for a in acts] == [("alice", "allowed"), ("bob", "refused")]
    assert acts[0]["detail"] == "INC-9: the drain hangs"
    gateway.sandbox.assert_laws("busy")


def test_the_plan_stands_on_the_page(chromium: Any, gateway: Gateway) -> None:
    tab = tab_of(chromium, gateway, "alice")
    tab.goto("/executions/dry")
    tab.get_by_role("button", name="Dry run").click()
    plan = tab.locator("#plan")
    plan.wait_for(timeout=60_000)
    assert "cordon(node='n2')" in plan.inner_text()
    assert "the dry run could not go on" in plan.inner_text()
    wide = tab.locator("html").evaluate("e => e.scrollWidth - e.clientWidth")
    assert wide <= 0
    shot(tab, "plan")
    (gateway.sandbox.folder / "guardrails.toml").write_text('[[freeze]]\nname = "year end"\nfrom = 2020-01-01\nuntil = 2120-01-01\n')
    tab.goto("/runbooks/drain-node")
    tab.get_by_role("button", name="Dry run").click()
    plan.wait_for(timeout=60_000)
    assert "freeze: a change freeze is on (year end)" in plan.inner_text()
    shot(tab, "plan-frozen")
    tab.context.close()
    assert "delete n1" not in far(gateway)
