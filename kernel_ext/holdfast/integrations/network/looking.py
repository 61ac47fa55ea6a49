"""Readings for people: what a device says, as rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from holdfast.errors import CallError
from holdfast.integrations.network.device import Device
from holdfast.show.findings import Rows

_PLATFORMS = {"ios": "cisco_ios", "xe": "cisco_ios", "xr": "cisco_xr", "nxos": "cisco_nxos", "eos": "arista_eos"}
_LOSS = re.compile(r"([\d.]+)% packet loss")
_SENT = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
_RATE = re.compile(r"Success rate is (\d+) percent \((\d+)/(\d+)\)")
_ROUND = re.compile(r"(?:rtt|round-trip)[^=\d]*=?\s*([\d.]+)/([\d.]+)/([\d.]+)")


def bgp_summary(device: Device) -> Rows:
    """The peers: address, AS, our AS, state, since when, prefixes received, and ``drops``: how often the session was lost (None where the
    device does not say)."""
    if device.kind == "frr":
        return _frr_peers(_document(device, "show bgp summary json"))
    if device.kind == "junos":
        return _junos_peers(_document(device, "show bgp summary | display json"))
    if device.kind == "eos":
        return _eos_peers(_document(device, "show ip bgp summary | json"))
    command = "show bgp summary" if device.kind == "xr" else "show ip bgp summary"
    return Rows(_cisco_peer(row) for row in _structured(device, command))


def peer(device: Device, address: str) -> dict[str, Any]:
    """One peer of :func:`bgp_summary`.

    Raises:
        CallError: HF330 the device has no such peer.
    """
    rows = bgp_summary(device)
    found = next((row for row in rows if row["object"] == address), None)
    if found is None:
        there = ", ".join(str(row["object"]) for row in rows) or "none"
        raise CallError("HF330", f"{device.name} has no peer {address}; it has {there}", cure="correct the address")
    if found["drops"] is None:
        said = device.send_command(f"show ip bgp neighbors {address} | include onnections established")
        match = re.search(r"dropped (\d+)", said)
        found["drops"] = int(match.group(1)) if match else None
    return found


def route(device: Device, address: str) -> str:
    """The route to an address, as the device prints it."""
    return device.send_command(f"show route {address}" if device.kind == "junos" else f"show ip route {address}").strip()


def ping(device: Device, address: str, *, count: int = 3) -> dict[str, Any]:
    """Ping from the device: ``loss`` in percent (None where it does not say), round trip ``ms`` on average, and all it ``said``."""
    if device.kind == "frr":  # vtysh's ping goes on until it is stopped
        said = device.send_command(f"ping {address}", stop_after=count - 0.5)
    elif device.kind in ("junos", "nxos"):
        said = device.send_command(f"ping {address} count {count}", timeout=count * 5 + 30)
    else:
        said = device.send_command(f"ping {address} repeat {count}", timeout=count * 5 + 30)
    return {"object": address, **read_ping(said), "said": said.strip()}


def read_ping(said: str) -> dict[str, Any]:
    """Loss and round trip out of what a ping prints."""
    sent, rate, times = _SENT.search(said), _RATE.search(said), _ROUND.search(said)
    loss = 100.0 - float(rate.group(1)) if rate else None
    if match := _LOSS.search(said):
        loss = float(match.group(1))
    elif sent:
        loss = 100.0 * (1 - int(sent.group(2)) / max(1, int(sent.group(1))))
    return {"loss": loss, "ms": float(times.group(2)) if times else None}


def interfaces(device: Device) -> Rows:
    """The interfaces: whether they are up, and their errors where the device counts them."""
    if device.kind == "frr":
        found = _document(device, "show interface json")
        return Rows(
            {"object": name, "up": one.get("operationalStatus") == "up", "enabled": one.get("administrativeStatus") == "up"}
            for name, one in found.items()
        )
    if device.kind == "junos":
        return _junos_interfaces(_document(device, "show interfaces extensive | display json"))
    return Rows(_cisco_interface(row) for row in _structured(device, "show interfaces"))


def _document(device: Device, command: str) -> Any:
    said = device.send_command(command, timeout=120)
    try:
        return json.loads(said[said.index("{") :])
    except ValueError:
        raise CallError("HF333", f"{device.name} gives no JSON for `{command}`", cure="is it of that kind?") from None


def _structured(device: Device, command: str) -> list[dict[str, Any]]:
    """The rows of a command by the templates of ntc-templates, which come with netmiko."""
    from netmiko.utilities import get_structured_data_textfsm

    said = device.send_command(command, timeout=120)
    found = get_structured_data_textfsm(said, platform=_PLATFORMS[device.kind], command=command)
    if not isinstance(found, list):
        raise CallError("HF333", f"what {device.name} says to `{command}` is not understood", cure="is it of that kind?")
    return [dict(row) for row in found]


def _frr_peers(found: dict[str, Any]) -> Rows:
    rows = Rows()
    for family in found.values():
        for address, one in (family.get("peers") or {}).items() if isinstance(family, dict) else ():
            if all(row["object"] != address for row in rows):
                drops, own = one.get("connectionsDropped"), one.get("localAs")
                rows.append(_row(address, one["remoteAs"], one["state"], one.get("peerUptime"), one.get("pfxRcd"), drops, own))
    return rows


def _eos_peers(found: dict[str, Any]) -> Rows:
    there = (found.get("vrfs") or {}).get("default") or {}
    return Rows(
        _row(address, one.get("asn"), one.get("peerState"), one.get("upDownTime"), one.get("prefixReceived"), None, there.get("asn"))
        for address, one in (there.get("peers") or {}).items()
    )


def _junos_peers(found: dict[str, Any]) -> Rows:
    (info,) = found["bgp-information"]
    return Rows(
        _row(
            _data(one, "peer-address").partition("+")[0],
            _data(one, "peer-as"),
            _data(one, "peer-state"),
            _data(one, "elapsed-time"),
            sum(int(_data(rib, "received-prefix-count") or 0) for rib in one.get("bgp-rib") or ()),
            int(_data(one, "flap-count") or 0),
        )
        for one in info.get("bgp-peer") or ()
    )


def _junos_interfaces(found: dict[str, Any]) -> Rows:
    (info,) = found["interface-information"]

    def errors(one: dict[str, Any], way: str) -> int | None:
        lists = one.get(f"{way}-error-list") or []
        return int(_data(lists[0], f"{way}-errors") or 0) if lists else None

    return Rows(
        {
            "object": _data(one, "name"),
            "up": _data(one, "oper-status") == "up",
            "enabled": _data(one, "admin-status") == "up",
            "input_errors": errors(one, "input"),
            "output_errors": errors(one, "output"),
        }
        for one in info.get("physical-interface") or ()
    )


def _data(one: dict[str, Any], name: str) -> str:
    """Junos puts every value into a list of objects with ``data``."""
    values = one.get(name) or [{}]
    return str(values[0].get("data", ""))


def _cisco_peer(row: dict[str, Any]) -> dict[str, Any]:
    shown = str(_any(row, "state_or_prefixes_received", "state_pfxrcd", "state") or "")
    up = shown.isdigit()
    address = _any(row, "bgp_neighbor", "bgp_neigh", "neighbor")
    asn, since, own = _any(row, "neighbor_as", "neigh_as"), _any(row, "up_down"), _any(row, "local_as")
    return _row(address, asn, "Established" if up else shown, since, int(shown) if up else 0, None, own)


def _cisco_interface(row: dict[str, Any]) -> dict[str, Any]:
    number: Callable[[Any], int | None] = lambda text: int(text) if str(text or "").isdigit() else None  # noqa: E731 - as short as that
    return {
        "object": row.get("interface"),
        "up": str(row.get("protocol_status") or row.get("link_status") or "").startswith("up"),
        "enabled": "administratively" not in str(row.get("link_status") or ""),
        "input_errors": number(row.get("input_errors")),
        "output_errors": number(row.get("output_errors")),
    }


def _any(row: dict[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _row(address: Any, asn: Any, state: Any, since: Any, prefixes: Any, drops: int | None, own: Any = None) -> dict[str, Any]:
    asn, own = (int(number) if str(number).isdigit() else number for number in (asn, own))
    return {"object": address, "as": asn, "local_as": own, "state": state, "up": since, "prefixes": prefixes, "drops": drops}
