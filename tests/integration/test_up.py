"""``make up``: everything comes up on loopback, says where it is, and is gone when it is ended."""

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

import psutil
import pytest

UP = Path(__file__).parents[2] / "binder" / "up.py"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


@contextlib.contextmanager
def up(folder: Path, *, lab: int, dagster: int) -> Iterator[subprocess.Popen[str]]:
    """The program, ended with all its children whatever the test does."""
    command = [sys.executable, str(UP), f"--lab-port={lab}", f"--dagster-port={dagster}", f"--folder={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as program:
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


def test_both_come_up_and_go_with_it(tmp_path: Path) -> None:
    lab, dagster = free_port(), free_port()
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "a",
        "metadata": {"tags": ["step:look"]},
        "source": "1",
        "outputs": [],
        "execution_count": None,
    }
    (tmp_path / "disk-full.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}))
    with up(tmp_path, lab=lab, dagster=dagster) as program:
        said = read_until(program, "all are there")
        (url,) = re.findall(r"lab is at (\S+)", said)
        token = url.partition("token=")[2]
        assert status(f"http://127.0.0.1:{lab}/api/kernelspecs?token={token}") == 200
        assert status(f"http://127.0.0.1:{lab}/api/kernelspecs") == 403, "nobody without the token"
        assert status(f"http://127.0.0.1:{dagster}/server_info") == 200
        assert jobs(f"http://127.0.0.1:{dagster}") == {"disk_full"}
        children = family(program.pid)
        assert len(children) >= 3
        program.send_signal(signal.SIGTERM)
        rest = program.stdout.read() if program.stdout else ""
        assert program.wait(60) == 0, rest
        assert not psutil.wait_procs(children, timeout=30)[1], "children left behind"


def test_when_one_ends_the_other_is_ended(tmp_path: Path) -> None:
    with up(tmp_path, lab=free_port(), dagster=free_port()) as program:
        read_until(program, "lab is at")
        (lab,) = [p for p in family(program.pid) if "--no-browser" in p.cmdline() and p.ppid() == program.pid]
        children = family(program.pid)
        os.kill(lab.pid, signal.SIGKILL)
        assert "lab ended with status -9" in read_until(program, "lab ended")
        assert program.wait(60) == 1
        assert not psutil.wait_procs(children, timeout=30)[1]


def test_a_taken_port_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with up(tmp_path, lab=port, dagster=free_port()) as program:
            said = program.communicate(timeout=60)[0]
            assert program.returncode == 2
            assert f"port {port}, wanted by lab, is taken" in said


@pytest.mark.parametrize("option", ["--lab-port", "--dagster-port"])
def test_help_names_the_ports(option: str) -> None:
    assert option in subprocess.run([sys.executable, str(UP), "--help"], capture_output=True, text=True, check=True).stdout
