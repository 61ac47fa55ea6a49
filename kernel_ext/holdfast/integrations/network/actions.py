"""What runbooks do to a device."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.integrations.network.device import Device


def shut_peer(device: Device, own_as: int, peer: str, *, group: str = "") -> str:
    """Close a BGP session until :func:`open_peer`. ``group`` is the peer's, on Junos."""
    return device.send_config_set(peer_lines(device, own_as, peer, shut=True, group=group))


def open_peer(device: Device, own_as: int, peer: str, *, group: str = "") -> str:
    """Let a BGP session come up again."""
    return device.send_config_set(peer_lines(device, own_as, peer, shut=False, group=group))


def peer_lines(device: Device, own_as: int | None, peer: str, *, shut: bool, group: str = "") -> list[str]:
    """The lines that :func:`shut_peer` and :func:`open_peer` type: for a plan.

    Raises:
        ValueError: the device wants what is not given: its own AS, on Junos the peer's group.
    """
    if own_as is None if device.kind != "junos" else not group:
        raise ValueError(f"{device.name} wants " + ("the peer's group" if device.kind == "junos" else "its own AS"))
    if device.kind == "junos":
        return [f"{'deactivate' if shut else 'activate'} protocols bgp group {group} neighbor {peer}"]
    return [f"router bgp {own_as}", f"{'' if shut else 'no '}neighbor {peer} shutdown"]


def configure(device: Device, lines: Sequence[str]) -> str:
    """Type lines of configuration, once."""
    return device.send_config_set(lines)
