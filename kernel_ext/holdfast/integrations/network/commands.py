"""One-line commands: ``x = !junos show-bgp-summary --device edge``, where ``edge`` is a device of the notebook or the name of one."""

from __future__ import annotations

from typing import Any

from holdfast.integrations.network import actions, checks, looking
from holdfast.integrations.network.device import Device, connect
from holdfast.model.oneliner import Family, family
from holdfast.show.findings import Finding, Rows


def _family(kind: str, about: str) -> Family:
    def at(device: Any) -> Device:
        return device if isinstance(device, Device) else connect(str(device), kind)

    def show_bgp_summary(*, device: Any) -> Rows:
        """The BGP peers: address, AS, state, since when, prefixes, drops."""
        return looking.bgp_summary(at(device))

    def show_route(address: str, *, device: Any) -> str:
        """The route to an address, as the device prints it."""
        return looking.route(at(device), address)

    def show_interfaces(*, device: Any) -> Rows:
        """The interfaces: whether they are up, and their errors."""
        return looking.interfaces(at(device))

    def ping(address: str, *, device: Any, count: int = 3) -> dict[str, Any]:
        """Ping from the device: loss in percent, round trip in ms, what it said."""
        return looking.ping(at(device), address, count=count)

    def show(command: str, *, device: Any) -> str:
        """What `show COMMAND` prints; quote it."""
        return at(device).send_command(f"show {command}")

    def check_bgp(*, device: Any, most_drops: int | None = None) -> Finding:
        """Whether every BGP session is established."""
        return checks.check_bgp(at(device), most_drops=most_drops)

    def check_interfaces(*, device: Any, most_errors: int | None = None) -> Finding:
        """Whether every interface that is enabled is up."""
        return checks.check_interfaces(at(device), most_errors=most_errors)

    def configure(lines: list[str], *, device: Any) -> str:
        """Type lines of configuration, once; commas between, or a list of the notebook."""
        return actions.configure(at(device), lines)

    def run(command: str, *, device: Any, answers: list[str] | None = None) -> str:
        """Type a command that is no configuration (`clear bgp 192.0.2.3`); quote it."""
        return at(device).send_command(command, answers=answers or ())

    def save(*, device: Any) -> str:
        """Let the running configuration be what the device starts with."""
        return at(device).save_config()

    return family(
        f"{about}; --device is a device of the notebook (`network.connect(...)`) or the name of one",
        reads={
            "show-bgp-summary": show_bgp_summary,
            "show-route": show_route,
            "show-interfaces": show_interfaces,
            "show": show,
            "ping": ping,
            "check-bgp": check_bgp,
            "check-interfaces": check_interfaces,
        },
        writes={"configure": configure, "save": save},
        destroys={"run": run},
    )


JUNOS = _family("junos", "Juniper Junos")
IOS = _family("ios", "Cisco IOS")
EOS = _family("eos", "Arista EOS")
FRR = _family("frr", "FRRouting (vtysh as a login shell)")
