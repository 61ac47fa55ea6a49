"""What reaches the outside without becoming a call is noticed; what is a call, or nobody's business, is not."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.durable import audit


@pytest.fixture(autouse=True)
def _watching(world: Any) -> Iterator[None]:
    audit.install(world.recorder)
    yield
    audit.uninstall()


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()


def test_connections_and_processes_are_listed_once_each(world: Any, server: tuple[str, int], capsys: Any) -> None:
    with world.cell():
        for _ in range(2):
            socket.create_connection(server).close()
        subprocess.run(["true", "--password", "hunter2"], check=True)
        os.system("true")
    assert world.last.undeclared == (
        f"socket.connect 127.0.0.1:{server[1]}",
        "subprocess.Popen true --password ***",
        "os.system true",
    )
    (note,) = world.entries("note")
    assert note.data == {"note": "undeclared", "cell": "c", "effects": list(world.last.undeclared)}
    assert capsys.readouterr() == ("", "")  # the cell's streams are its author's


def test_threads_of_the_cell_are_watched_and_the_kernels_own_are_not(world: Any, server: tuple[str, int]) -> None:
    go, gone = threading.Event(), threading.Event()

    def kernels_own() -> None:
        go.wait(20)
        socket.create_connection(server).close()
        gone.set()

    thread = threading.Thread(target=kernels_own)
    thread.start()
    audit.install(world.recorder)
    with world.cell():
        go.set()
        assert gone.wait(20)
        thread.join()
    assert world.last.undeclared == ()
    with world.cell():
        mine = threading.Thread(target=lambda: socket.create_connection(server).close())
        mine.start()
        mine.join()
    assert len(world.last.undeclared) == 1


def test_inside_a_call_and_in_holdfasts_own_work_nothing_is_noticed(world: Any, ask: Any, server: tuple[str, int]) -> None:
    def in_a_thread(attempt: Any) -> None:
        thread = threading.Thread(target=lambda: socket.create_connection(server).close())
        thread.start()
        thread.join()
        socket.create_connection(server).close()

    with world.cell():
        world.recorder.perform(ask("x"), in_a_thread)
        with world.recorder.passthrough():
            os.system("true")
    os.system("true")  # between cells
    assert world.last.undeclared == ()


def test_a_forked_child_records_nothing(world: Any) -> None:
    from holdfast.durable.wiring import _mute_children

    _mute_children(world.recorder)
    with world.cell():
        child = os.fork()
        if child == 0:
            os._exit(7 if world.recorder.active else 0)
        assert os.waitpid(child, 0)[1] == 0
        assert world.recorder.active
    assert world.last.undeclared == ("os.fork",)
