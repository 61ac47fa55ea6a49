"""Which room may import which (the contracts are in pyproject.toml), and what stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest


def test_every_import_goes_down(root: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[done.stdout.find("Contracts") :] + done.stderr


def test_the_page_about_the_house_shows_the_floors_as_they_are_enforced(root: Path) -> None:
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = [c["layers"] for c in contracts if c["id"] == "floors"]
    enforced = [set(re.findall(r"\w+", floor)) for floor in floors]
    page = (root / "docs/explanation/architecture.md").read_text()
    rows = re.findall(r"^\| \w+ \| (`[^|]+) \|", page[page.index("## Floors") : page.index("## Borders")], flags=re.M)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == enforced


def test_nobody_imports_an_integration(modules: list[Any]) -> None:
    culprits = [
        f"{m.name} imports {target}"
        for m in modules
        for target in _imports(m)
        if target.startswith("holdfast.integrations.") and m.room != "integrations"
    ]
    assert not culprits, "integrations are found through entry points"


def test_one_vendor_does_not_know_another(modules: list[Any]) -> None:
    culprits = [
        f"{m.name} imports {target}"
        for m in modules
        if m.room == "integrations"
        for target in _imports(m)
        if target.startswith("holdfast.integrations.") and target.split(".")[2] != (m.name.split(".") + ["", ""])[2]
    ]
    assert not culprits


@pytest.mark.parametrize("word", ["util", "utils", "helper", "helpers", "misc", "common", "manager", "shared", "stuff", "base", "core"])
def test_no_drawer_for_everything(modules: list[Any], word: str) -> None:
    assert not [m.name for m in modules if word in m.name.split(".")], "name the module after what it does"


def test_settings_and_errors_load_nothing_heavy() -> None:
    """They are imported by every kernel, before the author's first cell."""
    program = "import sys; import holdfast.config, holdfast.errors; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "IPython",
        "ipykernel",
        "nbformat",
        "nbclient",
        "papermill",
        "rich",
        "click",
        "yaml",
        "jsonschema",
        "sqlite3",
        "asyncio",
        "email",
    }
    assert not heavy & set(loaded)


def test_the_kernel_brings_no_client_server_or_sdk() -> None:
    """What `import holdfast.kernel` adds to a bare ipykernel holds no library that the author's cells did not ask for."""
    program = (
        "import sys, pkgutil, importlib, ipykernel.kernelapp, ipykernel.ipkernel; before = set(sys.modules)\n"
        "import holdfast.kernel\n"
        "for m in pkgutil.iter_modules(holdfast.kernel.__path__):\n"
        "    if m.name != '__main__': importlib.import_module('holdfast.kernel.' + m.name)\n"
        "print(*sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    added = set(done.stdout.split())
    unasked = {
        "aiohttp", "boto3", "botocore", "click", "dagster", "datadog_api_client", "httpx", "jupyter_server", "jupyterlab", "kubernetes",
        "nbclient", "nbconvert", "numpy", "pandas", "papermill", "psycopg", "requests", "rich", "starlette", "urllib3", "uvicorn",
    }  # fmt: skip
    assert not added & unasked


def _imports(module: Any) -> set[str]:
    found = {alias.name for node in module.nodes(ast.Import) for alias in node.names}
    for node in module.nodes(ast.ImportFrom):
        if not node.level and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_imports_are_absolute(modules: list[Any]) -> None:
    relative = [f"{m.name}:{n.lineno}" for m in modules for n in m.nodes(ast.ImportFrom) if n.level]
    assert not relative, "a floor is seen best in a full name"
