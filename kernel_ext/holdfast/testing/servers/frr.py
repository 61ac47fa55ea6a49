"""Two FRRouting routers that speak BGP with each other, each in a network namespace of its own, the first behind OpenSSH with ``vtysh`` as
the forced command. Needs root and Debian's ``frr``, ``openssh-server`` and ``iproute2``; nothing leaves the machine."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from holdfast.foundation import clock

OWN, PEER = 65001, "192.0.2.3"
_DAEMONS = Path("/usr/lib/frr")
_NEEDED = ("vtysh", "ip", "sshd", "ssh-keygen")
_CONFIGURATION = """hostname {name}
log file {log}
log commands
router bgp {own}
 no bgp ebgp-requires-policy
 timers bgp 1 3
 neighbor {other} remote-as {remote}
 neighbor {other} timers connect 1
"""
_SSHD = """Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
ForceCommand ip netns exec {space} vtysh --vty_socket {folder}/r1
"""


def lacking() -> str:
    """What is not there of what it needs; empty when all is."""
    missing = [name for name in _NEEDED if shutil.which(name, path=f"{os.defpath}:/usr/sbin:/sbin") is None]
    missing += [] if (_DAEMONS / "bgpd").exists() else ["bgpd"]
    if os.geteuid() != 0:
        missing.append("root")
    return ", ".join(missing)


class Frr:
    """A context manager.

    Args:
        folder: for configuration, sockets and logs; short, as it holds sockets.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tag = f"hf{os.getpid() % 100000}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    @property
    def user(self) -> str:
        """Who may sign in, with :attr:`key`."""
        return getpass.getuser()

    @property
    def key(self) -> Path:
        """A private key."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """With the host's key."""
        return self.folder / "known_hosts"

    def vtysh(self, *commands: str, router: str = "r1") -> str:
        """What a router says, past SSH."""
        words = [word for command in commands for word in ("-c", command)]
        return _run("vtysh", "--vty_socket", str(self.folder / router), *words)

    def count(self, line: str) -> int:
        """How often a command was taken by the first router's bgpd, by its own log."""
        log = self.folder / "r1" / "bgpd.log"
        return len(re.findall(rf"# {re.escape(line)}$", log.read_text(), re.MULTILINE)) if log.exists() else 0

    def reset(self) -> None:
        """The session open, and nothing counted."""
        self.vtysh("configure terminal", f"router bgp {OWN}", f"no neighbor {PEER} shutdown")
        os.truncate(self.folder / "r1" / "bgpd.log", 0)

    def peer(self) -> dict[str, Any]:
        """The second router as the first sees it."""
        found: dict[str, Any] = json.loads(self.vtysh("show bgp summary json"))["ipv4Unicast"]["peers"][PEER]
        return found

    def flap(self) -> None:
        """Take the line down until the session is lost, and up again until it is back."""
        before = self.peer()["connectionsDropped"]
        link = ("ip", "-n", f"{self._tag}b", "link", "set", f"{self._tag}vb")
        _run(*link, "down")
        _until(lambda: self.peer()["connectionsDropped"] > before, "the session to be lost")
        _run(*link, "up")
        self.established()

    def established(self) -> None:
        """Wait for it."""
        _until(lambda: self.peer()["state"] == "Established", "the session")

    def __enter__(self) -> Frr:
        try:
            self._begin()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _begin(self) -> None:
        for letter in "ab":
            _run("ip", "netns", "add", f"{self._tag}{letter}")
        ends = [("a", "192.0.2.2/24"), ("b", f"{PEER}/24")]
        _run("ip", "link", "add", f"{self._tag}va", "netns", f"{self._tag}a", "type", "veth", "peer", "name", f"{self._tag}vb", "netns",
             f"{self._tag}b")  # fmt: skip
        for letter, address in ends:
            _run("ip", "-n", f"{self._tag}{letter}", "addr", "add", address, "dev", f"{self._tag}v{letter}")
            for link in (f"{self._tag}v{letter}", "lo"):
                _run("ip", "-n", f"{self._tag}{letter}", "link", "set", link, "up")
        self._router("r1", "a", OWN, PEER, 65002)
        self._router("r2", "b", 65002, "192.0.2.2", OWN)
        self._sshd()
        self.established()

    def _router(self, name: str, letter: str, own: int, other: str, remote: int) -> None:
        home = self.folder / name
        home.mkdir()
        log = home / "bgpd.log"
        (home / "bgpd.conf").write_text(_CONFIGURATION.format(name=name, log=log, own=own, other=other, remote=remote))
        (home / "zebra.conf").write_text(f"hostname {name}\n")
        for path in (home, *home.iterdir()):
            shutil.chown(path, "frr", "frr")
        for daemon in ("zebra", "bgpd"):
            given = ["-d", "-f", f"{home}/{daemon}.conf", "-i", f"{home}/{daemon}.pid", "-z", f"{home}/zserv", "--vty_socket", str(home)]
            _run("ip", "netns", "exec", f"{self._tag}{letter}", str(_DAEMONS / daemon), *given, "-u", "frr", "-g", "frr", "-A", "127.0.0.1")

    def _sshd(self) -> None:
        for name in ("host_key", "key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))
        shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        kind, public = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {public}\n")
        (self.folder / "sshd_config").write_text(_SSHD.format(port=self.port, folder=self.folder, space=f"{self._tag}a"))
        Path("/run/sshd").mkdir(exist_ok=True)
        _run("/usr/sbin/sshd", "-f", str(self.folder / "sshd_config"), "-E", str(self.folder / "sshd.log"))
        _until(self._listens, "sshd")

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in [*self.folder.glob("r*/*.pid"), self.folder / "sshd.pid"]:
            try:
                os.kill(int(file.read_text()), signal.SIGTERM)
            except (OSError, ValueError):
                continue
        for letter in "ab":
            subprocess.run(["ip", "netns", "del", f"{self._tag}{letter}"], capture_output=True, check=False)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _until(met: Any, what: str) -> None:
    until = clock.monotonic() + 90
    while not met():
        if clock.monotonic() > until:
            raise TimeoutError(f"waited for {what}")
        clock.sleep(0.1)
