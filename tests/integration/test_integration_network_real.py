"""Devices on FRRouting itself: two routers that speak BGP with each other, behind OpenSSH; effects are counted in bgpd's own log."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.performing import EXECUTION, Performance
from holdfast.testing.rehearsal import Answer, Stage
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.frr import OWN, PEER, Frr, lacking

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(lacking()), reason=f"FRRouting cannot run here: {lacking()} is missing")]

BOOK = Path(__file__).parents[2] / "runbooks" / "network" / "bgp-flap.ipynb"


@pytest.fixture(scope="module")
def frr() -> Iterator[Frr]:
    folder = Path(tempfile.mkdtemp(prefix="hf"))  # short: it holds sockets
    folder.chmod(0o755)
    try:
        with Frr(folder) as frr:
            yield frr
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TestFrr(IntegrationContract):
    """The contract of ``TestNetwork``, on the real thing."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, frr: Frr) -> Subject:
        given = f"port={frr.port}, user={frr.user!r}, key={str(frr.key)!r}, known_hosts={str(frr.known_hosts)!r}"
        return Subject(
            setup=f"from holdfast.integrations import network\nedge = network.connect('127.0.0.1', 'frr', {given})",
            reset=frr.reset,
            modules=("netmiko", "holdfast.integrations.network"),
            reads=(
                Read(name="summary", cell="print(network.bgp_summary(edge)[0]['as'])", count=lambda: frr.count("show bgp summary json")),
                Read(
                    name="line",
                    cell=f"x = !frr show 'bgp neighbors {PEER}' --device edge\nprint('BGP' in x)",
                    count=lambda: frr.count(f"show bgp neighbors {PEER}"),
                ),
            ),
            writes=(
                Write(
                    name="configuration",
                    cell=f"print(bool(network.shut_peer(edge, {OWN}, '{PEER}')))",
                    count=lambda: frr.count(f"neighbor {PEER} shutdown"),
                    effect="write",
                    target="device://127.0.0.1:*",
                ),
                Write(
                    name="clear",
                    cell=f"edge.send_command('clear bgp {PEER}')\nprint('cleared')",
                    count=lambda: frr.count(f"clear bgp {PEER}"),
                    effect="write",
                    target="device://127.0.0.1:*",
                    asks=True,
                ),
            ),
        )

    def test_what_was_typed_is_so(self, frr: Frr, cell: Callable[[str], CellRunner]) -> None:
        frr.established()
        code = (
            f"print(network.check_bgp(edge), network.check_ping(edge, '{PEER}'), network.check_interfaces(edge), sep='\\n')\n"
            f"network.shut_peer(edge, {OWN}, '{PEER}')\nprint(network.peer(edge, '{PEER}')['state'])\n"
            "try:\n    edge.send_config_set(['router bgp 65001', 'neighbor x frobnicate'])\nexcept Exception as e:\n    print(e.code)\n"
            f"network.open_peer(edge, {OWN}, '{PEER}')\nprint(network.route(edge, '{PEER}').splitlines()[0])"
        )
        said = cell(code).run().out.splitlines()
        assert [line.split(":")[0] for line in said[:3]] == ["ok"] * 3, said
        assert said[3:] == ["Idle (Admin)", "HF333", "Routing entry for 192.0.2.0/24"], said
        frr.established()
        before = frr.peer()["connectionsDropped"]
        frr.flap()
        assert frr.peer()["connectionsDropped"] == before + 1


def test_the_runbook_watches_a_session_that_flaps_and_is_killed_while_it_does(frr: Frr, tmp_path: Path) -> None:
    """Suspended at each wait, resumed in another process, killed twice on the way; the line really goes down three times."""
    frr.reset()
    frr.established()
    with CountingServer(tmp_path) as hook:

        def posted() -> list[dict[str, object]]:
            return [json.loads(r["body"]) for r in hook.requests("POST", "/report")]

        stage = Stage(
            parameters={
                "device": "127.0.0.1",
                "peer": PEER,
                "report_to": f"{hook.url}/report?honour=1",
                "user": frr.user,
                "credential": "",
                "key": str(frr.key),
                "port": frr.port,
                "known_hosts": str(frr.known_hosts),
                "period": "0.5 s",
            },
            answers={"What now?": Answer("shut the session"), "Shut the BGP session": Answer("yes", typed=PEER)},
            meanwhile=lambda n: frr.flap() if n < 3 else None,
            effects=lambda: Counter({"shut": frr.count(f"neighbor {PEER} shutdown")}),
            state=frr.peer,
        )
        performance = Performance(BOOK, stage, tmp_path)
        assert performance.play("timer.after_fire@1=kill-both-once,call.after_effect@2=kill-both-once") == "succeeded", performance.last
        assert len(performance.sandbox.struck()) == 2
        (report,) = posted()
    text = str(report["text"])
    assert report["flaps"] == report["samples"] == 3, report
    assert text.count("Route to this peer:\nRouting entry for 192.0.2.0/24") == text.count("packets transmitted") == 3, text
    assert frr.count(f"neighbor {PEER} shutdown") == 1
    assert frr.peer()["state"] == "Idle (Admin)"
    performance.sandbox.assert_laws(EXECUTION)
