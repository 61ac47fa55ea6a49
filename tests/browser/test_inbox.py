"""The inbox in real Chromium: on a phone, with and without a script, by keyboard; what a runbook displays gets no rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.model.prompt import PromptKind, Question
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox

PHONE = {"width": 390, "height": 844}
SCHEMA = {
    "type": "object",
    "required": ["ticket"],
    "properties": {"ticket": {"type": "string", "title": "Ticket", "pattern": "^[A-Z]+-[0-9]+$"}, "sure": {"type": "boolean"}},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("inbox"))
    html = "from IPython.display import HTML\nHTML('<b>shown</b><script>top.document.title = \"taken\"</script>')"
    sandbox.notebook("shows", [("parameters", "n: int = 1"), ("step:shows", html)])
    assert sandbox.holdfast("run", "shows.ipynb", "--id", "shown", "--quiet").status == 0
    with Gateway(sandbox) as running:
        yield running


@pytest.fixture(params=[True, False], ids=["script", "no-script"])
def phone(chromium: Any, gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Any]:
    context = chromium.new_context(viewport=PHONE, java_script_enabled=request.param, base_url=gateway.address)
    tab = context.new_page()
    tab.goto(f"/login?token={gateway.token}")
    yield tab
    context.close()


def test_a_form_says_what_is_wrong_and_then_takes_the_answer(phone: Any, gateway: Gateway, request: pytest.FixtureRequest) -> None:
    question = Question(schema=SCHEMA, target="web", count=3)
    prompt = ask(gateway.sandbox, "Which ticket?", id=request.node.name.replace("[", "-").strip("]"), kind=PromptKind.FORM,
                 verdicts=("answer", "decline"), question=question, due_in=3600)  # fmt: skip
    phone.goto("/")
    phone.locator(f"a[href='/prompts/{prompt.id}']").click()
    phone.get_by_label("Ticket").fill("nope")
    phone.get_by_role("button", name="Send").click()
    assert "does not match" in phone.locator("#value-ticket-error").inner_text()
    assert phone.get_by_label("Ticket").input_value() == "nope"
    assert phone.get_by_label("Ticket").get_attribute("aria-describedby") == "value-ticket-error"
    phone.get_by_label("Ticket").fill("OPS-1")
    phone.get_by_label("Reason").fill("as agreed")
    phone.get_by_label("Reason").press("Tab")
    phone.keyboard.press("Enter")  # the first button: the whole form by keyboard
    phone.get_by_text("Your answer is recorded").wait_for()
    [answer] = [e.data for e in gateway.sandbox.entries(prompt.execution) if e.kind == "prompt.answered"]
    assert (answer["value"]["ticket"], answer["why"]) == ("OPS-1", "as agreed")


def test_who_is_late_is_told_who_was_first(phone: Any, gateway: Gateway, request: pytest.FixtureRequest) -> None:
    prompt = ask(gateway.sandbox, "Go on?", id=request.node.name.replace("[", "-").strip("]"))
    phone.goto(f"/prompts/{prompt.id}")
    gateway.sandbox.environment["HOLDFAST_USER"] = "alice"
    assert gateway.sandbox.holdfast("answer", prompt.id, "no").status == 0
    phone.get_by_role("button", name="Yes").click()
    assert "alice was first" in phone.get_by_role("alert").inner_text()


def test_pages_fit_a_phone_and_can_be_read_aloud(phone: Any, gateway: Gateway, request: pytest.FixtureRequest) -> None:
    prompt = ask(gateway.sandbox, "Restart?", id=request.node.name.replace("[", "-").strip("]"), question=Question(typed="web", why=True))
    for path in ("/", f"/prompts/{prompt.id}", "/executions", "/executions/shown", "/runbooks", "/runbooks/shows", "/statistics"):
        phone.goto(path)
        assert phone.locator("h1").count() == 1, path
        snapshot = phone.locator("body").aria_snapshot()
        assert "- main" in snapshot and '- navigation "Main"' in snapshot and "- banner" in snapshot, path
        unnamed = [
            line for line in snapshot.splitlines() if line.strip() in ("- textbox", "- combobox", "- checkbox", "- button", "- link")
        ]
        assert not unnamed, path
        wide = phone.locator("html").evaluate("e => e.scrollWidth - e.clientWidth") if request.node.name.endswith("[script]") else 0
        assert wide <= 0, path


def test_what_a_runbook_displayed_has_no_rights(chromium: Any, gateway: Gateway) -> None:
    tab = chromium.new_page(base_url=gateway.address)
    tab.goto(f"/login?token={gateway.token}")
    tab.goto("/executions/shown")
    outputs = tab.frame_locator("#outputs")
    outputs.frame_locator("iframe").get_by_text("shown").wait_for()
    assert tab.title().startswith("shows")
    tab.goto("/executions/shown/outputs")  # also when somebody opens the frame's address by itself
    tab.frame_locator("iframe").get_by_text("shown").wait_for()
    assert tab.title() == "Outputs"
    tab.close()


def test_a_page_tells_that_something_new_waits(chromium: Any, gateway: Gateway) -> None:
    tab = chromium.new_page(base_url=gateway.address)
    tab.goto(f"/login?token={gateway.token}")
    tab.goto("/")
    ask(gateway.sandbox, "Something new?", id="new")
    tab.get_by_text("Something changed").wait_for(timeout=60_000)
    tab.get_by_role("link", name="Look again").click()
    tab.get_by_role("link", name="Something new?").wait_for()
    tab.close()


def test_what_a_running_cell_shows_grows_on_the_page(chromium: Any, gateway: Gateway, tmp_path: Path) -> None:
    sandbox = gateway.sandbox
    wait = "import os, threading\nwhile not os.path.exists({!r}):\n    threading.Event().wait(0.05)\n"
    cell = "print('draining node-1')\n" + wait.format("one") + "print('draining node-2')\n" + wait.format("two")
    sandbox.notebook("child", [("step:only", "print('small')")])
    sandbox.notebook("grows", [("step:first", "from holdfast import run_runbook\nrun_runbook('child')"), ("step:drain", cell)])
    run = sandbox.start("run", "grows.ipynb", "--id", "grows", "--quiet")
    tab = chromium.new_page(viewport=PHONE, base_url=gateway.address)
    tab.goto(f"/login?token={gateway.token}")
    sandbox.until(lambda: sandbox.status("grows") == "running", "the execution runs")
    tab.goto("/executions/grows")
    log = tab.get_by_role("log", name="Output of step drain")
    log.get_by_text("draining node-1").wait_for(timeout=60_000)
    tab.get_by_label("Reason").fill("half typed")
    (sandbox.folder / "one").touch()
    log.get_by_text("draining node-2").wait_for(timeout=60_000)
    assert tab.get_by_label("Reason").input_value() == "half typed"
    assert tab.get_by_label("When cancelled, let the running steps end first").count() == 1
    tab.screenshot(path=str(tmp_path / "live.png"), full_page=True)
    (sandbox.folder / "two").touch()
    tab.locator("h1 .state.succeeded").wait_for(timeout=60_000)
    log.wait_for(state="detached", timeout=60_000)
    assert run.wait(60) == 0
    tab.locator("dd").get_by_role("link", name="child").click()  # down, and up again
    tab.locator("dd").get_by_role("link", name="grows").click()
    tab.wait_for_url("**/executions/grows")
    tab.close()


def test_a_running_cell_is_cancelled_when_it_has_ended(chromium: Any, gateway: Gateway) -> None:
    sandbox = gateway.sandbox
    wait = "import os, threading\nprint('on')\nwhile not os.path.exists('three'):\n    threading.Event().wait(0.05)\n"
    cell = f"{wait}open('ended', 'w').close()"
    sandbox.notebook("ends", [("step:a", cell), ("step:b", "open('never', 'w').close()")])
    run = sandbox.start("run", "ends.ipynb", "--id", "ends", "--quiet")
    tab = chromium.new_page(base_url=gateway.address)
    tab.goto(f"/login?token={gateway.token}")
    sandbox.until(lambda: sandbox.status("ends") == "running", "the execution runs")
    tab.goto("/executions/ends")
    tab.get_by_role("log").get_by_text("on").wait_for(timeout=60_000)
    tab.get_by_label("Reason").fill("enough")
    tab.get_by_label("When cancelled, let the running steps end first").check()
    tab.get_by_role("button", name="Cancel", exact=True).click()
    sandbox.until(lambda: any(e.kind == "execution.requested" and e.data["finish"] for e in sandbox.entries("ends")), "it is asked to end")
    (sandbox.folder / "three").touch()
    assert run.wait(60) == 4
    assert [(sandbox.folder / name).exists() for name in ("ended", "never")] == [True, False]
    tab.close()


def test_a_thousand_open_prompts_on_one_page(chromium: Any, tmp_path: Any) -> None:
    sandbox = Sandbox(tmp_path)
    for n in range(1000):
        ask(sandbox, f"Question {n}?", id=f"e-{n}")
    with Gateway(sandbox) as gateway:
        tab = chromium.new_page(viewport=PHONE, base_url=gateway.address)
        tab.goto(f"/login?token={gateway.token}")
        assert tab.locator("li.card").count() == 1000
        tab.get_by_label("With the words").fill("question 99")
        tab.get_by_role("button", name="Filter").click()
        assert tab.locator("li.card").count() == 11
        tab.get_by_role("link", name="Question 999?", exact=True).click()
        tab.get_by_role("button", name="Yes").click()
        tab.get_by_text("Your answer is recorded").wait_for()
        tab.close()
