"""A disk that is full in the middle of a run: a clear word of it, nothing done twice, and once there is room everything goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dagster")

from holdfast.engine import identity

#: Takes what is left of a disk, once.
FILL = """import os
if not os.path.exists({once!r}):
    with open({ballast!r}, 'wb', buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while ballast.write(bytes(size)):
                    pass
            except OSError:
                pass
    open({once!r}, 'w').close()
"""


def _can_mount() -> bool:
    """Whether a small disk can be had: as root, on Linux."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
        if made.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return made.returncode == 0


pytestmark = pytest.mark.skipif(not _can_mount(), reason="a small disk is mounted: needs root")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 32 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled_in_step_two(dagster_house: Callable[..., Any], small: Path, tmp_path: Path, **options: Any) -> Iterator[Any]:
    """A house whose runbook fills the disk in its second step, and a daemon."""
    with dagster_house("full", **options) as house:
        house.home.journal = house.home.environment["HOLDFAST_JOURNAL"]
        house.log, house.ballast, house.once = tmp_path / "effects", small / "ballast", tmp_path / "filled"
        fill = FILL.format(ballast=str(house.ballast), once=str(house.once))
        cells = [("step:one", house.record("one")), ("step:two", fill + house.record("two")), ("step:three", house.record("three"))]
        house.home.runbook("fills", [*cells, ("step:four", "print('done')")])
        house.daemon = house.home.dagster("daemon")
        yield house


def ended(house: Any, run: str) -> None:
    house.until(run, "SUCCESS")
    assert house.effects() == ["one", "two", "three"]
    assert house.daemon.poll() is None, "the daemon has outlived it"
    house.home.assert_laws(house.execution(run))


@pytest.mark.slow
def test_the_journals_disk_is_full_the_step_says_so_and_once_there_is_room_a_person_lets_it_go_on(
    dagster_house: Callable[..., Any], small: Path, tmp_path: Path
) -> None:
    environment = {"HOLDFAST_JOURNAL": f"sqlite:///{small}/journal.db"}
    with filled_in_step_two(dagster_house, small, tmp_path, environment=environment) as house:
        run = house.launch("fills")
        house.until(run, "FAILURE")
        (failed,) = [e for e in house.events(run) if e.is_step_failure]
        said = failed.step_failure_data.error.message
        assert "HF502: the disk is full" in said or "HF252" in said, said  # the journal's, or that of the notebook beside it
        assert str(small) in said, said
        assert "Make room" in said, said
        assert house.effects() == ["one"]
        house.ballast.unlink()
        parent = house.run(run)
        tags = {**parent.tags, "dagster/is_resume_retry": "true", "dagster/parent_run_id": run, "dagster/root_run_id": run}
        ended(house, house.launch("fills", tags=tags, parent_run_id=run, root_run_id=run))


@pytest.mark.slow
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("journal", ["there, too", "elsewhere"])
def test_dagsters_disk_is_full_and_once_there_is_room_the_same_run_goes_on_by_itself(
    dagster_house: Callable[..., Any], small: Path, tmp_path: Path, journal: str, warm: bool
) -> None:
    environment = {"HOLDFAST_JOURNAL": f"sqlite:///{tmp_path}/journal.db"} if journal == "elsewhere" else {}
    folder = small / "all"
    folder.mkdir()
    with filled_in_step_two(dagster_house, small, tmp_path, folder=folder, environment=environment, warm=warm) as house:
        run = house.launch("fills")
        house.worker = house.run(run).tags[".dagster/holdfast_worker"]
        house.home.until(house.once.exists, "the disk is full", 120)
        house.home.until(lambda: identity.gone(house.worker), "the worker gives up", 120)
        house.home.pause(5)  # daemon, sensors and launcher meet the full disk, too
        assert house.daemon.poll() is None
        doctor = house.home.holdfast("doctor", "--json")
        full = {c["id"]: c["found"] for c in doctor.json["checks"] if c["state"] != "ok"}
        assert str(small) in full["dagster space"], doctor.out
        assert house.effects() == (["one", "two"] if journal == "elsewhere" else ["one"])
        house.ballast.unlink()
        ended(house, run)
        assert [r.run_id for r in house.instance.get_runs()] == [run]
        if journal == "elsewhere":
            assert any("HF502: the disk of Dagster's storage is full" in said and str(small) in said for said in house.said(run))
