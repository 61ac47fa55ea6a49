"""The Datadog integration on a stand-in of Datadog's API, v1 and v2."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.datadog import API_KEY, APP_KEY, Datadog

HERE = "datadog://127.0.0.1:*"
MONITOR = """from datadog_api_client.v1.api.monitors_api import MonitorsApi
from datadog_api_client.v1.model.monitor import Monitor
from datadog_api_client.v1.model.monitor_type import MonitorType
wanted = Monitor(name="queue of mail", type=MonitorType("metric alert"), query="avg(last_5m):avg:mail.queue{*} > 100")
print(MonitorsApi(client).create_monitor(body=wanted).name)"""
DELETE = """from datadog_api_client.v1.api.monitors_api import MonitorsApi
print(MonitorsApi(client).delete_monitor(12) is not None)"""
MUTE_HOST = """from datadog_api_client.v1.api.hosts_api import HostsApi
from datadog_api_client.v1.model.host_mute_settings import HostMuteSettings
print(HostsApi(client).mute_host("web-1", body=HostMuteSettings(message="disk")).action)"""
CANCEL = "print(datadog.cancel_downtime('d1', client=client))"
UPDATE = "print(datadog.update_incident('i1', state='stable', client=client))"
COUNT = """from datadog_api_client.v2.api.metrics_api import MetricsApi
from datadog_api_client.v2.model.metric_payload import MetricPayload
from datadog_api_client.v2.model.metric_point import MetricPoint
from datadog_api_client.v2.model.metric_series import MetricSeries
from datadog_api_client.v2.model.metric_intake_type import MetricIntakeType
one = MetricSeries(metric="runbook.cleaned", type=MetricIntakeType(1), points=[MetricPoint(timestamp=1700000000, value=3.0)])
print(MetricsApi(client).submit_metrics(body=MetricPayload(series=[one])) is not None)"""


class TestDatadog(IntegrationContract):
    """Events, downtimes, monitors, incidents, hosts, metrics."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[Datadog]:
        with Datadog() as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: Datadog) -> Subject:
        def quiet() -> int:
            return len([d for d in server.downtimes.values() if d["attributes"]["status"] == "active"])

        def quiet_already() -> None:
            server.downtimes["d1"] = {"id": "d1", "attributes": {"status": "scheduled", "message": "m", "scope": "env:prod"}}

        def declared() -> None:
            server.incidents["i1"] = {"id": "i1", "type": "incidents", "attributes": {"title": "api is slow", "state": "active"}}

        def stable() -> int:
            return int(server.incidents.get("i1", {}).get("attributes", {}).get("state") == "stable")

        return Subject(
            setup=f"from holdfast.integrations import datadog\nclient = datadog.connect('env:DD_A', 'env:DD_B', url={server.url!r})",
            reset=server.reset,
            environment={"DD_A": API_KEY, "DD_B": APP_KEY},
            modules=("datadog_api_client.v1.api.monitors_api", "datadog_api_client.v2.api.downtimes_api", "holdfast.integrations.datadog"),
            secret=APP_KEY,
            limit=lambda n: setattr(server, "refuse", n),
            reads=(
                Read(name="query", cell="print(datadog.query('x', client=client))", count=lambda: server.asked("GET", "/api/v1/query")),
                Read(
                    name="logs",
                    cell="print(len(datadog.logs('service:web', client=client)))",
                    count=lambda: server.asked("POST", "/api/v2/logs/events/search"),
                ),
            ),
            writes=(
                Write("mute", "print(len(datadog.mute(11, hours=2, message='disk', client=client)))", quiet, "write", f"{HERE}/monitor/11"),
                Write("event", "print(datadog.post_event('restarted web', 'by hand', client=client) is not None)",
                      lambda: len(server.events), "write", f"{HERE}/events", asks=True),
                Write("monitor", MONITOR, lambda: len(server.monitors.keys() - {11, 12, 13}), "write", f"{HERE}/monitor"),
                Write("incident", "print(len(datadog.declare_incident('mail stands still', severity='SEV-3', client=client)))",
                      lambda: len(server.incidents.keys() - {"i1"}) - 1, "write", f"{HERE}/incidents", asks=True),
                Write("cancel", CANCEL, lambda: int(server.downtimes.get("d1", {}).get("attributes", {}).get("status") == "canceled"),
                      "idempotent", f"{HERE}/downtime/d1", prepare=quiet_already),
                Write("update-incident", UPDATE, stable, "idempotent", f"{HERE}/incidents/i1", prepare=declared),
                Write("delete", DELETE, lambda: int(12 not in server.monitors), "idempotent", f"{HERE}/monitor/12"),
                Write("mute-host", MUTE_HOST, lambda: len(server.muted.get("web-1", ())), "idempotent", f"{HERE}/host/web-1/mute"),
                Write("count", COUNT, lambda: len(server.series), "write", f"{HERE}/series", asks=True),
            ),
        )  # fmt: skip

    def test_what_got_no_answer_is_found_again(self, server: Datadog, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "print(datadog.post_event('restarted web', 'by hand', client=client))\n"
            "print(datadog.mute(11, hours=1, message='disk', client=client))\n"
            "declared = datadog.declare_incident('mail stands still', client=client)"
        )
        server.downtimes |= {str(n): {"id": str(n), "attributes": {"status": "ended", "message": "old"}} for n in range(150)}
        server.lose += ["POST /api/v1/events", "POST /api/v2/downtime", "POST /api/v2/incidents"]
        done = runner.run()
        (event,), (*_, downtime) = server.events, server.downtimes
        assert (done.status, done.out) == (0, f"{event['id']}\n{downtime}\n"), done
        assert (len(server.downtimes), len(server.incidents)) == (151, 2)

    def test_an_index_that_lags_proves_nothing(self, server: Datadog, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("print(datadog.post_event('restarted web', 'by hand', client=client))")
        server.lagging = True
        assert runner.run("call.after_effect=kill").killed
        assert runner.run().status == 3, "a person is asked, because it may be on its way into the index"
        server.lagging = False
        assert (runner.run().out, len(server.events)) == ("7000000\n", 1), "found before anybody answered"

    def test_a_downtime_is_cancelled_once(self, server: Datadog, cell: Callable[[str], CellRunner]) -> None:
        source = "quiet = datadog.downtime('env:prod', hours=1, message='m', client=client)\ndatadog.cancel_downtime(quiet, client=client)"
        runner = cell(f"{source}\nprint(datadog.downtimes(client=client))")
        assert runner.run("call.after_effect@2=kill").killed
        assert runner.run().status == 0
        assert [(d["attributes"]["scope"], d["attributes"]["status"]) for d in server.downtimes.values()] == [("env:prod", "canceled")]

    def test_a_dry_run_has_datadog_judge_a_monitor(self, server: Datadog, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            f"{MONITOR}\nwanted.query = 'nonsense'\ntry:\n    MonitorsApi(client).create_monitor(body=wanted)\nfinally:\n    print('end')"
        )
        runner.dry_run = True
        done = runner.run()
        said = [plan["said"] for plan in runner.planned()]
        assert said[0] == "would be accepted" and said[1].startswith("would be refused: 400") and "'query' is invalid" in said[1], (
            done,
            said,
        )
        assert len(server.monitors) == 3

    def test_what_is_found_is_told(self, cell: Callable[[str], CellRunner]) -> None:
        done = cell(
            "print(datadog.check_monitors(tags=['team:web'], client=client))\n"
            "print(datadog.check_monitors(name='heartbeet', client=client))\n"
            "print(datadog.check_metric('max:system.disk.in_use{*}', at_most=0.45, client=client))\n"
            "print(datadog.check_incidents(client=client))\n"
            "print(datadog.monitors(('Alert',), client=client))\n"
            "print(datadog.logs('x', most=3, client=client).column('message'), len(datadog.logs('x', most=1000, client=client)))\n"
            "print(datadog.incidents(client=client).column('severity'), datadog.events(client=client))"
        ).run()
        assert done.status == 0, done
        told = done.out.splitlines()
        assert told[0] == "NOT OK: monitors with team:web: 11 (disk of web: Alert (host:web-1))"
        assert told[1].startswith("NOT OK: monitors named heartbeet")
        assert told[2] == "NOT OK: max:system.disk.in_use{*}: max:system.disk.in_use{host:web-1} (is 0.5, more than 0.45)"
        assert "(SEV-2: checkout is slow)" in told[3]
        assert "disk of web" in done.out and "['disk full 0', 'disk full 1', 'disk full 2'] 250" in done.out and "['SEV-2']" in done.out

    def test_requests_of_the_threaded_client_are_understood(self, server: Datadog, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "from datadog_api_client import ThreadedApiClient\nfrom datadog_api_client.v1.api.monitors_api import MonitorsApi\n"
            "threaded = ThreadedApiClient(client.configuration)\nprint(MonitorsApi(threaded).delete_monitor(12).get().deleted_monitor_id)"
        )
        assert runner.run("call.after_effect=kill").killed
        assert runner.run().out == "12\n"
