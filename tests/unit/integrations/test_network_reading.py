"""Network devices: what commands do by their words, whether lines are in effect, answers of several vendors (samples by hand)."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from holdfast.integrations import network
from holdfast.integrations.network.configuration import fingerprint, in_effect, missing
from holdfast.integrations.network.device import Device
from holdfast.integrations.network.looking import read_ping
from holdfast.integrations.network.words import destroys, meaning

RUNNING = """Building configuration...
Current configuration : 1234 bytes
! Last configuration change at 10:00
hostname r1
interface eth0
 shutdown
interface eth1
 description uplink
!
router bgp 65001
 neighbor 192.0.2.3 remote-as 65002
 neighbor 192.0.2.30 shutdown
 address-family ipv4 unicast
  neighbor 192.0.2.3 soft-reconfiguration inbound
 exit-address-family
end
"""


@pytest.mark.parametrize(
    ("command", "effect", "destructive"),
    [
        ("show version", "read", False),
        ("sh ip bgp sum", "read", False),
        ("do show run", "read", False),
        ("ping 192.0.2.3", "read", False),
        ("show run | include bgp", "read", False),
        ("show tech | redirect flash:x", "write", False),
        ("show route > /tmp/x", "write", False),
        ("show configuration | save x", "write", False),
        ("shutdown", "write", False),
        ("write memory", "idempotent", False),
        ("wr", "idempotent", False),
        ("write erase", "write", True),
        ("copy running-config startup-config", "idempotent", False),
        ("copy running-config tftp://x", "write", False),
        ("reload", "write", True),
        ("reload in 5", "write", True),
        ("request system reboot", "write", True),
        ("clear ip bgp *", "write", True),
        ("clear bgp 192.0.2.3", "write", False),
        ("clear counters eth0", "idempotent", False),
        ("delete flash:x", "write", True),
        ("frobnicate", "write", False),
    ],
)
def test_what_a_command_does(command: str, effect: str, destructive: bool) -> None:
    assert (meaning(command).effect, meaning(command).destructive) == (effect, destructive)


def test_what_configuration_takes_away() -> None:
    assert destroys(["router bgp 1", "no router bgp 2"]) and destroys(["delete protocols bgp"])
    assert not destroys(["interface eth0", "shutdown", "no description"])


@pytest.mark.parametrize(
    ("lines", "lacking"),
    [
        (["interface eth0", "shutdown"], []),
        (["interface eth1", "shutdown"], ["shutdown"]),
        (["interface eth1", "no shutdown"], []),
        (["interface eth0", "no shutdown"], ["no shutdown"]),
        (["router bgp 65001", "neighbor 192.0.2.3 shutdown"], ["neighbor 192.0.2.3 shutdown"]),
        (["router bgp 65001", "no neighbor 192.0.2.3 shutdown"], []),
        (["router bgp 65001", "no neighbor 192.0.2.30"], ["no neighbor 192.0.2.30"]),
        (["router bgp 65001", "address-family ipv4 unicast", "neighbor 192.0.2.3 soft-reconfiguration inbound"], []),
        (["router bgp 65001", "neighbor 192.0.2.3 soft-reconfiguration inbound"], ["neighbor 192.0.2.3 soft-reconfiguration inbound"]),
        (["interface eth1", "description uplink", "exit", "hostname r1"], []),
        (["interface eth1", "description uplink", "interface eth0", "shutdown"], []),
        (["hostname r2"], ["hostname r2"]),
    ],
)
def test_lines_are_in_effect_where_they_belong(lines: list[str], lacking: list[str]) -> None:
    assert missing(lines, RUNNING)[0] == lacking
    assert in_effect(lines, RUNNING) is (not lacking)


def test_lines_of_junos() -> None:
    there = "set interfaces ge-0/0/0 disable\nset protocols bgp group x neighbor 192.0.2.3\n"
    there += "deactivate protocols bgp group x neighbor 192.0.2.4\n"
    assert in_effect(["set interfaces ge-0/0/0 disable", "delete interfaces ge-0/0/1"], there)
    assert not in_effect(["delete interfaces ge-0/0/0"], there)
    assert in_effect(["deactivate protocols bgp group x neighbor 192.0.2.4", "activate protocols bgp group x neighbor 192.0.2.3"], there)
    assert not in_effect(["activate protocols bgp group x neighbor 192.0.2.4"], there)


def test_a_fingerprint_is_of_what_a_configuration_says() -> None:
    assert fingerprint(RUNNING) == fingerprint(RUNNING.replace("1234", "99").replace("10:00", "11:00"))
    assert fingerprint(RUNNING) != fingerprint(RUNNING.replace(" shutdown\ninterface eth1", "interface eth1\n shutdown"))


class Said(Device):
    """A device that says what it is told to say."""

    def __init__(self, kind: str, answers: dict[str, str]) -> None:
        super().__init__({"host": "x", "kind": kind, "timeout": 1.0, "port": 22})
        self._answers = answers

    def send_command(self, command: str, **options: Any) -> str:
        return self._answers[command]


IOS = """BGP router identifier 10.0.0.1, local AS number 65001
BGP table version is 19, main routing table version 19

Neighbor        V           AS MsgRcvd MsgSent   TblVer  InQ OutQ Up/Down  State/PfxRcd
192.0.2.3       4        65002      14      17       19    0    0 00:08:39        5
192.0.2.4       4        65003       0       0        1    0    0 never    Idle
"""
JUNOS = {
    "bgp-information": [
        {
            "bgp-peer": [
                {
                    "peer-address": [{"data": "192.0.2.3+179"}],
                    "peer-as": [{"data": "65002"}],
                    "flap-count": [{"data": "7"}],
                    "elapsed-time": [{"data": "1:02:03"}],
                    "peer-state": [{"data": "Established"}],
                    "bgp-rib": [{"received-prefix-count": [{"data": "5"}]}],
                }
            ]
        }
    ]
}


def test_bgp_of_several_vendors() -> None:
    ios = Said(
        "ios",
        {
            "show ip bgp summary": IOS,
            "show ip bgp neighbors 192.0.2.3 | include onnections established": "  Connections established 3; dropped 2\n",
        },
    )
    rows = network.bgp_summary(ios)
    assert [(r["object"], r["as"], r["state"], r["prefixes"], r["drops"]) for r in rows] == [
        ("192.0.2.3", 65002, "Established", 5, None),
        ("192.0.2.4", 65003, "Idle", 0, None),
    ]
    assert network.peer(ios, "192.0.2.3")["drops"] == 2
    with pytest.raises(Exception, match=r"no peer 1\.1\.1\.1; it has 192\.0\.2\.3, 192\.0\.2\.4"):
        network.peer(ios, "1.1.1.1")
    junos = Said("junos", {"show bgp summary | display json": "\n" + json.dumps(JUNOS)})
    assert [(r["object"], r["as"], r["state"], r["prefixes"], r["drops"]) for r in network.bgp_summary(junos)] == [
        ("192.0.2.3", 65002, "Established", 5, 7)
    ]
    assert not network.check_bgp(ios) and network.check_bgp(junos) and not network.check_bgp(junos, most_drops=6)
    with pytest.raises(Exception, match="HF333"):
        network.bgp_summary(Said("frr", {"show bgp summary json": "% nothing"}))


@pytest.mark.parametrize(
    ("said", "loss", "ms"),
    [
        ("3 packets transmitted, 1 received, 66.6667% packet loss, time 2ms\nrtt min/avg/max/mdev = 0.1/0.2/0.3/0.1 ms", 66.6667, 0.2),
        ("Success rate is 80 percent (4/5), round-trip min/avg/max = 1/2/4 ms", 20.0, 2.0),
        ("3 packets transmitted, 3 packets received, 0% packet loss\nround-trip min/avg/max/stddev = 1.5/2.5/3.5/0.1 ms", 0.0, 2.5),
        ("Success rate is 0 percent (0/5)", 100.0, None),
        ("unknown host", None, None),
    ],
)
def test_pings_of_several_vendors(said: str, loss: float | None, ms: float | None) -> None:
    assert read_ping(said) == {"loss": loss, "ms": ms}


def test_a_checkpoint_keeps_where_the_password_is_and_no_session() -> None:
    edge = network.connect("edge-1", "junos", user="ops", password="env:NOWHERE")
    edge._session = object()
    again = pickle.loads(pickle.dumps(edge))
    assert (again.name, again.kind, again._session) == ("edge-1", "junos", None)
    assert b"NOWHERE" in pickle.dumps(edge)
    with pytest.raises(ValueError, match="kind is one of"):
        network.connect("x", "toaster")
