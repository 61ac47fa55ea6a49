"""On a terminal: the live table, and the shell, both through a pty."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

from holdfast.testing.sandbox import Sandbox

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def spawn(sandbox: Sandbox, *arguments: str) -> pexpect.spawn:
    environment = {**sandbox.environment, "TERM": "xterm", "COLUMNS": "160"}
    return pexpect.spawn(
        sys.executable,
        ["-m", "holdfast", *arguments],
        cwd=str(sandbox.folder),
        env=environment,
        encoding="utf8",
        timeout=60,
        dimensions=(40, 160),
    )


def test_a_run_shows_its_steps(sandbox: Sandbox) -> None:
    sandbox.notebook("live", [("markdown", "# A live one"), ("step:first", "print('hello')"), ("step:second", "1 / 0")])
    terminal = spawn(sandbox, "run", "live.ipynb", "--follow")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    shown = ANSI.sub("", terminal.before or "")
    assert "A live one" in shown
    assert "hello" in shown
    assert re.search(r"✓\s+first\s+succeeded", shown)
    assert re.search(r"✗\s+second\s+failed.*ZeroDivisionError", shown)
    assert "holdfast resume" in shown


def test_a_shell_is_an_execution_that_can_be_left_and_taken_up(sandbox: Sandbox) -> None:
    shell = spawn(sandbox, "shell", "--simple-prompt", "--name", "incident")
    shell.expect(r"execution (\d{8}-\d{6}-\w{6})")
    id = str(shell.match.group(1)) if isinstance(shell.match, re.Match) else ""
    for typed, printed in (("x = 41", "x = 41"), ("!echo once >> far; echo said", "said"), ("print(x + 1)", "42")):
        shell.expect(r"In \[\d+\]: ")
        shell.sendline(typed)
        shell.expect(printed)
    shell.sendeof()
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
    listed = sandbox.holdfast("list", "--json").json
    assert [(e["id"], e["runbook"], e["mode"], e["status"]) for e in listed] == [(id, "incident", "shell", "suspended")]
    assert sandbox.holdfast("resume", id, "--json").json["error"]["code"] == "HF253"

    again = spawn(sandbox, "shell", "--resume", id[-6:], "--simple-prompt")
    again.expect(r"In \[\d+\]: ")
    again.sendline("print(x + 2)")
    again.expect("43")
    again.expect(r"In \[\d+\]: ")
    again.sendline("!echo once >> far; echo said")  # the same text typed again is another command
    again.expect("said\r\n")
    again.expect(r"In \[\d+\]: ")
    again.sendeof()
    again.expect(pexpect.EOF)
    again.close()
    assert again.exitstatus == 0
    assert (sandbox.folder / "far").read_text() == "once\nonce\n"
    evidence = sandbox.holdfast("export", id, "--format", "md").out
    assert evidence.count("echo once") >= 4  # two calls, two cells
    assert "x + 2" in evidence


def test_a_shell_that_is_killed_can_be_taken_up(sandbox: Sandbox) -> None:
    shell = spawn(sandbox, "shell", "--simple-prompt")
    shell.expect(r"execution (\d{8}-\d{6}-\w{6})")
    id = str(shell.match.group(1)) if isinstance(shell.match, re.Match) else ""
    shell.expect(r"In \[\d+\]: ")
    shell.sendline("kept = {'a': 1}")
    shell.expect(r"In \[\d+\]: ")
    for pid in sandbox.kernels(shell.pid):
        os.kill(pid, 9)
    shell.kill(9)
    shell.close()
    again = spawn(sandbox, "shell", "--resume", id, "--simple-prompt")
    again.expect(r"In \[\d+\]: ")
    again.sendline("print(kept)")
    again.expect(r"\{'a': 1\}")
    again.sendeof()
    again.expect(pexpect.EOF)
    again.close()


def test_questions_are_asked_on_the_terminal_and_again_before_a_resume(sandbox: Sandbox) -> None:
    schema = {"type": "object", "required": ["node"], "properties": {"node": {"type": "string", "title": "Node", "minLength": 2}}}
    cells = [
        ("step:one", "from holdfast import confirm, form\nok = confirm('Drop it?', target='db-1', destructive=True)\nprint('ONE', ok.via)"),
        ("step:two", f"import os\nprint('TWO', form('Which node?', {schema!r}))"),
    ]
    sandbox.notebook("ask", cells)
    terminal = spawn(sandbox, "run", "ask.ipynb", "--id", "x", "--follow")
    terminal.expect(r"\? Drop it\?")
    terminal.expect("yes/no: ")
    terminal.sendline("y")
    terminal.expect("type db-1: ")
    terminal.sendline("db-1")
    terminal.expect("ONE terminal")
    terminal.expect(r"Node \*.*: ")
    terminal.sendeof()  # left open
    terminal.sendintr()
    terminal.expect("paused")
    terminal.expect(pexpect.EOF)
    again = spawn(sandbox, "resume", "x", "--follow")
    again.expect(r"Node \*.*: ")
    again.sendline("x")
    again.expect("at least 2 characters")
    again.expect(r"Node \*.*: ")
    again.sendline("n-7")
    again.expect("TWO {'node': 'n-7'}")
    again.expect(pexpect.EOF)
    again.close()
    assert again.exitstatus == 0
    sandbox.assert_laws("x")
