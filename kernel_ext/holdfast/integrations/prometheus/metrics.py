"""Prometheus: queries as rows and series, and checks made of them."""

from __future__ import annotations

import datetime
from typing import Any

from holdfast.durable.clock import now
from holdfast.integrations.prometheus.sending import Server
from holdfast.show.findings import Finding, Rows, judge


class Metrics(Server):
    """A Prometheus (or what speaks its API: Thanos, Mimir, VictoriaMetrics)."""

    def query(self, promql: str, *, at: datetime.datetime | None = None) -> Rows:
        """The present value of each series: its labels, ``object`` (the series by its labels), ``value``."""
        given = {"query": promql, **({"time": str(at.timestamp())} if at is not None else {})}
        data = self.ask("POST", "/api/v1/query", data=given)["data"]
        if data["resultType"] in ("scalar", "string"):
            return Rows([{"object": promql, "value": float(data["result"][1]) if data["resultType"] == "scalar" else data["result"][1]}])
        return Rows({"object": _name(one["metric"]), "value": float(one["value"][1]), **one["metric"]} for one in data["result"])

    def range(
        self, promql: str, *, hours: float = 3.0, step: float | None = None, end: datetime.datetime | None = None
    ) -> dict[str, list[tuple[float, float]]]:
        """Each series' points over the last ``hours``, for ``show.lines``.

        Args:
            step: seconds between two points; by default there are 240.
        """
        until = (end or now()).timestamp()
        given = {"query": promql, "start": str(until - hours * 3600), "end": str(until), "step": str(step or max(1.0, hours * 15))}
        data = self.ask("POST", "/api/v1/query_range", data=given)["data"]
        return {_name(one["metric"]): [(float(t), float(v)) for t, v in one["values"]] for one in data["result"]}

    def targets(self) -> Rows:
        """What is scraped: address, job, whether it answers, and why not."""
        found = self.ask("GET", "/api/v1/targets", params={"state": "active"})["data"]["activeTargets"]
        return Rows(
            {"object": t["scrapeUrl"], "job": t["labels"].get("job"), "health": t["health"], "error": t["lastError"]} for t in found
        )

    def alerts(self) -> Rows:
        """The alerts that Prometheus itself sees: name, state, since when, labels."""
        found = self.ask("GET", "/api/v1/alerts")["data"]["alerts"]
        return Rows({"object": _name(a["labels"]), "state": a["state"], "since": a.get("activeAt"), **a["labels"]} for a in found)


def connect(url: str, **credentials: Any) -> Metrics:
    """A Prometheus. Make it in a cell tagged ``setup``. ``credentials`` as for :class:`Server`.

    Raises:
        OperatorError: HF219 a reference leads nowhere.
    """
    return Metrics(url, **credentials)


def check_query(metrics: Metrics, promql: str, check: str = "", *, empty: bool = True) -> Finding:
    """Whether the query finds nothing: write what must not be (``up == 0``), as alerts are written.

    Args:
        check: what it is called for people; the query by default.
        empty: False turns it round: well is what finds something.
    """
    rows = metrics.query(promql)
    if empty:
        return judge(check or promql, rows, lambda row: f"is {row['value']:g}" if isinstance(row["value"], float) else str(row["value"]))
    return Finding(check=check or promql, ok=bool(rows), looked_at=len(rows), said=f"{len(rows)} found")


def check_alerts(metrics: Metrics, **labels: str) -> Finding:
    """Whether no alert fires with these labels."""
    rows = [row for row in metrics.alerts() if all(row.get(name) == value for name, value in labels.items())]
    return judge("alerts that fire", rows, lambda row: f"fires since {row['since']}" if row["state"] == "firing" else "")


def _name(labels: dict[str, str]) -> str:
    inside = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()) if name not in ("__name__", "alertname"))
    return f"{labels.get('__name__') or labels.get('alertname') or ''}{{{inside}}}"
