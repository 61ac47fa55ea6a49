"""``http.client`` used directly: each request reaches the server once, and what it answered is there on a replay."""

from __future__ import annotations

from pathlib import Path

from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.counting import CountingServer

CELL = """
import http.client
connection = http.client.HTTPConnection(url.split('//')[1])
for n in range(3):
    connection.request('POST', f'/orders/{n}', body=f'order {n}', headers={'X-Who': 'me'})
    response = connection.getresponse()
    assert response.status == 200 and response.getheader('Content-Type') == 'application/json', response.status
    print(response.read().decode())
connection.request('GET', '/missing?status=404')
print(connection.getresponse().status)
connection.close()
"""


def test_each_request_once(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    with CountingServer(tmp_path) as server:
        book = sandbox.notebook(
            "nb",
            [
                ("parameters", "url: str"),
                ("step:a", CELL),
                ("step:b", "import urllib.request\nurllib.request.urlopen(url + '/u', data=b'x').read()"),
            ],
        )
        run = sandbox.holdfast("run", book, "--id", "x", "-p", "url", server.url, "--json", faults="call.after_outcome=kill")
        assert run.status == 0, run
        assert sandbox.struck()
        assert [r["path"] for r in server.requests("POST")] == ["/orders/0", "/orders/1", "/orders/2", "/u"]
    calls = sandbox.holdfast("show", "x", "--calls", "--json").json["calls"]
    assert [c["effect"] for c in calls] == ["write", "write", "write", "read", "write"]
    sandbox.assert_laws("x")
