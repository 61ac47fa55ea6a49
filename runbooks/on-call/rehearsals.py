"""The rehearsals of the runbooks in this folder: an Alertmanager's answers, a webhook that counts, and executions that wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.rehearsal import Answer, Stage, rehearsal
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.standing_in import Came, Said, StandIn

# As Alertmanager 0.25 answers.
ALERTS = [
    {
        "labels": {"alertname": "DiskFilling", "severity": "page", "instance": "web-1:9100"},
        "annotations": {"summary": "/ of web-1 is 93 % full"},
        "startsAt": "2026-11-21T03:12:00.000Z",
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
    }
]
SILENCES = [
    {
        "matchers": [{"name": "instance", "value": "db-2:9100", "isRegex": False, "isEqual": True}],
        "endsAt": "2026-11-22T06:00:00.000Z",
        "createdBy": "ann",
        "comment": "new disk on Monday",
        "status": {"state": "active"},
    }
]


class Alertmanager(StandIn):
    """Two of its answers."""

    def answer(self, came: Came) -> Said:
        return Said(document=SILENCES if came.path.endswith("silences") else ALERTS)


@rehearsal("hand-over")
@contextmanager
def shift(folder: Path) -> Iterator[Stage]:
    """A shift with one alert, one silence, and two executions that wait for answers; `bob` takes over."""
    others = Sandbox(
        folder, environment={"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_STATE_DIR": str(folder / ".holdfast"), "HOLDFAST_USER": "starter"}
    )
    book = others.notebook(
        "restart", [("parameters", "n: int"), ("step:ask", "from holdfast import confirm\nconfirm(f'Restart number {n}?')")]
    )
    for n in (1, 2):
        assert others.holdfast("run", book, "--id", f"open-{n}", "-p", "n", str(n)).status == 3

    def offers() -> Counter[str]:
        found = [others.holdfast("handover", f"open-{n}", "--json").json for n in (1, 2)]
        return Counter(f"{one['execution']} offered to {', '.join(h['to'])}" for one in found for h in one["handovers"])

    with Alertmanager() as alertmanager, CountingServer(folder) as hook:

        def effects() -> Counter[str]:
            keys = {r["headers"]["Idempotency-Key"] for r in hook.requests("POST", "/shift")}
            return offers() + Counter({"summary sent": len(keys)})

        yield Stage(
            parameters={
                "receiver": "bob",
                "alertmanager": alertmanager.url,
                "notify": f"{hook.url}/shift?honour=1",
                "note": "web-1 again at four",
            },
            answers={"have you read the summary": Answer("yes", who=("bob",))},
            effects=effects,
            state=lambda: sorted(offers()),
        )
