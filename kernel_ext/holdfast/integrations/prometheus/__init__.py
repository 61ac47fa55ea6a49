"""Prometheus and Alertmanager over their HTTP APIs: queries, checks, alerts, silences.

::

    from holdfast import show
    from holdfast.integrations import prometheus

    metrics = prometheus.connect("http://prometheus:9090")
    show.lines(metrics.range("rate(http_errors_total[5m])", hours=3))
    prometheus.check_query(metrics, "up == 0", "every target is up")
    alerts = prometheus.connect_alertmanager("http://alertmanager:9093")
    quiet = alerts.silence({"alertname": "DiskFull", "instance": "db1"}, hours=2, comment="being mended")
"""

from __future__ import annotations

from holdfast.integrations.prometheus.alertmanager import Alertmanager, connect_alertmanager
from holdfast.integrations.prometheus.metrics import Metrics, check_alerts, check_query, connect

__all__ = ["Alertmanager", "Metrics", "check_alerts", "check_query", "connect", "connect_alertmanager"]
