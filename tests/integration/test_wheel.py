"""What people install: one wheel with both packages, all their data, the kernelspec and the entry points."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from the work tree."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("holdfast-*.whl")
    return zipfile.ZipFile(built)


def test_every_file_of_both_packages_is_in_it(wheel: zipfile.ZipFile) -> None:
    wanted = set()
    for source_root in ("kernel_ext", "dagster_defs"):
        for package in (ROOT / source_root).glob("holdfast*"):
            files = (p for p in package.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
            wanted |= {str(p.relative_to(ROOT / source_root)) for p in files}
    assert "holdfast/py.typed" in wanted
    packed = set(wheel.namelist())
    assert not wanted - packed
    assert {n.partition("/")[0] for n in packed if ".dist-info/" not in n and ".data/" not in n} == {"holdfast", "holdfast_dagster"}


def test_the_kernelspec_lands_where_jupyter_looks(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith("data/share/jupyter/kernels/holdfast/kernel.json")]
    spec = json.loads(wheel.read(name))
    assert spec["display_name"] == "Holdfast"
    assert spec["argv"][0] == "python", "Jupyter puts the environment's own interpreter there"


def test_the_command_and_the_engine_are_announced(wheel: zipfile.ZipFile) -> None:
    (name,) = [n for n in wheel.namelist() if n.endswith(".dist-info/entry_points.txt")]
    announced = ConfigParser(delimiters=("=",))
    announced.read_string(wheel.read(name).decode())
    assert announced["console_scripts"]["holdfast"] == "holdfast.cli.main:main"
    assert announced["papermill.engine"]["holdfast"] == "holdfast.engine.papermill:HoldfastEngine"
    targets = {t for group in announced.sections() for t in announced[group].values()}
    files = set(wheel.namelist())
    for target in targets:
        module = target.partition(":")[0].replace(".", "/")
        assert {f"{module}.py", f"{module}/__init__.py"} & files, target


def test_the_licence_goes_along(wheel: zipfile.ZipFile) -> None:
    assert any(n.endswith(".dist-info/licenses/LICENSE") for n in wheel.namelist())
