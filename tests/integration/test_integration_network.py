"""Devices and hosts over SSH, on a stand-in with FRRouting's answers that writes down what was typed; on FRRouting itself in
``test_integration_network_real.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.integrations import network
from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.router import OWN, PEER, Router

SHUT = f"edge.send_config_set(['router bgp {OWN}', 'neighbor {PEER} shutdown'])"


class TestNetwork(IntegrationContract):
    """A device and a host."""

    @pytest.fixture(scope="class")
    @classmethod
    def router(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
        with Router(tmp_path_factory.mktemp("router")) as router:
            yield router

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, router: Router) -> Subject:
        keys = router.known_hosts(router.folder.parent / "known_hosts")
        given = f"port={router.port}, user='ops', password='env:DEVICE_PASSWORD', known_hosts={str(keys)!r}"
        made = router.folder / "made"

        def reset() -> None:
            router.reset()
            made.unlink(missing_ok=True)

        return Subject(
            setup=f"from holdfast.integrations import network\nedge = network.connect('127.0.0.1', 'frr', {given})\n"
            f"web = network.host('127.0.0.1', {given})",
            reset=reset,
            environment={"DEVICE_PASSWORD": router.password},
            modules=("netmiko", "holdfast.integrations.network"),
            secret=router.password,
            limit=lambda n: setattr(router, "busy", n),
            reads=(
                Read(name="summary", cell="print(network.bgp_summary(edge))", count=lambda: router.count("show bgp summary json")),
                Read(
                    name="line", cell="x = !frr ping 192.0.2.3 --device edge\nprint(x.loss)", count=lambda: router.count("ping 192.0.2.3")
                ),
                Read(name="host", cell="print(web.run('ls').out)", count=lambda: router.count("ls")),
            ),
            writes=(
                Write(
                    name="configuration",
                    cell=f"print(bool({SHUT}))",
                    count=lambda: router.count(f"/ neighbor {PEER} shutdown"),
                    effect="write",
                    target="device://127.0.0.1:*",
                ),
                Write(
                    name="clear",
                    cell=f"edge.send_command('clear bgp {PEER}')\nprint('cleared')",
                    count=lambda: router.count(f"clear bgp {PEER}"),
                    effect="write",
                    target="device://127.0.0.1:*",
                    asks=True,
                ),
                Write(
                    name="host",
                    cell="print(web.run('echo once >> made', probe='test -e made').status)",
                    count=lambda: made.read_text().count("once") if made.exists() else 0,
                    effect="write",
                    target="ssh://127.0.0.1:*",
                ),
                Write(
                    name="host without a probe",
                    cell="print(web.run('echo again >> made').status)",
                    count=lambda: made.read_text().count("again") if made.exists() else 0,
                    effect="write",
                    target="ssh://127.0.0.1:*",
                    asks=True,
                ),
            ),
        )

    @pytest.mark.slow
    def test_rarer_changes_are_made_once_whatever_is_killed(
        self, subject: Subject, router: Router, cell: Callable[..., CellRunner]
    ) -> None:
        """A session that is opened again, lines of a plan, and what the device is to start with (typed again, it is the same)."""

        def count(line: str) -> Callable[[], int]:
            return lambda: router.count(line)

        def shut() -> None:
            router.peer["shut"] = True

        here: dict[str, Any] = {"target": "device://127.0.0.1:*"}
        again = f"print(bool(network.open_peer(edge, {OWN}, {PEER!r})))"
        lines = "print(bool(network.configure(edge, ['interface eth1', 'shutdown'])))"
        for write in (
            Write(name="open", cell=again, prepare=shut, count=count(f"/ no neighbor {PEER} shutdown"), effect="write", **here),
            Write(name="lines", cell=lines, count=count("interface eth1 / shutdown"), effect="write", **here),
            Write(name="save", cell="print(edge.save_config())", count=lambda: router.count("write mem") > 0, effect="idempotent", **here),
        ):
            runner = cell(write.cell, write.name)
            if write.prepare is not None:
                write.prepare()
            self._kill_and_go_on(subject, write, runner)

    def test_a_line_of_the_same_words_elsewhere_is_no_proof(self, router: Router, cell: Callable[[str], CellRunner]) -> None:
        """`shutdown` under eth0 says nothing of eth1."""
        router.interfaces["eth0"] = False
        runner = cell("edge.send_config_set(['interface eth1', 'shutdown'])\nprint('done')")
        assert runner.run("call.after_intent=kill").killed
        done = runner.run()
        assert (done.status, done.out.splitlines()[-1:]) == (0, ["done"]), done
        assert router.count("interface eth1 / shutdown") == 1

    def test_a_configuration_that_somebody_else_changed_meanwhile_is_asked_about(
        self, router: Router, cell: Callable[[str], CellRunner]
    ) -> None:
        runner = cell(f"{SHUT}\nprint('done')")
        assert runner.run("call.after_intent=kill").killed
        router.interfaces["eth1"] = False
        assert runner.run().status == 3
        runner.answer("run")
        assert runner.run().status == 0
        assert router.count(f"/ neighbor {PEER} shutdown") == 1

    def test_a_session_that_breaks_after_the_line_was_taken_is_looked_after(
        self, router: Router, cell: Callable[[str], CellRunner]
    ) -> None:
        router.drop_after = lambda line: line == f"neighbor {PEER} shutdown"
        done = cell(f"edge.timeout = 3\n{SHUT}\nprint('done')").run()
        assert (done.status, done.out.splitlines()[-1:]) == (0, ["done"]), done
        assert router.count(f"/ neighbor {PEER} shutdown") == 1

    def test_refusals_raise_and_are_not_tried_again(self, router: Router, cell: Callable[[str], CellRunner], tmp_path: Path) -> None:
        lines = "edge.send_command('show nothing')", "edge.send_config_set(['router bgp 1', 'frobnicate'])", "web.run('exit 3')"
        tries = "\n".join(f"try:\n    {line}\nexcept Exception as e:\n    print(e.code)" for line in lines)
        assert cell(tries).run().out.splitlines() == ["HF333", "HF333", "HF330"]
        with pytest.raises(Exception, match="does not know this user"):
            network.connect("127.0.0.1", "frr", user="x", port=router.port, strict=False, password=f"file:{_file(tmp_path)}").send_command(
                "x"
            )
        strange = network.connect("127.0.0.1", "frr", user="x", port=router.port, password=f"file:{_file(tmp_path)}")
        with pytest.raises(Exception, match="HF334"):  # nobody knows its host key
            strange.send_command("show version")

    def test_checks_find_what_is_not_well(self, router: Router, cell: Callable[[str], CellRunner]) -> None:
        router.peer.update(drops=3, shut=False)
        router.interfaces["eth1"] = False
        code = (
            "print(network.check_bgp(edge), network.check_bgp(edge, most_drops=2), network.check_interfaces(edge), sep='\\n')\n"
            "print(network.check_ping(edge, '192.0.2.3'), network.route(edge, '192.0.2.3').splitlines()[0], sep='\\n')\n"
            "network.shut_peer(edge, 65001, '192.0.2.3')\nprint(network.peer(edge, '192.0.2.3')['state'])\n"
            "network.open_peer(edge, 65001, '192.0.2.3')\nprint(network.peer(edge, '192.0.2.3')['state'])"
        )
        said = cell(code).run().out.splitlines()
        assert said[0].startswith("ok: BGP sessions") and "lost 3 times" in said[1] and said[2].startswith("ok: interfaces"), said
        assert "66.6667 % lost" in said[3] and said[4:] == ["Routing entry for 192.0.2.0/24", "Idle (Admin)", "Established"], said


def _file(folder: Path) -> Path:
    (folder / "password").write_text("wrong")
    return folder / "password"
