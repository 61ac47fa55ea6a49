"""What makes two HTTP requests the same, what repeating one would do, what its answer means the second time."""

from __future__ import annotations

import io
import socket
import ssl
from typing import Any

import pytest

from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors import http
from holdfast.durable.interceptors.conducting import Conduct
from holdfast.durable.interceptors.http import Body, make_sent
from holdfast.errors import AuthorError, OutcomeUnknownError
from holdfast.model.call import Effect

URL = "https://api.example.org/v1/things"
GRAPH = "https://api.example.org/graphql"


def sent(method: str = "POST", url: str = URL, headers: dict[str, str] | None = None, body: Any = b"x") -> http.Sent:
    return make_sent("test", method, url, (headers or {}).items(), body)


def attempt(resumed: bool = False) -> Attempt:
    return Attempt(execution="x", step="s", call="c", number=1, idempotency_key="key", resumed=resumed)


@pytest.mark.parametrize(
    "headers",
    [
        {"Date": "now"},
        {"Authorization": "Bearer 1"},
        {"Cookie": "a=b"},
        {"User-Agent": "x/1"},
        {"traceparent": "00-1"},
        {"X-Request-Id": "1"},
        {"X-B3-TraceId": "1"},
        {"DD-API-KEY": "1"},
        {"DD-APPLICATION-KEY": "1"},
        {"X-Vault-Token": "1"},
        {"Content-Length": "1"},
        {"Accept-Encoding": "br"},
        {"Connection": "close"},
        {"x-datadog-trace-id": "1"},
        {"X-Opaque-Id": "1"},
        {"x-elastic-client-meta": "es=9.5.1"},
        {"X-Amz-Date": "1"},
    ],
)
def test_headers_that_say_nothing_of_what_is_asked(headers: dict[str, str]) -> None:
    assert sent(headers=headers).request().fingerprint == sent().request().fingerprint


@pytest.mark.parametrize(
    "other",
    [
        sent("PUT"),
        sent(url=URL + "/1"),
        sent(url=URL + "?a=1&b=2"),
        sent(url=URL + "?b=2&a=1"),
        sent(body=b"y"),
        sent(body=None),
        sent(headers={"Accept": "text/plain"}),
        sent(headers={"If-Match": "1"}),
        sent(headers={"X-Tenant": "a"}),
        sent(headers={"X-HTTP-Method-Override": "DELETE"}),
        sent(url=URL.replace("https", "http")),
        sent(url=URL.replace(".org", ".org:8443")),
    ],
)
def test_what_makes_another_request(other: http.Sent) -> None:
    assert other.request().fingerprint != sent().request().fingerprint


def test_the_order_and_case_of_headers_do_not_matter() -> None:
    one, two = sent(headers={"Accept": "a", "X-Tenant": "b"}), sent(headers={"x-tenant": "b", "ACCEPT": "a"})
    assert one.request().fingerprint == two.request().fingerprint


def test_random_boundaries_do_not_matter() -> None:
    def form(boundary: str, text: str) -> bytes:
        kind = f"multipart/form-data; boundary={boundary}"
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="f"\r\n\r\n{text}\r\n--{boundary}--\r\n'.encode()
        return sent(headers={"Content-Type": kind}, body=body).request().fingerprint

    assert form("abc123", "text") == form("zzz999", "text")
    assert form("abc123", "text") != form("abc123", "other")


def test_a_signed_address_is_the_same_when_signed_again() -> None:
    url = "https://b.s3.amazonaws.com/k?versionId=1&X-Amz-Date={0}&X-Amz-Signature={0}&X-Amz-Credential={0}&X-Amz-Expires=60"
    assert sent(url=url.format("1")).request().fingerprint == sent(url=url.format("2")).request().fingerprint
    assert (
        sent(url=url.format("1")).request().fingerprint
        != sent(url=url.format("1").replace("versionId=1", "versionId=2")).request().fingerprint
    )
    old = "https://b.s3.amazonaws.com/k?Signature={0}&Expires={0}&AWSAccessKeyId={0}"
    assert sent(url=old.format("1")).request().fingerprint == sent(url=old.format("2")).request().fingerprint


def test_no_password_is_shown() -> None:
    shown = sent(url="https://user:secret@example.org/a?b=c#d").request()
    assert shown.operation == "POST https://example.org/a?b=c"
    same = sent(url="https://example.org/a?b=c").request()
    assert same.fingerprint == shown.fingerprint


@pytest.mark.parametrize(
    ("method", "headers", "effect"),
    [
        ("GET", {}, Effect.READ),
        ("head", {}, Effect.READ),
        ("OPTIONS", {}, Effect.READ),
        ("PUT", {}, Effect.IDEMPOTENT),
        ("DELETE", {}, Effect.IDEMPOTENT),
        ("POST", {}, Effect.WRITE),
        ("PATCH", {}, Effect.WRITE),
        ("QUERY", {}, Effect.WRITE),
        ("POST", {"Idempotency-Key": "mine"}, Effect.IDEMPOTENT),
    ],
)
def test_effect(method: str, headers: dict[str, str], effect: Effect) -> None:
    one = sent(method, headers=headers)
    assert one.request().effect == effect
    assert one.key_header(attempt()) == ({"Idempotency-Key": "key"} if effect == Effect.WRITE else {})


@pytest.mark.parametrize(
    ("one", "effect"),
    [
        (sent(url="http://es/logs-*/_search?size=1", body=b"{}"), Effect.READ),
        (sent(url="http://es/_msearch/", body=b"{}"), Effect.READ),
        (sent(url="http://es/index/_search/scroll", body=b"{}"), Effect.WRITE),
        (sent(url="http://es/index/_doc", body=b"{}"), Effect.WRITE),
        (sent(url="http://es/_search_and_destroy", body=b"{}"), Effect.WRITE),
        (sent(url="http://prom/prometheus/api/v1/query_range", body=b"query=up"), Effect.READ),
        (sent(url="http://prom/api/v1/query_and_more", body=b"query=up"), Effect.WRITE),
        (sent("PUT", "http://es/_search", body=b"{}"), Effect.IDEMPOTENT),
        (sent(url=GRAPH, body=b'{"query": "query Q { a }"}'), Effect.READ),
        (sent(url=GRAPH, body=b'{"query": " { a }"}'), Effect.READ),
        (sent(body=b'{"query": "{ a }"}'), Effect.WRITE),
        (sent(url=GRAPH, body=b'{"query": "mutation M { a }"}'), Effect.WRITE),
        (sent(url=GRAPH, body=b'{"query": "query Q { a } mutation M { b }", "operationName": "M"}'), Effect.WRITE),
        (sent(url=GRAPH, body=b'{"query": "DELETE FROM t"}'), Effect.WRITE),
        (sent(url=GRAPH, body=b'{"query": 1}'), Effect.WRITE),
        (sent(url=GRAPH, body=b'"query"'), Effect.WRITE),
        (sent(url=GRAPH, body=b"no json"), Effect.WRITE),
    ],
)
def test_a_post_that_only_asks(one: http.Sent, effect: Effect) -> None:
    assert one.effect == effect


@pytest.mark.parametrize(
    ("one", "passes"),
    [
        (sent("GET", URL + "?watch=true"), True),
        (sent("GET", URL + "?follow=1&tail=5"), True),
        (sent("GET", URL + "?watch=false"), False),
        (sent("POST", URL + "?watch=true"), False),
        (sent("GET", headers={"Accept": "text/event-stream"}), True),
        (sent("GET", headers={"Connection": "Upgrade", "Upgrade": "websocket"}), True),
        (sent("PUT", "http://169.254.169.254/latest/api/token"), True),
        (sent("GET", "http://[fd00:ec2::254]/latest"), True),
        (sent(body=b"grant_type=client_credentials&client_secret=s"), True),
        (sent(body=b"grant_type=authorization_code&code=once"), False),
        (sent("GET"), False),
        (sent(), False),
    ],
)
def test_what_is_not_recorded(one: http.Sent, passes: bool) -> None:
    assert one.passes is passes


def test_arguments_show_what_can_be_read() -> None:
    assert sent(body=b'{"a": 1}', headers={"Content-Type": "application/json"}).request().arguments["body"] == {"a": 1}
    form = sent(body=b"a=1&b=2", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert form.request().arguments["body"] == {"a": "1", "b": "2"}
    assert sent(body=b"\x00\x01").request().arguments["body"] == "2 bytes"
    assert "body" not in sent(body=None).request().arguments


class Test_bodies:
    def test_read_again_from_a_file(self, tmp_path: Any) -> None:
        (tmp_path / "f").write_bytes(b"skip" + b"data")
        with open(tmp_path / "f", "rb") as file:
            file.seek(4)
            body = Body(file)
            assert body.form == b"data"
            assert body.again().read() == b"data"
            assert body.again().read() == b"data"

    def test_read_once_is_kept_piece_by_piece(self) -> None:
        body = Body(iter([b"a", "b", b"c"]))
        assert body.form == b"abc"
        assert list(body.again()) == [b"a", b"b", b"c"]
        assert list(body.again()) == [b"a", b"b", b"c"]

    def test_a_pipe_is_kept(self) -> None:
        class Pipe(io.RawIOBase):
            def __init__(self) -> None:
                self.left = [b"a", b"b"]

            def readable(self) -> bool:
                return True

            def read(self, size: int = -1) -> bytes:
                return self.left.pop(0) if self.left else b""

        body = Body(Pipe())
        assert body.form == b"ab"
        assert body.again().read() == b"ab"

    def test_text_and_nothing(self) -> None:
        assert Body("grün").form == "grün".encode()
        assert Body("grün").again() == "grün"
        assert Body(None).form is None

    def test_too_long_to_keep(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "BODY_LIMIT", 10)
        with pytest.raises(AuthorError, match="HF160"):
            Body(iter([b"12345"] * 3))
        assert Body(b"12345" * 3).form == b"12345" * 3, "what is in memory already may be longer"


def answer(status: int, **headers: str) -> dict[str, Any]:
    return {"status": status, "reason": "R", "headers": [[k, v] for k, v in headers.items()], "body": b""}


class Test_outcomes:
    @pytest.mark.parametrize(
        ("status", "passes"), [(200, False), (400, False), (404, False), (429, True), (500, False), (502, True), (503, True), (504, True)]
    )
    def test_statuses_that_pass_by_themselves(self, status: int, passes: bool) -> None:
        found = Conduct(sent(), http.fate_of_cause).transient(answer(status), None)
        assert (found is not None) is passes

    def test_the_server_says_when(self) -> None:
        found = Conduct(sent(), http.fate_of_cause).transient(answer(429, **{"Retry-After": "7"}), None)
        assert found is not None
        assert found.retry_after == 7.0
        assert http.retry_after([["retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"]]) == 0.0
        assert http.retry_after([["retry-after", "soon"]]) is None
        assert http.retry_after([]) is None

    def test_broken_after_sending(self) -> None:
        write, read = Conduct(sent(), http.fate_of_cause), Conduct(sent("GET"), http.fate_of_cause)
        broken = ConnectionResetError(104, "reset")
        unknown = write.guard(broken)
        assert isinstance(unknown, OutcomeUnknownError)
        assert unknown.__cause__ is broken
        assert read.guard(broken) is broken
        assert read.transient(None, broken) is not None

    def test_never_sent(self) -> None:
        write = Conduct(sent(), http.fate_of_cause)
        refused = ConnectionRefusedError(111, "refused")
        assert write.guard(refused) is refused
        assert write.transient(None, refused) is not None

    def test_what_does_not_pass(self) -> None:
        for error in (ssl.SSLCertVerificationError(), socket.gaierror(socket.EAI_NONAME, "no such name"), ValueError("x")):
            write = Conduct(sent(), http.fate_of_cause)
            assert write.guard(error) is error
            assert write.transient(None, error) is None
        assert http.fate_of_cause(socket.gaierror(socket.EAI_AGAIN, "later")) == "unsent"

    @pytest.mark.parametrize("status", [404, 410])
    def test_already_gone(self, status: int) -> None:
        delete = Conduct(sent("DELETE"), http.fate_of_cause)
        assert delete.settle(attempt(), answer(status))["status"] == status, "the first time it is an error"
        settled = delete.settle(attempt(resumed=True), answer(status))
        assert (settled["status"], settled["headers"]) == (204, [["x-holdfast", f"already-gone; status={status}"]])
        delete.guard(ConnectionResetError(104, "reset"))
        assert delete.settle(attempt(), answer(status))["status"] == 204, "an attempt in this process may have done it"

    def test_already_there(self) -> None:
        put = Conduct(sent("PUT"), http.fate_of_cause)
        assert put.settle(attempt(), answer(409))["status"] == 409
        assert put.settle(attempt(resumed=True), answer(409))["status"] == 200
        post = Conduct(sent("POST"), http.fate_of_cause)
        assert post.settle(attempt(resumed=True), answer(409))["status"] == 409, "a write is not taken for done"

    def test_a_throttled_attempt_did_nothing(self) -> None:
        delete = Conduct(sent("DELETE"), http.fate_of_cause)
        delete.transient(answer(429), None)
        assert delete.settle(attempt(), answer(404))["status"] == 404
        delete.transient(answer(504), None)
        assert delete.settle(attempt(), answer(404))["status"] == 204

    def test_a_persons_word(self) -> None:
        assert http.assumed({"id": 1})["body"] == b'{"id": 1}'
        assert http.assumed("text")["body"] == b"text"
        whole = http.assumed({"status": 201, "headers": {"Location": "/orders/7"}, "body": {"id": 7}})
        assert (whole["status"], whole["body"], ["Location", "/orders/7"] in whole["headers"]) == (201, b'{"id": 7}', True)
        assert http.assumed({"status": "open", "body": 1})["body"] == b'{"status": "open", "body": 1}'
        assert http.assumed(None)["status"] == 200
        given = {"status": 201, "headers": [], "body": b""}
        assert http.assumed(given) == given
