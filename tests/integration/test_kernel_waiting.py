"""A cell that waits in a real kernel: front-ends are served meanwhile, interrupts get through, and the wait is the same after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast.foundation import clock
from holdfast.testing.kernels import PATIENCE, VANILLA, Front


def front(folder: Path, hold_for: str = "60", **more: Any) -> Front:
    environment = {"HOLDFAST_JOURNAL": f"sqlite:///{folder}/j.db", "HOLDFAST_KEY_FILE": str(folder / "key"), "HOLDFAST_HOLD_FOR": hold_for}
    return Front(folder, environment=environment, **more)


def ask(kernel: Front, kind: str, content: dict[str, Any], **header: Any) -> str:
    """Send any message on the shell channel."""
    message = kernel.client.session.msg(kind, content)
    message["header"].update(header)
    kernel.client.shell_channel.send(message)
    return str(message["header"]["msg_id"])


def reply_to(kernel: Front, request: str) -> dict[str, Any]:
    until = clock.monotonic() + PATIENCE
    while clock.monotonic() < until:
        reply: dict[str, Any] = kernel.client.get_shell_msg(timeout=PATIENCE)
        if reply["parent_header"].get("msg_id") == request:
            return reply
    raise AssertionError(f"no reply to {request}")


def statuses(kernel: Front, request: str) -> list[str]:
    """What the kernel said it was while it handled a request, up to idle."""
    said: list[str] = []
    while not said or said[-1] != "idle":
        message = kernel.client.get_iopub_msg(timeout=PATIENCE)
        if message["parent_header"].get("msg_id") == request and message["header"]["msg_type"] == "status":
            said.append(message["content"]["execution_state"])
    return said


TARGET = """
from comm import get_comm_manager
seen = []
def opened(comm, message):
    comm.on_msg(lambda m: (seen.append(m['content']['data']), print('heard', m['content']['data'])))
get_comm_manager().register_target('ears', opened)
"""
#: Waits until three messages were heard, asking nobody but its own memory.
WAITING = """
from holdfast.durable import current
from holdfast.durable.interceptor import Request
from holdfast.durable.waiting import Matter, hold
recorder = current.active()
def do(attempt):
    matter = Matter(kind='signal', key='k', reason='three messages', opened_at=0.0)
    return list(hold(recorder, matter, lambda: seen if len(seen) >= 3 else None))
print('waiting', flush=True)
recorder.perform(Request(kind='signal', operation='x', fingerprint=b'x', effect='read'), do)
"""


@pytest.mark.parametrize("on_a_subshell", [False, True])
def test_widgets_and_questions_of_the_front_end_are_served_while_a_cell_waits(tmp_path: Path, on_a_subshell: bool) -> None:
    with front(tmp_path) as kernel:
        subshell = None
        if on_a_subshell:  # as JupyterLab sends comms
            kernel.client.control_channel.send(kernel.client.session.msg("create_subshell_request", {}))
            subshell = kernel.client.get_control_msg(timeout=PATIENCE)["content"]["subshell_id"]
        kernel.run(TARGET, "a")
        ask(kernel, "comm_open", {"comm_id": "c1", "target_name": "ears", "data": {}})
        running = kernel.send(WAITING, "b")
        kernel.receive(running, until=lambda m: m["content"].get("text", "").startswith("waiting"))
        waiting_cell = kernel.send("print('after')", "c")  # keeps its place behind the one that waits
        header = {"subshell_id": subshell} if subshell else {}
        for n in range(2):
            heard = ask(kernel, "comm_msg", {"comm_id": "c1", "data": n}, **header)
            said = statuses(kernel, heard)
            assert (said[0], said[-1]) == ("busy", "idle")
        assert reply_to(kernel, ask(kernel, "kernel_info_request", {}))["content"]["status"] == "ok"
        completed = reply_to(kernel, ask(kernel, "complete_request", {"code": "WAIT_ME = see", "cursor_pos": 13}))
        assert "seen" in completed["content"]["matches"]
        ask(kernel, "comm_msg", {"comm_id": "c1", "data": 2}, **header)
        done = kernel.receive(running)
        assert (done.state, done.result) == ("ran", "[0, 1, 2]")
        assert kernel.receive(waiting_cell).stdout == "after\n"
        assert kernel.run("len(seen)", "d").result == "3"


def test_comms_beside_a_cell_that_awaits_are_followed_by_idle(tmp_path: Path) -> None:
    """ipykernel 7.4 says nothing for them, and ipywidgets in the browser then sends the first letter of what is typed only."""
    with front(tmp_path) as kernel:
        kernel.run(TARGET, "a")
        ask(kernel, "comm_open", {"comm_id": "c1", "target_name": "ears", "data": {}})
        running = kernel.send("import asyncio\nprint('go', flush=True)\nwhile len(seen) < 2: await asyncio.sleep(0.02)\nseen", "b")
        kernel.receive(running, until=lambda m: m["content"].get("text", "").startswith("go"))
        for n in range(2):
            assert "idle" in statuses(kernel, ask(kernel, "comm_msg", {"comm_id": "c1", "data": n}))
        assert kernel.receive(running).result == "[0, 1]"


def test_an_interrupt_ends_a_wait_and_the_next_run_waits_for_the_same_moment(tmp_path: Path) -> None:
    with front(tmp_path) as kernel:
        running = kernel.send("import holdfast\nprint('go', flush=True)\nw = holdfast.wait(20)", "a")
        kernel.receive(running, until=lambda m: m["content"].get("text", "").startswith("go"))
        kernel.interrupt()
        stopped = kernel.receive(running)
        assert stopped.reply["ename"] == "KeyboardInterrupt"
        assert kernel.run("1 + 1", "b").result == "2"


def test_a_short_wait_is_waited_for_once_whatever_ends_the_kernel(tmp_path: Path) -> None:
    notebook = tmp_path / "n.ipynb"
    cell = "import holdfast\nw = holdfast.wait(2)\nprint(round(w.seconds, 3))"
    with front(tmp_path, notebook=notebook) as kernel:
        kernel.send("import os, holdfast, threading\nthreading.Timer(0.5, lambda: os.kill(os.getpid(), 9)).start()\n" + cell, "a")
        kernel.wait_until_dead()
    with front(tmp_path, notebook=notebook) as kernel:
        again = kernel.run("import os, holdfast, threading\n" + cell, "b")
        assert (again.state, again.stdout) == ("ran", "2.0\n")


def test_a_long_wait_ends_the_cell_with_a_notice_and_goes_on_when_it_is_over(tmp_path: Path) -> None:
    with front(tmp_path, hold_for="0") as kernel:
        cell = "import holdfast\nw = holdfast.wait('1.5 s')\nw.seconds"
        first = kernel.run(cell, "a")
        assert (first.state, first.reply["ename"]) == ("suspended", "Suspend")
        assert first.told["waiting_for"] == "timer"
        due = first.told["due_at"]
        while clock.now() < due:
            clock.sleep(0.05)
        second = kernel.run(cell, "a")
        assert (second.state, second.result) == ("ran", "1.5")


def test_in_a_kernel_made_durable_while_it_ran_widgets_are_served_too(tmp_path: Path) -> None:
    with front(tmp_path, command=VANILLA) as kernel:
        kernel.run("%load_ext holdfast")
        kernel.run(TARGET, "a")
        ask(kernel, "comm_open", {"comm_id": "c1", "target_name": "ears", "data": {}})
        running = kernel.send(WAITING, "b")
        kernel.receive(running, until=lambda m: m["content"].get("text", "").startswith("waiting"))
        for n in range(3):
            ask(kernel, "comm_msg", {"comm_id": "c1", "data": n})
        assert kernel.receive(running).result == "[0, 1, 2]"


def test_nothing_is_lost_when_messages_come_as_the_wait_ends(tmp_path: Path) -> None:
    """The thread that receives and the one that stops waiting meet: each message is handled by one of them."""
    with front(tmp_path) as kernel:
        kernel.run(TARGET, "a")
        ask(kernel, "comm_open", {"comm_id": "c1", "target_name": "ears", "data": {}})
        running = kernel.send(WAITING, "b")
        kernel.receive(running, until=lambda m: m["content"].get("text", "").startswith("waiting"))
        for n in range(40):
            ask(kernel, "comm_msg", {"comm_id": "c1", "data": n})
        kernel.receive(running)
        until = clock.monotonic() + PATIENCE
        while kernel.run("seen == list(range(40))").result != "True":
            assert clock.monotonic() < until
