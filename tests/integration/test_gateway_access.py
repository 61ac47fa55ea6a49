"""Who gets in, what they may do, and what is written down: tokens, JWTs, proxies, sessions, the policy, the audit log."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from holdfast.model.prompt import PromptKind, Question
from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox

POLICY = """
[groups]
oncall = ["alice"]
[roles.viewer]
see = ["restart-*"]
[roles.responder]
includes = ["viewer"]
start = ["restart-*"]
answer = ["restart-*"]
cancel = ["restart-web"]
[roles.keeper]
see = ["*"]
secrets = ["*"]
audit = ["*"]
[grants]
viewer = ["everyone"]
responder = ["group:oncall"]
keeper = ["dave"]
"""
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    sandbox = Sandbox(tmp_path_factory.mktemp("access"))
    sandbox.notebook("restart-web", [("parameters", "service: str = 'web'\npassword: str = ''"), ("step:a", "print(password)")])
    sandbox.notebook("other", [("step:a", "1")])
    (sandbox.folder / "policy.toml").write_text(POLICY)
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
    (sandbox.folder / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "one", "alg": "ES256"}]}))
    settings = {
        "policy_file": "policy.toml", "jwt_jwks": str(sandbox.folder / "jwks.json"), "jwt_issuer": "https://login.example",
        "jwt_audience": "holdfast", "jwt_user_claim": "email",
        "trusted_proxies": "127.0.0.2", "proxy_user_header": "X-Forwarded-User",
        "workers": "queue",
    }  # fmt: skip
    with Gateway(sandbox, environment={f"HOLDFAST_{n.upper()}": v for n, v in settings.items()}) as running:
        yield running


def token(gateway: Gateway, person: str, *more: str) -> str:
    text: str = gateway.sandbox.holdfast("token", "make", person, "--json", *more).json["token"]
    return text


@pytest.fixture(scope="module")
def alice(gateway: Gateway) -> str:
    return token(gateway, "alice")


def _jwt(key: Any = KEY, algorithm: str = "ES256", **claims: Any) -> str:
    base = {"iss": "https://login.example", "aud": "holdfast", "exp": time.time() + 600, "email": "erin", "groups": ["oncall"]}
    return jwt.encode({k: v for k, v in {**base, **claims}.items() if v is not None}, key, algorithm=algorithm, headers={"kid": "one"})


def test_without_a_policy_nobody_is_let_in_from_elsewhere(gateway: Gateway) -> None:
    gateway.sandbox.environment.pop("HOLDFAST_POLICY_FILE")
    try:
        refused = gateway.sandbox.holdfast("serve", "--host", "0.0.0.0", "--port", "0")
    finally:
        gateway.sandbox.environment["HOLDFAST_POLICY_FILE"] = "policy.toml"
    assert refused.status == 2
    assert "HF267" in refused.err


@pytest.mark.parametrize("bad", ["", "nonsense", "hf_aaaaaaaa_" + "x" * 43, "a.b.c"])
def test_a_forged_token_is_refused(gateway: Gateway, bad: str) -> None:
    with gateway.client(bad or "") as nobody:
        found = nobody.get("/api/v1/executions")
    assert (found.status_code, found.json()["code"]) == (401, "HF704" if bad else "HF701")


def test_a_token_ends_and_so_does_its_session(gateway: Gateway) -> None:
    short = token(gateway, "alice", "--days", "0.000001")
    time.sleep(0.2)  # it lasts 0.09 s
    with gateway.client(short) as late:
        assert late.get("/api/v1/me").status_code == 401
    mine = token(gateway, "alice")
    with gateway.client("", follow_redirects=True) as browser:
        assert browser.post("/login", data={"token": mine}).status_code == 200
        assert browser.get("/api/v1/me").json()["name"] == "alice"
        gateway.sandbox.holdfast("token", "revoke", mine.split("_")[1])
        assert browser.get("/api/v1/me").status_code == 401


def test_a_jwt_counts_when_it_is_ours_and_only_then(gateway: Gateway) -> None:
    with gateway.client(_jwt()) as erin:
        me = erin.get("/api/v1/me").json()
        assert (me["name"], me["groups"], me["how"]) == ("erin", ["oncall"], "jwt")
    none = jwt.encode({"email": "erin", "iss": "https://login.example", "aud": "holdfast", "exp": time.time() + 60}, "", algorithm="none")
    forged = [
        _jwt(OTHER), _jwt(exp=time.time() - 600), _jwt(iss="https://evil.example"), _jwt(aud="other"), _jwt(email=None),
        _jwt(exp=None), none, _jwt("shared-secret-of-32-bytes-or-more!!", "HS256"),
    ]  # fmt: skip
    for text in forged:
        with gateway.client(text) as eve:
            assert eve.get("/api/v1/me").status_code == 401


def test_a_proxys_header_counts_from_the_proxy_only(gateway: Gateway) -> None:
    header = {"X-Forwarded-User": "alice"}
    assert httpx.get(f"{gateway.address}/api/v1/me", headers=header).status_code == 401
    with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"), base_url=gateway.address) as proxy:
        me = proxy.get("/api/v1/me", headers=header).json()
        assert (me["name"], me["how"]) == ("alice", "proxy")
        prompt = ask(gateway.sandbox, id="by-proxy")
        answer: dict[str, Any] = {"url": f"/api/v1/prompts/{prompt.id}/answer", "json": {"verdict": "yes"}}
        refused = proxy.post(**answer, headers=header)  # the browser behind it may have been led here by another site
        assert (refused.status_code, refused.json()["code"]) == (403, "HF703")
        assert proxy.post(**answer, headers={**header, "X-XSRFToken": me["form_token"]}).status_code == 200


def test_a_form_must_come_from_our_page(gateway: Gateway, alice: str) -> None:
    prompt = ask(gateway.sandbox, id="csrf")
    with gateway.client("", follow_redirects=True) as browser:
        assert browser.post("/login", data={"token": alice}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
        entered = browser.post("/login", data={"token": alice, "next": "//evil.example/"})
        assert (entered.status_code, str(entered.url)) == (200, f"{gateway.address}/")
        [cookie] = [h for r in entered.history for h in r.headers.get_list("set-cookie")]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        page = browser.get(f"/prompts/{prompt.id}").text
        for wrong in ({}, {"_xsrf": "0" * 64}):
            assert browser.post(f"/prompts/{prompt.id}", data={"verdict": "yes", **wrong}).status_code == 403
            assert browser.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "yes"}).status_code == 403
        form_token = re.search(r'name="_xsrf" value="([^"]+)"', page)
        assert form_token is not None
        assert browser.post(f"/prompts/{prompt.id}", data={"verdict": "yes", "_xsrf": form_token[1]}).status_code == 200
        tampered = browser.cookies["holdfast-session"][:-3] + "abc"
        browser.post("/logout")
    for cookie_value in (tampered, ""):
        assert httpx.get(f"{gateway.address}/api/v1/me", cookies={"holdfast-session": cookie_value}).status_code == 401


def test_the_policy_decides_and_refusals_are_written_down(gateway: Gateway, alice: str) -> None:
    carol, dave = token(gateway, "carol"), token(gateway, "dave")
    ask(gateway.sandbox, id="seen")
    ask(gateway.sandbox, id="unseen", runbook="other")
    with gateway.client(carol) as c, gateway.client(alice) as a, gateway.client(dave) as d:
        assert c.get("/api/v1/executions/seen").status_code == 200
        for method, path, body in [
            ("GET", "/api/v1/executions/unseen", None), ("POST", "/api/v1/executions", {"runbook": "restart-web"}),
            ("POST", "/api/v1/executions/seen/cancel", None), ("GET", "/api/v1/audit", None),
            ("POST", "/api/v1/executions/seen/pause", None),
        ]:  # fmt: skip
            found = c.request(method, path, json=body) if body else c.request(method, path)
            assert (found.status_code, found.json()["code"]) == (403, "HF702"), path
        assert "unseen" not in {e["id"] for e in c.get("/api/v1/executions").json()["items"]}
        assert "unseen" not in {p["execution"] for p in c.get("/api/v1/prompts").json()["items"]}
        assert [r["name"] for r in c.get("/api/v1/runbooks").json()] == ["restart-web"]
        assert a.post("/api/v1/executions/seen/cancel").status_code == 200
        lines = d.get("/api/v1/audit?newest_first=true&limit=50").json()
    refused = {(x["who"], x["action"], x["thing"]) for x in lines if x["outcome"] == "refused"}
    assert {
        ("carol", "cancel", "seen"),
        ("carol", "start", "restart-web"),
        ("carol", "see", "unseen"),
        ("carol", "audit", "log"),
    } <= refused
    assert ("alice", "cancel", "seen") in {(x["who"], x["action"], x["thing"]) for x in lines if x["outcome"] == "allowed"}


def test_secret_parameters_are_seen_by_those_who_may(gateway: Gateway, alice: str) -> None:
    dave = token(gateway, "dave")
    with gateway.client(alice) as a, gateway.client(dave) as d:
        started = a.post("/api/v1/executions", json={"runbook": "restart-web", "parameters": {"password": "open-sesame-1"}})
        assert (started.status_code, started.json()["parameters"]["password"]) == (201, "***")
        id = started.json()["id"]
        for path in ("", "/timeline", "/outputs", "/outputs?format=html", "/steps"):
            assert "open-sesame-1" not in a.get(f"/api/v1/executions/{id}{path}").text
        assert "open-sesame-1" not in a.get(f"/executions/{id}", headers={"accept": "text/html"}).text
        assert d.get(f"/api/v1/executions/{id}").json()["parameters"]["password"] == "open-sesame-1"


def test_the_question_itself_may_say_who_answers(gateway: Gateway, alice: str) -> None:
    prompt = ask(gateway.sandbox, id="for-dba", kind=PromptKind.APPROVE, question=Question(who=("group:dba",)))
    with gateway.client(alice) as a:
        found = a.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "yes"})
        assert (found.status_code, found.json()["code"]) == (403, "HF406")
    with gateway.client(_jwt(groups=["dba", "oncall"])) as erin:
        assert erin.post(f"/api/v1/prompts/{prompt.id}/answer", json={"verdict": "yes"}).status_code == 200


def test_a_page_of_another_host_is_refused(gateway: Gateway, alice: str) -> None:
    with gateway.client(alice) as a:
        assert a.get("/api/v1/me", headers={"host": "evil.example"}).status_code == 422


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/..%2f..%2fapp.py", "/executions/..%2f..%2fetc%2fpasswd/outputs"]
)
def test_no_path_leads_out(gateway: Gateway, alice: str, path: str) -> None:
    with gateway.client(alice) as a:
        assert a.get(path).status_code in (404, 422)


def test_what_a_runbook_says_is_text_on_our_pages(gateway: Gateway, alice: str) -> None:
    evil = "<img src=x onerror=alert(1)>"
    prompt = ask(gateway.sandbox, evil, id="evil", request={"kind": "http", "operation": evil, "arguments": {evil: evil}})
    with gateway.client(alice, headers={"accept": "text/html"}) as a:
        for path in ("/", f"/prompts/{prompt.id}", "/executions/evil", "/executions"):
            found = a.get(path)
            assert found.status_code == 200
            assert evil not in found.text
            assert "script-src 'self'" in found.headers["content-security-policy"]


def test_tampering_with_the_audit_log_shows(gateway: Gateway) -> None:
    sandbox = gateway.sandbox
    whole = sandbox.holdfast("audit", "verify", "--json")
    assert whole.status == 0
    assert whole.json["lines"] > 5
    exported = [json.loads(line) for line in sandbox.holdfast("audit", "export").out.splitlines()]
    assert [e["seq"] for e in exported] == list(range(1, len(exported) + 1))
    path = sandbox.journal.removeprefix("sqlite:///")
    with sqlite3.connect(path) as db:
        kept = db.execute("SELECT id, actor FROM line ORDER BY id LIMIT 1 OFFSET 2").fetchone()
        db.execute("UPDATE line SET actor = 'eve' WHERE id = ?", (kept[0],))
    altered = sandbox.holdfast("audit", "verify", "--json")
    assert (altered.status, altered.json["error"]["code"]) == (2, "HF512")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE line SET actor = ? WHERE id = ?", (kept[1], kept[0]))
    assert sandbox.holdfast("audit", "verify", "--known", whole.json["known"]).status == 0
