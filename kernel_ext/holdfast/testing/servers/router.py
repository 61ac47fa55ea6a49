"""A router that is reached by SSH: a stand-in with the prompts, answers and configuration of FRRouting 8.4's ``vtysh`` (copied from a real
one), a little of a Linux host beside it, and a record of everything that was typed."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import paramiko

PEER, OWN = "192.0.2.3", 65001
_READS = ("show ", "ping ", "terminal ", "enable")


class Router:
    """Listens on 127.0.0.1. A context manager.

    Args:
        folder: where commands that come without a terminal (``ssh host command``) are run by ``sh``.
        name: in its prompt.
        password: of anybody.
    """

    def __init__(self, folder: Path, name: str = "edge-1", password: str = "s3cret-of-the-router") -> None:
        self.folder, self.name, self.password = folder, name, password
        self.peer: dict[str, Any] = {"drops": 0, "shut": False}
        self.interfaces: dict[str, bool] = {"eth0": True, "eth1": True}  # whether each is up
        self.typed: list[str] = []  # what was typed and taken, configuration lines with those they stand under
        self.sessions = 0
        self.busy = 0  # so many of the next sessions find all lines taken
        self.drop_after: Callable[[str], bool] = lambda line: False  # a line after which the session breaks, done but unanswered
        self._key = paramiko.ECDSAKey.generate()
        self._socket = socket.socket()
        self._open: list[Any] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def count(self, line: str) -> int:
        """How often a line took effect."""
        return sum(1 for one in self.typed if one.endswith(line))

    @property
    def reads(self) -> int:
        """How often something was looked at."""
        return sum(1 for one in self.typed if one.startswith(_READS))

    def reset(self) -> None:
        """As at the beginning."""
        self.peer.update(drops=0, shut=False)
        self.interfaces.update(eth0=True, eth1=True)
        self.typed.clear()
        self.busy = 0
        self.drop_after = lambda line: False

    def known_hosts(self, path: Path) -> Path:
        """A file with its host key."""
        path.write_text(f"[127.0.0.1]:{self.port} {self._key.get_name()} {self._key.get_base64()}\n")
        return path

    def __enter__(self) -> Router:
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(50)
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()
        for one in self._open:
            one.close()

    def _listen(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            if self.busy > 0:
                self.busy -= 1
                link.close()  # all its lines are taken
                continue
            threading.Thread(target=self._welcome, args=(link,), daemon=True).start()

    def _welcome(self, link: socket.socket) -> None:
        transport = paramiko.Transport(link)
        transport.add_server_key(self._key)
        self._open.append(transport)
        try:
            transport.start_server(server=_Door(self))
        except (paramiko.SSHException, EOFError, OSError):
            transport.close()

    # ---- what is said

    def say(self, line: str, above: list[str]) -> str | None:
        """The answer to a line typed under ``above``; None when the session breaks."""
        words = " ".join(line.split())
        if not words:
            return ""
        if above:
            return self._configure(words, above)
        if words in ("configure terminal", "conf t"):
            above.append("")
            return ""
        answer = self._answer(words)
        if answer is None:
            return f"% Unknown command: {words}"
        self.typed.append(words)
        return None if self.drop_after(words) else answer

    def _answer(self, words: str) -> str | None:
        if words == "show running-config":
            return self.configuration()
        if words == "show bgp summary json":
            return self._summary()
        if words.startswith("show ip route"):
            return 'Routing entry for 192.0.2.0/24\n  Known via "connected", distance 0, metric 0, best\n  * directly connected, eth1'
        if words == "show interface json":
            up = {True: "up", False: "down"}
            shown = {
                name: {"administrativeStatus": up[is_up], "operationalStatus": up[is_up], "lastLinkUp": "", "ifindex": n}
                for n, (name, is_up) in enumerate(self.interfaces.items(), 2)
            }
            return json.dumps(shown)
        if words.startswith("ping "):
            return "PING\n3 packets transmitted, 1 received, 66.6667% packet loss, time 2003ms\nrtt min/avg/max/mdev = 0.1/0.2/0.3/0.1 ms"
        if words == f"clear bgp {PEER}":
            self.peer["drops"] += 1
            return ""
        return "" if words.startswith(("terminal ", "enable", "write")) else None

    def configuration(self) -> str:
        """As ``show running-config`` prints it."""
        shut = [f" neighbor {PEER} shutdown"] if self.peer["shut"] else []
        ports = [
            part for name, up in self.interfaces.items() for part in (f"interface {name}", *(() if up else (" shutdown",)), "exit", "!")
        ]
        lines = ["Building configuration...", "", "Current configuration:", "!", "frr version 8.4.4", f"hostname {self.name}", "!", *ports]
        return "\n".join([*lines, f"router bgp {OWN}", f" neighbor {PEER} remote-as 65002", *shut, "exit", "!", "end"])

    def _configure(self, words: str, above: list[str]) -> str | None:
        if words in ("end", "exit"):
            del above[0 if words == "end" else -1 :]
            return ""
        if words.startswith(("router bgp ", "interface ")):
            above[1:] = [words]
            return ""
        within = above[-1]
        wanted = not words.startswith("no ")
        plain = words.removeprefix("no ")
        if within == f"router bgp {OWN}" and plain == f"neighbor {PEER} shutdown":
            self.peer["shut"] = wanted
        elif within.startswith("interface ") and within[10:] in self.interfaces and plain == "shutdown":
            self.interfaces[within[10:]] = not wanted
        else:
            return f"% Unknown command: {words}"
        self.typed.append(f"{within} / {words}")
        return None if self.drop_after(words) else ""

    def _summary(self) -> str:
        state = "Idle (Admin)" if self.peer["shut"] else "Established"
        peer = {
            "hostname": "carrier",
            "remoteAs": 65002,
            "localAs": OWN,
            "pfxRcd": 412,
            "pfxSnt": 3,
            "peerUptime": "00:00:07",
            "state": state,
        }
        peer |= {"connectionsEstablished": self.peer["drops"] + 1, "connectionsDropped": self.peer["drops"], "idType": "ipv4"}
        return json.dumps({"ipv4Unicast": {"routerId": "10.0.0.1", "as": OWN, "peerCount": 1, "peers": {PEER: peer}}}, indent=2)


class _Door(paramiko.ServerInterface):  # type: ignore[misc]  # paramiko has no types
    """Lets people in, and gives them a terminal or runs their command."""

    def __init__(self, router: Router) -> None:
        self._router = router

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        return int(paramiko.AUTH_SUCCESSFUL if password == self._router.password else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return int(paramiko.OPEN_SUCCEEDED)

    def check_channel_pty_request(self, channel: Any, *size: Any) -> bool:
        return True

    def check_channel_shell_request(self, channel: Any) -> bool:
        self._router.sessions += 1
        threading.Thread(target=self._terminal, args=(channel,), daemon=True).start()
        return True

    def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel, command.decode()), daemon=True).start()
        return True

    def _run(self, channel: Any, command: str) -> None:
        self._router.typed.append(command)
        done = subprocess.run(["sh", "-c", command], cwd=self._router.folder, capture_output=True, check=False, timeout=60)
        if self._router.drop_after(command):
            channel.get_transport().close()
            return
        channel.sendall(done.stdout)
        channel.sendall_stderr(done.stderr)
        channel.send_exit_status(done.returncode)
        channel.close()

    def _terminal(self, channel: Any) -> None:
        above: list[str] = []
        line = ""
        try:
            channel.sendall(f"\r\nHello, this is FRRouting (version 8.4.4).\r\n\r\n{self._prompt(above)}".encode())
            while data := channel.recv(4096):
                for char in data.decode(errors="replace"):
                    if char in "\r\n":
                        channel.sendall(b"\r\n")
                        if line.strip() in ("exit", "quit") and not above:
                            channel.close()
                            return
                        answer = self._router.say(line, above)
                        if answer is None:
                            channel.get_transport().close()
                            return
                        shown = answer.replace("\n", "\r\n") + "\r\n" if answer else ""
                        channel.sendall(f"{shown}{self._prompt(above)}".encode())
                        line = ""
                    elif char == "\x03":
                        channel.sendall(f"\r\n{self._prompt(above)}".encode())
                        line = ""
                    else:
                        line += char
                        channel.sendall(char.encode())
        except (OSError, EOFError):
            return

    def _prompt(self, above: list[str]) -> str:
        mode = "" if not above else "(config-router)" if above[-1].startswith("router") else "(config-if)" if len(above) > 1 else "(config)"
        return f"{self._router.name}{mode}# "
