"""Questions in a real kernel: what the cell gets, what a no does, what no answer does, what a restart does, what is kept of secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.prompt import Prompt
from holdfast.prompts.answering import answer
from holdfast.prompts.listing import list_prompts
from holdfast.testing.kernels import PATIENCE, Front, Ran
from holdfast.testing.laws import broken

IMPORTS = "from holdfast import approve, ask, confirm, form\n"


class Room:
    """A kernel in a folder, and somebody outside who answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.url, self.key = folder, f"sqlite:///{folder}/j.db", folder / "key"
        self.kernel = self.front()
        self.kernel.run(IMPORTS, "imports")
        self.store: Store = open_store(self.url, key_file=self.key)

    def front(self, **more: str) -> Front:
        (self.folder / "policy.toml").write_text('[groups]\noncall = ["bob", "eve"]\n')
        settings = {"HOLDFAST_JOURNAL": self.url, "HOLDFAST_KEY_FILE": str(self.key), "HOLDFAST_POLICY_FILE": "policy.toml"}
        return Front(self.folder, notebook=self.folder / "n.ipynb", environment={**settings, "HOLDFAST_USER": "ann", **more})

    def restart(self) -> None:
        self.kernel.kill()
        self.kernel = self.front()

    def open(self, text: str = "") -> Prompt:
        """The open prompt whose text has ``text`` in it, once it is asked."""
        until = clock.monotonic() + PATIENCE
        while clock.monotonic() < until:
            found = [p for p in list_prompts(self.store) if text in p.text]
            if found:
                return found[0]
            clock.sleep(0.05)
        raise AssertionError("nothing is asked")

    def run(self, code: str, cell: str, *answers: tuple[str | None, Any], who: str = "bob", **more: Any) -> Ran:
        """Run a cell and answer its questions, one after the other."""
        request = self.kernel.send(code, cell)
        for verdict, value in answers:
            prompt = self.open()
            answer(self.store, prompt.id, verdict, value=value, who=who, via="test", **more)
        return self.kernel.receive(request)

    @property
    def execution(self) -> str:
        return self.store.headers(newest_first=True, limit=1)[0].id

    def close(self) -> None:
        entries = self.store.read(self.execution)
        assert broken(entries) == []
        self.store.close()
        self.kernel.kill()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    made = Room(tmp_path_factory.mktemp("room"))
    yield made
    made.close()


def test_a_yes_and_a_no_that_are_looked_at(room: Room) -> None:
    said = room.run(
        "ok = confirm('Go on?', target='a')\nprint(bool(ok), ok == True, ok.who, ok.via, ok.why)", "1", ("yes", None), why="fine"
    )
    assert (said.state, said.stdout) == ("ran", "True True bob test fine\n")
    assert "yes, answered by bob via test: fine" in said.messages[-2]["content"]["data"]["text/plain"]
    no = room.run("if not confirm('And on?'):\n    print('stays')", "2", ("no", None))
    assert (no.state, no.stdout) == ("ran", "stays\n")


def test_an_option_comes_back_as_it_was_given(room: Room) -> None:
    assert room.run("ask('How many?', [1, 2, 3])", "3", (None, 2)).result == "2"
    assert room.run("ask('Which?', {'the first': {'id': 7}, 'none': None})", "4", ("the first", None)).result == "{'id': 7}"
    assert room.run("ask('Why?')", "5", ("the disk", None)).result == "'the disk'"


def test_votes_come_back_with_who_when_and_why(room: Room) -> None:
    request = room.kernel.send(
        "a = approve('Release?', by='oncall', at_least=2, not_self=True, why=True)\nprint(a.approved_by, a.votes[0].why)", "6"
    )
    prompt = room.open("Release")
    assert prompt.question is not None
    assert prompt.question.started_by == "ann"
    for who in ("bob", "eve"):
        answer(room.store, prompt.id, "yes", who=who, via="test", why=f"{who} looked", groups=["oncall"])
    done = room.kernel.receive(request)
    assert done.stdout == "('bob', 'eve') bob looked\n"


MODEL = (
    "from pydantic import BaseModel, Field, SecretStr\n"
    "class Login(BaseModel):\n"
    "    user: str\n"
    "    port: int = Field(22, ge=1)\n"
    "    password: SecretStr\n"
)


def test_a_model_comes_back_as_one_and_its_secret_never_enters_the_journal(room: Room) -> None:
    room.kernel.run(MODEL, "7")
    secret = "correct-horse-battery"
    code = "login = form('Who are you?', Login)\nprint(login.user, login.port, len(login.password.get_secret_value()), login)"
    said = room.run(code, "8", (None, {"user": "root", "password": secret}))
    assert (said.state, said.stdout) == ("ran", "root 22 21 user='root' port=22 password=SecretStr('**********')\n")
    schema = {"type": "object", "properties": {"token": {"type": "string", "format": "password"}}}
    room.run(f"bag = form('Token?', {schema!r})\nbag", "9", (None, {"token": secret}))
    assert room.kernel.run("len(bag['token'])", "10").result == "21"
    assert not any(secret.encode() in bytes(e.body) for e in room.store.read(room.execution))
    room.restart()
    for cell in ("imports", "7"):
        room.kernel.run(IMPORTS if cell == "imports" else MODEL, cell)
    room.run(f"bag = form('Token?', {schema!r})\nbag", "9")
    assert room.kernel.run("import hashlib; hashlib.sha256(bag['token'].encode()).hexdigest()[:8]", "11").state == "ran"
    assert room.kernel.run(f"print(bag['token'] == {secret!r})", "12").stdout == "True\n"
    assert room.kernel.run("bag", "13").result == "{'token': '***'}"


def test_nobody_answers_in_time(room: Room) -> None:
    late = room.kernel.run("confirm('In a moment?', timeout=1)", "14")
    assert (late.state, late.told["error"]["code"]) == ("failed", "HF410")
    stood_in = room.kernel.run("c = confirm('In a moment, or no?', timeout=1, on_timeout='no')\nprint(bool(c), c.timed_out, c.who)", "15")
    assert stood_in.stdout == "False True None\n"
    assert list_prompts(room.store) == []


def test_a_question_is_the_same_after_a_kill_and_asked_once(room: Room) -> None:
    room.kernel.send("before = confirm('The same?')\nprint('same', bool(before))", "16")
    first = room.open("The same")
    room.restart()
    again = room.kernel.send("before = confirm('The same?')\nprint('same', bool(before))", "16")
    room.kernel.receive(again, until=lambda m: m["header"]["msg_type"] == "display_data" and "The same" in str(m["content"]))
    assert room.open("The same").id == first.id
    room.restart()
    answer(room.store, first.id, "yes", who="bob", via="test")  # while no kernel lives
    assert room.kernel.run("before = confirm('The same?')\nprint('same', bool(before))", "16").stdout == "same True\n"
    assert room.kernel.run("before = confirm('The same?')\nprint('same', bool(before))", "16").state == "skipped"


def test_wrong_questions_ask_nobody(room: Room) -> None:
    for n, code in enumerate(
        ["confirm('Go?', timeout=5, on_timeout='yes')", "approve('Go?', by=['ann'], not_self=True)", "form('Go?', {})\nask('', [1])"]
    ):
        wrong = room.kernel.run(code, f"w{n}") if n < 2 else None
        if wrong is not None:
            assert wrong.told["error"]["code"] == "HF158", wrong
    inside = room.kernel.run("from holdfast import call\n@call\ndef f(): return confirm('Within?')\nf()", "w3")
    assert inside.told["error"]["code"] == "HF158"
    assert list_prompts(room.store) == []


def test_an_interrupt_leaves_the_question_open(room: Room) -> None:
    request = room.kernel.send("confirm('Later?')", "17")
    prompt = room.open("Later")
    room.kernel.interrupt()
    assert room.kernel.receive(request).reply["ename"] == "KeyboardInterrupt"
    assert room.open("Later").id == prompt.id
    answer(room.store, prompt.id, "yes", who="bob", via="test")
    assert room.kernel.run("confirm('Later?')", "17").state == "ran"


def test_a_no_that_nobody_looks_at_ends_the_execution(room: Room) -> None:
    said = room.run("try:\n    %confirm Delete it all?\nexcept Exception:\n    pass\nprint('went on')", "18", ("no", None), why="not today")
    assert said.state == "cancelled"
    assert said.told["reason"] == "declined by bob via test: not today"
    assert said.stdout == ""
    header = room.store.headers(newest_first=True, limit=1)[0]
    assert (header.status, header.reason) == ("cancelled", "declined by bob via test: not today")


def test_a_console_asks_by_lines(tmp_path: Path) -> None:
    settings = {"HOLDFAST_JOURNAL": f"sqlite:///{tmp_path}/j.db", "HOLDFAST_KEY_FILE": str(tmp_path / "key"), "HOLDFAST_USER": "ann"}
    with Front(tmp_path, environment=settings) as kernel:
        kernel.run(IMPORTS, "a")

        def asked() -> str:
            return str(kernel.client.get_stdin_msg(timeout=PATIENCE)["content"]["prompt"])

        request = kernel.send("c = confirm('Drop it?', target='db-1', destructive=True)\nprint(c.answer, c.who, c.via)", "b", stdin=True)
        assert "yes/no" in asked()
        kernel.client.input("maybe")
        assert "'maybe' is none of them" in asked()
        kernel.client.input("y")
        assert "type db-1" in asked()
        kernel.client.input("db-2")
        assert "exactly" in asked()
        kernel.client.input("db-1")
        done = kernel.receive(request)
        assert done.stdout.endswith("yes ann console\n")
        assert "? Drop it?" in done.stdout
        # answered elsewhere while the console waits for a line
        request = kernel.send("print(ask('Which?', ['a', 'b', 'c']))", "c", stdin=True)
        assert "2. b" in asked()
        with_store = open_store(settings["HOLDFAST_JOURNAL"], key_file=tmp_path / "key")
        answer(with_store, list_prompts(with_store)[0].id, "c", who="bob", via="test")
        done = kernel.receive(request)
        assert "answered by bob via test (press Enter)" in done.stdout
        assert done.stdout.endswith("\nc\n")
        with_store.close()
