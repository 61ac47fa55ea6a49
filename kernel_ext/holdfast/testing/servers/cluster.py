"""A stand-in for a Kubernetes cluster: as much of its API as it takes to start, watch and delete jobs; each pod is a process here.

The official client talks to it (:attr:`Cluster.kubeconfig`). Where root allows, a pod has host name, process ids and network of its own,
so that nothing of one pod can be seen from another, and deleting a pod ends everything in it at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from holdfast.foundation import clock
from holdfast.testing.servers.wire import Wire

_JOBS = "/apis/batch/v1/namespaces/"
_CORE = "/api/v1/namespaces/"


class Pod:
    """One pod of a job, and its process."""

    def __init__(self, job: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.job, self.name, self.process, self.log = job, f"{job}-pod", process, log

    @property
    def phase(self) -> str:
        """``Running``, ``Succeeded`` or ``Failed``."""
        status = self.process.poll()
        return "Running" if status is None else "Succeeded" if status == 0 else "Failed"

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        state: dict[str, Any] = {"running": {"startedAt": clock.iso(clock.now())}}
        if self.phase != "Running":
            code = self.process.returncode if self.process.returncode >= 0 else 128 - self.process.returncode
            state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}
        container = {"name": "dagster", "image": "holdfast", "imageID": "", "ready": True, "restartCount": 0, "state": state}
        return {
            "metadata": {"name": self.name, "namespace": "default", "uid": self.name, "labels": {"job-name": self.job}},
            "spec": {"containers": [{"name": "dagster", "image": "holdfast"}]},
            "status": {"phase": self.phase, "containerStatuses": [container]},
        }


class Cluster:
    """The cluster, from ``with`` to its end.

    Args:
        folder: for logs and the kubeconfig.
        environment: what pods have beside what their jobs say: what an image would bring along.
        ports: ports of this machine's loopback that pods reach, too, at :attr:`host` under the same number.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], ports: tuple[int, ...] = ()) -> None:
        self.folder, self._environment = folder, dict(environment)
        self.pods: dict[str, Pod] = {}  # job -> its pod
        self.gone: list[Pod] = []  # those of jobs that were deleted
        self.jobs: dict[str, dict[str, Any]] = {}  # as they were posted
        self._troubles: dict[tuple[str, str], list[str]] = {}
        self._lock = threading.Lock()
        self._wire = Wire(ports) if Wire.possible() else None
        self.host = self._wire.host if self._wire is not None else "127.0.0.1"

    @property
    def isolated(self) -> bool:
        """Whether pods are kept apart: own network, processes, host name."""
        return self._wire is not None

    def __enter__(self) -> Cluster:
        if self._wire is not None:
            self._wire.open()
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer((self.host, 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="cluster", daemon=True).start()
        self.kubeconfig = self.folder / "kubeconfig.json"
        server = {"server": f"http://{self.host}:{self._server.server_port}"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": server}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "default"}}],
            "current-context": "here",
        }
        self.kubeconfig.write_text(json.dumps(document))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        for pod in list(self.pods.values()):
            self.kill(pod)
        if self._wire is not None:
            self._wire.close()

    def trouble(self, method: str, kind: str, *what: str) -> None:
        """The next requests of that method about that kind (``jobs``, ``pods``) meet with these, one after the other: a status (``500``,
        ``429``), ``reset`` (the connection is, before anything is done), ``lost`` (it is done, and the answer never comes)."""
        with self._lock:
            self._troubles[method, kind] = list(what)

    def troubled(self, method: str, kind: str) -> str:
        """What the next one meets with; it is used up."""
        with self._lock:
            left = self._troubles.get((method, kind))
            return left.pop(0) if left else ""

    def troubles_left(self) -> int:
        """How many requests are still to meet with any."""
        with self._lock:
            return sum(map(len, self._troubles.values()))

    def log(self) -> str:
        """What all pods have written, for a test that fails."""
        return "\n".join(f"== {pod.name} {pod.phase}\n{pod.log.read_text(errors='replace')[-2500:]}" for pod in self.pods.values())

    def start(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start the pod of a job that was posted."""
        name = body["metadata"]["name"]
        container = body["spec"]["template"]["spec"]["containers"][0]
        words = [*(container.get("command") or ()), *(container.get("args") or ())]
        beside = Path(sys.executable).with_name(words[0])  # the image's PATH
        words[0] = str(beside) if beside.exists() else words[0]
        given = {e["name"]: e["value"] for e in container.get("env") or () if e.get("value") is not None}
        log = self.folder / f"{name}.log"
        before = self._wire.within(name) if self._wire is not None else []
        with open(log, "ab") as out:
            process = subprocess.Popen(
                [*before, *words],
                env={**self._environment, **given},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.jobs[name] = dict(body)
        self.pods[name] = Pod(name, process, log)
        return self.job(name)

    def job(self, name: str) -> dict[str, Any]:
        """A job as the API shows it."""
        pod = self.pods[name]
        counts = {"Running": "active", "Succeeded": "succeeded", "Failed": "failed"}
        return {"apiVersion": "batch/v1", "kind": "Job", **self.jobs[name], "status": {counts[pod.phase]: 1}}

    def kill(self, pod: Pod) -> None:
        """Everything in the pod, at once: it is deleted, or its node is gone."""
        with contextlib.suppress(ProcessLookupError):
            if self._wire is None:  # kernels have process groups of their own, and end when their parent is gone
                os.killpg(pod.process.pid, signal.SIGKILL)
            else:  # the end of the first process of a pid namespace ends all others
                os.kill(pod.process.pid, signal.SIGKILL)
        pod.process.wait()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: Cluster

    def log_message(self, format: str, *args: Any) -> None:
        """Not needed."""

    def handle_one_request(self) -> None:
        """One request."""
        self._met = ""
        super().handle_one_request()

    def _answer(self, status: int, document: Mapping[str, Any]) -> None:
        if self._met == "lost":
            self._reset()
            return
        body = json.dumps(document).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.shutdown(socket.SHUT_RD)
        self.close_connection = True

    def _in_trouble(self) -> bool:
        """Whether this request meets with trouble, which then is its answer."""
        self._met = self.cluster.troubled(self.command, self._words[1] if len(self._words) > 1 else "")
        if self._met == "reset":
            self._reset()
        elif self._met.isdigit():
            self._answer(int(self._met), {"kind": "Status", "status": "Failure", "code": int(self._met)})
        return self._met not in ("", "lost")

    def _missing(self) -> None:
        self._answer(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})

    @property
    def _words(self) -> list[str]:
        """``[namespace, "jobs" | "pods" ..., name, part]`` of the path."""
        path = urlsplit(self.path).path
        prefix = _JOBS if path.startswith(_JOBS) else _CORE
        return path.removeprefix(prefix).split("/")

    def do_POST(self) -> None:
        """Make a job."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        if self._in_trouble():
            return
        if self._words[1:] != ["jobs"]:
            self._missing()
        elif body["metadata"]["name"] in self.cluster.pods:
            self._answer(409, {"kind": "Status", "status": "Failure", "reason": "AlreadyExists", "code": 409})
        else:
            self._answer(201, self.cluster.start(body))

    def do_GET(self) -> None:
        """Show jobs, pods, logs, events."""
        if self._in_trouble():
            return
        cluster, words = self.cluster, self._words
        kind, name = words[1] if len(words) > 1 else "", words[2] if len(words) > 2 else None
        pods = list(cluster.pods.values())
        if kind == "jobs" and name is not None:
            self._answer(200, cluster.job(name)) if name in cluster.pods else self._missing()
        elif kind == "pods" and name is not None:
            found = next((p for p in pods if p.name == name), None)
            if found is None:
                self._missing()
            else:
                self._answer(200, found.document())
        elif kind == "pods":
            wanted = parse_qs(urlsplit(self.path).query).get("labelSelector", [""])[0].removeprefix("job-name=")
            shown = [p.document() for p in pods if wanted in ("", p.job)]
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": shown})
        elif kind == "jobs":
            self._answer(200, {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": [cluster.job(p.job) for p in pods]})
        else:
            self._answer(200, {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})

    def do_DELETE(self) -> None:
        """Delete a job or a pod, and with it what runs in it."""
        with contextlib.suppress(ValueError):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self._words[2] if len(self._words) > 2 else ""
        pod = next((p for p in self.cluster.pods.values() if name in (p.job, p.name)), None)
        if pod is None:
            self._missing()
            return
        self.cluster.kill(pod)
        if self._words[1] == "jobs":
            self.cluster.gone.append(self.cluster.pods.pop(pod.job))
        self._answer(200, {"kind": "Status", "status": "Success"})
