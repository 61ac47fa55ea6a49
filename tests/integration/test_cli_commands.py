"""The commands as people and machines use them: one document on stdout, one line for what is wrong, nothing half-made."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.sandbox import Sandbox

PAYS = "from holdfast import call\n@call(effect='write')\ndef pay(n):\n    open('far', 'a').write('paid ')\n    return {'id': n}"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


@pytest.fixture
def simple(sandbox: Sandbox) -> Path:
    return sandbox.notebook(
        "simple",
        [
            ("parameters", "n: int\nname: str = 'x'"),
            ("step:one", "!echo one >> far"),
            ("step:two", "!echo two-$n >> far\nprint(n)"),
            ("step:three", "!echo three >> far"),
        ],
    )


@pytest.fixture
def done(sandbox: Sandbox, simple: Path) -> dict[str, Any]:
    return sandbox.holdfast("run", simple, "-p", "n", "3", "--id", "first", "--json").json


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["run", "missing.ipynb"], "HF605", "no such notebook"),
        (["run", "simple.ipynb"], "HF103", "missing parameter 'n'"),
        (["run", "simple.ipynb", "-p", "n", "three"], "HF103", "'three' is not a whole number"),
        (["run", "simple.ipynb", "-p", "n", "3", "-p", "nmae", "x"], "HF103", "unknown parameter 'nmae'"),
        (["run", "simple.ipynb", "-p", "n", "3", "-p", "n", "4"], "HF257", "given twice"),
        (["run", "simple.ipynb", "-f", "none.yaml"], "HF257", "no such parameters file"),
        (["run", "simple.ipynb", "-f", "broken.yaml"], "HF257", "not YAML"),
        (["run", "simple.ipynb", "-f", "list.yaml"], "HF257", "not a mapping"),
        (["run", "simple.ipynb", "-p", "n", "3", "--id", "../up"], "HF254", "cannot be an execution's id"),
        (["run", "simple.ipynb", "-p", "n", "3", "--output", "/proc/nowhere/out.ipynb"], "HF252", "cannot be written"),
        (["run", "simple.ipynb", "-p", "n", "3", "--output", "."], "HF252", "a folder"),
        (["run", "broken.ipynb"], "HF101", "not valid JSON"),
        (["run", "cycle.ipynb"], "HF102", "does not compile"),
        (["run", "simple.ipynb", "-p", "n", "3", "--journal", "mysql://x"], "HF202", "journal"),
        (["run", "simple.ipynb", "-p", "n", "3", "--journal", "sqlite:////proc/nowhere/journal.db"], "HF221", ""),
        (["run"], "HF257", "Missing argument 'NOTEBOOK'"),
        (["run", "simple.ipynb", "--nope"], "HF257", "--nope"),
        (["shwo"], "HF257", "Did you mean 'show'?"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(sandbox: Sandbox, simple: Path, arguments: list[str], code: str, says: str) -> None:
    (sandbox.folder / "broken.yaml").write_text("a: [1\n")
    (sandbox.folder / "list.yaml").write_text("- 1\n")
    (sandbox.folder / "broken.ipynb").write_text('{"cells": [')
    sandbox.notebook("cycle", [("step:a", "1", {"after": ["b"]}), ("step:b", "2", {"after": ["a"]})])
    text = sandbox.holdfast(*arguments)
    assert text.status == 2, text.err
    assert text.out == ""
    assert len(text.err.strip().splitlines()) == 1
    assert text.err.startswith(f"error: {code}: ")
    assert says in text.err
    document = sandbox.holdfast(*arguments, "--json")
    assert (document.status, document.json["error"]["code"]) == (2, code)
    assert document.json["error"]["cure"]
    assert not (sandbox.folder / ".holdfast" / "journal.db").exists()
    assert not (sandbox.folder / "far").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", "firts"], "HF601", "Did you mean first?"),
        (["resume", "nothing"], "HF601", "no execution"),
        (["cancel", "first"], "HF253", "succeeded already"),
        (["rerun", "first", "--from", "tow"], "HF603", "Did you mean 'two'?"),
        (["answer", "first.00000000", "run"], "HF602", "no prompt"),
        (["answer", "first.00000000", "run", "--value", "{x"], "HF257", "not JSON"),
        (["run", "simple.ipynb", "-p", "n", "4", "--id", "first"], "HF254", "other parameters"),
        (["export", "first", "-o", "evidence.pdf"], "HF257", "no format"),
        (["shell", "--resume", "first"], "HF253", "no shell session"),
    ],
)
def test_wrong_names_and_states_are_told(sandbox: Sandbox, done: dict[str, Any], arguments: list[str], code: str, says: str) -> None:
    before = len(sandbox.entries("first"))
    text = sandbox.holdfast(*arguments)
    assert text.status == 2, text.err
    assert f"error: {code}: " in text.err
    assert says in text.err
    assert len(sandbox.entries("first")) == before
    assert len(sandbox.holdfast("list", "--json").json) == 1


def test_lists_are_arrays_of_objects_with_ids(sandbox: Sandbox, done: dict[str, Any]) -> None:
    assert sandbox.holdfast("list", "--json", "--status", "failed").json == []
    (listed,) = sandbox.holdfast("--json", "list").json
    assert (listed["id"], listed["runbook"], listed["status"], listed["parameters"]) == ("first", "simple", "succeeded", {"n": 3})
    shown = sandbox.holdfast("show", "fir", "--calls", "--entries", "--json").json
    assert [(s["id"], s["state"]) for s in shown["steps"]] == [("one", "succeeded"), ("two", "succeeded"), ("three", "succeeded")]
    assert [(c["step"], c["operation"], c["state"], c["effect"], c["attempt"]) for c in shown["calls"]] == [
        ("one", "echo one >> far", "succeeded", "write", 1),
        ("two", "echo two-3 >> far", "succeeded", "write", 1),
        ("three", "echo three >> far", "succeeded", "write", 1),
    ]
    assert shown["output"] == done["output"]
    assert all(e["id"] and e["text"] for e in shown["entries"])
    text = sandbox.holdfast("show", "first", "--calls", "--entries")
    assert "echo two-3 >> far" in text.out
    assert sandbox.holdfast("prompts", "--json").json == []


def test_where_nothing_was_run_lists_are_empty(sandbox: Sandbox) -> None:
    assert sandbox.holdfast("list", "--json").json == []
    assert sandbox.holdfast("prompts", "--json").json == []
    assert "nothing yet" in sandbox.holdfast("list").out
    assert not (sandbox.folder / ".holdfast").exists()


def test_the_same_id_continues_and_parameters_come_from_a_file(sandbox: Sandbox, simple: Path) -> None:
    (sandbox.folder / "p.yaml").write_text("n: 5\nname: from file\n")
    first = sandbox.holdfast("run", simple, "-f", "p.yaml", "-p", "name", "typed", "--id", "same", "--json")
    assert first.status == 0, first.err
    assert sandbox.holdfast("show", "same", "--json").json["parameters"] == {"n": 5, "name": "typed"}
    again = sandbox.holdfast("run", simple, "-f", "p.yaml", "-p", "name", "typed", "--id", "same", "--json")
    assert (again.status, again.json["id"]) == (0, "same")
    assert (sandbox.folder / "far").read_text().split() == ["one", "two-5", "three"]


def test_rerun_is_a_fork_that_repeats_only_what_comes_from_the_step_on(sandbox: Sandbox, done: dict[str, Any]) -> None:
    forked = sandbox.holdfast("rerun", "first", "--from", "two", "--id", "second", "--json")
    assert forked.status == 0, forked.err
    assert (sandbox.folder / "far").read_text().split() == ["one", "two-3", "three", "two-3", "three"]
    shown = sandbox.holdfast("show", "second", "--json").json
    assert shown["forked_from"] == "first"
    assert [s["state"] for s in shown["steps"]] == ["succeeded"] * 3
    assert "forked from first at step two" in sandbox.holdfast("show", "second", "--entries").out


def test_rerun_from_a_step_that_was_never_reached_is_refused(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook("stops", [("step:a", "1 / 0"), ("step:b", "pass"), ("step:c", "pass")])
    assert sandbox.holdfast("run", notebook, "--id", "s").status == 1
    refused = sandbox.holdfast("rerun", "s", "--from", "c", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (2, "HF253")
    assert "never came to step 'c'" in refused.json["error"]["what"]
    assert len(sandbox.holdfast("list", "--json").json) == 1


def test_the_text_is_pinned_until_changes_are_accepted(sandbox: Sandbox) -> None:
    cells = [("step:a", "!echo a >> far\nx = 1"), ("step:b", "y = x + 1\n!echo b >> far"), ("step:c", "!echo c >> far\nassert y > 5")]
    sandbox.notebook("pinned", [*cells, ("step:other", "print('other')", {"after": ["a"]})])
    assert sandbox.holdfast("run", "pinned.ipynb", "--id", "p").status == 1
    cells[1] = ("step:b", "y = x + 10\n!echo b2 >> far")
    sandbox.notebook("pinned", [*cells, ("step:other", "print('other')", {"after": ["a"]})])
    assert sandbox.holdfast("resume", "p").status == 1  # the pinned text still fails
    done = sandbox.holdfast("resume", "p", "--accept-changes", "--json")
    assert done.status == 0, done.err
    assert (sandbox.folder / "far").read_text().split() == ["a", "b", "c", "b2"]
    (accepted,) = [e.data for e in sandbox.entries("p") if e.kind == "execution.changes_accepted"]
    assert accepted["edited"] == ["b"]
    assert accepted["again"] == ["b", "c"]


def test_a_question_is_listed_answered_and_followed(sandbox: Sandbox) -> None:
    notebook = sandbox.notebook("pays", [("setup", PAYS), ("step:a", "print(pay(3))")])
    assert sandbox.holdfast("run", notebook, "--id", "q", faults="call.after_effect=kill-both-once").status == -9
    asks = sandbox.holdfast("resume", "q", "--json")
    assert (asks.status, asks.json["status"]) == (3, "suspended")
    (prompt,) = asks.json["prompts"]
    assert (prompt["kind"], prompt["step"], prompt["state"]) == ("unknown_outcome", "a", "open")
    assert prompt["request"]["operation"] == "pay(n=3)"
    assert prompt["verdicts"] == ["happened", "run", "skip", "abort"]
    assert sandbox.holdfast("prompts", "--json").json == [prompt]
    assert sandbox.holdfast("resume", "q").status == 3  # still open: nothing goes on
    text = sandbox.holdfast("prompts")
    assert prompt["id"] in text.out
    assert "pay(n=3)" in text.out
    wrong = sandbox.holdfast("answer", prompt["id"], "maybe", "--json")
    assert (wrong.status, wrong.json["error"]["code"]) == (2, "HF402")
    answered = sandbox.holdfast("answer", prompt["id"], "happened", "--value", '{"id": 99}', "--why", "seen in the bank")
    assert answered.status == 0
    assert "holdfast resume q" in answered.out
    assert sandbox.holdfast("answer", prompt["id"], "run", "--json").json["error"]["code"] == "HF401"
    done = sandbox.holdfast("resume", "q", "--json")
    assert done.status == 0, done.err
    assert (sandbox.folder / "far").read_text() == "paid "
    evidence = sandbox.holdfast("export", "q", "--format", "md").out
    assert "seen in the bank" in evidence


def test_dry_run_reads_and_lists_the_writes(sandbox: Sandbox) -> None:
    source = "files = !ls\nfor f in ['a', 'b']:\n    !echo {f} >> far"
    notebook = sandbox.notebook("plan", [("step:look", source), ("step:more", "assert 'plan.ipynb' in files\n!touch other")])
    done = sandbox.holdfast("run", notebook, "--dry-run", "--json")
    assert done.status == 0, done.err
    assert done.json["complete"] is True
    assert [(w["step"], w["operation"]) for w in done.json["writes"]] == [
        ("look", "echo a >> far"),
        ("look", "echo b >> far"),
        ("more", "touch other"),
    ]
    assert not (sandbox.folder / "far").exists()
    assert sandbox.holdfast("list", "--json").json == []
    assert "echo a >> far" in sandbox.holdfast("run", notebook, "--dry-run").out


def test_dry_run_lists_the_questions_and_asks_nobody(sandbox: Sandbox) -> None:
    source = """from holdfast import approve, ask, confirm, form
sure = approve('Delete them?', by=['group:leads'], at_least=2, target=['vol-1', 'vol-2'], timeout='1 h')
how = ask('How?', ['slowly', 'fast'])
why = ask('Which ticket?')
more = form('Where?', {'type': 'object', 'properties': {'zone': {'type': 'string', 'default': 'eu'}}})
if sure:
    !echo {how} {more['zone']} >> far
confirm('Another?')
"""
    notebook = sandbox.notebook("asks", [("step:gate", source)])
    done = sandbox.holdfast("run", notebook, "--dry-run", "--json")
    assert (done.status, done.json["complete"]) == (0, True), done.err
    assert [w["operation"] for w in done.json["writes"]] == ["echo slowly eu >> far"]
    asked = [(q["kind"], q["operation"], q["arguments"]["assumed"]) for q in done.json["questions"]]
    assert asked == [
        ("approve", "Delete them?", "yes"), ("ask", "How?", "slowly"), ("ask", "Which ticket?", ""), ("form", "Where?", {"zone": "eu"}),
        ("confirm", "Another?", "yes"),
    ]  # fmt: skip
    assert done.json["questions"][0]["arguments"] | {"assumed": ""} == {
        "of": ["group:leads"], "at_least": 2, "target": "vol-1, vol-2", "count": 2, "assumed": ""
    }  # fmt: skip
    assert sandbox.holdfast("prompts", "--json").json == []
    text = sandbox.holdfast("run", notebook, "--dry-run").out
    assert "would ask in step gate: Delete them? (of: ['group:leads'], at_least: 2, target: vol-1, vol-2, count: 2); assumed: 'yes'" in text


def test_check_and_graph(sandbox: Sandbox, simple: Path) -> None:
    sandbox.notebook("bad", [("step:a", "1", {"after": ["nowhere"]})])
    found = sandbox.holdfast("check", "simple.ipynb", "bad.ipynb", "--json")
    assert found.status == 1
    assert {(f["notebook"], f["code"]) for f in found.json if f["severity"] == "error"} == {("bad.ipynb", "NB102")}
    assert all(f["id"] for f in found.json)
    assert sandbox.holdfast("check", "simple.ipynb").status == 0
    drawn = sandbox.holdfast("graph", "simple.ipynb")
    assert drawn.status == 0
    assert drawn.out.startswith("flowchart")
    assert sandbox.holdfast("graph", "simple.ipynb", "-o", "g.md").status == 0
    assert (sandbox.folder / "g.md").read_text().startswith("```mermaid\nflowchart")


def test_export_is_whole_in_every_format(sandbox: Sandbox, done: dict[str, Any]) -> None:
    for form in ("ipynb", "html", "md", "json"):
        assert sandbox.holdfast("export", "first", "-o", f"e.{form}").status == 0
        text = (sandbox.folder / f"e.{form}").read_text()
        for fact in ("first", "two-3", "succeeded"):
            assert fact in text, f"{fact} in {form}"
    html = (sandbox.folder / "e.html").read_text()
    assert "<script" not in html
    assert "http-equiv" in html
    assert 'src="http' not in html
    notebook = json.loads((sandbox.folder / "e.ipynb").read_text())
    import nbformat

    nbformat.validate(notebook)
    printed = [o for c in notebook["cells"] if c["id"] == "c2" for o in c["outputs"]]
    assert printed[0]["text"] == "3\n"
    assert sandbox.holdfast("export", "first").out.startswith("# Evidence: simple")


def test_doctor(sandbox: Sandbox, done: dict[str, Any]) -> None:
    well = sandbox.holdfast("doctor", "--json")
    assert well.status == 0, well.out
    found = {c["id"]: c["state"] for c in well.json["checks"]}
    assert {"python", "journal", "journal write", "kernel", "papermill engine", "journal space", "clock", "orphans"} <= set(found)
    sandbox.key_file.write_text("00" * 32 + "\n")
    ill = sandbox.holdfast("doctor", "--json")
    assert ill.status == 1
    assert any(c["state"] == "failed" and "HF225" in c["found"] for c in ill.json["checks"])


def test_doctor_reads_the_servers_settings(tmp_path: Path, postgres_url: str) -> None:
    sandbox = Sandbox(tmp_path, postgres_url)
    first = sandbox.holdfast("run", sandbox.notebook("one", [("step:a", "1")]), "--json")
    assert first.status == 0, first.err
    found = {c["id"]: c for c in sandbox.holdfast("doctor", "--json").json["checks"]}
    assert "synchronous_commit on" in found["postgres"]["found"]
    assert "fsync" in found["postgres"]["found"]


def test_a_journal_of_the_future_is_refused(sandbox: Sandbox, done: dict[str, Any]) -> None:
    with sqlite3.connect(sandbox.folder / ".holdfast" / "journal.db") as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables, "the journal is a SQLite file"
    refused = sandbox.holdfast("list", "--journal", f"sqlite:///{sandbox.folder}/simple.ipynb")
    assert refused.status == 2
    assert "HF222" in refused.err


def test_help_is_quick_to_import_and_complete(sandbox: Sandbox) -> None:
    program = "import sys; sys.argv = ['holdfast', '--help']\nfrom holdfast.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    program += "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), check=True)
    for name in "run resume list show rerun cancel pause prompts answer check graph export shell doctor".split():
        assert f"\n  {name} " in done.stdout
    heavy = {"IPython", "nbformat", "nbclient", "papermill", "jupyter_client", "zmq", "sqlite3", "yaml", "jsonschema", "asyncio", "rich"}
    assert not heavy & set(done.stderr.split())
    assert sandbox.holdfast("--version").out.startswith("holdfast ")
