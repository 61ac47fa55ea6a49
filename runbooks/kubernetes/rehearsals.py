"""The rehearsals of the runbooks in this folder, against a stand-in for a cluster and the part of its controllers that matters here."""

from __future__ import annotations

import copy
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.testing.rehearsal import Alert, Answer, Stage, rehearsal
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.kubernetes import KubernetesServer
from holdfast.testing.servers.standing_in import Came, Said, StandIn

APPS, CORE, REVISION = "/apis/apps/v1/namespaces/shop", "/api/v1/namespaces/shop", "deployment.kubernetes.io/revision"


def environment(server: KubernetesServer, folder: Path) -> dict[str, str]:
    """What makes the official client use it."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": server.url}}],
        "users": [{"name": "me", "user": {"token": server.token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "here",
    }
    (folder / "kubeconfig.json").write_text(json.dumps(document))
    return {"KUBECONFIG": str(folder / "kubeconfig.json")}


def pod_template(image: str, memory: str = "64Mi") -> dict[str, Any]:
    """A pod template with one container."""
    container = {"name": "web", "image": image, "resources": {"limits": {"memory": memory}}}
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}


class Deployment(threading.Thread):
    """The deployment `web` of the namespace `shop`, and what controllers and kubelet would do with it: replica sets, pods, status.

    Args:
        templates: of its revisions, the newest last.
        why: why the pods of a template crash; empty: they do not.
    """

    def __init__(self, server: KubernetesServer, templates: list[dict[str, Any]], why: Callable[[dict[str, Any]], str]) -> None:
        super().__init__(daemon=True, name="controllers")
        self.server, self.why, self._over = server, why, threading.Event()
        spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": templates[-1]}
        self.path = f"{APPS}/deployments/web"
        self.uid = server.put(self.path, metadata={"labels": {"team": "checkout"}}, spec=spec)["metadata"]["uid"]
        self.revisions: list[dict[str, Any]] = []
        for template in templates:
            self._revision(template)

    def __enter__(self) -> Deployment:
        self.tick()
        self.server.requests.clear()
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Until it is over."""
        while not self._over.wait(0.05):
            self.tick()

    @property
    def template(self) -> dict[str, Any]:
        """The one that is wanted now."""
        found: dict[str, Any] = self.server.objects[self.path]["spec"]["template"]
        return found

    def alert(self) -> Alert:
        """What kube-state-metrics shows of it, and what a rule on it says."""
        labels = {"namespace": "shop", "deployment": "web"}
        named = "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"

        def numbers() -> dict[str, int]:
            there = self.server.objects[self.path]
            return {"spec_replicas": there["spec"]["replicas"], "status_replicas_available": there["status"].get("availableReplicas", 0)}

        def firing() -> bool:
            wanted, available = numbers().values()
            return available < wanted

        return Alert(
            labels={"alertname": "KubeDeploymentReplicasMismatch", "severity": "page", **labels},
            firing=firing,
            metrics=lambda: "".join(f"kube_deployment_{name}{named} {number}\n" for name, number in numbers().items()),
        )

    def _revision(self, template: dict[str, Any]) -> int:
        """The replica set of a template, made when there is none; returns its index."""
        if template not in self.revisions:
            self.revisions.append(copy.deepcopy(template))
            number = len(self.revisions)
            owner = [{"kind": "Deployment", "name": "web", "uid": self.uid}]
            meta = {"annotations": {REVISION: str(number)}, "ownerReferences": owner}
            self.server.put(f"{APPS}/replicasets/web-{number}", metadata=meta, spec={"template": copy.deepcopy(template)})
        return self.revisions.index(template) + 1

    def tick(self) -> None:
        """Make everything as the deployment wants it."""
        template = self.template
        number, why = self._revision(template), self.why(template)
        names = {f"{CORE}/pods/web-{number}-{n}" for n in range(3)}
        for path in [p for p in list(self.server.objects) if p.startswith(f"{CORE}/pods/web-") and p not in names]:
            self.server.objects.pop(path, None)
        container: dict[str, Any] = {"name": "web", "ready": not why, "restartCount": 7 if why else 0, "state": {"running": {}}}
        if why:
            ended = {"exitCode": 137 if why == "OOMKilled" else 1, "reason": why}
            container |= {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended}}
        for path in sorted(names - set(self.server.objects)):
            owner = [{"kind": "ReplicaSet", "name": f"web-{number}", "uid": "-"}]
            self.server.put(path, metadata={"labels": {"app": "web"}, "ownerReferences": owner}, spec={"nodeName": "node-1"}, status={})
        for path in names:
            self.server.objects.get(path, {})["status"] = {"phase": "Running", "containerStatuses": [container]}
        there = self.server.objects[self.path]
        there["metadata"].setdefault("annotations", {})[REVISION] = str(number)
        there["status"] = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 0 if why else 3}


def changes(server: KubernetesServer) -> Counter[str]:
    """What was really changed, by the server's own record."""
    return Counter(f"{verb} {path.rpartition('/namespaces/')[2] or path}" for verb, path in server.changes)


def container_of(template: dict[str, Any]) -> dict[str, Any]:
    """The one container of a template."""
    found: dict[str, Any] = template["spec"]["containers"][0]
    return found


@rehearsal("crash-loop")
@contextmanager
def crashing(folder: Path) -> Iterator[Stage]:
    """A cluster (a stand-in) where the pods of `shop/web` are killed for want of memory; with half as much again they live."""

    def why(template: dict[str, Any]) -> str:
        return "OOMKilled" if int(container_of(template)["resources"]["limits"]["memory"].removesuffix("Mi")) < 90 else ""

    with KubernetesServer() as server, Deployment(server, [pod_template("web:1"), pod_template("web:2")], why) as deployment:
        yield Stage(
            environment=environment(server, folder),
            parameters={"namespace": "shop", "workload": "web"},
            answers={"crash loop. What now?": Answer("more memory"), "In shop, give web 96 MiB": Answer("yes")},
            effects=lambda: changes(server),
            state=lambda: deployment.template,
            alert=deployment.alert(),
        )


@rehearsal("deployment-rollback")
@contextmanager
def worse(folder: Path) -> Iterator[Stage]:
    """A cluster (a stand-in) where revision 2 of `shop/web` answers 7 % of its requests with errors, and a Prometheus that says so."""
    with (
        KubernetesServer() as server,
        Deployment(server, [pod_template("web:1"), pod_template("web:2")], lambda template: "") as deployment,
    ):

        class Prometheus(StandIn):
            def answer(self, came: Came) -> Said:
                rate = 0.07 if container_of(deployment.template)["image"] == "web:2" else 0.001
                result = [{"metric": {}, "value": [0, str(rate)]}]
                return Said(document={"status": "success", "data": {"resultType": "vector", "result": result}})

        with Prometheus() as prometheus, CountingServer(folder) as hook:
            told = lambda: Counter({r["headers"]["Idempotency-Key"]: 1 for r in hook.requests("POST", "/told")}).total()  # noqa: E731
            yield Stage(
                environment=environment(server, folder),
                parameters={
                    "namespace": "shop",
                    "workload": "web",
                    "prometheus": prometheus.url,
                    "query": "sum(rate(errors[5m])) / sum(rate(requests[5m]))",
                    "confirm_looks": 2,
                    "look_every": "0.2 s",
                    "notify": f"{hook.url}/told?honour=1",
                },
                answers={"go back from revision 2 to 1": Answer("yes")},
                effects=lambda: changes(server) + Counter({"told": told()}),
                state=lambda: deployment.template,
            )


@rehearsal("node-drain")
@contextmanager
def node(folder: Path) -> Iterator[Stage]:
    """A cluster (a stand-in) with two nodes, four pods to move from one, one of a daemon set that stays; a budget refuses the first."""
    with KubernetesServer() as server:
        for name in ("node-1", "node-2"):
            server.put(f"/api/v1/nodes/{name}", spec={}, status={"conditions": [{"type": "Ready", "status": "True"}]})
        for n, kind in enumerate(["ReplicaSet"] * 4 + ["DaemonSet"]):
            owner = [{"kind": kind, "name": "web", "uid": "-"}]
            server.put(
                f"{CORE}/pods/web-{n}", metadata={"ownerReferences": owner}, spec={"nodeName": "node-1"}, status={"phase": "Running"}
            )
        budget = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets/web"
        server.put(budget, spec={"minAvailable": 3}, status={"disruptionsAllowed": 1})
        server.budget_blocks = 1

        def effects() -> Counter[str]:
            patches = [
                r["body"]["spec"]["unschedulable"] for r in server.requests if r["method"] == "PATCH" and r["path"].endswith("/node-1")
            ]
            moved = Counter({name: n for name, n in changes(server).items() if "/nodes/" not in name})
            return moved + Counter("cordoned" if closed else "taken back" for closed in patches)

        yield Stage(
            environment=environment(server, folder),
            parameters={"node": "node-1"},
            answers={"Drain node-1": Answer("yes", typed="node-1"), "How did the repair end?": Answer("back in service")},
            effects=effects,
            state=lambda: {path: one["spec"] for path, one in sorted(server.objects.items())},
        )
