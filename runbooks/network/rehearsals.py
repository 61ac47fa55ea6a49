"""The rehearsals of the runbooks in this folder, against a router (an SSH server) that answers as FRRouting 8.4 does."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.rehearsal import Answer, Stage, rehearsal
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.router import PEER, Router

ANSWERS = {"What now?": Answer("shut the session"), "Shut the BGP session": Answer("yes", typed=PEER)}


def reports(hook: CountingServer) -> Counter[str]:
    """What was posted, by the keys under which a webhook counts it."""
    posted = {r["headers"]["Idempotency-Key"]: json.loads(r["body"])["flaps"] for r in hook.requests("POST", "/report")}
    return Counter(f"report of {flaps} flaps" for flaps in posted.values())


@rehearsal("bgp-flap")
@contextmanager
def flapping(folder: Path) -> Iterator[Stage]:
    """A router (a stand-in with the answers of FRRouting) whose session to 192.0.2.3 drops three times, and a webhook for the report."""
    with CountingServer(folder) as hook, Router(folder) as router:
        router.peer["drops"] = 40

        def meanwhile(times: int) -> None:
            router.peer["drops"] = min(router.peer["drops"] + 1, 43)

        def configured() -> Counter[str]:
            return Counter(line for line in router.typed if " / " in line)

        yield Stage(
            parameters={
                "device": "127.0.0.1",
                "peer": PEER,
                "report_to": f"{hook.url}/report?honour=1",
                "user": "ops",
                "port": router.port,
                "known_hosts": str(router.known_hosts(folder / "known_hosts")),
                "period": "0.5 s",
            },
            environment={"DEVICE_PASSWORD": router.password},
            answers=ANSWERS,
            meanwhile=meanwhile,
            effects=lambda: reports(hook) + configured(),
            state=lambda: dict(router.peer),
        )
