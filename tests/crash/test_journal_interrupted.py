"""A person presses "interrupt" again and again while entries are written: no lock, transaction or connection is left in a bad way."""

from __future__ import annotations

import json
import subprocess
import sys

from holdfast.journal import open_store
from holdfast.model.execution import Execution

KEY = bytes(range(32))

WORKER = """
import json, os, signal, sys
from holdfast.journal import open_store
from holdfast.model.entry import Draft
from holdfast.model.execution import Change
store = open_store(sys.argv[1], key=bytes(range(32)), create=False)
struck = 0

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
for n in range(200):
    pause = 0.0002 + (n % 23) * 0.00007  # sweeps over all places inside an append
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, pause)
            if n % 3:
                store.append("e", [Draft(kind="note", key=str(n))], fence=None)
            else:
                store.blobs.put(os.urandom(70_000))
                drafts = [Draft(kind="note", key=str(n)), Draft(kind="more", key=str(n))]
                store.append("e", drafts, fence=None, change=Change(reason=str(n)))
            signal.setitimer(signal.ITIMER_REAL, 0)
            break
        except KeyboardInterrupt:
            signal.setitimer(signal.ITIMER_REAL, 0)
            struck += 1
            pause *= 1.5
            if any(e.key == str(n) for e in store.read("e")):
                break
print(json.dumps(struck))
"""


def test_interrupted_at_every_place(url: str) -> None:
    store = open_store(url, key=KEY)
    store.create(Execution(id="e", runbook="r"))
    done = subprocess.run([sys.executable, "-c", WORKER, url], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) > 20
    entries = store.read("e")
    assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
    assert [e.key for e in entries if e.kind == "note"] == [str(n) for n in range(200)]
    assert [e.key for e in entries if e.kind == "more"] == [str(n) for n in range(0, 200, 3)]
    store.close()
