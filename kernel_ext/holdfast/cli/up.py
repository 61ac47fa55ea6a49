"""``up``: everything a person works with, side by side on loopback, until Ctrl-C."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from holdfast.cli.desk import Desk, bad_input, command

if TYPE_CHECKING:
    from holdfast.cli.supervising import Child
    from holdfast.config import Config
    from holdfast.model.service import Offer, Service

LAB_PORT, DAGSTER_PORT, INBOX_PORT = 8888, 3000, 8181
_print = threading.Lock()


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--lab-port", type=click.IntRange(0, 65535), default=LAB_PORT, show_default=True, help="Of JupyterLab; 0 takes a free one.")
@click.option(
    "--dagster-port", type=click.IntRange(0, 65535), default=DAGSTER_PORT, show_default=True, help="Of Dagster; 0 takes a free one."
)
@click.option(
    "--inbox-port", type=click.IntRange(0, 65535), default=INBOX_PORT, show_default=True, help="Of the inbox; 0 takes a free one."
)
@click.option("-v", "--verbose", is_flag=True, help="Show all that the services say, not only warnings and errors.")
@command
def up(desk: Desk, folder: Path | None, lab_port: int, dagster_port: int, inbox_port: int, verbose: bool) -> None:
    """Start JupyterLab, the inbox, Dagster and a worker on the runbooks in FOLDER, on loopback, until Ctrl-C.

    FOLDER is ./runbooks where there is one, else the working directory. What they write is kept in .holdfast beside it; a service that
    dies is started again.
    """
    from holdfast.config import Config

    for number in (signal.SIGTERM, signal.SIGHUP):  # before anything is started that would be left behind
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    runbooks, base = places(folder, Path.cwd())
    config = Config.load(folder=base, journal=desk.journal)
    state = config.state_dir
    ports = {"lab": lab_port or free_port(), "inbox": inbox_port or free_port(), "dagster": dagster_port or free_port()}
    environment = {**config.process_environment(), "PYTHONUNBUFFERED": "1", "HOLDFAST_WORKERS": "queue"}  # there is a worker
    if folder is not None or "runbooks" not in config.sources:
        environment["HOLDFAST_RUNBOOKS"] = str(runbooks)
    with only_one(state) as record:
        notes = end_leftovers(record)
        for name, port in ports.items():
            _refuse_taken(name, port)
        offers = []
        for offer in _offers(runbooks, base, config, ports, environment):
            offers.append(offer)
            environment |= offer.environment
            notes += offer.notes
        wanted = [service for offer in offers for service in offer.services]
        try:
            for offer in offers:
                if offer.start is not None:
                    offer.start(environment)
            code = _run(desk, wanted, environment, state, record, [f"runbooks: {runbooks}", f"state:    {state}", *notes], verbose=verbose)
        except KeyboardInterrupt:  # before there was anything to look after
            code = 0
        finally:
            for offer in offers:
                if offer.stop is not None and (said := offer.stop()):
                    _speaker(desk)("up", said)
            _speaker(desk)("up", "ended")
        desk.end(code)


def places(folder: Path | None, here: Path) -> tuple[Path, Path]:
    """The runbooks, and the folder whose settings and state hold: the working directory when it or its ``runbooks`` is meant, else the
    nearest project (``pyproject.toml``, ``holdfast.toml``, ``.git``) around the runbooks, else their own folder.

    Raises:
        OperatorError: HF257, there is no such folder.
    """
    found = (here / folder).resolve() if folder is not None else here / "runbooks" if (here / "runbooks").is_dir() else here
    own = [here.resolve(), (here / "runbooks").resolve()]
    if not found.is_dir():
        raise bad_input(f"there is no folder {found}", "Name the folder your notebooks are in.")
    if found.resolve() in own:
        return found, here
    for around in (found, *found.parents):
        if any((around / name).exists() for name in ("holdfast.toml", "pyproject.toml", ".git")):
            return found, around
    return found, found


def _offers(runbooks: Path, base: Path, config: Config, ports: Mapping[str, int], environment: Mapping[str, str]) -> Iterator[Offer]:
    """JupyterLab, the inbox, what the installed packages add, and a worker, in this order."""
    from holdfast.cli import services
    from holdfast.foundation.plugins import find
    from holdfast.model.service import Offer

    services.require_lab()
    yield Offer(services=(services.lab(runbooks, ports["lab"]),))
    yield services.inbox(config, base, ports["inbox"])
    added = [plugin for plugin in find("holdfast.services") if plugin.name in ports]
    for plugin in added:
        yield plugin.load()(runbooks, ports[plugin.name], environment)
    yield Offer(services=(services.worker(base, beside_dagster=bool(added)),))


# ---- one at a time


@contextmanager
def only_one(state: Path) -> Iterator[Path]:
    """Hold the state folder for this ``holdfast up``; yields the file that says what it has started.

    Raises:
        OperatorError: HF214, the folder cannot be written; HF217, another one holds it.
    """
    from holdfast.errors import OperatorError

    record = state / "up.json"
    try:
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        cure = "Make it writable, or say where state may be kept: HOLDFAST_JOURNAL=sqlite:////PATH/journal.db"
        raise OperatorError("HF214", f"nothing can be written there: {error.strerror}", cure=cure, folder=str(state)) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            there = _read(record)
            at = ", ".join(f"{name} at {url}" for name, url in there.get("urls", {}).items())
            what = f"`holdfast up` runs here already (process {there.get('pid', 'unknown')}): {at or 'it is starting'}"
            raise OperatorError("HF217", what, cure="Use that one, or end it with Ctrl-C.", folder=str(state)) from None
        yield record
    finally:
        os.close(lock)


def end_leftovers(record: Path) -> list[str]:
    """End what a ``holdfast up`` that was killed has left running: those very processes. Returns what to say about it."""
    from holdfast.cli.supervising import GRACE
    from holdfast.engine import identity

    ended = []
    for name, owner in _read(record).get("children", {}).items():
        known = identity.parse(owner or "")
        if known is not None and identity.end(owner, grace=GRACE):
            ended.append(name)
            try:
                os.killpg(known.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
    record.unlink(missing_ok=True)
    return [f"ended what an earlier `holdfast up` had left running: {', '.join(ended)}"] if ended else []


def _read(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse_taken(name: str, port: int) -> None:
    from holdfast.errors import OperatorError

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            option = f"--{name}-port"
            cure = f"Choose another: holdfast up {option} {port + 1} (make up ARGS='{option} {port + 1}'); 0 takes a free one."
            raise OperatorError("HF216", f"port {port}, wanted by {name}, is taken: {error.strerror}", cure=cure) from None


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---- running


def _speaker(desk: Desk) -> Any:
    def say(name: str, line: str) -> None:
        with _print:
            print(f"{name:>8} | {line}", flush=True, file=sys.stderr if desk.as_json else sys.stdout)

    return say


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    """SIGTERM, and a terminal that was closed, end us as Ctrl-C does."""
    raise KeyboardInterrupt


def _run(
    desk: Desk, wanted: list[Service], environment: Mapping[str, str], state: Path, record: Path, notes: list[str], *, verbose: bool
) -> int:
    """Start all, and keep them up until a person ends it (0) or one of them cannot be kept up (1)."""
    from holdfast.cli.supervising import Child, end, keep

    say = _speaker(desk)
    for note in notes:
        say("up", note)
    logs = state / "logs"
    logs.mkdir(exist_ok=True)
    children = [Child(one, environment, logs / f"{one.name}.log", say, verbose=verbose) for one in wanted]

    def ready() -> None:
        if desk.as_json:
            desk.document({"services": {one.name: one.url for one in wanted if one.url}, "state": str(state)})
        say("up", "all are there:")
        width = max(len(one.purpose) for one in wanted)
        for one in wanted:
            say("up", f"  {one.name:<8} {one.purpose:<{width}}  {one.url or 'no page'}")
        say("up", f"Ctrl-C ends them. Their logs are in {logs}")
        say("up", f"from another shell, in {state.parent}: holdfast list, holdfast prompts, holdfast launch NOTEBOOK")

    try:
        for child in children:
            child.start()
        _write(record, children)
        say("up", f"starting {', '.join(one.name for one in wanted)} (about half a minute) ...")
        return keep(children, say, ready, lambda: _write(record, children))
    except KeyboardInterrupt:
        say("up", "ending ...")
        return 0
    finally:
        end(children)
        record.unlink(missing_ok=True)


def _write(record: Path, children: list[Child]) -> None:
    """What was started, for the next ``holdfast up``, should this one be killed; readable to its owner only, for the token in it."""
    told = {
        "pid": os.getpid(),
        "urls": {c.service.name: c.service.url for c in children if c.service.url},
        "children": {c.service.name: c.owner for c in children},
    }
    draft = record.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(told))
    draft.replace(record)
