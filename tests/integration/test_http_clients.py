"""Six HTTP clients against a real server: recorded they behave as they do without Holdfast, and a replay sends nothing."""

from __future__ import annotations

import asyncio
import http.cookiejar
import io
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from holdfast.durable.interceptor import Interceptor
from holdfast.durable.interceptors.aiohttp import AiohttpInterceptor
from holdfast.durable.interceptors.httpx import HttpxInterceptor
from holdfast.durable.interceptors.installing import Installation
from holdfast.durable.interceptors.urllib import UrllibInterceptor
from holdfast.durable.interceptors.urllib3 import Urllib3Interceptor
from holdfast.testing.recorders import MemoryRecorder
from holdfast.testing.servers.counting import CountingServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CountingServer]:
    with CountingServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[MemoryRecorder]:
    recorder = MemoryRecorder(tmp_path)
    all_four: list[Interceptor] = [Urllib3Interceptor(), HttpxInterceptor(), UrllibInterceptor(), AiohttpInterceptor()]
    installation = Installation(recorder, lambda name: True, all_four)
    installation.install()
    yield recorder
    installation.uninstall()


def about(r: Any) -> Any:
    """What an author sees of a requests or httpx response."""
    shown = {k: v for k, v in r.headers.items() if k.lower() not in {"date", "server", "content-length"}}
    return r.status_code, without_number(r.content), shown, dict(r.cookies), r.encoding, str(r.url), [h.status_code for h in r.history]


def without_number(content: bytes) -> Any:
    """The server numbers its answers; two runs differ in that."""
    try:
        data = json.loads(content)
    except ValueError:
        return content
    return {k: v for k, v in data.items() if k not in {"number", "body"}}


def with_requests(url: str) -> Iterator[Any]:
    with requests.Session() as s:
        yield about(s.get(url + "/plain?cookie=c"))
        yield dict(s.cookies)
        yield about(s.get(url + "/zipped?gzip=1"))
        yield about(s.get(url + "/old?to=/new&cookie=d"))
        yield about(s.get(url + "/old?to=/new", allow_redirects=False))
        yield dict(s.cookies)
        yield about(s.post(url + "/json", json={"a": 1}))
        yield about(s.post(url + "/form", data={"a": "1"}))
        yield about(s.post(url + "/file", files={"f": ("name", b"data")}))
        yield about(s.post(url + "/pieces", data=iter([b"a", b"b"])))
        yield about(s.put(url + "/things/r", data=io.BytesIO(b"from a file")))
        yield about(s.delete(url + "/things/r"))
        yield about(s.head(url + "/head"))
        yield about(s.options(url + "/options"))
        with s.get(url + "/long?size=100000&chunked=1", stream=True) as r:
            yield sum(len(piece) for piece in r.iter_content(30_000))
        with s.get(url + "/lines?size=100&gzip=1", stream=True) as r:
            yield list(r.iter_lines())
        with s.get(url + "/raw?size=1000", stream=True) as r:
            yield r.raw.read(10), len(r.raw.read())
        r = s.get(url + "/missing?status=404")
        with pytest.raises(requests.HTTPError) as error:
            r.raise_for_status()
        yield str(error.value), r.ok, r.reason
        yield r.elapsed.total_seconds() >= 0


def with_urllib3(url: str) -> Iterator[Any]:
    with urllib3.PoolManager() as pool:
        for answer in (
            pool.request("GET", url + "/zipped?gzip=1"),
            pool.request("GET", url + "/old?to=/new"),
            pool.request("POST", url + "/form", fields={"a": "1"}),
            pool.request("GET", url + "/gone?status=410", redirect=False),
        ):
            yield (
                answer.status,
                without_number(answer.data),
                answer.geturl(),
                answer.headers.get("content-type"),
                answer.reason,
                answer.version,
            )
        r = pool.request("GET", url + "/long?size=100000", preload_content=False)
        yield [len(piece) for piece in r.stream(40_000)]
        r.release_conn()
        pool_of_host = urllib3.connection_from_url(url)
        yield without_number(pool_of_host.urlopen("GET", "/direct", None, {}, 3).data)


def with_httpx(module: Any) -> Callable[[str], Iterator[Any]]:
    def play(url: str) -> Iterator[Any]:
        with module.Client(follow_redirects=True) as c:
            yield about(c.get(url + "/plain?cookie=c"))
            yield dict(c.cookies)
            yield about(c.get(url + "/zipped?gzip=1"))
            yield about(c.get(url + "/old?to=/new"))
            yield about(c.post(url + "/json", json={"a": 1}))
            yield about(c.post(url + "/form", data={"a": "1"}))
            yield about(c.post(url + "/file", files={"f": b"data"}))
            yield about(c.post(url + "/pieces", content=iter([b"a", b"b"])))
            with c.stream("GET", url + "/long?size=100000&chunked=1") as r:
                yield sum(len(piece) for piece in r.iter_bytes()), r.http_version, r.reason_phrase
            r = c.get(url + "/missing?status=404")
            with pytest.raises(module.HTTPStatusError) as error:
                r.raise_for_status()
            yield str(error.value)
            yield r.elapsed.total_seconds() >= 0, r.is_closed

    return play


def with_httpx_async(url: str) -> Iterator[Any]:
    async def pieces() -> Any:
        yield b"a"
        yield b"b"

    async def play() -> list[Any]:
        async with httpx.AsyncClient() as c:
            seen = [
                about(await c.get(url + "/zipped?gzip=1")),
                about(await c.post(url + "/pieces", content=pieces())),
                about(await c.post(url + "/file", files={"f": b"data"})),
                [about(r) for r in await asyncio.gather(*(c.post(url + f"/together/{n}") for n in range(5)))],
            ]
            async with c.stream("GET", url + "/long?size=100000") as r:
                seen.append(sum([len(piece) async for piece in r.aiter_bytes()]))
        return seen

    yield from asyncio.run(play())


def with_urllib(url: str) -> Iterator[Any]:
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(url + "/plain?cookie=c") as r:
        yield (
            r.status,
            without_number(r.read()),
            r.url,
            r.msg,
            r.reason,
            r.headers["content-type"],
            r.getheader("content-length"),
            [c.name for c in jar],
        )
    with urllib.request.urlopen(url + "/form", data=b"a=1") as r:
        yield r.code, without_number(r.read())
    with urllib.request.urlopen(urllib.request.Request(url + "/things/u", data=b"body", method="PUT")) as r:
        yield r.code, r.read()
    urllib.request.urlopen(urllib.request.Request(url + "/things/u", method="DELETE")).close()
    with urllib.request.urlopen(url + "/old?to=/new") as r:
        yield r.geturl(), without_number(r.read())
    with urllib.request.urlopen(url + "/long?size=100000&chunked=1") as r:
        yield len(r.read(10)), len(r.read()), r.headers["transfer-encoding"]
    with urllib.request.urlopen(url + "/lines?size=10") as r:
        yield list(r)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(url + "/missing?status=404")
    yield error.value.code, without_number(error.value.read()), str(error.value), error.value.headers["content-type"]
    with urllib.request.urlopen("data:text/plain,hello") as r:
        yield r.read()


def with_aiohttp(url: str) -> Iterator[Any]:
    async def pieces() -> Any:
        yield b"a"

    async def seen(r: Any) -> Any:
        shown = r.status, r.reason, r.method, str(r.url), r.ok, r.content_type, [h.status for h in r.history], r.cookies.output()
        return *shown, without_number(await r.read())

    async def play() -> list[Any]:
        out: list[Any] = []
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as s:
            async with s.get(url + "/plain?cookie=c") as r:
                out.append(await seen(r))
                out.append(len(s.cookie_jar))
            async with s.get(url + "/zipped?gzip=1", params={"k": "v"}) as r:
                out.append(await seen(r))
                out.append(without_number((await r.text()).encode()))
            async with s.get(url + "/old?to=/new&cookie=d") as r:
                out.append(await seen(r))
            for body in (
                {"json": {"a": 1}},
                {"data": {"a": "1"}},
                {"data": b"bytes"},
                {"data": "text"},
                {"data": pieces()},
                {"data": io.BytesIO(b"f")},
            ):
                async with s.post(url + "/body", **body) as r:
                    out.append(await seen(r))
            form = aiohttp.FormData()
            form.add_field("f", io.BytesIO(b"file"), filename="name")
            async with s.post(url + "/form", data=form) as r:
                out.append(await seen(r))
            async with s.get(url + "/long?size=100000&chunked=1") as r:
                out.append(sum([len(piece) async for piece in r.content.iter_chunked(999)]))
            async with s.get(url + "/json?n=1") as r:
                out.append((await r.json())["method"])
            for strict in (True, False):
                try:
                    async with s.get(url + "/missing?status=404", raise_for_status=strict) as r:
                        out.append(await seen(r))
                        r.raise_for_status()
                except aiohttp.ClientResponseError as e:
                    out.append((e.status, e.message, str(e.request_info.real_url)))
            out.append([await seen(r) for r in await asyncio.gather(*(s.post(url + f"/together/{n}") for n in range(5)))])
        return out

    yield from asyncio.run(play())


CLIENTS = {
    "requests": with_requests,
    "urllib3": with_urllib3,
    "httpx": with_httpx(httpx),
    "httpx2": with_httpx(httpx2),
    "httpx_async": with_httpx_async,
    "urllib": with_urllib,
    "aiohttp": with_aiohttp,
}


@pytest.mark.parametrize("name", CLIENTS)
def test_same_as_without_holdfast_and_on_a_replay(name: str, server: CountingServer, recorder: MemoryRecorder) -> None:
    play = CLIENTS[name]
    with recorder.off():
        vanilla = list(play(server.url))
    before = len(server.requests())
    first = list(play(server.url))
    sent = len(server.requests())
    assert sent > before
    recorder.rewind()
    replayed = list(play(server.url))
    assert first == vanilla
    assert replayed == first
    assert len(server.requests()) == sent, "a replay reached the server"
    assert recorder.made == []


def test_one_request_is_one_call_whatever_libraries_it_goes_through(server: CountingServer, recorder: MemoryRecorder) -> None:
    requests.post(server.url + "/once", json={}, timeout=10)
    assert [r.operation for r in recorder.made] == [f"POST {server.url}/once"]


def test_our_key_goes_with_a_write_and_the_authors_stays(server: CountingServer, recorder: MemoryRecorder) -> None:
    requests.post(server.url + "/keys", timeout=10)
    requests.post(server.url + "/keys", headers={"Idempotency-Key": "mine"}, timeout=10)
    requests.get(server.url + "/keys", timeout=10)
    keys = [r["headers"].get("Idempotency-Key") for r in server.requests(path="/keys")]
    assert keys[0] and keys[0] != "mine"
    assert keys[1:] == ["mine", None]


def test_our_key_can_be_left_out(server: CountingServer, recorder: MemoryRecorder) -> None:
    recorder.sends_keys = False
    requests.post(server.url + "/no-keys", timeout=10)
    requests.post(server.url + "/no-keys", headers={"Idempotency-Key": "mine"}, timeout=10)
    assert [r["headers"].get("Idempotency-Key") for r in server.requests(path="/no-keys")] == [None, "mine"]


def test_not_recorded_and_not_answered_from_a_record(server: CountingServer, recorder: MemoryRecorder) -> None:
    for _ in range(2):
        with requests.get(server.url + "/pods?watch=true&size=50", stream=True, timeout=10) as r:
            assert sum(len(piece) for piece in r.iter_content(10)) == 50
        requests.post(server.url + "/token", data={"grant_type": "client_credentials"}, timeout=10)
        httpx.get(server.url + "/events", headers={"Accept": "text/event-stream"})
        recorder.rewind()
    assert recorder.records == {}
    assert len(server.requests(path="/token")) == 2


def test_mock_transports_are_left_alone(recorder: MemoryRecorder) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200, text="mock"))) as c:
        assert c.get("https://example.org/").text == "mock"
    assert recorder.records == {}


def test_a_body_longer_than_memory_should_hold_stays_in_its_file(server: CountingServer, recorder: MemoryRecorder, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    with open(tmp_path / "big", "rb") as file:
        assert requests.put(server.url + "/things/big", data=file, timeout=10).status_code in {200, 201}
    assert server.requests("PUT", "/things/big")[-1]["size"] == 3_000_000


def test_what_dockers_client_asks_of_a_streamed_answer(server: CountingServer, recorder: MemoryRecorder) -> None:
    for query, chunked in (("chunked=1", True), ("size=10", False)):
        with requests.get(f"{server.url}/build?{query}", stream=True, timeout=10) as r:
            body: Any = r.raw._fp
            assert body.chunked is chunked
            assert len(r.raw.read()) >= 10
