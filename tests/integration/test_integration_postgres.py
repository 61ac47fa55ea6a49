"""The PostgreSQL integration on a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        with psycopg.connect(url, autocommit=True) as own:

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
                        count=value("SELECT count(*) FROM line"),
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
            "(row,) = postgres.long_queries(db, seconds=0)\nprint(row['query'], bool(postgres.check_long_queries(db, seconds=0)))\n"
            "print(postgres.terminate_backend(db, row['pid'], row['backend_start']))"
        )
        import threading

        with psycopg.connect(url, autocommit=True) as victim, psycopg.connect(url, autocommit=True) as own:
            caught: list[Exception] = []

            def sleep() -> None:
                try:
                    victim.execute("SELECT pg_sleep(120)")
                except psycopg.Error as error:
                    caught.append(error)

            thread = threading.Thread(target=sleep, daemon=True)
            thread.start()
            until(lambda: own.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone(), "the query")
            done = runner.run()
            own.execute("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")  # a failed test must end, too
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
