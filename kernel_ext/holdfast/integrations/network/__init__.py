"""Network devices and hosts over SSH, on netmiko and paramiko: each command typed once, functions for runbooks, checks.

::

    from holdfast.integrations import network

    edge = network.connect("edge-1", "junos", user="ops", password="env:DEVICE_PASSWORD")
    network.check_bgp(edge)
    edge.send_config_set(["router bgp 65001", "neighbor 192.0.2.3 shutdown"])
    network.host("web-1", user="ops").run("systemctl restart nginx", probe="systemctl is-active nginx")
"""

from __future__ import annotations

from holdfast.integrations.network.actions import configure, open_peer, peer_lines, shut_peer
from holdfast.integrations.network.checks import check_bgp, check_interfaces, check_ping
from holdfast.integrations.network.device import Device, connect
from holdfast.integrations.network.host import Host, Ran, host
from holdfast.integrations.network.looking import bgp_summary, interfaces, peer, ping, route

__all__ = [
    "Device",
    "Host",
    "Ran",
    "bgp_summary",
    "check_bgp",
    "check_interfaces",
    "check_ping",
    "configure",
    "connect",
    "host",
    "interfaces",
    "open_peer",
    "peer",
    "peer_lines",
    "ping",
    "route",
    "shut_peer",
]
