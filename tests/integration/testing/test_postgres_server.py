"""The test kit's own PostgreSQL server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from holdfast.errors import OperatorError
from holdfast.foundation import clock
from holdfast.testing.postgres import PostgresServer, find_binaries

pytestmark = pytest.mark.skipif(find_binaries() is None, reason="PostgreSQL 15 or newer is not installed")


def test_each_test_gets_an_empty_database(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    with psycopg.connect(first) as one, psycopg.connect(second) as two:
        one.execute("CREATE TABLE here (n int)")
        one.commit()
        rows = two.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'here'").fetchone()
    assert rows == (0,)
    postgres_server.drop_database(first)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


def test_a_server_that_was_stopped_hard_comes_back_with_its_data(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.create_database()
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        server.stop(now=True)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2)
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        folder = server.folder
    assert not folder.exists()


def test_a_port_taken_in_the_meantime_does_not_matter_until_it_was_given_out(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = PostgresServer()
        server.port = taken.getsockname()[1]
        with server:
            assert server.port != taken.getsockname()[1]
            with psycopg.connect(server.url()) as connection:
                assert connection.execute("SELECT 1").fetchone() == (1,)
            server.stop()
            with socket.socket() as thief:
                thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                thief.bind(("127.0.0.1", server.port))
                thief.listen()
                with pytest.raises(OperatorError, match=r"HF211.*did not start"):
                    server.start()
            assert not server.running


def test_the_server_ends_with_a_killed_owner() -> None:
    script = (
        "from holdfast.testing.postgres import PostgresServer; import time\n"
        "s = PostgresServer(); s.start(); print(s.folder, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    postmaster = int((folder / "data" / "postmaster.pid").read_text().split()[0])
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = clock.monotonic() + 30
    while folder.exists() and clock.monotonic() < deadline:
        clock.sleep(0.05)
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)
