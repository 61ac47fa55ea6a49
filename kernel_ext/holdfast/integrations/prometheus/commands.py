"""One-line commands: ``!prom query 'up == 0' --at http://prometheus:9090``."""

from __future__ import annotations

from holdfast.integrations.prometheus.alertmanager import connect_alertmanager
from holdfast.integrations.prometheus.metrics import connect
from holdfast.model.oneliner import family
from holdfast.show.findings import Rows


def query(promql: str, *, at: str) -> Rows:
    """The present values of a query; ``--at`` is the server's address."""
    return connect(at).query(promql)


def alerts(*, at: str) -> Rows:
    """The alerts that a Prometheus knows of."""
    return connect(at).alerts()


def silence(labels: list[str], *, hours: float, comment: str, at: str) -> str:
    """Silence alerts with ``name=value,…`` in an Alertmanager; returns the silence's id."""
    return str(connect_alertmanager(at).silence(dict(one.split("=", 1) for one in labels), hours=hours, comment=comment))


PROM = family("Prometheus and Alertmanager", reads={"query": query, "alerts": alerts}, writes={"silence": silence})
