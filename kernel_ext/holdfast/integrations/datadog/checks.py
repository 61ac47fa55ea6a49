"""Checks: read-only, a finding each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast.integrations.datadog.looking import incidents, latest, monitors
from holdfast.show.findings import Finding, judge


def check_monitors(
    *, tags: Sequence[str] = (), name: str = "", bad: Sequence[str] = ("Alert", "No Data"), empty: bool = False, client: Any = None
) -> Finding:
    """Whether no monitor is in one of the ``bad`` states.

    Args:
        tags: of the monitors; with ``name`` (a part of it) says which.
        empty: what it means that there is no such monitor: not well, by default, as a misspelt tag would be.
    """

    def why(row: Mapping[str, Any]) -> str:
        return f"{row['name']}: {row['state']}" + (f" ({row['groups']})" if row["groups"] else "") if row["state"] in bad else ""

    seen = monitors((), tags=tags, name=name, client=client)
    which = "".join((f" with {', '.join(tags)}" if tags else "", f" named {name}" if name else ""))
    return judge(f"monitors{which}", seen, why, empty=empty)


def check_metric(
    metric: str, *, at_most: float | None = None, at_least: float | None = None, hours: float = 0.25, check: str = "", client: Any = None
) -> Finding:
    """Whether the newest value of each series is within bounds. No values at all are not well.

    Args:
        metric: a query of metrics.
        at_most: a value above fails.
        at_least: a value below fails.
        hours: values older than this do not count.
        check: what it is called for people; the query by default.
    """

    def why(row: Mapping[str, Any]) -> str:
        if at_most is not None and row["value"] > at_most:
            return f"is {row['value']:g}, more than {at_most:g}"
        return f"is {row['value']:g}, less than {at_least:g}" if at_least is not None and row["value"] < at_least else ""

    return judge(check or metric, latest(metric, hours=hours, client=client), why, empty=False)


def check_incidents(*, severities: Sequence[str] = ("SEV-1", "SEV-2"), client: Any = None) -> Finding:
    """Whether no incident of these severities is active."""
    rows = incidents(("active",), client=client)
    return judge("active incidents", rows, lambda row: f"{row['severity']}: {row['title']}" if row["severity"] in severities else "")
