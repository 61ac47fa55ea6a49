"""A connection to PostgreSQL that comes back: lost ones are made again for a while, and what was being committed is looked for."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from holdfast.errors import HoldfastError, OperatorError, StoreError
from holdfast.foundation import clock

T = TypeVar("T")
Connection = psycopg.Connection[TupleRow]
IDLE: Final = TransactionStatus.IDLE

RECONNECT_SECONDS = 15.0  # for how long a lost server is waited for
LOCK_SECONDS: Final = 30
_CONNECT: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds; a machine that vanished without a word
    "application_name": "holdfast",
    "client_encoding": "utf8",
}
# Not as start-up options: connection poolers refuse those.
_SETTINGS: Final = (
    "SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; SET statement_timeout = 0; "
    f"SET lock_timeout = '{LOCK_SECONDS}s'; SET idle_in_transaction_session_timeout = 0; SET bytea_output = 'hex'"
)
_WHO: Final = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END: Final = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid = %s AND backend_start::text = %s"


class _Connection(psycopg.Connection):
    """The journal's own: what it does is not a call of the cell that happens to run."""

    of_journal = True


class Link:
    """One connection, for one thread at a time.

    Args:
        url: of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._name = server_name(url)
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._who: tuple[int, str] | None = None  # the backend that serves us
        self._left: list[tuple[int, str]] = []  # those that we lost and that may still be at work

    def open(self) -> None:
        """Connect now. A server that is starting is waited for; one that is not there is not.

        Raises:
            OperatorError: HF228, HF229.
            StoreError: HF503.
        """
        self.run(lambda _: None, wait=0.0)

    def run(
        self, work: Callable[[Connection], T], *, settle: Callable[[Connection], T | None] | None = None, wait: float | None = None
    ) -> T:
        """``work`` on the connection; when that is lost, again on a new one.

        Args:
            work: one transaction; what it raises besides a lost connection passes through, with ``psycopg.Error`` translated
                (``psycopg.errors.UniqueViolation`` passes as it is).
            settle: asked, when the connection was lost during ``work``, before it is done again: what ``work`` returned had it been
                committed; None when it was not. The lost backend has ended by then, so the answer stays true. Needed
                for work that must not be done twice.
            wait: seconds for which a lost server is waited for; ``RECONNECT_SECONDS`` by default.

        Raises:
            StoreError: HF501–HF505.
            OperatorError: HF228, HF229.
        """
        if os.getpid() != self._pid:
            self._after_fork()
        until, pause, begun = clock.monotonic() + (RECONNECT_SECONDS if wait is None else wait), 0.05, False
        with self._lock:
            while True:
                try:
                    connection = self._connected()
                    if begun and settle is not None:
                        found = settle(connection)
                        if found is not None:
                            return found
                    begun = True
                    return work(connection)
                except psycopg.errors.UniqueViolation:
                    raise
                except OSError as error:
                    raise translate(error, self._name) from error
                except psycopg.Error as error:
                    again = self._lost(error) or getattr(error, "sqlstate", None) in _REPEATABLE
                    starting = getattr(error, "sqlstate", None) == "57P03" or "starting up" in str(error)
                    if not again or clock.monotonic() > until + (10.0 if starting else 0.0):
                        raise translate(error, self._name) from error
                clock.sleep(pause)
                pause = min(2 * pause, 1.0)

    def close(self) -> None:
        """Close the connection; in a child of a fork, nothing."""
        if os.getpid() == self._pid:
            with self._lock:
                if self._connection is not None:
                    self._connection.close()
                self._connection = None

    def _connected(self) -> Connection:
        if self._connection is not None and self._connection.pgconn.transaction_status != IDLE:
            self._drop(self._connection)  # a person interrupted in the midst of it: what it was doing must come to an end first
        if self._connection is None:
            connection = _Connection.connect(self._url, autocommit=True, **_CONNECT)  # type: ignore[arg-type]  # a mixed dict
            try:
                connection.execute(_SETTINGS)
                self._end_lost(connection)
                row = connection.execute(_WHO).fetchone()
            except BaseException:
                connection.close()
                raise
            self._who = (row[0], row[1]) if row else None
            self._connection = connection
        return self._connection

    def _lost(self, error: Exception) -> bool:
        """Whether the connection is gone; then it is dropped."""
        state = getattr(error, "sqlstate", None) or ""
        connection = self._connection
        if connection is None:
            return not state or state.startswith(("08", "57P", "53"))
        busy = not connection.closed and connection.pgconn.transaction_status != IDLE  # out of step with the server
        if busy or connection.closed or connection.broken or state.startswith(("08", "57P")) or state == "25006":
            self._drop(connection)
            return True
        return False

    def _drop(self, connection: Connection) -> None:
        if self._who is not None:
            self._left.append(self._who)
        self._who = self._connection = None
        connection.close()

    def _end_lost(self, connection: Connection) -> None:
        """Make sure that the backend we lost can commit nothing any more."""
        while self._left:
            row = connection.execute(_END, self._left[-1]).fetchone()
            if row is not None and not row[0]:
                raise psycopg.OperationalError("a lost session of this client is still at work and cannot be ended")
            self._left.pop()

    def _after_fork(self) -> None:
        """A child must not touch its parent's connection: even closing it would end the parent's session."""
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection.pgconn))
        self._reset()


_REPEATABLE: Final = frozenset({"40001", "40P01"})  # rolled back to let others pass


def server_name(url: str) -> str:
    """``host:port/database`` of a URL, for messages: no user, no password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return "postgresql"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


def translate(error: Exception, name: str) -> HoldfastError:
    """The error with a code that ``error`` means."""
    state = getattr(error, "sqlstate", None) or ""
    text = " ".join(str(error).split())
    where: dict[str, Any] = {"database": name}
    if state == "53100" or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return StoreError("HF502", f"the database's disk is full: {text}", cure="Make room; the execution can then be resumed.", **where)
    if state in ("55P03", "57014"):
        return StoreError(
            "HF501",
            f"another session held the journal for {LOCK_SECONDS} s",
            cure="Look at pg_locks for a stuck session; then resume.",
            **where,
        )
    if state in ("XX001", "XX002"):
        return StoreError("HF504", f"the journal is damaged: {text}", cure="Restore the database from a backup.", **where)
    if (
        state.startswith("28")
        or state in ("3D000", "42501")
        or "authentication failed" in text
        or ("database" in text and "does not exist" in text)
    ):
        return OperatorError("HF228", f"the database refuses: {text}", cure="Check user, password, database and rights.", **where)
    if state == "25006":
        return OperatorError("HF229", "the database takes no writes", cure="Name the primary server, not a replica.", **where)
    if not state or state.startswith(("08", "57P", "53")):
        return StoreError(
            "HF503", f"the database cannot be reached: {text}", cure="Bring the server or the network back; then resume.", **where
        )
    return StoreError("HF505", f"the journal could not be read or written: {text}", cure="Look at the server's log; then resume.", **where)
