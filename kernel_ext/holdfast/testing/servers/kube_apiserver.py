"""A real kube-apiserver on loopback, with an etcd of its own, for tests. Nothing else of a cluster runs: objects are as clients leave them.

The programs ``kube-apiserver`` and ``etcd`` are looked for in ``$KUBEBUILDER_ASSETS`` and on ``PATH``.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from holdfast.foundation import clock

_TOKEN = "t0ken-of-the-real-cluster"  # noqa: S105 - of a server on loopback that ends with its test


def find_programs() -> tuple[str, str] | None:
    """Where ``kube-apiserver`` and ``etcd`` are; None where one is missing."""
    places = os.pathsep.join(filter(None, (os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH"))))
    found = [shutil.which(name, path=places) for name in ("kube-apiserver", "etcd")]
    return (found[0], found[1]) if found[0] and found[1] else None


class ApiServer:
    """From ``with`` to its end.

    Args:
        folder: for data, certificates and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, _TOKEN
        self._processes: list[subprocess.Popen[bytes]] = []
        self._trust = ssl._create_unverified_context()
        self.url = ""

    @property
    def ca(self) -> Path:
        """The certificate that it shows."""
        return self.folder / "certs" / "apiserver.crt"

    def __enter__(self) -> ApiServer:
        found = find_programs()
        if found is None:
            raise RuntimeError("kube-apiserver and etcd are not installed")
        client, peer, secure = (_free_port() for _ in range(3))
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        plain = serialization.NoEncryption()
        signing = self.folder / "sa.key"
        signing.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,1,"system:masters"\n')
        here = "http://127.0.0.1"
        etcd = [found[1], f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync", f"--listen-client-urls={here}:{client}"]
        etcd += [f"--advertise-client-urls={here}:{client}", f"--listen-peer-urls={here}:{peer}"]
        etcd += [f"--initial-advertise-peer-urls={here}:{peer}", f"--initial-cluster=default={here}:{peer}"]
        server = [found[0], f"--etcd-servers={here}:{client}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"]
        server += [f"--secure-port={secure}", f"--cert-dir={self.folder}/certs", f"--token-auth-file={self.folder}/tokens.csv"]
        server += ["--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc", "--allow-privileged=true"]
        server += [f"--service-account-signing-key-file={signing}", f"--service-account-key-file={signing}"]
        server += ["--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount"]
        for command in (etcd, server):
            with open(self.folder / f"{Path(command[0]).name}.log", "wb") as log:
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
        self.url = f"https://127.0.0.1:{secure}"
        until = clock.monotonic() + 120
        while clock.monotonic() < until:
            try:
                self.ask("GET", "/readyz")
                return self
            except OSError:
                clock.sleep(0.2)
        self.__exit__(None, None, None)
        raise RuntimeError("kube-apiserver did not start: " + (self.folder / "kube-apiserver.log").read_text()[-2000:])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def ask(self, method: str, path: str, document: Any = None, kind: str = "application/json") -> Any:
        """One request of the test's own. Raises ``urllib.error.HTTPError``."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        body = json.dumps(document).encode() if document is not None else None
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=self._trust) as answer:
            text = answer.read()
        return json.loads(text) if text[:1] == b"{" else text.decode()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
