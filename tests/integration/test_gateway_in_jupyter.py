"""The gateway in a real Jupyter server: its identity, its cross-site protection, the same pages and API."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from holdfast.foundation import clock
from holdfast.testing.gateways import ask
from holdfast.testing.sandbox import Sandbox

TOKEN = "for-tests-only"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, str]]:
    sandbox = Sandbox(tmp_path_factory.mktemp("jupyter"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", f"--ServerApp.root_dir={sandbox.folder}"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}", "--ServerApp.base_url=/base/"]
    environment = {**sandbox.environment, "JUPYTER_CONFIG_DIR": str(sandbox.folder / ".config")}
    with (sandbox.folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=sandbox.folder, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/base"
    deadline = clock.monotonic() + 60
    while True:
        try:
            if httpx.get(f"{address}/api", timeout=5).status_code == 200:
                break
        except httpx.HTTPError:
            pass
        assert clock.monotonic() < deadline and process.poll() is None, (sandbox.folder / "server.log").read_text()[-3000:]
        clock.sleep(0.1)
    yield sandbox, address
    headers = {"Authorization": f"token {TOKEN}"}
    with httpx.stream("GET", f"{address}/holdfast/api/v1/live", headers=headers, timeout=60) as stream:
        assert stream.status_code == 200
        process.terminate()
        process.wait(30)  # a page that somebody has open does not keep it


def test_it_is_there_without_being_switched_on_and_closed_to_strangers(server: tuple[Sandbox, str]) -> None:
    _, address = server
    assert httpx.get(f"{address}/holdfast/api/v1/me").status_code in (302, 403)
    me = httpx.get(f"{address}/holdfast/api/v1/me", headers={"Authorization": f"token {TOKEN}"})
    assert (me.status_code, me.json()["how"], me.json()["roles"]) == (200, "jupyter", ["owner"])


def test_a_prompt_is_answered_in_the_browser_session(server: tuple[Sandbox, str]) -> None:
    sandbox, address = server
    prompt = ask(sandbox, "In Jupyter?", id="in-jupyter")
    with httpx.Client(follow_redirects=True, timeout=60) as browser:
        inbox = browser.get(f"{address}/holdfast/?token={TOKEN}")
        assert inbox.status_code == 200
        assert f'href="/base/holdfast/prompts/{prompt.id}"' in inbox.text
        place = f"{address}/holdfast/prompts/{prompt.id}"
        refused = browser.post(place, data={"verdict": "yes"})
        assert refused.status_code == 403
        form_token = re.search(r'name="_xsrf" value="([^"]+)"', browser.get(place).text)
        assert form_token is not None
        answered = browser.post(place, data={"verdict": "yes", "_xsrf": form_token[1]})
        assert answered.status_code == 200
        assert "Your answer is recorded" in answered.text
        assert browser.get(f"{address}/holdfast/static/holdfast.css").headers["content-type"].startswith("text/css")
        assert browser.get(f"{address}/holdfast/nothing").status_code == 404
    [answer] = [e for e in sandbox.entries("in-jupyter") if e.kind == "prompt.answered"]
    assert answer.data["via"] == "jupyter"


def test_live_progress_comes_through(server: tuple[Sandbox, str]) -> None:
    sandbox, address = server
    ask(sandbox, "Live?", id="live")
    headers = {"Authorization": f"token {TOKEN}"}
    with httpx.stream("GET", f"{address}/holdfast/api/v1/executions/live/live", headers=headers, timeout=60) as stream:
        assert any("Live?" in line for line in stream.iter_lines())
