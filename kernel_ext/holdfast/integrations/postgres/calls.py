"""psycopg: statements by transaction.

What a transaction does is done when it is committed. So its statements are recorded as readings (their results are kept), and the commit is
the change: before it is sent the transaction's own number is recorded, and afterwards ``txid_status`` tells for certain whether it was
committed. When it was not, a later pass executes the recorded statements again in a new transaction, and goes on only if they give what
they gave before.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Outcome, Recorder, Request
from holdfast.errors import CallError, OutcomeUnknownError
from holdfast.foundation import clock
from holdfast.integrations.postgres.results import given, taken
from holdfast.integrations.postgres.statements import Statement
from holdfast.model.call import Effect

_LOOKS, _APART = 20, 0.5  # how often and how far apart (seconds) a transaction that still goes on is looked at


class PostgresInterceptor:
    """Wraps ``Cursor.execute`` and ``executemany``, ``Connection.commit`` and ``rollback``, ``Transaction``. COPY, ``stream``, server-side
    cursors, pipelines and ``AsyncConnection`` are not recorded."""

    name = "psycopg"
    modules: tuple[str, ...] = ("psycopg",)

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def install(self, recorder: Recorder) -> None:
        """Wrap them."""
        from psycopg import Connection, Cursor, Transaction

        work = Work(recorder)
        self._wrap(Cursor, "execute", lambda original: lambda *a, **k: work.execute(original, *a, **k))
        self._wrap(Cursor, "executemany", lambda original: lambda *a, **k: work.execute_many(original, *a, **k))
        self._wrap(Connection, "commit", lambda original: lambda connection: work.commit(original, connection))
        self._wrap(Connection, "rollback", lambda original: lambda connection: work.rollback(original, connection))
        self._wrap(Transaction, "__enter__", lambda original: lambda block: work.enter(original, block))
        self._wrap(Transaction, "__exit__", lambda original: lambda block, *error: work.leave(original, block, *error))

    def uninstall(self) -> None:
        """Undo."""
        for owner, name, original in self._originals:
            setattr(owner, name, original)
        self._originals.clear()

    def _wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, functools.wraps(original)(make(original)))


class Ledger:
    """What was asked of a connection since its transaction began."""

    def __init__(self) -> None:
        self.statements: list[tuple[Statement, Callable[[], dict[str, Any]], dict[str, Any]]] = []
        self.ran = 0  # of these, how many the open transaction has really seen
        self.number: str | None = None  # the open transaction's
        self.depth: list[int] = []  # how many statements there were when each block was entered

    def clear(self) -> None:
        """The transaction is over."""
        self.statements, self.ran, self.number = [], 0, None

    def catch_up(self) -> None:
        """Let the open transaction see what was answered from the record.

        Raises:
            CallError: HF332 the database gives something else by now.
        """
        while self.ran < len(self.statements):
            statement, run, before = self.statements[self.ran]
            now = run()
            if (now["rows"], now["count"]) != (before["rows"], before["count"]):
                raise CallError(
                    "HF332",
                    f"a transaction cannot be made again: `{statement.shown}` does not give what it gave before",
                    cure="look at the data; then run the step anew, so that it decides anew",
                )
            self.ran += 1


class Work:
    """All connections of a process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._ledgers: weakref.WeakKeyDictionary[Any, Ledger] = weakref.WeakKeyDictionary()

    def _ledger(self, connection: Any) -> Ledger:
        return self._ledgers.setdefault(connection, Ledger())

    def _records(self, connection: Any) -> bool:
        """Whether what is done now is recorded; the journal's own connection never is."""
        return self._recorder.active and not getattr(connection, "of_journal", False)

    # ---- statements ----

    def execute(self, original: Any, cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
        """``Cursor.execute``."""
        __tracebackhide__ = True
        if not self._records(cursor.connection):
            return original(cursor, query, params, **options)
        statement = Statement(_text(query, cursor), params)

        def run() -> dict[str, Any]:
            original(cursor, query, params, **options)
            return taken(_live(cursor))

        if statement.session:
            with self._recorder.passthrough():
                return original(cursor, query, params, **options)
        return given(cursor, self._made(cursor.connection, statement, run))

    def execute_many(self, original: Any, cursor: Any, query: Any, params_seq: Any, **options: Any) -> None:
        """``Cursor.executemany``."""
        __tracebackhide__ = True
        if not self._records(cursor.connection):
            original(cursor, query, params_seq, **options)
            return
        everything = list(params_seq)

        def run() -> dict[str, Any]:
            original(cursor, query, everything, **options)
            return taken(_live(cursor))

        given(cursor, self._made(cursor.connection, Statement(_text(query, cursor), everything), run))

    def _made(self, connection: Any, statement: Statement, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        __tracebackhide__ = True
        ledger = self._ledger(connection)
        inside = bool(ledger.depth) or not connection.autocommit
        if statement.at_once or statement.controls or self._recorder.dry_run and statement.effect != Effect.READ:
            return self._perform(connection, statement, statement.effect, run)
        if inside:
            return self._noted(connection, ledger, statement, run)
        if statement.effect == Effect.READ:
            return self._perform(connection, statement, Effect.READ, run)
        from psycopg import Transaction

        block = Transaction(connection)
        with block:  # alone, and in a transaction of its own: so that there is a number by which to find it again
            found = self._noted(connection, ledger, statement, run)
        return found  # noqa: RET504 - as far as types tell, the block might swallow an error

    def _noted(self, connection: Any, ledger: Ledger, statement: Statement, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        __tracebackhide__ = True

        def live() -> dict[str, Any]:
            ledger.catch_up()
            found = run()
            ledger.ran += 1
            return found

        found = self._perform(connection, statement, Effect.READ, live)
        ledger.statements.append((statement, run, found))
        return found

    def _perform(self, connection: Any, statement: Statement, effect: Effect, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        __tracebackhide__ = True
        request = Request(
            kind="sql",
            operation=statement.shown,
            fingerprint=digest([_target(connection), statement.text, statement.parameters]),
            effect=effect,
            target=_target(connection),
            destructive=statement.destructive,
            arguments={"parameters": repr(statement.parameters)[:200]} if statement.parameters else {},
        )

        def do(attempt: Attempt) -> dict[str, Any]:
            try:
                return run()
            except Exception as error:
                if effect == Effect.WRITE and connection.broken:
                    raise _unknown(statement.shown, error) from error
                raise

        return self._recorder.perform(request, do, assumed=_assumed)

    # ---- transactions ----

    def commit(self, original: Any, connection: Any) -> None:
        """``Connection.commit``."""
        __tracebackhide__ = True
        ledger = self._ledger(connection)
        if not self._records(connection):
            original(connection)
        elif self._recorder.dry_run:
            connection.rollback()
        else:
            self._settle(connection, ledger, lambda: original(connection), connection.rollback)
        ledger.clear()

    def rollback(self, original: Any, connection: Any) -> None:
        """``Connection.rollback``."""
        self._ledger(connection).clear()
        original(connection)

    def enter(self, original: Any, block: Any) -> Any:
        """``with connection.transaction()``."""
        found = original(block)
        ledger = self._ledger(block.connection)
        ledger.depth.append(len(ledger.statements))
        return found

    def leave(self, original: Any, block: Any, kind: Any, error: Any, trace: Any) -> Any:
        """Its end: an outer one without an error is a commit."""
        __tracebackhide__ = True
        connection = block.connection
        ledger = self._ledger(connection)
        begun = ledger.depth.pop() if ledger.depth else 0
        if kind is not None or block.force_rollback:
            del ledger.statements[begun:]
            ledger.ran = min(ledger.ran, begun)
            return original(block, kind, error, trace)
        if ledger.depth or not connection.autocommit or not self._records(connection):
            return original(block, kind, error, trace)  # a savepoint, or part of the connection's own transaction
        from psycopg import Rollback

        def undo() -> None:
            original(block, Rollback, Rollback(block), None)

        if self._recorder.dry_run:
            undo()
        else:
            self._settle(connection, ledger, lambda: original(block, None, None, None), undo)
        ledger.clear()
        return None

    def _settle(self, connection: Any, ledger: Ledger, commit: Callable[[], None], undo: Callable[[], None]) -> None:
        """Commit once."""
        __tracebackhide__ = True
        if not any(statement.effect != Effect.READ for statement, _, _ in ledger.statements):
            commit()
            return
        target = _target(connection)
        said = [[statement.text, statement.parameters] for statement, _, _ in ledger.statements]
        shown = [statement.shown for statement, _, _ in ledger.statements]
        here: list[str] = []  # the numbers that this process has committed in this pass
        for n in range(1000):
            mark = digest([target, said, n])
            number = self._recorder.perform(
                Request(kind="sql", operation="the transaction's number", fingerprint=b"n" + mark, effect=Effect.READ, target=target),
                functools.partial(_number, connection, ledger),
            )

            def do(attempt: Attempt, number: str = number) -> bool:
                if ledger.number != number:
                    return False  # that one was of an earlier process, and was never committed
                try:
                    commit()
                except Exception as error:
                    if connection.broken:
                        raise _unknown("COMMIT", error) from error
                    raise
                here.append(number)
                return True

            request = Request(
                kind="sql",
                operation=f"commit: {'; '.join(shown)}"[:300],
                fingerprint=b"c" + mark,
                effect=Effect.WRITE,
                target=target,
                destructive=any(statement.destructive for statement, _, _ in ledger.statements),
                arguments={"statements": shown[:50]},
            )
            done = self._recorder.perform(
                request,
                do,
                probe=functools.partial(_committed, connection, number),
                failed=lambda stored: not stored,
                assumed=_committed_then,
            )
            if done:
                if not here and not connection.broken:  # done by an earlier process or attempt: nothing of this one's stays
                    undo()
                return
        raise CallError("HF332", "the transaction was rolled back again and again", cure="look at the server's log")


def _number(connection: Any, ledger: Ledger, attempt: Attempt) -> str:
    ledger.catch_up()
    (found,) = connection.cursor(row_factory=_tuples).execute("SELECT txid_current()::text").fetchone()
    ledger.number = str(found)
    return ledger.number


def _tuples(cursor: Any) -> Any:
    return tuple


def _committed(connection: Any, number: str, attempt: Attempt) -> Outcome | None:
    """Ask the server, on a connection of its own."""
    import psycopg

    info = connection.info
    with psycopg.connect(info.dsn, password=info.password, autocommit=True) as other:
        for look in range(_LOOKS):
            if look:
                clock.sleep(_APART)
            (status,) = other.execute("SELECT txid_status(%s::bigint)", [number]).fetchone()  # type: ignore[misc]
            if status in ("committed", "aborted"):
                return Outcome(happened=True, value=status == "committed")
            if status is None:
                break  # too long ago: the server has forgotten
    return None


def _committed_then(value: Any) -> bool:
    return value is not False


def _assumed(value: Any) -> dict[str, Any]:
    """The result that a person's word, or a dry run, stands for."""
    rows = value if isinstance(value, list) else []
    return {"names": [], "types": [], "rows": rows, "count": len(rows) or -1, "message": "assumed"}


def _unknown(what: str, error: Exception) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        "HF314",
        f"the connection to the database broke while `{what}` was on its way ({type(error).__name__})",
        cure="find out in the database whether it happened, then answer the prompt",
    )


def _text(query: Any, cursor: Any) -> str:
    if isinstance(query, bytes):
        return query.decode()
    return query if isinstance(query, str) else str(query.as_string(cursor))


def _live(cursor: Any) -> Any:
    """The cursor as psycopg made it."""
    from holdfast.integrations.postgres.results import Recorded

    if isinstance(cursor, Recorded):
        cursor.__class__ = type(cursor).__mro__[2]
    return cursor


def _target(connection: Any) -> str:
    info = connection.info
    return f"postgresql://{info.host}:{info.port}/{info.dbname}"
