"""Interceptors come with the libraries they wrap, and go without a trace."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.durable.interceptor import Recorder
from holdfast.durable.interceptors.installing import Installation
from holdfast.foundation import plugins
from holdfast.testing.recorders import MemoryRecorder


class Wraps:
    """Writes down when it is installed."""

    name = "wraps"

    def __init__(self, *modules: str) -> None:
        self.modules = modules
        self.log: list[str] = []

    def install(self, recorder: Recorder) -> None:
        self.log.append("+" + ",".join(m for m in self.modules if hasattr(sys.modules.get(m), "READY")))

    def uninstall(self) -> None:
        self.log.append("-")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("hf_one", "hf_two"):
        (tmp_path / f"{name}.py").write_text("READY = True\n")
    (tmp_path / "hf_package").mkdir()
    (tmp_path / "hf_package/__init__.py").write_text("")
    (tmp_path / "hf_package/part.py").write_text("READY = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("hf_one", "hf_two", "hf_package", "hf_package.part"):
        sys.modules.pop(name, None)


def test_installed_after_the_import(modules: Any, tmp_path: Path) -> None:
    one, both, part = Wraps("hf_one"), Wraps("hf_one", "hf_two"), Wraps("hf_package.part")
    installation = Installation(MemoryRecorder(tmp_path), lambda name: True, [one, both, part])
    installation.install()
    assert one.log == both.log == part.log == []
    importlib.import_module("hf_one")
    assert one.log == ["+hf_one"]
    assert both.log == ["+hf_one"]
    importlib.import_module("hf_two")
    assert both.log == ["+hf_one", "+hf_one,hf_two"], "told of each of its modules"
    importlib.import_module("hf_package")
    assert part.log == []
    importlib.import_module("hf_package.part")
    assert part.log == ["+hf_package.part"]
    installation.uninstall()
    assert one.log[-1] == part.log[-1] == "-"
    assert both.log.count("-") == 1


def test_installed_at_once_for_what_is_there(modules: Any, tmp_path: Path) -> None:
    importlib.import_module("hf_one")
    one = Wraps("hf_one")
    installation = Installation(MemoryRecorder(tmp_path), lambda name: True, [one])
    installation.install()
    assert one.log == ["+hf_one"]
    installation.uninstall()


def test_a_module_that_does_not_exist_is_missing_as_ever(tmp_path: Path) -> None:
    installation = Installation(MemoryRecorder(tmp_path), lambda name: True, [Wraps("hf_no_such_module")])
    installation.install()
    with pytest.raises(ModuleNotFoundError, match="hf_no_such_module"):
        importlib.import_module("hf_no_such_module")
    installation.uninstall()


def test_the_built_in_ones_are_announced_and_undo_themselves(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "import urllib3, httpx, aiohttp, urllib.request, botocore.client, botocore.endpoint\n"
        "from pathlib import Path\n"
        "from holdfast.durable.interceptors.installing import Installation\n"
        "from holdfast.testing.recorders import MemoryRecorder\n"
        "def points(): return [urllib3.connectionpool.HTTPConnectionPool.urlopen, httpx.HTTPTransport.handle_request,\n"
        "    httpx.AsyncHTTPTransport.handle_async_request, aiohttp.ClientSession._request, urllib.request.OpenerDirector.open,\n"
        "    botocore.client.BaseClient._make_api_call, botocore.endpoint.Endpoint._needs_retry,\n"
        "    subprocess.run, subprocess.call, os.system, subprocess.Popen._execute_child, subprocess.Popen.send_signal]\n"
        "before = points()\n"
        "i = Installation(MemoryRecorder(Path('.')), lambda name: True)\n"
        "i.install()\n"
        "assert not set(before) & set(points()), 'something is not wrapped'\n"
        "i.uninstall()\n"
        "assert before == points(), 'something is left behind'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    announced = {plugin.name for plugin in plugins.find("holdfast.interceptors")}
    assert announced >= {"shell", "subprocess", "urllib3", "httpx", "urllib", "aiohttp", "boto3"}
