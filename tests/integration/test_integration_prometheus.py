"""Prometheus and Alertmanager: silences on a real Alertmanager where it is installed, queries on canned answers of Prometheus 2.42."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from holdfast.integrations.prometheus import connect_alertmanager
from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.alertmanager import AlertmanagerServer

VECTOR = [{"metric": {"__name__": "up", "job": "node", "instance": "db1"}, "value": [1700000000, "0"]}]
MATRIX = [{"metric": {"job": "node"}, "values": [[1700000000, "1"], [1700000060, "2.5"]]}]


class Canned(BaseHTTPRequestHandler):
    """Prometheus, as far as it is asked here."""

    asked: list[str]
    refusals: list[int]  # with these statuses the next requests are refused

    def log_message(self, format: str, *args: object) -> None:
        """The paths are kept."""

    def do_POST(self) -> None:
        """A query."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(self.path)
        if self.refusals:
            self.send_response(self.refusals.pop())
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        kind, result = ("matrix", MATRIX) if self.path.endswith("range") else ("vector", VECTOR)
        body = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class TestPrometheus(IntegrationContract):
    """Queries and silences."""

    asked: list[str] = []
    refusals: list[int] = []

    @pytest.fixture(scope="class")
    @classmethod
    def alertmanager(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
        with AlertmanagerServer(tmp_path_factory.mktemp("alertmanager")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, alertmanager: AlertmanagerServer) -> Iterator[Subject]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Canned,), {"asked": cls.asked, "refusals": cls.refusals}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        silence = "alerts.silence({'alertname': 'DiskFull'}, hours=1, comment='being mended')"
        known = [0]

        def olds(state: str) -> list[dict[str, Any]]:
            return [one for one in alertmanager.silences(state) if one["comment"] == "old"]

        def old() -> None:
            known[0] = len(olds("expired"))
            connect_alertmanager(alertmanager.url).silence({"alertname": "Old"}, hours=1, comment="old")

        yield Subject(
            setup=(
                "from holdfast.integrations import prometheus\n"
                f"metrics = prometheus.connect('http://127.0.0.1:{server.server_port}', token='env:PROM_TOKEN')\n"
                f"alerts = prometheus.connect_alertmanager({alertmanager.url!r}, user='ops', password='env:PROM_TOKEN')"
            ),
            reset=alertmanager.clear,
            environment={"PROM_TOKEN": "s3cret-of-prometheus"},
            modules=("httpx", "holdfast.integrations.prometheus"),
            secret="s3cret-of-prometheus",
            reads=(
                Read(
                    name="query",
                    cell="print(prometheus.check_query(metrics, 'up == 0', 'every target is up'))\nprint(metrics.range('up'))",
                    count=lambda: len(cls.asked),
                ),
            ),
            writes=(
                Write(
                    name="silence",
                    cell=f"print(len({silence}))",
                    count=lambda: len(alertmanager.silences()) - len(olds("active")),
                    effect="idempotent",
                    target="alertmanager://127.0.0.1:*/alertname=DiskFull",
                ),
                Write(
                    name="expire",
                    cell="(one,) = [s['object'] for s in alerts.silences() if s['comment'] == 'old']\nprint(alerts.expire(one))",
                    prepare=old,
                    count=lambda: len(olds("expired")) - known[0],
                    effect="idempotent",
                    target="alertmanager://127.0.0.1:*/silence/*",
                ),
            ),
        )
        server.shutdown()
        server.server_close()

    def test_what_is_found_is_told(self, cell: Callable[[str], CellRunner]) -> None:
        done = cell("print(prometheus.check_query(metrics, 'up == 0', 'every target is up'))\nprint(metrics.range('up', hours=1))").run()
        assert done.out.splitlines() == [
            'NOT OK: every target is up: up{instance="db1", job="node"} (is 0)',
            "{'{job=\"node\"}': [(1700000000.0, 1.0), (1700000060.0, 2.5)]}",
        ]

    def test_a_server_that_is_too_busy_is_asked_again(self, cell: Callable[..., CellRunner]) -> None:
        runner, before = cell("print(metrics.query('up').column('value'))"), len(self.asked)
        self.refusals += [429, 503]
        assert (runner.run().out, len(self.asked) - before) == ("[0.0]\n", 3)
        self.refusals.append(422)  # too costly a query: that does not pass
        done = cell("metrics.query('up')", "costly").run()
        assert done.status == 1 and "HF333" in done.out, done

    def test_a_silence_is_ended_once(self, alertmanager: AlertmanagerServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("made = alerts.silence({'alertname': 'X'}, hours=1, comment='c')\nalerts.expire(made)\nprint(len(alerts.silences()))")
        assert runner.run("call.after_effect@2=kill").killed
        done = runner.run()
        assert (done.status, done.out) == (0, "0\n"), done
        assert not alertmanager.silences()
