"""``doctor``: is everything in place? Each check with what was found and what to do."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import FAILED, SUCCEEDED, Desk, command, escape

if TYPE_CHECKING:
    from holdfast.journal.store import Store

#: Free space under which a journal is likely to run full, bytes.
_LITTLE_SPACE = 500 << 20


class Check:
    """One line of the table."""

    def __init__(self, id: str, ok: bool, found: str, cure: str = "", *, warning: bool = False) -> None:
        self.id, self.found, self.cure = id, found, cure
        self.state = "ok" if ok else "warning" if warning else "failed"

    def document(self) -> dict[str, Any]:
        """As JSON types."""
        return {"id": self.id, "state": self.state, "found": self.found, "cure": self.cure or None}


@click.command()
@command
def doctor(desk: Desk) -> None:
    """Check the installation: settings, journal, kernel, papermill, clock, space, channels. Ends with 1 when something is broken."""
    checks: list[Check] = []
    for find in (_python, _settings, _journal, _kernelspec, _kernel, _papermill, _space, _clock, _orphans, _postgres, _dagster, _channels):
        try:
            checks += find(desk)
        except Exception as error:
            name = find.__name__.lstrip("_")
            code, cure = getattr(error, "code", type(error).__name__), getattr(error, "cure", "")
            checks.append(Check(name, False, f"{code}: {getattr(error, 'what', error)}", cure))
    broken = any(c.state == "failed" for c in checks)
    if desk.as_json:
        desk.document({"ok": not broken, "checks": [c.document() for c in checks]})
    else:
        from rich.table import Table

        marks = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[bold red]✗[/]"}
        table = Table(box=None, pad_edge=False, show_header=False)
        for one in checks:
            table.add_row(marks[one.state], one.id, escape(one.found), escape(one.cure))
        desk.out.print(table)
    desk.end(FAILED if broken else SUCCEEDED)


def _python(desk: Desk) -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield Check("python", good, sys.version.split()[0], "" if good else "Use Python 3.11, 3.12 or 3.13.")
    found = []
    for name in (
        "holdfast",
        "ipykernel",
        "ipython",
        "nbclient",
        "papermill",
        "jupyter-client",
        "jupyterlab",
        "dagster",
        "psycopg",
        "boto3",
    ):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    yield Check("packages", True, ", ".join(found))


def _settings(desk: Desk) -> Iterator[Check]:
    config = desk.config
    sources = ", ".join(f"{k} from {v}" for k, v in config.sources.items()) or "all at their defaults"
    yield Check("settings", True, f"{sources}; user {config.user}")
    if config.faults:
        yield Check("faults", False, f"armed: {config.faults}", "Unset HOLDFAST_FAULTS; it is for tests only.", warning=True)


def _journal(desk: Desk) -> Iterator[Check]:
    config = desk.config
    path = config.journal_path
    if path is not None and not path.exists():
        yield from _new_journal(path)
        return
    store = desk.store()
    yield Check("journal", True, f"{config.journal_for_people}, schema and key fit")
    took = _write_time(store, path)
    yield Check(
        "journal write",
        took < 1.0,
        f"a synced write takes {took * 1000:.1f} ms",
        "" if took < 1.0 else "The disk is very slow.",
        warning=True,
    )


def _new_journal(path: Path) -> Iterator[Check]:
    import os

    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    good = os.access(folder, os.W_OK | os.X_OK)
    yield Check(
        "journal", good, f"none yet; it will be {path}", "" if good else f"Make {folder} writable, or set HOLDFAST_JOURNAL elsewhere."
    )


def _write_time(store: Store, path: Path | None) -> float:
    """Seconds that a durable write takes: a synced file beside a SQLite journal, a round trip to a server."""
    import os
    import tempfile

    from holdfast.foundation import clock

    began = clock.monotonic()
    if path is None:
        store.now()
    else:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    return clock.monotonic() - began


def _kernelspec(desk: Desk) -> Iterator[Check]:
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        spec = KernelSpecManager().get_kernel_spec("holdfast")
    except NoSuchKernel:
        yield Check(
            "kernelspec",
            False,
            "JupyterLab does not find a kernel named holdfast",
            "Reinstall holdfast in Jupyter's environment.",
            warning=True,
        )
        return
    yield Check("kernelspec", True, f"{spec.display_name}: {' '.join(spec.argv)}")


def _kernel(desk: Desk) -> Iterator[Check]:
    import subprocess

    done = subprocess.run([sys.executable, "-c", "import holdfast.kernel.app"], capture_output=True, text=True, check=False, timeout=60)
    last = done.stderr.strip().splitlines()[-1:] or [""]
    yield Check(
        "kernel",
        done.returncode == 0,
        "can be imported" if done.returncode == 0 else last[0],
        "" if done.returncode == 0 else "Reinstall holdfast.",
    )


def _papermill(desk: Desk) -> Iterator[Check]:
    from importlib.metadata import entry_points

    found = [e for e in entry_points(group="papermill.engine") if e.name == "holdfast"]
    yield Check(
        "papermill engine",
        bool(found),
        "registered" if found else "not registered",
        "" if found else "Reinstall holdfast: papermill --engine holdfast will not work.",
    )


def _space(desk: Desk) -> Iterator[Check]:
    for name, place in (("journal space", desk.config.journal_path), ("state space", desk.config.state_dir)):
        if place is None:
            continue
        yield from _room(name, Path(place))


def _room(name: str, folder: Path) -> Iterator[Check]:
    import shutil

    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    good = free >= _LITTLE_SPACE
    cure = "" if good else "Make room: a full disk stops every execution."
    yield Check(name, good, f"{free / 2**30:.1f} GiB free at {folder}", cure, warning=True)


def _clock(desk: Desk) -> Iterator[Check]:
    from holdfast.foundation import clock

    path = desk.config.journal_path
    if path is not None and not path.exists():
        return
    before = clock.now()
    there = desk.store().now()
    apart = max(before - there, there - clock.now(), 0.0)
    good = apart < desk.config.lease_ttl / 3
    yield Check(
        "clock", good, f"{apart:.3f} s from the journal's", "" if good else "Set the clock (NTP): due times would be wrong.", warning=True
    )


def _orphans(desk: Desk) -> Iterator[Check]:
    path = desk.config.journal_path
    if path is not None and not path.exists():
        return
    from holdfast.executions.waking import orphans

    found = orphans(desk.store())
    some = ", ".join(h.id for h in found[:5])
    yield Check(
        "orphans",
        not found,
        f"{len(found)} running executions without a worker: {some}" if found else "every running execution has its worker",
        f"Continue: holdfast resume {found[0].id}" if found else "",
        warning=True,
    )


def _dagster(desk: Desk) -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    from holdfast.foundation.plugins import find

    try:
        version("dagster")
    except PackageNotFoundError:
        return
    for plugin in find("holdfast.launchers"):
        found = plugin.load().probe()
        waits = {"native": "waiting runs are suspended", "continuation": "waiting runs end, and another run continues them"}
        if found.home:
            yield from _room("dagster space", Path(found.home))
        yield Check("dagster", found.mode == "native", f"{waits.get(found.mode, found.mode)}: {found.reason}", found.cure, warning=True)


def _channels(desk: Desk) -> Iterator[Check]:
    """Each channel's far side is asked."""
    config = desk.config
    if config.channels_file is None:
        return
    from holdfast.channels.channel import Refused, TryLater
    from holdfast.cli.channels import load

    found = load(desk)
    if config.policy_file is None:
        cure = "Set policy_file: its [people] say where somebody is reached, and who answers."
        yield Check("channels", False, "no policy file: answers that come through channels are by nobody", cure, warning=True)
    for name, channel in found.by_name.items():
        try:
            said, good = channel.probe(), True
        except (Refused, TryLater) as error:
            said, good = str(error), False
        yield Check(
            f"channel {name}", good, said, "" if good else "Look at its table in the channels file, and at the network.", warning=True
        )
        if channel.needs_url and config.public_url is None:
            cure = "Set public_url: only the gateway itself knows its address, and only on this machine."
            yield Check(f"channel {name} links", False, "workers cannot send it: it needs the gateway's address", cure, warning=True)


def _postgres(desk: Desk) -> Iterator[Check]:
    if desk.config.journal_path is not None:
        return
    from holdfast.journal.inspection import server_settings

    found = server_settings(desk.store())
    good = (
        found.get("synchronous_commit") in ("on", "remote_apply") and found.get("fsync") == "on" and found.get("full_page_writes") == "on"
    )
    said = ", ".join(f"{k} {v}" for k, v in found.items())
    yield Check(
        "postgres",
        good,
        said,
        "" if good else "Set fsync, full_page_writes and synchronous_commit to on: a crash could lose what was promised.",
    )
