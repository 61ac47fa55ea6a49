"""Executions whose disk fills up, whose database goes away, whose checkpoint is damaged, or that two workers want."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.conftest import World

from holdfast.testing.postgres import PostgresServer
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.counting import CountingServer

pytestmark = pytest.mark.crash


@pytest.fixture
def local(tmp_path: Path, server: CountingServer) -> World:
    """The runbook on SQLite."""
    return World(Sandbox(tmp_path), server)


def test_a_full_disk_stops_the_step_before_any_further_effect(local: World) -> None:
    first = local.run("journal.before_commit@12=raise:OSError:28")
    assert local.sandbox.struck()
    seen = len(local.server.requests())
    assert first.status in (1, 3), first
    assert "HF5" in first.out + first.err
    assert local.carry_on(local.sandbox.holdfast("resume", "x", "--json")).status == 0
    assert len(local.server.requests()) > seen
    local.assert_once()
    local.assert_end()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server that may be stopped."""
    with PostgresServer() as running:
        yield running


def test_the_database_goes_away_and_comes_back(tmp_path: Path, server: CountingServer, own_postgres: PostgresServer) -> None:
    sandbox = Sandbox(tmp_path, own_postgres.create_database(), {"HOLDFAST_STATE_DIR": str(tmp_path / ".holdfast")})
    world = World(sandbox, server)
    world.book = sandbox.notebook("orders", [*SLOW[:2], *world_cells(world)])
    process = sandbox.start("run", world.book, "--id", "x", "-p", "url", server.url, "-p", "far", world.far, "--json")
    sandbox.until(lambda: server.requests("GET", "/slow") or process.poll() is not None, "the slow step")
    if process.poll() is None:
        own_postgres.stop(now=True)
    out, err = process.communicate(timeout=120)
    assert server.requests("GET", "/slow"), (out, err)
    assert process.returncode not in (0, 2), (out, err)
    assert not server.requests("POST"), "an effect left the process without a journal"
    own_postgres.start()
    assert world.carry_on(sandbox.holdfast("resume", "x", "--json")).status == 0
    world.assert_once()
    world.assert_end()


SLOW = [
    ("parameters", "url: str\nfar: str\norders: int = 3"),
    ("step:slow", "import requests\nrequests.get(f'{url}/slow?delay=3').json()"),
]


def world_cells(world: World) -> list[tuple[str, str]]:
    """The usual runbook without its parameters."""
    from tests.crash.conftest import RUNBOOK

    return list(RUNBOOK[1:])


BIG = [
    ("parameters", "far: str\ngate: str"),
    ("step:big", "import os, time\nbig = bytearray(os.urandom(3 << 20))\ntotal = sum(big)\n!printf 'big\\n' >> {far}"),
    (
        "step:wait",
        "!printf 'waiting\\n' >> {far}\nwhile not os.path.exists(gate):\n    time.sleep(0.05)\nassert sum(big) == total\nprint('same')",
    ),
]


@pytest.mark.parametrize("damage", ["truncated", "tampered", "gone"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    sandbox = Sandbox(tmp_path)
    far, gate = tmp_path / "far.txt", tmp_path / "gate"
    book = sandbox.notebook("big", BIG)
    process = sandbox.start("run", book, "--id", "x", "-p", "far", far, "-p", "gate", gate, "--json")
    sandbox.until(lambda: far.exists() and "waiting" in far.read_text(), "the second step")
    sandbox.kill(process)
    gate.touch()
    packs = sorted((tmp_path / ".holdfast").rglob("*.pack"))
    assert packs, list((tmp_path / ".holdfast").rglob("*"))
    whole = {pack: pack.read_bytes() for pack in packs}
    for pack, data in whole.items():
        if damage == "gone":
            pack.unlink()
        else:
            pack.write_bytes(data[: len(data) // 2] if damage == "truncated" else data[:-999] + bytes([data[-999] ^ 1]) + data[-998:])
    refused = sandbox.holdfast("resume", "x", "--json")
    assert refused.status == 1, refused
    assert "HF510" in refused.out + refused.err
    assert far.read_text() == "big\nwaiting\n"
    for pack, data in whole.items():
        pack.write_bytes(data)
    mended = sandbox.holdfast("resume", "x", "--json")
    assert mended.status == 0, mended
    assert far.read_text() == "big\nwaiting\n"


def test_two_owners_at_once(local: World) -> None:
    sandbox = local.sandbox
    gate = sandbox.folder / "gate"
    local.book = sandbox.notebook("gated", [*gated(gate), *world_cells(local)])
    first = sandbox.start("run", local.book, "--id", "x", "-p", "url", local.server.url, "-p", "far", local.far, "--json")
    sandbox.until(lambda: local.server.requests("GET", "/first"), "the first step")
    second = sandbox.holdfast("resume", "x", "--json")
    assert second.status == 5, second
    assert str(first.pid) in second.out + second.err, "it does not say who holds it"
    gate.touch()
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, (out, err)
    local.assert_once()
    local.assert_end()


def gated(gate: Path) -> list[tuple[str, str]]:
    """Parameters, and a step that waits for a file."""
    wait = f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.05)"
    return [SLOW[0], ("step:gate", f"import os, time\nimport requests\nrequests.get(f'{{url}}/first').json()\n{wait}")]


def test_a_paused_owner_that_wakes_is_fenced(local: World) -> None:
    sandbox = local.sandbox
    sandbox.environment["HOLDFAST_LEASE_TTL"] = "1"
    first = sandbox.start(
        "run", local.book, "--id", "x", "-p", "url", local.server.url, "-p", "far", local.far, "--json", faults="call.before_intent@3=stop"
    )
    sandbox.until(sandbox.struck, "the kernel to stop itself")
    kernels = sandbox.kernels(first.pid)
    os.kill(first.pid, signal.SIGSTOP)
    sandbox.until(lambda: sandbox.holdfast("resume", "x", "--json").status != 5, "the lease to run out and somebody else to finish")
    for pid in (*kernels, first.pid):
        os.kill(pid, signal.SIGCONT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 5, (first.returncode, out, err)
    sandbox.assert_laws("x")
    local.assert_once()
    local.assert_end()
