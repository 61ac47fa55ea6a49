"""Checks: read-only, a finding each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from holdfast.integrations.network.device import Device
from holdfast.integrations.network.looking import bgp_summary, interfaces, ping
from holdfast.show.findings import Finding, judge


def check_bgp(device: Device, *, most_drops: int | None = None, exclude: Collection[str] = ()) -> Finding:
    """Whether every BGP session is established, and was lost at most ``most_drops`` times."""

    def why(row: Any) -> str:
        if row["state"] != "Established":
            return str(row["state"])
        return f"lost {row['drops']} times" if most_drops is not None and (row["drops"] or 0) > most_drops else ""

    return judge(f"BGP sessions of {device.name}", [r for r in bgp_summary(device) if r["object"] not in exclude], why, empty=False)


def check_interfaces(device: Device, *, most_errors: int | None = None) -> Finding:
    """Whether every interface that is enabled is up, with at most ``most_errors`` errors in and out."""

    def why(row: Any) -> str:
        if row["enabled"] and not row["up"]:
            return "down"
        errors = (row.get("input_errors") or 0) + (row.get("output_errors") or 0)
        return f"{errors} errors" if most_errors is not None and errors > most_errors else ""

    return judge(f"interfaces of {device.name}", interfaces(device), why, empty=False)


def check_ping(device: Device, address: str, *, count: int = 3, most_loss: float = 0.0) -> Finding:
    """Whether an address answers the device's pings, with at most ``most_loss`` percent lost."""

    def why(row: Any) -> str:
        return "no answer" if row["loss"] is None else f"{row['loss']:g} % lost" if row["loss"] > most_loss else ""

    return judge(f"{address} from {device.name}", [ping(device, address, count=count)], why)
