"""The PagerDuty integration on a stand-in of its REST and Events APIs, over TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.pagerduty import PagerDutyServer

KEY, ROUTING = "u+s3cret-of-pagerduty", "R0UT1NGR0UT1NGR0UT1NGR0UT1NG1234"
CREATE = """made = api.rpost("incidents", json={"type": "incident", "title": "disk", "service": {"id": "S1", "type": "service_reference"}})
print(made["title"])"""


class TestPagerDuty(IntegrationContract):
    """Alerts, incidents, notes."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagerDutyServer]:
        with PagerDutyServer(tmp_path_factory.mktemp("pagerduty")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: PagerDutyServer) -> Subject:
        def alerts() -> int:
            assert all(actions.count("trigger") >= 1 for actions in server.alerts.values())
            return len(server.alerts)  # PagerDuty itself takes events with one key for one

        return Subject(
            setup=(
                "from holdfast.integrations import pagerduty\n"
                f"api = pagerduty.connect('env:PD_KEY', default_from='ops@example.com', base_url={server.url!r})\n"
                f"events = pagerduty.connect_events('env:PD_ROUTING', base_url={server.url!r})"
            ),
            reset=server.reset,
            environment={"PD_KEY": KEY, "PD_ROUTING": ROUTING, "SSL_CERT_FILE": str(server.ca)},
            modules=("pagerduty", "holdfast.integrations.pagerduty"),
            secret=ROUTING,
            limit=lambda n: setattr(server, "refuse", n),
            reads=(
                Read(
                    name="incidents",
                    cell="print(pagerduty.incidents(client=api).column('title'))",
                    count=lambda: server.requests.count(("GET", "/incidents")),
                ),
            ),
            writes=(
                Write(
                    name="trigger",
                    cell="print(len(events.trigger('web is down', 'web-1')))",
                    count=alerts,
                    effect="idempotent",
                    target="pagerduty://events/*",
                ),
                Write(
                    name="incident",
                    cell=CREATE,
                    count=lambda: len(server.incidents) - 1,
                    effect="idempotent",
                    target="pagerduty://incidents",
                ),
                Write(
                    name="note",
                    cell="print(pagerduty.note('P1', 'restarted web', client=api))",
                    count=lambda: len(server.notes.get("P1", ())),
                    effect="write",
                    target="pagerduty://incidents/P1/notes",
                ),
                Write(
                    name="acknowledge",
                    cell="print(pagerduty.acknowledge('P1', client=api))",
                    count=lambda: int(server.incidents["P1"]["status"] == "acknowledged"),
                    effect="idempotent",
                    target="pagerduty://incidents/P1",
                ),
                Write(
                    name="resolve",
                    cell="print(pagerduty.resolve('P1', client=api))",
                    count=lambda: int(server.incidents["P1"]["status"] == "resolved"),
                    effect="idempotent",
                    target="pagerduty://incidents/P1",
                ),
            ),
        )

    def test_a_note_of_the_same_words_is_another_note(self, server: PagerDutyServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("for _ in range(2):\n    pagerduty.note('P1', 'still looking', client=api)")
        assert runner.run("call.after_effect@4=kill").killed  # look, note, look, note
        assert runner.run().status == 0
        assert [n["content"] for n in server.notes["P1"]] == ["still looking"] * 2

    def test_what_nobody_has_taken_is_found(self, cell: Callable[[str], CellRunner]) -> None:
        assert (
            cell("print(pagerduty.check_incidents(client=api))").run().out.startswith("NOT OK: unacknowledged incidents: P1 (web is down")
        )
