"""The PostgreSQL integration on a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.postgres import PostgresServer
from holdfast.testing.waiting import until

PASSWORD = "s3cret-of-the-database"
TRANSFER = """with db.transaction():
    (there,) = db.execute("SELECT amount FROM account WHERE name = %s", ["a"]).fetchone()
    db.execute("UPDATE account SET amount = amount - 10 WHERE name = %s", ["a"])
    db.execute("UPDATE account SET amount = amount + 10 WHERE name = %s", ["b"])
print(there)
"""


END = """(row,) = [one for one in postgres.long_queries(db, seconds=0) if one['application'] == {who!r}]
print(postgres.{how}(db, row['pid'], row['backend_start'], query=row['query_start']))"""
BY_HAND = """db.autocommit = False
db.execute("INSERT INTO line VALUES ('by hand')")
db.commit()
print('kept')"""


class Victim:
    """Sleeps on the server, and again whenever it is woken: each time it was is counted."""

    def __init__(self, url: str, name: str) -> None:
        self._where, self._name = psycopg.conninfo.make_conninfo(url, application_name=name), name
        self.ended, self._over = 0, False
        self._own = psycopg.connect(url, autocommit=True)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over:
            with psycopg.connect(self._where, autocommit=True) as link:
                try:
                    while not self._over:
                        try:
                            link.execute("SELECT pg_sleep(600)")
                        except psycopg.errors.QueryCanceled:
                            self.ended += 1
                except psycopg.errors.AdminShutdown:
                    self.ended += 1

    def ready(self) -> None:
        """It sleeps, and nothing is counted."""
        asleep = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event = 'PgSleep'"
        until(lambda: self._own.execute(asleep, [self._name]).fetchone(), f"{self._name} to sleep")
        self.ended = 0

    def close(self) -> None:
        """Let it go."""
        self._over = True
        self._own.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [self._name])
        self._thread.join(60)
        self._own.close()


class TestPostgres(IntegrationContract):
    """On PostgreSQL, counting by what is in its tables."""

    @pytest.fixture(scope="class")
    @classmethod
    def url(cls, postgres_server: PostgresServer) -> Iterator[str]:
        url = postgres_server.create_database()
        with psycopg.connect(url, autocommit=True) as db:
            db.execute(f"CREATE ROLE integ SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
            db.execute("CREATE TABLE account (name text PRIMARY KEY, amount int); CREATE TABLE line (text text)")
        yield url
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("REASSIGN OWNED BY integ TO CURRENT_USER; DROP OWNED BY integ; DROP ROLE integ")
        postgres_server.drop_database(url)

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, url: str) -> Iterator[Subject]:
        with psycopg.connect(url, autocommit=True) as own, closing(Victim(url, "slow")) as slow, closing(Victim(url, "stuck")) as stuck:

            def reset() -> None:
                own.execute("TRUNCATE account, line; INSERT INTO account VALUES ('a', 100), ('b', 0)")

            def value(query: str) -> Callable[[], Any]:
                return lambda: own.execute(query).fetchone()[0]  # type: ignore[index]

            scans = value("SELECT count(*) FROM pg_stat_activity")  # every look is one: readings are counted by their replay alone
            looked = [0]

            def looks() -> int:
                looked[0] += 1
                scans()
                return looked[0] if looked[0] < 2 else 2

            where = psycopg.conninfo.make_conninfo(url, user="integ", password=None)
            where = " ".join(part for part in where.split() if not part.startswith("password"))
            yield Subject(
                setup=f"from holdfast.integrations import postgres\ndb = postgres.connect({where!r}, password='env:DB_PASSWORD')",
                reset=reset,
                environment={"DB_PASSWORD": PASSWORD},
                modules=("psycopg", "holdfast.integrations.postgres"),
                secret=PASSWORD,
                reads=(Read(name="select", cell="print(db.execute('SELECT amount FROM account ORDER BY name').fetchall())", count=looks),),
                writes=(
                    Write(
                        name="insert",
                        cell="print(db.execute(\"INSERT INTO line VALUES ('x') RETURNING text\").fetchall())",
                        count=value("SELECT count(*) FROM line WHERE text = 'x'"),
                        effect="write",
                        target="postgresql://127.0.0.1:*/*",
                    ),
                    Write(
                        name="transaction",
                        cell=TRANSFER,
                        count=value("SELECT amount / 10 FROM account WHERE name = 'b'"),
                        effect="write",
                        target="postgresql://127.0.0.1:*/*",
                        calls=2,  # a dry run lists the statements
                    ),
                    Write(
                        name="cancel",
                        cell=END.format(who="slow", how="cancel_query"),
                        prepare=slow.ready,
                        count=lambda: slow.ended,
                        effect="idempotent",
                        target="postgresql://127.0.0.1:*/*",
                    ),
                    Write(
                        name="terminate",
                        cell=END.format(who="stuck", how="terminate_backend"),
                        prepare=stuck.ready,
                        count=lambda: stuck.ended,
                        effect="idempotent",
                        target="postgresql://127.0.0.1:*/*",
                    ),
                ),
            )

    def test_a_transaction_that_was_rolled_back_is_made_again(self, subject: Subject, cell: Callable[[str], CellRunner], url: str) -> None:
        runner = cell(TRANSFER)
        for cut in ("call.after_effect@3=kill", "call.after_effect@1=kill"):  # within the transaction, then at the number of its repetition
            assert runner.run(cut).killed
        done = runner.run()
        assert (done.status, done.out) == (0, "100\n"), done
        with psycopg.connect(url) as own:
            assert own.execute("SELECT name, amount FROM account ORDER BY name").fetchall() == [("a", 90), ("b", 10)]

    def test_it_is_not_made_again_on_other_data(self, cell: Callable[[str], CellRunner], url: str) -> None:
        runner = cell(TRANSFER)
        assert runner.run("call.after_intent=kill").killed
        with psycopg.connect(url) as own:
            own.execute("UPDATE account SET amount = 5 WHERE name = 'a'")
        done = runner.run()
        assert done.status == 1 and "HF332" in done.out, done
        with psycopg.connect(url) as own:
            assert own.execute("SELECT amount FROM account WHERE name = 'b'").fetchone() == (0,)

    def test_rows_descriptions_errors_as_without_holdfast(self, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "from psycopg.rows import dict_row\nimport psycopg\n"
            "c = db.cursor(row_factory=dict_row).execute('SELECT 1 AS n, now() - now() AS d UNION ALL SELECT 2, NULL')\n"
            "print(c.rowcount, [col.name for col in c.description], c.fetchone()['n'], [r['n'] for r in c])\n"
            "c.executemany('INSERT INTO line VALUES (%s)', [['p'], ['q']])\nprint(c.rowcount)\n"
            "try:\n    db.execute('SELECT 1/0')\nexcept psycopg.errors.DivisionByZero as e:\n    print(e.sqlstate)\n"
            "try:\n    with db.transaction():\n        db.execute(\"INSERT INTO line VALUES ('never')\")\n        raise KeyError\n"
            "except KeyError:\n    pass\n"
            "print(db.execute('SELECT text FROM line ORDER BY 1').fetchall())"
        )
        first, again = runner.run(), runner.run()
        assert first.out.splitlines() == ["2 ['n', 'd'] 1 [2]", "2", "22012", "[('p',), ('q',)]"], first
        assert again.out == first.out

    def test_a_long_query_is_found_and_ended(self, cell: Callable[[str], CellRunner], url: str) -> None:
        runner = cell(
            "(row,) = [one for one in postgres.long_queries(db, seconds=0) if '(120)' in one['query']]\n"
            "print(row['query'], bool(postgres.check_long_queries(db, seconds=0)))\n"
            "print(postgres.terminate_backend(db, row['pid'], row['backend_start']))"
        )
        with psycopg.connect(url, autocommit=True) as victim, psycopg.connect(url, autocommit=True) as own:
            caught: list[Exception] = []

            def sleep() -> None:
                try:
                    victim.execute("SELECT pg_sleep(120)")
                except psycopg.Error as error:
                    caught.append(error)

            thread = threading.Thread(target=sleep, daemon=True)
            thread.start()
            until(lambda: own.execute("SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(120)'").fetchone(), "the query")
            done = runner.run()
            own.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(120)'"
            )  # a failed test must end, too
            thread.join(60)
        assert done.out.splitlines() == ["SELECT pg_sleep(120) False", "True"], done
        assert caught and "terminating connection" in str(caught[0])

    def test_a_server_without_a_free_connection_is_asked_again(
        self, postgres_server: PostgresServer, cell: Callable[[str], CellRunner], url: str
    ) -> None:
        with psycopg.connect(url, autocommit=True) as own:
            own.execute(f"DROP ROLE IF EXISTS few; CREATE ROLE few LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 1")
            where = psycopg.conninfo.make_conninfo(url, user="few", password=PASSWORD)
            taken = psycopg.connect(where)
            runner = cell(f"few = postgres.connect({where!r})\nprint(few.execute('SELECT 7').fetchone())")
            process = runner.start()
            until(lambda: 'too many connections for role "few"' in postgres_server.log, "a refused connection")
            taken.close()
            out, err = process.communicate(timeout=60)
            own.execute("DROP ROLE few")
        assert (process.returncode, out) == (0, "(7,)\n"), err

    def test_what_cannot_be_serialised_is_made_anew_by_the_next_attempt(self, cell: Callable[[str], CellRunner], url: str) -> None:
        runner = cell(
            "other = postgres.connect(db.info.dsn, password='env:DB_PASSWORD')\n"
            "with db.transaction():\n"
            "    db.execute('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ')\n"
            "    print(db.execute(\"SELECT amount FROM account WHERE name = 'a'\").fetchone())\n"
            "    other.execute(\"UPDATE account SET amount = amount + 1 WHERE name = 'a'\")\n"
            "    db.execute(\"UPDATE account SET amount = amount * 2 WHERE name = 'a'\")\n"
        )
        done = runner.run()
        assert done.status == 1 and "SerializationFailure" in done.out, done
        runner.attempt = 2
        assert runner.run().out == "(101,)\n"
        with psycopg.connect(url) as own:
            assert own.execute("SELECT amount FROM account WHERE name = 'a'").fetchone() == (202,), "the other one's change is made once"

    @pytest.mark.slow
    def test_rarer_changes_are_made_once_whatever_is_killed(self, subject: Subject, cell: Callable[..., CellRunner], url: str) -> None:
        """Committed by hand, many rows at once, and what no transaction can hold."""
        with psycopg.connect(url, autocommit=True) as own:

            def number(query: str) -> Callable[[], int]:
                return lambda: int(own.execute(query).fetchone()[0])  # type: ignore[index]

            many = "db.cursor().executemany('INSERT INTO line VALUES (%s)', [['many'], ['many']])\nprint('both')"
            base = "SELECT count(*) FROM pg_database WHERE datname = 'made_by_a_row'"
            here: dict[str, Any] = {"effect": "write", "target": "postgresql://127.0.0.1:*/*"}
            for write in (
                Write(name="by hand", cell=BY_HAND, count=number("SELECT count(*) FROM line WHERE text = 'by hand'"), **here),
                Write(name="many", cell=many, count=number("SELECT count(*) FROM line WHERE text = 'many'"), makes=2, **here),
                Write(
                    name="database",
                    cell="db.execute('CREATE DATABASE made_by_a_row')\nprint('made')",
                    count=number(base),
                    asks=True,
                    **here,
                ),
            ):
                self._kill_and_go_on(subject, write, cell(write.cell, write.name))
            own.execute("DROP DATABASE made_by_a_row")
