"""Transient failures are tried again inside the call, an unknown outcome is never taken for a failure, and the far side counts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from holdfast.durable.interceptor import Interceptor
from holdfast.durable.interceptors.aiohttp import AiohttpInterceptor
from holdfast.durable.interceptors.httpx import HttpxInterceptor
from holdfast.durable.interceptors.installing import Installation
from holdfast.durable.interceptors.urllib import UrllibInterceptor
from holdfast.durable.interceptors.urllib3 import Urllib3Interceptor
from holdfast.testing.cells import CellRunner
from holdfast.testing.recorders import MemoryRecorder, UnknownOutcome
from holdfast.testing.servers.counting import CountingServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CountingServer]:
    with CountingServer(tmp_path) as server:
        yield server


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[MemoryRecorder]:
    recorder = MemoryRecorder(tmp_path)
    all_four: list[Interceptor] = [Urllib3Interceptor(), HttpxInterceptor(), UrllibInterceptor(), AiohttpInterceptor()]
    installation = Installation(recorder, lambda name: True, all_four)
    installation.install()
    yield recorder
    installation.uninstall()


def by_requests(method: str, url: str) -> int:
    return requests.request(method, url, timeout=0.4).status_code


def by_httpx(method: str, url: str) -> int:
    return httpx.request(method, url, timeout=0.4).status_code


def by_urllib(method: str, url: str) -> int:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=0.4) as r:
            return int(r.status)
    except urllib.error.HTTPError as e:
        return e.code


def by_aiohttp(method: str, url: str) -> int:
    async def play() -> int:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.4)) as s, s.request(method, url) as r:
            return r.status

    return asyncio.run(play())


CLIENTS: list[Callable[[str, str], int]] = [by_requests, by_httpx, by_urllib, by_aiohttp]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=[c.__name__.removeprefix("by_") for c in CLIENTS])


@every_client
@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_passing_statuses_are_tried_again(client: Any, status: int, server: CountingServer, recorder: MemoryRecorder) -> None:
    assert client("GET", f"{server.url}/busy?status={status}&n=2") == 200
    assert len(server.requests(path="/busy")) == 3
    assert len(recorder.records) == 1


@every_client
def test_a_write_is_tried_again_with_one_key(client: Any, server: CountingServer, recorder: MemoryRecorder) -> None:
    assert client("POST", f"{server.url}/busy?status=503&n=2&honour=1") == 200
    keys = [r["headers"]["Idempotency-Key"] for r in server.requests(path="/busy")]
    assert len(keys) == 3
    assert len(set(keys)) == 1


@every_client
@pytest.mark.parametrize("fault", ["reset=1&n=1", "close=1&n=1", "delay=2&n=1"])
def test_a_read_that_broke_is_made_again(client: Any, fault: str, server: CountingServer, recorder: MemoryRecorder) -> None:
    assert client("GET", f"{server.url}/flaky?{fault}") == 200
    assert len(server.requests(path="/flaky")) >= 2


@every_client
@pytest.mark.parametrize("fault", ["reset=1&n=1", "close=1&n=1", "delay=2&n=1"])
def test_a_write_that_broke_is_unknown(client: Any, fault: str, server: CountingServer, recorder: MemoryRecorder) -> None:
    with pytest.raises(UnknownOutcome):
        client("POST", f"{server.url}/flaky?{fault}")
    assert len(server.requests(path="/flaky")) == 1


@every_client
def test_a_write_of_which_the_answer_broke_is_unknown(client: Any, server: CountingServer, recorder: MemoryRecorder) -> None:
    with pytest.raises(UnknownOutcome):
        client("POST", f"{server.url}/torn?size=10000&truncate=1")
    assert len(server.requests(path="/torn")) == 1


@every_client
def test_a_repeated_delete_finds_it_gone(client: Any, server: CountingServer, recorder: MemoryRecorder) -> None:
    with recorder.off():
        requests.put(server.url + "/things/1", timeout=10)
    assert client("DELETE", f"{server.url}/things/1?n=1&status=504") == 204
    assert len(server.requests("DELETE", "/things/1")) == 2
    assert client("DELETE", f"{server.url}/things/1") == 404, "a new delete of what is not there is an error as ever"


@every_client
def test_after_a_crash_a_delete_finds_it_gone(client: Any, server: CountingServer, recorder: MemoryRecorder) -> None:
    with recorder.off():
        requests.put(server.url + "/things/2", timeout=10)
    assert client("DELETE", f"{server.url}/things/2") == 204
    recorder.forget_outcome()
    assert client("DELETE", f"{server.url}/things/2") == 204
    recorder.rewind()
    assert client("DELETE", f"{server.url}/things/2") == 204
    assert len(server.requests("DELETE", "/things/2")) == 2


@every_client
def test_nobody_listens(client: Any, recorder: MemoryRecorder) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Exception, match=r"(?i)refused|connect"):
        client("POST", f"http://127.0.0.1:{port}/x")
    (record,) = recorder.records.values()
    assert record.attempts == 4, "tried again, for nothing was sent"
    assert record.failed


@every_client
def test_a_refused_request_is_an_answer(client: Any, server: CountingServer, recorder: MemoryRecorder) -> None:
    assert client("POST", f"{server.url}/no?status=422") == 422
    recorder.rewind()
    assert client("POST", f"{server.url}/no?status=422") == 422
    (record,) = recorder.records.values()
    assert record.failed
    assert len(server.requests(path="/no")) == 1


def test_retries_are_rows_and_exhausted_ones_ask(server: CountingServer, tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, f"import requests\nprint(requests.post('{server.url}/down?status=503&n=5').status_code)")
    assert runner.run().status == 3
    (prompt,) = runner.prompts()
    assert prompt.kind == "retries_exhausted"
    assert len(server.requests(path="/down")) == 4
    runner.answer("run")
    done = runner.run()
    assert (done.status, done.out.strip()) == (0, "200"), done.err
    assert len(server.requests(path="/down")) == 6


def test_an_unknown_write_asks_and_takes_the_answer(server: CountingServer, tmp_path: Path) -> None:
    post = f"requests.post('{server.url}/orders?reset=1&n=1', json={{'token': 'hunter22', 'n': 1}})"
    cell = f"import requests\nr = {post}\nprint(r.status_code, r.json())"
    runner = CellRunner(tmp_path, cell)
    assert runner.run().status == 3
    (prompt,) = runner.prompts()
    assert prompt.kind == "unknown_outcome"
    assert prompt.request["operation"] == f"POST {server.url}/orders?reset=1&n=1"
    assert prompt.request["arguments"]["body"] == {"token": "***", "n": 1}
    assert runner.run().status == 3
    assert len(server.requests(path="/orders")) == 1, "it waits for the answer"
    runner.answer("happened", value={"order": 7})
    done = runner.run()
    assert (done.status, done.out.strip()) == (0, "200 {'order': 7}"), done.err
    assert len(server.requests(path="/orders")) == 1
