"""`make run`: a real runbook, killed half-way and resumed, against a local AWS stand-in.

Starts a moto server of its own on a loopback port, makes volumes in it, runs ``delete-unattached-volumes.ipynb`` with
``holdfast run``, kills engine and kernel (SIGKILL) when some deletions have reached the server, resumes, and then lets the *server's*
own recording of requests say how often each volume was deleted. Ends with status 1 when that is not exactly once.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import psutil
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RUNBOOK = HERE / "delete-unattached-volumes.ipynb"
UNATTACHED, ATTACHED = 12, 6
KILL_AFTER = 5  # deletions seen by the server
PATIENCE = 180.0  # seconds for any one thing to happen
say = Console(highlight=False).print


def main() -> int:
    """Run the demonstration; returns the process's exit status."""
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-") as folder, aws(folder) as endpoint:
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
            "AWS_DEFAULT_REGION": "us-east-1",
            "HOLDFAST_JOURNAL": f"sqlite:///{folder}/journal.db",
        }
        os.environ.update({k: v for k, v in environment.items() if k.startswith("AWS_")})
        volumes = seed(endpoint)
        say(f"[bold]1.[/] a local AWS stand-in at {endpoint} holds {UNATTACHED} unattached volumes and {ATTACHED} attached ones")
        record(endpoint)
        say(f"[bold]2.[/] holdfast run {RUNBOOK.name} -p dry_run false")
        killed = run_and_kill(endpoint, environment)
        done = collections.Counter(deleted(endpoint))
        say(f"[bold]3.[/] SIGKILL to engine and kernel ({', '.join(map(str, killed))}): the server has seen {len(done)} deletions so far")
        say("[bold]4.[/] holdfast resume demo")
        status = holdfast(environment, "resume", "demo")
        say("[bold]5.[/] holdfast show demo")
        holdfast(environment, "show", "demo")
        return report(volumes, collections.Counter(deleted(endpoint)), status)


@contextlib.contextmanager
def aws(folder: str) -> Iterator[str]:
    """A moto server in its own process; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    recording = {**os.environ, "MOTO_RECORDER_FILEPATH": str(Path(folder) / "requests.jsonl")}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=recording)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        until(lambda: answers(endpoint), "the local AWS stand-in to start")
        yield endpoint
    finally:
        server.terminate()
        server.wait()


def answers(endpoint: str) -> bool:
    """Whether the server is up."""
    try:
        urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=2).close()
    except OSError:
        return False
    return True


def seed(endpoint: str) -> set[str]:
    """Make the volumes; returns the ids of those that the runbook should delete."""
    ec2 = boto3.client("ec2", endpoint_url=endpoint)
    zone = "us-east-1a"
    image = ec2.describe_images()["Images"][0]["ImageId"]
    host = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone})["Instances"][0]["InstanceId"]
    for n in range(ATTACHED - 1):  # the instance brought its root volume
        volume = ec2.create_volume(Size=8, AvailabilityZone=zone)["VolumeId"]
        ec2.attach_volume(InstanceId=host, VolumeId=volume, Device=f"/dev/sd{'fghijklmnop'[n]}")
    return {ec2.create_volume(Size=10 * (n + 1), AvailabilityZone=zone)["VolumeId"] for n in range(UNATTACHED)}


def record(endpoint: str) -> None:
    """Have the server write down every request from now on."""
    for verb in ("reset", "start"):
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/recorder/{verb}-recording", method="POST")).close()


def deleted(endpoint: str) -> list[str]:
    """The volume of every DeleteVolume request that the server has received."""
    with urllib.request.urlopen(f"{endpoint}/moto-api/recorder/download-recording") as response:
        lines = response.read().decode().splitlines()
    bodies = [base64.b64decode(r["body"]).decode() if r.get("body_encoded") else str(r["body"]) for r in map(json.loads, lines)]
    requests = [urllib.parse.parse_qs(body) for body in bodies]
    return [request["VolumeId"][0] for request in requests if request.get("Action") == ["DeleteVolume"]]


def run_and_kill(endpoint: str, environment: dict[str, str]) -> list[int]:
    """Start the runbook and kill engine and kernel once ``KILL_AFTER`` deletions have reached the server; returns their pids."""
    parameters = [word for pair in (("dry_run", "false"), ("min_age_days", "0")) for word in ("-p", *pair)]
    command = [sys.executable, "-m", "holdfast", "run", str(RUNBOOK), "--id", "demo", *parameters]
    engine = subprocess.Popen(command, env=environment)
    until(lambda: len(deleted(endpoint)) >= KILL_AFTER or engine.poll() is not None, "the first deletions")
    if engine.poll() is not None:
        raise SystemExit(f"the run ended by itself (status {engine.returncode}) before it could be killed")
    processes = [psutil.Process(engine.pid), *psutil.Process(engine.pid).children(recursive=True)]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    engine.wait()
    return [process.pid for process in processes]


def holdfast(environment: dict[str, str], *arguments: str) -> int:
    """Run the command line tool; returns its exit status."""
    return subprocess.run([sys.executable, "-m", "holdfast", *arguments], env=environment, check=False).returncode


def report(volumes: set[str], done: collections.Counter[str], status: int) -> int:
    """Print what the server saw; 0 when it is right."""
    table = Table("volume", "DeleteVolume requests", title="What the server's recorder says")
    for volume in sorted(volumes | set(done)):
        table.add_row(volume, str(done[volume]))
    say(table)
    right = status == 0 and set(done) == volumes and set(done.values()) == {1}
    say(f"[bold green]Each of {len(done)} volumes was deleted exactly once.[/]" if right else "[bold red]Not what was promised.[/]")
    return 0 if right else 1


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for ``condition()``."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
