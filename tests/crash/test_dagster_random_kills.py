"""SIGKILL at random moments to whatever takes part in a Dagster run: it ends by itself as an uninterrupted one, each effect once.

Only what a machine's service manager would restart is restarted: daemon, web server, code server. Run workers, kernels, the warm server,
its waker and its nursery are nobody's business here.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

dg = pytest.importorskip("dagster")

from holdfast.engine import identity  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.servers.counting import CountingServer  # noqa: E402

STEPS = 5


class World:
    """A run, those who take part in it, and the far side."""

    def __init__(self, folder: Path, url: str, dice: random.Random, *, warm: bool, services: tuple[str, ...]) -> None:
        self.home, self.dice, self.far = DagsterHome(folder, warm=warm), dice, folder / "far.txt"
        step = (
            f"import subprocess, urllib.request, time\nsubprocess.run(['sh', '-c', 'echo {{n}} >> {self.far}'], check=True)\n"
            f"urllib.request.urlopen(urllib.request.Request('{url}/things/{{n}}', data=b'{{n}}', method='PUT')).read()\n"
            "seen = [*globals().get('seen', []), {n}]\ntime.sleep(0.2)\nseen"
        )
        self.book = self.home.runbook("kills", [(f"step:s{n}", step.format(n=n)) for n in range(STEPS)])
        self.instance = dg.DagsterInstance.from_config(str(self.home.home))
        self.services: dict[str, subprocess.Popen[bytes]] = {name: self._start(name) for name in services}
        self.run_id: str = self.home.holdfast("launch", self.book, "--json").json["run"]

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        return self.home.dagster(name, *(() if name == "daemon" else ("-p", "0")))

    @property
    def run(self) -> Any:
        """As it is now."""
        return self.instance.get_run_by_id(self.run_id)

    # ---- victims

    def kill_worker(self) -> None:
        """The run's worker."""
        owner = identity.parse(self.run.tags.get(".dagster/holdfast_worker", ""))
        if owner is not None:
            self._kill(owner.pid)

    def kill_kernel(self) -> None:
        """The kernels of its execution."""
        execution = self.run.tags.get("holdfast/execution_id") or self.run.tags["holdfast/continues"]
        for entry in self.home.entries(execution):
            if entry.data.get("what") == "kernel_started":
                self._kill(entry.data["pid"])

    def kill_warm(self) -> None:
        """The warm server with its waker, its templates and its nursery; not the workers and kernels that they have forked."""
        server = identity.parse(self.home.warm_server() or "")
        if server is not None and psutil.pid_exists(server.pid):
            helpers = psutil.Process(server.pid).children()
            for one in [p.pid for p in helpers if _session(p.pid) == server.pid] + [server.pid]:
                self._kill(one)

    def kill_service(self, name: str) -> None:
        """One of Dagster's, which comes up again."""
        self.home.cut(self.services[name])
        self.services[name] = self._start(name)

    def kill_all(self) -> None:
        """A power cut."""
        for name in self.services:
            self.home.cut(self.services[name])
        self.kill_warm()
        self.kill_worker()
        self.kill_kernel()
        for name in self.services:
            self.services[name] = self._start(name)

    @staticmethod
    def _kill(pid: int) -> None:
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass

    def strike(self) -> None:
        """Somebody, now."""
        victims: list[Callable[[], None]] = [self.kill_worker, self.kill_worker, self.kill_kernel, self.kill_warm, self.kill_all]
        victims += [lambda name=name: self.kill_service(name) for name in self.services]  # type: ignore[misc]
        self.dice.choice(victims)()

    def assert_end(self) -> None:
        """As if nothing had happened."""
        self.home.until(lambda: self.run.is_finished, "the end", 240)
        run = self.run
        log = self.home.home / "holdfast" / f"{self.run_id}.log"
        assert run.status.value == "SUCCESS", log.read_text()[-3000:]
        assert [r.run_id for r in self.instance.get_runs()] == [self.run_id]
        assert self.far.read_text().split() == [str(n) for n in range(STEPS)], "each effect once, in order"
        outputs = [e.dagster_event for e in self.instance.all_logs(self.run_id) if e.dagster_event and e.dagster_event.is_successful_output]
        assert [e.step_key for e in outputs] == [f"s{n}" for n in range(STEPS)]
        assert outputs[-1].step_output_data.metadata["result"].value == str(list(range(STEPS)))
        self.home.assert_laws(run.tags["holdfast/execution_id"])


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CountingServer]:
    """The far side."""
    with CountingServer(tmp_path) as made:
        yield made


def survive(folder: Path, monkeypatch: pytest.MonkeyPatch, server: CountingServer, seed: int, strikes: int, **options: Any) -> None:
    """One run under so many strikes."""
    dice = random.Random(seed)
    world = World(folder, server.url, dice, **options)
    for name, value in world.home.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    try:
        struck = 0
        while struck < strikes and not world.run.is_finished:
            if world.run.status.value in ("STARTING", "STARTED"):
                world.home.pause(dice.uniform(0.05, 2.0))
                world.strike()
                struck += 1
            else:
                world.home.pause(0.1)
        world.assert_end()
        paths = [r["path"] for r in server.requests("PUT")]
        assert sorted(set(paths)) == [f"/things/{n}" for n in range(STEPS)]
        assert len(paths) <= STEPS + strikes, "a PUT may be repeated, by those who died before they knew"
    finally:
        world.home.stop()
        if not world.run.is_finished:
            world.instance.run_launcher.terminate(world.run_id)
        world.instance.dispose()


def test_a_run_survives_strikes_at_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: CountingServer) -> None:
    survive(tmp_path, monkeypatch, server, seed=3, strikes=4, warm=True, services=("daemon",))


@pytest.mark.slow
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("seed", range(10, 16))
def test_runs_survive_many_strikes_at_random(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: CountingServer, seed: int, warm: bool
) -> None:
    survive(tmp_path, monkeypatch, server, seed=seed, strikes=10, warm=warm, services=("daemon", "webserver", "code"))
