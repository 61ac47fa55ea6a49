"""A PostgreSQL server of one's own, for tests: a fresh cluster on loopback that ends with the process that started it.

    with PostgresServer() as server:
        url = server.create_database()      # postgresql://…@127.0.0.1:…/…

PostgreSQL refuses to run as root; started by root, it runs as the system user ``postgres`` (else ``nobody``). A shell watches the
server from the outside: when this process goes, however it goes, the shell stops the server and removes its folder.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from holdfast.errors import OperatorError
from holdfast.foundation import clock

# $1 the folder, the rest the server's command line. A word on standard input means "stop, keep the folder"; its end without a word
# means that whoever started us is gone.
_WATCH = """
folder=$1; shift
"$@" </dev/null >>"$folder/log" 2>&1 &
server=$!
if read -r word; then
    kill -"$word" $server; wait $server
else
    kill -INT $server; wait $server; rm -rf "$folder"
fi
"""
_STARTUP_SECONDS = 60.0
_PORTS_TO_TRY = 5


def find_binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres`` (15 or newer), from ``PATH`` or the places distributions use; the newest wins."""
    places = [Path(found).resolve().parent for name in ("postgres", "initdb") if (found := shutil.which(name))]
    places += [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/usr").glob("pgsql-*/bin"), Path("/opt/homebrew/bin")]
    whole = [p for p in places if (p / "initdb").exists() and (p / "postgres").exists() and _version(p) >= 15]
    return max(whole, key=_version, default=None)


def _version(binaries: Path) -> int:
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)(?:\.\d+)?", said)
    return int(found.group(1)) if found else 0


class PostgresServer:
    """One cluster. ``start`` and ``stop`` may be called again and again: port, data and urls stay, as when a database goes and comes back.

    Args:
        fsync: whether commits reach the disk. Off by default: killing clients or the server loses nothing without it, only a power cut
            would; benchmarks turn it on.
        settings: further server settings, e.g. ``{"max_connections": "20"}``.

    Raises:
        OperatorError: HF210 when PostgreSQL is not installed, HF211 when the server does not come up.
    """

    def __init__(self, *, fsync: bool = False, settings: dict[str, str] | None = None) -> None:
        binaries = find_binaries()
        if binaries is None:
            raise OperatorError(
                "HF210",
                "no PostgreSQL 15 or newer is installed",
                cure="Install it, e.g. with: apt-get install postgresql",
                program="postgres",
            )
        self._binaries = binaries
        self._user = _ordinary_user()
        self._password = secrets.token_hex(8)
        self._watcher: subprocess.Popen[bytes] | None = None
        self._port_given_out = False
        self._log_read = 0
        self._count = 0
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-pg-"))
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.port = _free_port()
        self._settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "on" if fsync else "off",
            "synchronous_commit": "on",
            "max_connections": "100",
            "shared_buffers": "64MB",
            **(settings or {}),
        }
        self._initialise()

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def log(self) -> str:
        """What the server has logged."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def running(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._watcher is not None

    def url(self, database: str = "postgres") -> str:
        """The address of ``database``, for psycopg and for ``HOLDFAST_JOURNAL``."""
        return f"postgresql://holdfast:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers. Nothing happens when it runs already."""
        if self._watcher is not None:
            return
        for _ in range(_PORTS_TO_TRY):
            if self._came_up():
                self._port_given_out = True
                return
            if self._port_given_out or "could not bind" not in self._said:
                break
            self.port = _free_port()  # somebody else was given the free port between our asking and the server's
        tail = self._said.strip().splitlines()[-3:] or ["(no log)"]
        raise OperatorError("HF211", f"PostgreSQL did not start: {' / '.join(tail)}", cure="Read its log.", file=str(self.folder / "log"))

    @property
    def _said(self) -> str:
        """What the server has logged since it was last started."""
        return self.log[self._log_read :]

    def _came_up(self) -> bool:
        self._log_read = len(self.log)
        settings = {**self._settings, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [str(self._binaries / "postgres"), "-D", str(self.folder / "data"), *options]
        self._watcher = self._popen(["sh", "-c", _WATCH, "postgres", str(self.folder), *server], stdin=subprocess.PIPE)
        deadline = clock.monotonic() + _STARTUP_SECONDS
        while not self._answers():
            if clock.monotonic() > deadline or not self._lives():
                self.stop(now=True)
                return False
            clock.sleep(0.02)
        return self._lives()

    def _lives(self) -> bool:
        """Whether the server itself is still there; the watcher alone would wait for our word."""
        return "database system is shut down" not in self._said and "could not bind" not in self._said

    def stop(self, *, now: bool = False) -> None:
        """Stop the server, keep its data. Connections are cut; with ``now`` without a checkpoint, as if it had crashed."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.communicate(b"QUIT\n" if now else b"INT\n")

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop(now=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def create_database(self, *, template: str | None = None) -> str:
        """Make a new database, empty or a copy of ``template``, and return its url."""
        self._count += 1
        name = f"t{self._count}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Remove a database made by :meth:`create_database`; whoever is still connected to it is cut off."""
        self.execute(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser, outside any transaction; returns its rows."""
        import psycopg  # an extra: only those who ask for a server need it

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        ready = subprocess.run(
            [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True, check=False
        )
        return ready.returncode == 0

    def _initialise(self) -> None:
        secret = self.folder / "password"
        secret.write_text(self._password)
        secret.chmod(0o600)
        if self._user is not None:
            os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        command = [self._binaries / "initdb", "-D", self.folder / "data", "-U", "holdfast", "--auth=scram-sha-256", f"--pwfile={secret}"]
        process = self._popen([str(c) for c in command] + ["--encoding=UTF8", "--locale=C", "--no-sync"], stdout=subprocess.PIPE)
        said, _ = process.communicate()
        if process.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise OperatorError("HF211", f"initdb failed: {said.decode(errors='replace').strip()}", cure="Read what initdb said.")

    def _popen(self, command: list[str], *, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        who = self._user
        # Its own session: an interrupt typed at the terminal is for the tests, and reaches the server through `close`.
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            start_new_session=True,
            user=who.pw_uid if who else None,
            group=who.pw_gid if who else None,
            extra_groups=[] if who else None,
        )


def _ordinary_user() -> pwd.struct_passwd | None:
    """Whom a server started by root runs as; None when we are not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OperatorError("HF211", "PostgreSQL does not run as root and there is no user 'postgres' or 'nobody'", cure="Create one.")


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
