"""One cell with three calls, run by a recorder without a kernel. A script: JOURNAL KEY-FILE SERVER-PORT EFFECT FAULTS FAULT-LOG.

Prints one JSON document: the results, or the prompt that it waits for.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from typing import Any

from holdfast import Outcome, call, idempotency_key, now
from holdfast.durable.cell import CellContext
from holdfast.durable.recorder import Recorder
from holdfast.errors import Suspend
from holdfast.foundation import faults
from holdfast.journal.opening import open_store
from holdfast.journal.writer import Writer
from holdfast.model.execution import Execution, Status
from holdfast.model.lease import Owner

JOURNAL, KEY_FILE, PORT, EFFECT, FAULTS, FAULT_LOG = sys.argv[1:7]
EXECUTION = "20260101-000000-crash0"


def ask_server(method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", int(PORT), timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def was_done(name: str, at: str) -> Outcome:
    times = ask_server("GET", f"/done/{name}")["times"]
    return Outcome(happened=bool(times), value={"name": name, "times": 1})


@call(effect="read")
def read(name: str, at: str) -> Any:
    return ask_server("GET", f"/read/{name}")


@call(effect="idempotent")
def idempotent(name: str, at: str) -> Any:
    return ask_server("POST", f"/once/{name}", at, {"Idempotency-Key": idempotency_key()})


@call(probe=was_done)
def probe(name: str, at: str) -> Any:
    return ask_server("POST", f"/do/{name}", at)


@call
def write(name: str, at: str) -> Any:
    return ask_server("POST", f"/do/{name}", at)


def cell() -> Any:
    function = {"read": read, "idempotent": idempotent, "probe": probe, "write": write}[EFFECT]
    at = now().isoformat()
    return {"results": [function(name, at) for name in ("a", "b", "c")], "at": at}


def main() -> None:
    store = open_store(JOURNAL, key_file=KEY_FILE)
    if store.header(EXECUTION) is None:
        store.create(Execution(id=EXECUTION, runbook="crash", status=Status.RUNNING))
    lease = store.claim(EXECUTION, Owner(host="h", boot="b", pid=1, started="1"), 60)  # the same worker, come back
    assert lease is not None
    recorder = Recorder(Writer(store, EXECUTION, lease.fence, "driver"), owner=f"pid {os.getpid()}")
    faults.arm(FAULTS, FAULT_LOG)
    recorder.begin(CellContext(step="s", cell="c", source_digest="d"))
    try:
        said = cell()
    except Suspend as wait:
        said = {"prompt": wait.details["prompt"]}
    drafts = recorder.end().drafts
    if drafts:
        recorder.writer.append_all(drafts)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
