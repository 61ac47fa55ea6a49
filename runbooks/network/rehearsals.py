"""The rehearsals of the runbooks in this folder, against a stand-in for a router that answers as FRRouting 8.4 does."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.testing.rehearsal import Answer, Stage, rehearsal
from holdfast.testing.servers.counting import CountingServer

PEER = "192.0.2.3"
# Called as `ssh` would be: DEVICE COMMAND-LINE. Its state and its log are files beside it.
ROUTER = f"""#!{sys.executable}
import json, os, shlex, sys
folder = os.path.dirname(os.path.abspath(__file__))
state = json.load(open(folder + "/state.json"))
program, *words = shlex.split(sys.argv[-1])
if program == "ping":
    print("3 packets transmitted, 1 received, 66.6667% packet loss, time 2003ms")
elif words[-1].endswith(" shutdown"):
    with open(folder + "/configured.log", "a") as log:
        log.write(" / ".join(words[1::2]) + "\\n")
    state["shut"] = not words[-1].startswith("no ")
    with open(folder + "/state.new", "w") as file:
        json.dump(state, file)
    os.rename(folder + "/state.new", folder + "/state.json")
elif words[-1].startswith("show ip route"):
    print("Routing entry for 192.0.2.0/24\\n  Known via \\"connected\\", distance 0, metric 0, best\\n  * directly connected, eth1")
else:
    peer = {{"hostname": "carrier", "remoteAs": 65002, "localAs": 65001, "pfxRcd": 412, "pfxSnt": 3, "peerUptime": "00:00:07"}}
    peer |= {{"state": "Idle (Admin)" if state["shut"] else "Established"}}
    peer |= {{"connectionsEstablished": state["drops"] + 1, "connectionsDropped": state["drops"], "idType": "ipv4"}}
    print(json.dumps({{"ipv4Unicast": {{"routerId": "10.0.0.1", "as": 65001, "peerCount": 1, "peers": {{"{PEER}": peer}}}}}}))
"""


@rehearsal("bgp-flap")
@contextmanager
def flapping(folder: Path) -> Iterator[Stage]:
    """A router (a stand-in with the answers of FRRouting) whose session to 192.0.2.3 drops three times, and a webhook for the report."""
    program, state, configured = folder / "router", folder / "state.json", folder / "configured.log"
    program.write_text(ROUTER)
    program.chmod(0o755)
    state.write_text(json.dumps({"drops": 40, "shut": False}))

    def meanwhile(times: int) -> None:
        now = json.loads(state.read_text())
        if now["drops"] < 43:
            (folder / "state.next").write_text(json.dumps({**now, "drops": now["drops"] + 1}))
            (folder / "state.next").rename(state)

    with CountingServer(folder) as hook:

        def effects() -> Counter[str]:
            posted = {r["headers"]["Idempotency-Key"]: json.loads(r["body"])["flaps"] for r in hook.requests("POST", "/report")}
            lines = configured.read_text().splitlines() if configured.exists() else []
            return Counter([*(f"report of {flaps} flaps" for flaps in posted.values()), *lines])

        yield Stage(
            parameters={
                "device": "edge-1",
                "peer": PEER,
                "report_to": f"{hook.url}/report?honour=1",
                "period": "0.5 s",
                "reach": [str(program)],
            },
            answers={"What now?": Answer("shut the session"), "Shut the BGP session": Answer("yes", typed=PEER)},
            meanwhile=meanwhile,
            effects=effects,
            state=lambda: json.loads(state.read_text()),
        )
