"""Hand-over and report in real Chromium, on a phone: what the receiver reads, who may take it, two at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.gateways import Gateway
from holdfast.testing.sandbox import Sandbox

PHONE = {"width": 390, "height": 844}
POLICY = """
[roles.oncall]
see = ["*"]
answer = ["*"]
handover = ["*"]
[roles.guest]
see = ["*"]
[grants]
oncall = ["alice", "bob", "carol"]
guest = ["mallory"]
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("hands"), environment={"HOLDFAST_USER": "alice", "HOLDFAST_HOLD_FOR": "0"})
    sandbox.notebook(
        "drain",
        [
            ("markdown", "# Drain a node"),
            ("parameters", "node: str = 'node-7'"),
            ("step:cordon", "!echo kubectl cordon {node} >> effects.txt"),
            ("teardown:cordon", "!echo kubectl uncordon {node} >> effects.txt"),
            (
                "step:ask",
                "from holdfast import confirm\nif confirm('Drain node-7 now?', target=node, timeout='3 h', on_timeout='no'):\n    1",
            ),
            ("step:later", "print('done')"),
        ],
    )
    assert sandbox.holdfast("run", "drain.ipynb", "--id", "e", "--quiet").status == 3
    (sandbox.folder / "policy.toml").write_text(POLICY)
    with Gateway(sandbox, environment={"HOLDFAST_POLICY_FILE": "policy.toml", "HOLDFAST_WORKERS": "queue"}) as running:
        yield running


def phone(chromium: Any, gateway: Gateway, who: str, *, script: bool = True, dark: bool = False) -> Any:
    token = gateway.sandbox.holdfast("token", "make", who, "--json").json["token"]
    scheme = "dark" if dark else "light"
    context = chromium.new_context(viewport=PHONE, java_script_enabled=script, base_url=gateway.address, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(f"/login?token={token}")
    return tab


def test_an_execution_goes_from_phone_to_phone(chromium: Any, gateway: Gateway, tmp_path: Path) -> None:
    alice, bob = phone(chromium, gateway, "alice", script=False), phone(chromium, gateway, "bob")
    carol, mallory = phone(chromium, gateway, "carol", dark=True), phone(chromium, gateway, "mallory")
    bob.goto("/")
    alice.goto("/executions/e")
    alice.get_by_role("link", name="Hand over").click()
    snapshot = alice.locator("main").aria_snapshot()
    for said in (
        "Drain node-7 now?",
        "Effects in force",
        "kubectl cordon node-7",
        "can be undone by",
        "Next",
        "Then come the steps: later",
    ):
        assert said in snapshot
    alice.get_by_label("To", exact=True).fill("alice")
    alice.get_by_role("button", name="Offer").click()
    assert "alice has it already" in alice.get_by_role("alert").inner_text()
    alice.get_by_label("To", exact=True).fill("bob, carol")
    alice.get_by_label("Note").fill("The pods of team search take long to go.")
    alice.get_by_label("Note").press("Tab")
    alice.keyboard.press("Enter")  # the whole form by keyboard
    alice.get_by_text("Offered to bob, carol.").wait_for()
    alice.screenshot(path=str(tmp_path / "1-offered.png"), full_page=True)

    bob.get_by_text("Something changed").wait_for(timeout=60_000)  # his inbox tells him
    bob.get_by_role("link", name="Look again").click()
    bob.get_by_text("alice offers you").wait_for()
    bob.screenshot(path=str(tmp_path / "2-inbox.png"), full_page=True)
    bob.get_by_role("link", name="drain", exact=True).first.click()
    bob.get_by_text("The pods of team search").first.wait_for()
    mallory.goto("/executions/e/handover")
    assert mallory.get_by_role("button", name="I take it over").count() == 0
    carol.goto("/executions/e/handover")
    carol.screenshot(path=str(tmp_path / "3-carol.png"), full_page=True)
    bob.get_by_role("button", name="I take it over").click()
    bob.get_by_text("It is yours now, bob.").wait_for()
    carol.get_by_text("Something changed").wait_for(timeout=60_000)
    carol.get_by_role("button", name="I take it over").click()  # she was about to
    assert "accepted by bob" in carol.get_by_role("alert").inner_text()
    assert carol.locator("dd").first.inner_text() == "bob"

    bob.screenshot(path=str(tmp_path / "4-taken.png"), full_page=True)
    bob.get_by_role("link", name="Report", exact=True).click()
    assert "alice to bob, carol" in bob.locator("main").inner_text()
    bob.screenshot(path=str(tmp_path / "5-report.png"), full_page=True)
    for tab in (alice, bob, carol, mallory):
        wide = tab.locator("html").evaluate("e => e.scrollWidth - e.clientWidth") if tab is not alice else 0
        assert wide <= 0
        tab.context.close()
