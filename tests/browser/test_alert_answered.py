"""From an alert to its effect: monitoring notices, the webhook tells, a rule starts the right runbook with the alert's labels, a person
answers in the inbox (real Chromium), the cluster's own count has the change once, and the alert's end reaches the waiting execution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.events.inbox import list_events
from holdfast.testing.demonstrating import Demonstration
from holdfast.testing.rehearsal import find
from holdfast.testing.servers.monitoring import find_programs
from holdfast.testing.waiting import until

BOOK = Path(__file__).parents[2] / "runbooks" / "kubernetes" / "crash-loop.ipynb"
SLOW = 60_000


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["stand-in", "alertmanager"])
def test_a_person_answers_and_the_alert_ends(chromium: Any, tmp_path: Path, real: bool) -> None:
    """Gateway and worker are killed between receipt and start."""
    if real and find_programs() is None:
        pytest.skip("prometheus and prometheus-alertmanager are not installed")
    told: list[str] = []
    with find(BOOK).stage(tmp_path) as stage, Demonstration(BOOK, stage, tmp_path, told.append, real=real) as demonstration:
        until(lambda: demonstration.look() and any("it asks" in said for said in told), "the first question", 120)
        assert [strike.split()[1] for strike in demonstration.sandbox.struck()] == ["event.after_receive@1", "event.after_decision@1"]
        assert stage.effects() == {}, "nothing is done before somebody says so"
        (execution,) = demonstration.executions()
        (event,) = list_events(demonstration.store)
        given = {"namespace": "shop", "workload": "web", "alert": event.event.subject}
        assert (execution.runbook, execution.parameters) == ("crash-loop", given)

        page = chromium.new_page(viewport={"width": 390, "height": 844})  # in bed
        page.goto(demonstration.inbox)
        page.get_by_role("link", name="What now?").click(timeout=SLOW)
        page.get_by_label("Reason").fill("OOMKilled, all three")
        page.screenshot(path=str(tmp_path / "decide.png"), full_page=True)
        page.get_by_role("button", name="more memory").click()
        page.get_by_text("Your answer is recorded").wait_for(timeout=SLOW)
        until(lambda: demonstration.look() and any("give web 96 MiB" in said for said in told), "the second question", 120)
        page.goto(demonstration.gateway.address)
        page.get_by_role("link", name="give web 96 MiB").click(timeout=SLOW)
        assert "kubectl -n shop set resources deployment/web -c web --limits=memory=96Mi" in page.locator("main").inner_text()
        page.get_by_role("button", name="Yes").click()
        page.get_by_text("Your answer is recorded").wait_for(timeout=SLOW)

        until(demonstration.ended, "the end", 120)
        page.goto(f"{demonstration.gateway.address}/executions/{execution.id}")
        page.locator("h1 .state.succeeded").wait_for(timeout=SLOW)
        page.close()
        assert stage.effects() == {"update shop/deployments/web": 1}, "counted by the cluster"
        firing, resolved = list_events(demonstration.store, newest_first=False)
        assert (firing.event.type, resolved.event.type) == ("io.prometheus.alert.firing", "io.prometheus.alert.resolved")
        entries = demonstration.sandbox.entries(execution.id)
        (signal,) = [entry for entry in entries if entry.kind == "signal.received"]
        assert signal.data["value"]["id"] == resolved.event.id
        taken = [entry.step for entry in entries if entry.kind == "signal.taken" and entry.data.get("seq")]
        assert taken == ["close"], "the alert's end reached the cell that waits for it"
        demonstration.sandbox.assert_laws(execution.id)
        report = demonstration.sandbox.holdfast("export", execution.id).out
        assert "The alert is over" in report
