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


def test_every_kind_of_question_on_a_terminal(sandbox: Sandbox) -> None:
    schema = {
        "type": "object",
        "required": ["grace", "token"],
        "properties": {
            "grace": {"type": "integer", "title": "Grace", "minimum": 1},
            "force": {"type": "boolean", "title": "Force", "default": False},
            "token": {"type": "string", "title": "Token", "format": "password"},
        },
    }
    source = f"""from holdfast import approve, ask, form
print('OPTION', ask('How?', ['drain it', 'cordon it', 'leave it']))
print('TEXT', ask('Which ticket?'))
got = form('What else?', {schema!r})
print('FORM', got['grace'], got['force'], len(got['token']))
print('VOTES', approve('Go?', by=['ann', 'bob'], at_least=2, why=True).approved_by)
print('ELSEWHERE', ask('Where?', ['here', 'there']))"""
    sandbox.notebook("kinds", [("step:all", source)])
    sandbox.environment["HOLDFAST_USER"] = "ann"
    terminal = spawn(sandbox, "run", "kinds.ipynb", "--id", "x", "--follow")

    def says(expected: str, then: str | None = None) -> None:
        terminal.expect(expected)
        if then is not None:
            terminal.sendline(then)

    says(r"2\. cordon it.*number or answer: ", "7")
    says(r"'7' is none of them", "maybe")
    says(r"'maybe' is none of them", "2")
    says("OPTION cordon it")
    says(r"your answer \(decline to decline\): ", "")
    says(r"your answer \(decline to decline\): ", "OPS-7; rm -rf {x}")
    says(r"TEXT OPS-7; rm -rf \{x\}")
    says(r"Grace \*.*: ", "soon")
    says(r"Force.*: ", "perhaps")
    says(r"Token \*.*: ", "")
    says("once more")
    says(r"Grace \*.*: ", "30")
    says(r"Force.*: ", "yes")
    says(r"Token \*.*: ", "s3cret-Token")
    says("FORM 30 True 12")
    says("yes/no: ", "YES")
    says("why: ", " ")
    says("why: ", "the graph is flat")
    says("1 more must consent")
    [vote] = sandbox.holdfast("prompts", "--json").json
    environment = {**sandbox.environment, "HOLDFAST_USER": "bob"}
    bob = Sandbox(sandbox.folder, sandbox.journal, environment)
    assert bob.holdfast("answer", vote["id"], "yes", "--why", "agreed").status == 0
    says(r"VOTES \('ann', 'bob'\)")
    says("here/there: ")
    [other] = sandbox.holdfast("prompts", "--json").json
    assert bob.holdfast("answer", other["id"], "there").status == 0  # while the terminal waits
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert "there, answered by bob via cli" in terminal.before
    assert "ELSEWHERE there" in terminal.before
    assert terminal.exitstatus == 0
    kept = b"".join(p.read_bytes() for p in sandbox.folder.rglob("*") if p.is_file() and p.suffix != ".ipynb")
    assert b"s3cret-Token" not in kept


def test_a_question_in_a_console_is_left_open_by_ctrl_c_and_asked_again(sandbox: Sandbox) -> None:
    sandbox.environment["HOLDFAST_USER"] = "ann"
    console = spawn(sandbox, "shell", "--simple-prompt")
    console.expect(r"In \[1\]: ")
    console.sendline("from holdfast import confirm")
    console.expect(r"In \[2\]: ")
    console.sendline("print('GOT', bool(confirm('Drop db-1?', target='db-1', why=True)))")
    console.expect("yes/no: ")
    console.sendline("why not")
    console.expect("'why not' is none of them")
    console.expect("yes/no: ")
    console.sendintr()
    console.expect("KeyboardInterrupt")
    console.expect(r"In \[[34]\]: ")
    [prompt] = sandbox.holdfast("prompts", "--json").json
    assert (prompt["state"], prompt["target"]) == ("open", "db-1")
    console.sendline("print('GOT', bool(confirm('Drop db-1?', target='db-1', why=True)))")
    console.expect("yes/no: ")
    console.sendline("n")
    console.expect("why: ")
    console.sendline("not today")
    console.expect("GOT False")
    console.expect(r"In \[[45]\]: ")
    console.sendeof()
    console.expect(pexpect.EOF)
    console.close()
