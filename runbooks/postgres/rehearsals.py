"""The rehearsals of the runbooks in this folder, against a real PostgreSQL server of their own."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from holdfast.foundation import clock
from holdfast.testing.postgres import PostgresServer, find_binaries
from holdfast.testing.rehearsal import Answer, Stage, rehearsal

#: Longer than any rehearsal takes.
LONG = 3600


class Session:
    """Somebody's connection, doing something in a thread; it notes what happens to it.

    Args:
        statements: run one after the other. A cancelled one is noted, and the next one follows, as in an application that tries again.
    """

    def __init__(self, url: str, name: str, *statements: str, user: str = "") -> None:
        self.name, self.noted, self._statements = name, Counter[str](), statements
        self._connection = psycopg.connect(url, application_name=name, **({"user": user} if user else {}))
        self.pid = self._connection.info.backend_pid
        threading.Thread(target=self._work, daemon=True, name=name).start()

    def _work(self) -> None:
        for statement in self._statements:
            try:
                self._connection.execute(statement)
                self.noted[f"{self.name}: done"] += statement.startswith("UPDATE")
            except psycopg.errors.QueryCanceled:
                self.noted[f"{self.name}: cancelled"] += 1
                self._connection.rollback()
            except psycopg.OperationalError:
                self.noted[f"{self.name}: ended"] += 1
                return

    def look(self) -> None:
        """An idle session learns that it was ended when it speaks next."""
        with contextlib.suppress(psycopg.Error):
            if self._connection.closed or not self._connection.info.transaction_status:
                return
        try:
            if self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                self._connection.execute("SELECT 1")
        except psycopg.OperationalError:
            self.noted[f"{self.name}: ended"] += 1


@rehearsal("long-queries", needs=lambda: find_binaries() is not None)
@contextmanager
def sessions(folder: Path) -> Iterator[Stage]:
    """PostgreSQL with a forgotten transaction that blocks an UPDATE, two endless reports, and a backup that must not be touched."""
    with PostgresServer() as server:
        url = server.create_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE orders AS SELECT 1 AS id")
            place = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
            connection.execute(f"CREATE ROLE backup LOGIN SUPERUSER PASSWORD '{place['password']}'")
        sleep = f"SELECT pg_sleep({LONG})"
        forgotten = Session(url, "forgotten", "UPDATE orders SET id = id")
        people = [forgotten, *(Session(url, f"report-{n}", sleep, sleep) for n in (1, 2)), Session(url, "nightly", sleep, user="backup")]

        def state_of(name: str) -> str | None:
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT state FROM pg_stat_activity WHERE application_name = %s", [name]).fetchone()
            return row[0] if row else None

        def wait_until(name: str, state: str) -> None:
            until = clock.monotonic() + 60
            while state_of(name) != state:
                assert clock.monotonic() < until, f"{name} is {state_of(name)}"
                clock.sleep(0.05)

        wait_until("forgotten", "idle in transaction")
        people.append(Session(url, "checkout", "UPDATE orders SET id = id"))
        for name in ("checkout", "report-1", "report-2", "nightly"):
            wait_until(name, "active")
        clock.sleep(0.5)

        def effects() -> Counter[str]:
            forgotten.look()
            return sum((person.noted for person in people), Counter[str]())

        def state() -> Any:
            return {person.name: state_of(person.name) for person in people}

        chosen = {"pids": [people[1].pid, people[2].pid, forgotten.pid], "how": "cancel, then end"}
        yield Stage(
            environment={f"PG{'DATABASE' if name == 'dbname' else name.upper()}": value for name, value in place.items()},
            parameters={"min_age_seconds": 0.2, "exclude_users": ["backup"], "patience": 30},
            answers={"are to be stopped": Answer(value=chosen), "Stop 3 sessions": Answer("yes")},
            effects=effects,
            state=state,
        )
