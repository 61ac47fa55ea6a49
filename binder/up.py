"""Everything a person works with, side by side on loopback, until Ctrl-C: ``make up``.

JupyterLab with the Holdfast kernel, and Dagster's web server and daemon, which show every runbook as a job or as assets. Each line of
their logs carries the name of the one who said it. When one of them ends, or on Ctrl-C or SIGTERM, the others are ended too: the
processes started here, by their own process groups, and nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from holdfast.config import Config
from holdfast_dagster.instance import is_warm, set_up
from holdfast_dagster.warm import Warm

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
GRACE = 10.0  # seconds between asking a child to end and ending it
_print = threading.Lock()


class Service(NamedTuple):
    """One child and how a person reaches it."""

    name: str
    command: list[str]
    port: int
    url: str
    cwd: Path = ROOT


def services(lab_port: int, dagster_port: int, folder: Path) -> list[Service]:
    """What is started, in order."""
    token = secrets.token_urlsafe(24)
    lab = [str(BIN / "jupyter"), "lab", "--no-browser", f"--notebook-dir={folder}", *(["--allow-root"] if os.geteuid() == 0 else [])]
    lab += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={lab_port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    lab += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # loopback only
    dagster = [str(BIN / "dagster"), "dev", "-m", "holdfast_dagster.here", "-h", "127.0.0.1", "-p", str(dagster_port)]
    return [
        Service("lab", lab, lab_port, f"http://127.0.0.1:{lab_port}/lab?token={token}"),
        Service("dagster", dagster, dagster_port, f"http://127.0.0.1:{dagster_port}", cwd=folder),
    ]


def say(name: str, line: str) -> None:
    """One line, whole, whoever else is speaking."""
    with _print:
        print(f"{name:>8} | {line}", flush=True)


def relay(name: str, child: subprocess.Popen[bytes]) -> None:
    """Hand on what a child says until it says no more."""
    assert child.stdout is not None
    for raw in child.stdout:
        say(name, raw.decode(errors="replace").rstrip())


@contextlib.contextmanager
def started(wanted: list[Service], environment: dict[str, str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The running children; all of them are gone when the block is left."""
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for one in wanted:
            # A group of its own: a child's children (kernels, Dagster's code servers) go with it, and Ctrl-C comes to us alone.
            children[one.name] = subprocess.Popen(
                one.command,
                cwd=one.cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
            threading.Thread(target=relay, args=(one.name, children[one.name]), daemon=True).start()
        yield children
    finally:
        end(list(children.values()))


def end(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask each child to end, then end what is left of its group."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    for child in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def answers(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


def watch(wanted: list[Service], children: dict[str, subprocess.Popen[bytes]]) -> int:
    """Tell where each one is as soon as it answers; return when one ends."""
    waiting = list(wanted)
    while True:
        for one in wanted:
            code = children[one.name].poll()
            if code is not None:
                say("up", f"{one.name} ended with status {code}; ending the others")
                return 1
        for one in [w for w in waiting if answers(w.port)]:
            waiting.remove(one)
            say("up", f"{one.name} is at {one.url}")
            if not waiting:
                say("up", "all are there; Ctrl-C ends them")
        time.sleep(0.3)


def interrupt(signum: int, frame: FrameType | None) -> None:
    """SIGTERM ends us as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    """Run until interrupted; 0 when a person ended it, 1 when a child did, 2 when a port is taken."""
    parser = argparse.ArgumentParser(description="JupyterLab and Dagster side by side, on loopback")
    parser.add_argument("--lab-port", type=int, default=8888)
    parser.add_argument("--dagster-port", type=int, default=3000)
    parser.add_argument("--folder", type=Path, default=ROOT / "runbooks", help="the runbooks: what JupyterLab shows and Dagster loads")
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    wanted = services(options.lab_port, options.dagster_port, options.folder)
    for one in wanted:
        if answers(one.port):
            print(f"port {one.port}, wanted by {one.name}, is taken: choose another with --{one.name}-port", file=sys.stderr)
            return 2
    # One journal for all of them, wherever a notebook lies: an execution begun in one is seen and continued in the other.
    base = ROOT if options.folder.is_relative_to(ROOT) else options.folder
    environment = {"DAGSTER_HOME": str(base / ".holdfast" / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}
    environment |= Config.load(folder=base).process_environment()
    home = Path(environment["DAGSTER_HOME"])
    set_up(home)
    signal.signal(signal.SIGTERM, interrupt)
    warm = Warm(home)
    try:
        if is_warm(home):  # before the first run asks for it; were it to die, the next run would start it again
            warm.start(environment)
        with started(wanted, environment) as children:
            return watch(wanted, children)
    except KeyboardInterrupt:
        say("up", "ended")
        return 0
    finally:
        warm.stop()


if __name__ == "__main__":
    sys.exit(main())
