"""Records a journal of this release for the tests of later ones: ``python tests/conformance/journals/record.py FOLDER``.

Run once per release, into ``tests/conformance/journals/<release>``; what is recorded is never changed afterwards.
"""

from __future__ import annotations

import datetime
import decimal
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from holdfast.codecs import encode, encode_error
from holdfast.foundation import clock
from holdfast.journal import Store, Writer, open_store
from holdfast.model.entry import Draft, Entry, Pending
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.lease import Owner
from holdfast.testing.postgres import PostgresServer, find_binaries

KEY = bytes(range(32))
VALUES: list[Any] = [
    {"status": 200, "body": b"x" * 10, "n": [1, None, 2.5]},
    (1, decimal.Decimal("1.10"), datetime.date(2026, 1, 2)),
    "y" * 1_100_000,
]


class Stopped:
    """A clock that stands, so that a recording can be repeated."""

    def now(self) -> float:
        return 1_767_000_000.25

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        return


def fill(store: Store) -> None:
    """Two executions with something of everything."""
    chance = random.Random(1)
    blobs = [store.blobs.put(data) for data in (b"small", b"compressible " * 20_000, chance.randbytes(70_000))]
    given = Execution(
        id="20260102-030405-abcdef",
        runbook="drain",
        path="/srv/drain.ipynb",
        notebook=blobs[0],
        parameters={"n": 1},
        key="k",
        started_by="ann",
    )
    store.create(given, [Draft(kind="execution.created", body={"blobs": blobs})])
    lease = store.claim(given.id, Owner(host="h", boot="b", pid=1, started="1"), 60)
    assert lease is not None
    writer = Writer(store, given.id, lease.fence, "engine@h")
    for n, value in enumerate(VALUES):
        writer.append("call.intent", {"kind": "http", "n": n}, step="drain", key=f"c{n}")
        outcome = {"state": "succeeded", "value": encode(value, blobs=store.blobs, key=store.key)}
        writer.append("call.outcome", outcome, step="drain", key=f"c{n}")
    failure = {"state": "failed", "error": encode_error(FileNotFoundError(2, "gone", "/x"), blobs=store.blobs, key=store.key)}
    writer.append("call.outcome", failure, step="drain", key="c9")
    prompt = Pending(execution=given.id, kind="prompt", key="p1", due_at=1.8e9, body=msgspec.msgpack.encode({"text": "ok?"}))
    writer.append(
        "prompt.opened", {"text": "ok?"}, key="p1", opens=[prompt], change=Change(status=Status.SUSPENDED, reason="p1", due_at=1.8e9)
    )
    store.release(lease)
    other = Execution(id="20260102-030406-fedcba", runbook="other", mode=Mode.INTERACTIVE, parent=given.id, forked_from=given.id)
    store.create(other)
    store.append(
        other.id, [Draft(kind="signal.received", actor="bob", once="signal:1")], fence=None, change=Change(status=Status.CANCELLED)
    )


def look(store: Store) -> dict[str, Any]:
    """All that the journal says, as JSON types."""
    headers = store.headers(newest_first=False)
    return {
        "headers": [_plain(h) for h in headers],
        "entries": [_plain(e) for h in headers for e in store.read(h.id)],
        "pending": [_plain(p) for p in store.pending()],
    }


def _plain(thing: Execution | Entry | Pending) -> Any:
    return json.loads(msgspec.json.encode(thing))


def main() -> None:
    """Record both stores."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    clock.use(Stopped())
    store = open_store(f"sqlite:///{folder}/journal.db", key_file=_key_file(folder))
    fill(store)
    (folder / "sqlite.json").write_text(json.dumps(look(store), indent=1) + "\n")
    store.close()
    with PostgresServer() as server:
        url = server.create_database()
        store = open_store(url, key=KEY)
        fill(store)
        (folder / "postgres.json").write_text(json.dumps(look(store), indent=1) + "\n")
        store.close()
        binaries = find_binaries()
        assert binaries is not None
        dump = [str(binaries / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", "--schema=holdfast", url]
        text = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    # what psql, not the server, understands, and what names the recording server
    text = re.sub(r"(?m)^(\\.*|--.*|SET .*;|SELECT pg_catalog\.set_config.*;)\n", "", text)
    (folder / "postgres.sql").write_text(re.sub(r"\n{3,}", "\n\n", text))


def _key_file(folder: Path) -> Path:
    file = folder / "holdfast.key"
    file.write_text(KEY.hex() + "\n")
    return file


if __name__ == "__main__":
    main()
