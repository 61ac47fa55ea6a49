"""The REST API on a real server: start, look, steer, answer; problem documents; live progress."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from holdfast.model.prompt import PromptKind, Question
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox

CELLS: list[Any] = [
    ("parameters", "n: int = 1\npassword: str = ''"),
    ("step:one", "print('one', n)"),
    ("step:two", "!echo two-$n >> far\nprint('<b>two</b>')"),
]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    journal = request.getfixturevalue("postgres_server").create_database() if request.param == "postgres" else None
    sandbox = Sandbox(tmp_path_factory.mktemp("gateway"), journal)
    (sandbox.folder / "runbooks").mkdir()
    Sandbox(sandbox.folder / "runbooks").notebook("simple", CELLS)
    Sandbox(sandbox.folder / "runbooks").notebook("slow", [("step:a", "1"), ("step:b", "import time\ntime.sleep(600)")])
    (sandbox.folder / "runbooks" / "broken.ipynb").write_text("{")
    with Gateway(sandbox) as running:
        yield running


@pytest.fixture
def api(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


@pytest.fixture(scope="module")
def done(gateway: Gateway) -> str:
    with gateway.client() as client:
        started = client.post(
            "/api/v1/executions",
            json={"runbook": "simple", "parameters": {"n": 2, "password": "hunter2hunter2"}},
            headers={"Idempotency-Key": "once"},
        )
        assert started.status_code == 201, started.text
        id = str(started.json()["id"])
        gateway.sandbox.until(lambda: gateway.sandbox.status(id) == "succeeded", "the execution", 120)
        return id


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert (document["code"], document["status"]) == (code, status)
    assert document["detail"] and document["title"] and "cure" in document and "where" in document
    return document


def test_a_start_is_worked_on_and_can_be_looked_at(api: httpx.Client, done: str) -> None:
    found = api.get(f"/api/v1/executions/{done}").json()
    assert (found["status"], found["runbook"], found["parameters"]["n"]) == ("succeeded", "simple", 2)
    assert [(s["id"], s["state"]) for s in api.get(f"/api/v1/executions/{done}/steps").json()[-2:]] == [
        ("one", "succeeded"),
        ("two", "succeeded"),
    ]
    assert [c["operation"] for c in api.get(f"/api/v1/executions/{done}/calls").json()] == ["echo two-2 >> far"]
    graph = api.get(f"/api/v1/executions/{done}/graph").json()
    assert {"before": "one", "after": "two"} in graph["edges"]
    assert api.get(f"/api/v1/executions/{done}/graph?format=mermaid").text == graph["mermaid"]
    notebook = api.get(f"/api/v1/executions/{done}/outputs").json()
    assert "one 2\n" in json.dumps([c.get("outputs") for c in notebook["cells"]]).replace("\\n", "\n")
    page = api.get(f"/api/v1/executions/{done}/outputs?format=html")
    assert "&lt;b&gt;two&lt;/b&gt;" in page.text
    assert "sandbox;" in page.headers["content-security-policy"]
    assert api.get(f"/api/v1/executions/{done}/timeline").json()[-1]["kind"] == "execution.succeeded"


def test_the_same_key_gives_the_same_execution(api: httpx.Client, done: str) -> None:
    body = {"runbook": "simple", "parameters": {"n": 2, "password": "hunter2hunter2"}}
    again = api.post("/api/v1/executions", json=body, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.json()["id"]) == (200, done)
    other = api.post("/api/v1/executions", json={"runbook": "simple"}, headers={"Idempotency-Key": "once"})
    problem(other, 409, "HF254")


def test_pages_of_executions(api: httpx.Client, gateway: Gateway, done: str) -> None:
    for n in range(5):
        ask(gateway.sandbox, id=f"paged-{n}", runbook="paged")
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = api.get("/api/v1/executions", params={"runbook": "paged", "limit": 2, **after}).json()
        seen += [e["id"] for e in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [f"paged-{n}" for n in (4, 3, 2, 1, 0)]
    assert [e["id"] for e in api.get("/api/v1/executions?status=succeeded").json()["items"]] == [done]


def test_pause_resume_cancel_and_rerun(api: httpx.Client, gateway: Gateway, done: str) -> None:
    id = api.post("/api/v1/executions", json={"runbook": "slow"}).json()["id"]
    gateway.sandbox.until(lambda: any(e.kind == "cell.completed" for e in gateway.sandbox.entries(id)), "the first step", 120)
    problem(api.post(f"/api/v1/executions/{id}/resume"), 409, "HF250")
    assert api.post(f"/api/v1/executions/{id}/cancel", json={"why": "enough"}).status_code == 200
    gateway.sandbox.until(lambda: gateway.sandbox.status(id) == "cancelled", "the end", 120)
    problem(api.post(f"/api/v1/executions/{id}/cancel"), 409, "HF253")
    problem(api.post(f"/api/v1/executions/{id}/resume"), 409, "HF253")
    ask(gateway.sandbox, id="held")
    assert api.post("/api/v1/executions/held/pause").json()["status"] == "paused"
    again = api.post(f"/api/v1/executions/{done}/rerun", json={"step": "two"})
    assert (again.status_code, again.json()["forked_from"]) == (201, done)
    gateway.sandbox.until(lambda: gateway.sandbox.status(again.json()["id"]) == "succeeded", "the second run", 120)
    problem(api.post(f"/api/v1/executions/{done}/rerun", json={"step": "nope"}), 404, "HF603")


def test_an_answer_stands_and_a_second_one_is_told_by_whom(api: httpx.Client, gateway: Gateway) -> None:
    prompt = ask(gateway.sandbox, id="answered", request={"kind": "shell", "operation": "rm x"})
    shown = api.get(f"/api/v1/prompts/{prompt.id}").json()
    assert (shown["state"], shown["request"]["operation"], shown["may_answer"]) == ("open", "rm x", True)
    problem(api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "maybe"}), 422, "HF402")
    first = api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "yes", "why": "fine"})
    assert (first.status_code, first.json()["answer"], first.json()["via"]) == (200, "yes", "api")
    late = problem(api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "no"}), 409, "HF401")
    assert first.json()["answered_by"] in late["detail"]
    assert [p["id"] for p in api.get("/api/v1/prompts?state=answered&execution=answered").json()["items"]] == [prompt.id]


def test_of_many_who_answer_at_once_one_wins(api: httpx.Client, gateway: Gateway) -> None:
    prompt = ask(gateway.sandbox, id="raced")
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "yes" if n % 2 else "no"}), range(8))
        )
    assert sorted(a.status_code for a in answers) == [200, *[409] * 7]


def test_a_form_is_checked_and_its_secrets_stay_secret(api: httpx.Client, gateway: Gateway) -> None:
    schema = {
        "type": "object",
        "required": ["ticket"],
        "properties": {"ticket": {"type": "string"}, "key": {"type": "string", "format": "password"}},
    }
    prompt = ask(gateway.sandbox, id="form", kind=PromptKind.FORM, verdicts=("answer", "decline"), question=Question(schema=schema))
    problem(api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"value": {"ticket": 1}}), 422, "HF405")
    taken = api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"value": {"ticket": "T-1", "key": "open sesame"}})
    assert taken.json()["value"] == {"ticket": "T-1", "key": "***"}


def test_runbooks_by_name_never_by_path(api: httpx.Client) -> None:
    found = {r["name"]: r for r in api.get("/api/v1/runbooks").json()}
    assert set(found) == {"simple", "slow", "broken"}
    assert found["broken"]["problem"] and not found["broken"]["may_start"]
    assert found["simple"]["json_schema"]["properties"]["n"]["type"] == "integer"
    assert next(p for p in found["simple"]["parameters"] if p["name"] == "password")["secret"]
    for name in ("../simple", "/etc/passwd", "simple.ipynb", "..", "%2e%2e%2fsimple"):
        problem(api.post("/api/v1/executions", json={"runbook": name}), 404, "HF607")
    problem(api.post("/api/v1/executions", json={"runbook": "simple", "parameters": {"n": "x"}}), 422, "HF103")
    problem(api.post("/api/v1/executions", json={"runbook": "broken"}), 422, "HF101")


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "/api/v1/nothing", {}, 404, "HF713"),
        ("DELETE", "/api/v1/executions", {}, 405, "HF713"),
        ("GET", "/api/v1/executions/none", {}, 404, "HF601"),
        ("GET", "/api/v1/prompts/none.00000000", {}, 404, "HF602"),
        ("GET", "/api/v1/executions/none/steps", {}, 404, "HF601"),
        ("GET", "/api/v1/executions/..%2f..%2fetc", {}, 404, "HF713"),
        ("GET", "/api/v1/executions?limit=0", {}, 422, "HF710"),
        ("GET", "/api/v1/executions?status=sleeping", {}, 422, "HF710"),
        ("POST", "/api/v1/executions", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "HF710"),
        ("POST", "/api/v1/executions", {"json": {"runbook": "simple", "nope": 1}}, 422, "HF710"),
        (
            "POST",
            "/api/v1/executions",
            {"content": b'{"runbook": "\\ud800"}', "headers": {"content-type": "application/json"}},
            422,
            "HF710",
        ),
        ("POST", "/api/v1/executions", {"json": {"runbook": "simple", "parameters": {"n": 2**70}}}, 422, "HF710"),
        ("POST", "/api/v1/executions", {"json": {"runbook": "a\0b"}}, 422, "HF710"),
        ("POST", "/api/v1/executions", {"content": b"x" * (2 << 20)}, 413, "HF711"),
    ],
)
def test_what_is_wrong_is_a_problem_document(
    api: httpx.Client, method: str, path: str, more: dict[str, Any], status: int, code: str
) -> None:
    problem(api.request(method, path, **more), status, code)


def test_a_body_without_a_length_is_limited_too(api: httpx.Client) -> None:
    problem(api.post("/api/v1/executions", content=(b"x" * 65536 for _ in range(64))), 413, "HF711")


def test_live_progress_can_be_taken_up_where_it_broke_off(api: httpx.Client, gateway: Gateway, done: str) -> None:
    def ids(after: str | None) -> list[int]:
        headers = {"Last-Event-ID": after} if after else {}
        with api.stream("GET", f"/api/v1/executions/{done}/live", headers=headers) as stream:
            lines = list(stream.iter_lines())  # ends with the execution
        assert "event: end" in lines
        events = "\n".join(lines).split("\n\n")
        return [int(line[4:]) for e in events if "event: entry" in e for line in e.splitlines() if line.startswith("id: ")]

    whole = ids(None)
    assert whole == sorted(whole)
    assert len(whole) > 5
    assert ids(str(whole[3])) == whole[4:]


def test_live_progress_of_all_tells_of_a_new_prompt(api: httpx.Client, gateway: Gateway) -> None:
    with api.stream("GET", "/api/v1/live?after=0") as stream:
        lines = stream.iter_lines()
        prompt = ask(gateway.sandbox, "Live?", id="live")
        for line in lines:
            if line.startswith("data: ") and json.loads(line[6:])["kind"] == "prompt.opened" and "Live?" in line:
                assert json.loads(line[6:])["execution"] == prompt.execution
                break


def test_health_readiness_and_metrics_need_no_token(gateway: Gateway) -> None:
    with gateway.client("") as nobody:
        assert (nobody.get("/healthz").text, nobody.get("/readyz").status_code) == ("ok\n", 200)
        text = nobody.get("/metrics").text
    assert "holdfast_open_prompts " in text
    assert "simple" not in text


def test_statistics_tell_where_people_were_waited_for(api: httpx.Client, gateway: Gateway, done: str) -> None:
    prompt = ask(gateway.sandbox, id="waited", runbook="waits")
    api.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "yes"})
    found = api.get("/api/v1/statistics?runbook=waits").json()
    assert found[0]["steps"][0]["prompts"] == 1
    assert api.get("/api/v1/statistics?runbook=simple").json()[0]["success_rate"] == 1.0


def test_a_signal_is_kept_for_who_waits_for_it(api: httpx.Client, gateway: Gateway, done: str) -> None:
    ask(gateway.sandbox, id="signalled")
    for _ in range(2):
        sent = api.post("/api/v1/executions/signalled/signals/go", json={"value": {"n": 1}}, headers={"Idempotency-Key": "s-1"})
        assert sent.status_code == 202, sent.text
    [signal] = [e for e in gateway.sandbox.entries("signalled") if e.kind == "signal.received"]
    assert signal.data["value"] == {"n": 1}
    problem(api.post(f"/api/v1/executions/{done}/signals/go"), 409, "HF253")


def test_an_event_is_taken_once(api: httpx.Client, gateway: Gateway) -> None:
    event = {"specversion": "1.0", "id": "e-1", "source": "/tests", "type": "test.happened", "data": {"n": 1}}
    headers = {"content-type": "application/cloudevents+json"}
    answers = [api.post("/api/v1/events", json=event, headers=headers) for _ in range(2)]
    assert [(a.status_code, a.json()["events"][0]["new"]) for a in answers] == [(202, True), (202, False)]
    problem(api.post("/api/v1/events", content=b"{}", headers=headers), 400, "HF722")
    with gateway.client("") as nobody:
        problem(nobody.post("/api/v1/events", json=event, headers=headers), 401, "HF701")
