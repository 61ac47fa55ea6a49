"""SIGKILL before the intent, after it, after the effect and after the outcome of the second of three calls; then the process comes back.

What happened is asked of the far side, a server process with a log of its own.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.journal.opening import open_store
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts
from holdfast.testing import laws

HERE = Path(__file__).parent
EXECUTION = "20260101-000000-crash0"
RESULTS = [{"name": name, "times": 1} for name in "abc"]
POINTS = ("call.before_intent", "call.after_intent", "call.after_effect", "call.after_outcome")


class FarSide:
    """The server process and what its log says."""

    def __init__(self, folder: Path) -> None:
        self.log, port_file = folder / "effects.log", folder / "port"
        self.process = subprocess.Popen([sys.executable, str(HERE / "effects_server.py"), str(port_file), str(self.log)])
        deadline = time.monotonic() + 30
        while not port_file.exists():
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.02)
        self.port = port_file.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def effects(self) -> dict[str, int]:
        return dict(Counter(line["name"] for line in self.lines() if line["effect"]))

    def asked(self) -> dict[str, int]:
        return dict(Counter(line["name"] for line in self.lines()))


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarSide]:
    side = FarSide(tmp_path)
    yield side
    side.process.kill()
    side.process.wait()


class Driver:
    """Runs the cell in a process of its own, as often as wanted."""

    def __init__(self, journal: str, folder: Path, port: str, effect: str) -> None:
        self.journal, self.key, self.strikes = journal, folder / "key", folder / "strikes.log"
        self.tail = [port, effect]

    def run(self, faults: str = "") -> tuple[int, Any]:
        done = subprocess.run(
            [sys.executable, str(HERE / "calls_driver.py"), self.journal, str(self.key), *self.tail, faults, str(self.strikes)],
            stdout=subprocess.PIPE,
            timeout=60,
            text=True,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else None

    def cut(self, point: str) -> None:
        """Run it into SIGKILL."""
        status, said = self.run(f"{point}@2=kill")
        assert (status, said) == (-signal.SIGKILL, None)
        assert point in self.strikes.read_text()

    def answer(self, verdict: str, value: Any = None) -> None:
        store = open_store(self.journal, key_file=self.key)
        (prompt,) = list_prompts(store)
        assert prompt.request["operation"].startswith("write(name='b'")
        answer(store, prompt.id, verdict, value=value, who="ann", via="test")
        store.close()

    def assert_laws(self) -> None:
        store = open_store(self.journal, key_file=self.key)
        assert laws.broken(store.read(EXECUTION)) == []
        store.close()


def finished(driver: Driver, far: FarSide) -> None:
    """It ends as it would have ended uninterrupted, with one time of day for all calls, and once more gives the same without a call."""
    status, said = driver.run()
    assert status == 0
    assert said["results"] == RESULTS
    assert {line.get("body") for line in far.lines()} <= {said["at"], None}
    before = far.lines()
    assert driver.run() == (0, said)
    assert far.lines() == before
    driver.assert_laws()


@pytest.mark.parametrize("point", [p for p in POINTS if p != "call.after_intent"])
def test_a_read_is_read_again_only_when_it_was_not_recorded(url: str, tmp_path: Path, far: FarSide, point: str) -> None:
    driver = Driver(url, tmp_path, far.port, "read")
    driver.cut(point)
    status, said = driver.run()
    assert (status, [r["name"] for r in said["results"]]) == (0, ["a", "b", "c"])
    assert far.asked() == {"a": 1, "b": 2 if point == "call.after_effect" else 1, "c": 1}
    driver.assert_laws()


@pytest.mark.parametrize("point", POINTS)
def test_an_idempotent_call_is_sent_again_with_its_key(url: str, tmp_path: Path, far: FarSide, point: str) -> None:
    driver = Driver(url, tmp_path, far.port, "idempotent")
    driver.cut(point)
    finished(driver, far)
    assert far.effects() == {"a": 1, "b": 1, "c": 1}
    assert far.asked()["b"] == (2 if point == "call.after_effect" else 1)
    assert len({line["key"] for line in far.lines() if line["name"] == "b"}) == 1


@pytest.mark.parametrize("point", POINTS)
def test_a_probe_decides_without_a_person(url: str, tmp_path: Path, far: FarSide, point: str) -> None:
    driver = Driver(url, tmp_path, far.port, "probe")
    driver.cut(point)
    finished(driver, far)
    assert far.effects() == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("point", POINTS)
def test_a_write_is_never_silently_repeated(url: str, tmp_path: Path, far: FarSide, point: str) -> None:
    driver = Driver(url, tmp_path, far.port, "write")
    driver.cut(point)
    if point in ("call.after_intent", "call.after_effect"):
        before = far.lines()
        for _ in range(2):  # however often it is resumed
            status, said = driver.run()
            assert status == 0
            assert "prompt" in said
        assert far.lines() == before
        happened = point == "call.after_effect"
        assert far.effects().get("b", 0) == int(happened)
        driver.answer(*(("happened", {"name": "b", "times": 1}) if happened else ("run",)))
    finished(driver, far)
    assert far.effects() == {"a": 1, "b": 1, "c": 1}
