"""Network namespaces on one machine, joined by a bridge: processes that see each other only as machines do. Root on Linux only."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading

_TOOLS = ("ip", "unshare")


class Wire:
    """A bridge, the namespaces on it, and a way from there to ports of this machine's loopback.

    Args:
        ports: reached at :attr:`host` under the same numbers.
    """

    def __init__(self, ports: tuple[int, ...] = ()) -> None:
        self._ports = ports
        self._number = os.getpid() % 250
        self._bridge = f"hf{os.getpid()}"[:14]
        self.host = f"10.213.{self._number}.1"
        self._names: list[str] = []
        self._listening: list[socket.socket] = []

    @staticmethod
    def possible() -> bool:
        """Whether this process may make namespaces: tried, not guessed."""
        if os.geteuid() != 0 or not all(shutil.which(tool) for tool in _TOOLS):
            return False
        probe = f"hfprobe{os.getpid()}"
        made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode == 0
        inside = made and subprocess.run(["ip", "netns", "exec", probe, "unshare", "-upf", "true"], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
        return bool(inside) and inside.returncode == 0  # type: ignore[union-attr]

    def open(self) -> None:
        """Make the bridge and listen on it."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.host}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for port in self._ports:
            listening = socket.create_server((self.host, port))
            self._listening.append(listening)
            threading.Thread(target=_serve, args=(listening, port), name=f"wire-{port}", daemon=True).start()

    def within(self, name: str) -> list[str]:
        """A new namespace, with address and host name; what to put before a command to run it there."""
        number = len(self._names) + 2
        space, outer, inner = f"{self._bridge}-{number}", f"{self._bridge[-8:]}o{number}", f"{self._bridge[-8:]}i{number}"
        self._names.append(space)
        _ip("netns", "add", space)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
        _ip("link", "set", inner, "netns", space)
        _ip("link", "set", outer, "master", self._bridge, "up")
        _ip("-n", space, "addr", "add", f"10.213.{self._number}.{number}/24", "dev", inner)
        _ip("-n", space, "link", "set", inner, "up")
        _ip("-n", space, "link", "set", "lo", "up")
        alone = ["unshare", "--uts", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        return ["ip", "netns", "exec", space, *alone, "sh", "-c", f'hostname {name[:60]}; exec "$@"', "sh"]

    def close(self) -> None:
        """Take everything away."""
        for listening in self._listening:
            listening.close()
        for space in self._names:
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], capture_output=True, check=True)


def _serve(listening: socket.socket, port: int) -> None:
    while True:
        try:
            near, _ = listening.accept()
        except OSError:
            return
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            near.close()
            continue
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for one, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            one.shutdown(how)
