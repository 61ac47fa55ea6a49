"""``holdfast up`` (and with it ``make up``): everything comes up on loopback, says where it is, and is gone when it is ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.foundation import clock


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def up(folder: Path, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The program, ended with all its children whatever the test does."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DAGSTER"))}
    command = [sys.executable, "-m", "holdfast", "up", str(folder), *(options or ("--lab-port=0", "--dagster-port=0", "--inbox-port=0"))]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept | environment, cwd=folder.parent
    ) as program:
        try:
            yield program
        finally:
            for child in family(program.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            program.kill()


def family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def read_until(program: subprocess.Popen[str], text: str) -> str:
    assert program.stdout is not None
    said = ""
    for line in program.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"never said {text!r}:\n{said}")


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code


def jobs(url: str) -> set[str]:
    """The jobs Dagster's web server shows."""
    query = b'{"query": "{repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }"}'
    request = urllib.request.Request(f"{url}/graphql", data=query, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        nodes = json.load(answer)["data"]["repositoriesOrError"]["nodes"]
    return {job["name"] for node in nodes for job in node["jobs"]}


def runbook(folder: Path, name: str) -> None:
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {"tags": ["step:look"]},
        "source": "1",
        "outputs": [],
        "execution_count": None,
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Somebody's folder of runbooks: one good, one broken."""
    runbook(tmp_path / "ours", "disk-full")
    (tmp_path / "ours" / "broken.ipynb").write_text("{not json")
    return tmp_path / "ours"


def asked(url: str, token: str, **body: object) -> dict[str, Any]:
    """What the inbox's API answers."""
    data = json.dumps(body).encode() if body else None
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, headers=headers), timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_all_come_up_and_go_with_it(folder: Path) -> None:
    with up(folder) as program:
        said = read_until(program, "from another shell")
        assert "1 runbook for Dagster, 1 that cannot be loaded" in said
        assert str(folder / "broken.ipynb") in said
        assert "Traceback" not in said
        (lab,), (dagster,), (inbox,) = (re.findall(rf"{name} is at (\S+)", said) for name in ("lab", "dagster", "inbox"))
        table = said[said.index("all are there") :]
        assert [re.search(rf"{name}  .*  (\S+)\n", table)[1] for name in ("lab", "inbox", "dagster")] == [lab, inbox, dagster]  # type: ignore[index]
        assert "worker" in table
        at, _, token = lab.partition("/lab?token=")
        assert status(f"{at}/api/kernelspecs?token={token}") == 200
        assert status(f"{at}/api/kernelspecs") == 403, "nobody without the token"
        assert status(f"{dagster}/server_info") == 200
        assert jobs(dagster) == {"disk_full", "broken"}
        api, _, owner = inbox.partition("/login?token=")
        begun = asked(f"{api}/api/v1/executions", owner, runbook="disk-full")["id"]  # the worker works on it
        deadline = clock.monotonic() + 120
        while asked(f"{api}/api/v1/executions/{begun}", owner)["status"] != "succeeded":
            assert clock.monotonic() < deadline
            clock.sleep(0.3)
        with up(folder, "--lab-port=0", "--dagster-port=0", "--inbox-port=0") as second:
            refused = second.communicate(timeout=60)[0]
            assert second.returncode == 2
            assert "HF217" in refused and dagster in refused
        children = family(program.pid)
        assert len(children) >= 5
        program.send_signal(signal.SIGTERM)
        rest = program.stdout.read() if program.stdout else ""
        assert program.wait(60) == 0, rest
        assert not psutil.wait_procs(children, timeout=30)[1], "children left behind"
        assert {p.name for p in folder.iterdir() if p.name.startswith(".")} == {".holdfast"}, "all that is kept is in one place"


def test_one_that_dies_is_started_again_and_what_a_killed_up_leaves_is_ended(folder: Path) -> None:
    with up(folder) as program:
        read_until(program, "inbox is at")
        for word, name in (("serve", "inbox"), ("worker", "worker")):
            (one,) = [p for p in family(program.pid) if word in p.cmdline() and p.ppid() == program.pid]
            os.kill(one.pid, signal.SIGKILL)
            assert f"{name} was killed (signal 9); it is started again" in read_until(program, f"{name} was killed")
            if name != "worker":  # that has no page
                read_until(program, f"{name} is at")
        left = [p for p in family(program.pid) if p.ppid() == program.pid and "holdfast_dagster.warm_server" not in p.cmdline()]
        program.kill()
        program.wait(30)
        with up(folder) as again:
            assert "lab" in read_until(again, "ended what an earlier `holdfast up` had left running")
            assert not psutil.wait_procs(left, timeout=30)[1]
            again.send_signal(signal.SIGHUP)  # its terminal was closed
            assert again.wait(60) == 0


def test_one_that_never_comes_up_ends_all_and_its_last_words_are_shown(folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("no_such_setting: true\n")
    with up(folder, DAGSTER_HOME=str(home)) as program:
        said = program.communicate(timeout=120)[0]
        assert program.returncode == 1, said
        assert "before it could be used" in said
        assert "no_such_setting" in said


@pytest.mark.parametrize("name", ["lab", "dagster", "inbox"])
def test_a_taken_port_is_said_at_once(folder: Path, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"lab": free_port(), "dagster": free_port(), "inbox": free_port(), name: port}
        with up(folder, *(f"--{n}-port={p}" for n, p in ports.items())) as program:
            said = program.communicate(timeout=60)[0]
            assert program.returncode == 2
            assert f"port {port}, wanted by {name}, is taken" in said
            assert f"--{name}-port" in said


def test_a_state_folder_that_cannot_be_written_is_said_at_once(folder: Path) -> None:
    (folder / ".holdfast").write_text("in the way")
    with up(folder) as program:
        said = program.communicate(timeout=60)[0]
        assert program.returncode == 2
        assert "HF214" in said and "Traceback" not in said


def test_a_dagster_home_that_cannot_be_made_is_said_at_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with up(folder, DAGSTER_HOME=str(tmp_path / "file" / "home")) as program:
        said = program.communicate(timeout=60)[0]
        assert program.returncode == 2
        assert "HF215" in said and "DAGSTER_HOME" in said and "Traceback" not in said


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with up(tmp_path / "nowhere") as program:
        said = program.communicate(timeout=60)[0]
        assert program.returncode == 2
        assert "there is no folder" in said
