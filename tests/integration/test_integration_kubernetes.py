"""The Kubernetes integration on a kube-apiserver's contract of objects: the stand-in here, a real one where its binaries are (slow)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.kubernetes import KubernetesServer

PODS = "/api/v1/namespaces/prod/pods"
MAPS = "/api/v1/namespaces/prod/configmaps"
WEB = "/apis/apps/v1/namespaces/prod/deployments/web"
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:2"}]}}
SETUP = """from kubernetes import client
from kubernetes.client import ApiException
from holdfast.integrations import kubernetes as k8s
api = k8s.connect(server=SERVER, token="env:KUBE_TOKEN")
core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
"""
HERE = "kubernetes://127.0.0.1:*/prod"
APPEND = """print(k8s.patch('/api/v1/namespaces/prod/configmaps/list', [{'op': 'add', 'path': '/items/-', 'value': 'x'}], kind='json',
    api=api)['metadata']['name'])"""
REPLACE = """whole = core.read_namespaced_config_map('whole', 'prod')
whole.data = {'a': '2'}
print(core.replace_namespaced_config_map('whole', 'prod', whole).data)"""
APPLY = """wanted = {{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {{'name': '{name}'}}, 'data': {{'a': '1'}}}}
print(core.patch_namespaced_config_map('{name}', 'prod', wanted, _content_type='application/apply-patch+yaml'{more}).data)"""


def deployment(server: KubernetesServer) -> None:
    """``prod/web`` with two revisions, the second in use."""

    def numbered(number: int) -> dict[str, str]:
        return {"deployment.kubernetes.io/revision": str(number)}

    made = server.put(WEB, metadata={"annotations": numbered(2)}, spec={"replicas": 2, "template": TEMPLATE})
    of = {"kind": "Deployment", "name": "web", "uid": made["metadata"]["uid"]}
    for number in (1, 2):
        template = {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": f"web:{number}"}]}}
        meta = {"annotations": numbered(number), "ownerReferences": [of]}
        server.put(f"/apis/apps/v1/namespaces/prod/replicasets/web-{number}", metadata=meta, spec={"template": template})


def pod(server: KubernetesServer, name: str, reason: str = "", node: str = "n1") -> None:
    """A pod on a node, running or held up for a reason."""
    state = {"waiting": {"reason": reason}} if reason else {"running": {}}
    last = {"lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}} if reason else {}
    status = {"phase": "Running", "containerStatuses": [{"ready": not reason, "restartCount": 4 if reason else 0, "state": state, **last}]}
    server.put(f"{PODS}/{name}", spec={"nodeName": node, "containers": [{"name": "c"}]}, status=status)


def made(server: KubernetesServer, pattern: str, *verbs: str) -> Callable[[], int]:
    return lambda: sum(server.made(verb, pattern) for verb in verbs)


def writes(server: KubernetesServer) -> tuple[Write, ...]:
    """Objects, pods, deployments, nodes, patches, what is applied."""
    before = {"restart": 0, "roll back": 0}

    def since(name: str) -> None:
        deployment(server)
        before[name] = updates()

    updates = made(server, "/deployments/web$", "update")
    web, idempotent = f"{HERE}/deployments.apps/web", "idempotent"
    return (
        Write("create", "print(core.create_namespaced_config_map('prod', {'metadata': {'name': 'cm'}, 'data': {'a': '1'}}).data)",
              made(server, "/configmaps/cm$", "create"), idempotent, f"{HERE}/configmaps/cm"),
        Write("create with a generated name",
              "print(core.create_namespaced_config_map('prod', {'metadata': {'generateName': 'gen-'}}).metadata.name[:4])",
              made(server, "/configmaps/gen-", "create"), idempotent, f"{HERE}/configmaps/gen-…"),
        Write("delete", "print(core.delete_namespaced_config_map('old', 'prod').status)",
              made(server, "/configmaps/old$", "delete"), idempotent, f"{HERE}/configmaps/old", prepare=partial(server.put, f"{MAPS}/old")),
        Write("evict", "print(k8s.evict('prod', 'web-1', api=api))",
              made(server, "/pods/web-1$", "delete"), idempotent, f"{HERE}/pods/web-1", prepare=lambda: pod(server, "web-1")),
        Write("scale", "print(k8s.scale('prod', 'web', 5, api=api))", updates, idempotent, web, prepare=lambda: deployment(server)),
        Write("restart", "print(k8s.restart('prod', 'web', api=api))",
              lambda: updates() - before["restart"], idempotent, web, prepare=lambda: since("restart")),
        Write("roll back", "print(k8s.rollback('prod', 'web', api=api))",
              lambda: updates() - before["roll back"], idempotent, web, prepare=lambda: since("roll back")),
        Write("delete a pod", "print(k8s.delete_pod('prod', 'web-2', api=api))",
              made(server, "/pods/web-2$", "delete"), idempotent, f"{HERE}/pods/web-2", prepare=lambda: pod(server, "web-2")),
        Write("cordon", "print(k8s.cordon('n7', api=api))",
              made(server, "/nodes/n7$", "update"), idempotent, "*/nodes/n7", prepare=partial(server.put, "/api/v1/nodes/n7")),
        Write("append by json patch", APPEND,
              made(server, "/configmaps/list$", "update"), "write", f"{HERE}/configmaps/list",
              prepare=partial(server.put, f"{MAPS}/list", items=["a"])),
        Write("uncordon", "print(k8s.uncordon('n8', api=api))",
              made(server, "/nodes/n8$", "update"), idempotent, "*/nodes/n8",
              prepare=partial(server.put, "/api/v1/nodes/n8", spec={"unschedulable": True})),
        Write("replace", REPLACE,
              made(server, "/configmaps/whole$", "update"), idempotent, f"{HERE}/configmaps/whole",
              prepare=partial(server.put, f"{MAPS}/whole", data={"a": "1"})),
        Write("apply", APPLY.format(name="applied", more=", field_manager='runbook', force=True"),
              made(server, "/configmaps/applied$", "create", "update"), idempotent, f"{HERE}/configmaps/applied"),
    )  # fmt: skip


def rarer_writes(server: KubernetesServer) -> tuple[Write, ...]:
    """A drained node, a deleted collection, what is applied under the call's own mark."""

    def full() -> None:
        server.put("/api/v1/nodes/n9")
        for name in ("full-1", "full-2"):
            pod(server, name, node="n9")

    def batch() -> None:
        for name in ("batch-1", "batch-2"):
            server.put(f"{MAPS}/{name}", metadata={"labels": {"job": "batch"}})

    collection = "print(core.delete_collection_namespaced_config_map('prod', label_selector='job=batch').status)"
    return (
        Write("drain", "print(k8s.drain('n9', api=api).column('object'))",
              made(server, "/nodes/n9$|/pods/full-", "update", "delete"), "idempotent", "*/nodes/n9", prepare=full, calls=3, makes=3),
        Write("apply", APPLY.format(name="marked", more=""),
              made(server, "/configmaps/marked$", "create", "update"), "idempotent", f"{HERE}/configmaps/marked"),
        Write("delete a collection", collection,
              made(server, "/configmaps/batch-", "delete"), "write", f"{HERE}/configmaps", prepare=batch, asks=True, makes=2),
    )  # fmt: skip


def subject_of(server: KubernetesServer) -> Subject:
    def asked(pattern: str) -> Callable[[], int]:
        return lambda: sum(1 for r in server.requests if r["method"] == "GET" and r["path"].endswith(pattern))

    return Subject(
        setup=f"SERVER = {server.url!r}\n{SETUP}",
        reset=server.reset,
        environment={"KUBE_TOKEN": server.token},
        modules=("kubernetes", "holdfast.integrations.kubernetes", "kubernetes.client"),
        secret=server.token,
        limit=lambda n: setattr(server, "refuse", n),
        reads=(
            Read("list", "print([p.metadata.name for p in core.list_namespaced_pod('prod').items])", asked("/pods")),
            Read("check", "print(k8s.check_nodes(api=api))", asked("/nodes")),
        ),
        writes=writes(server),
    )


@pytest.fixture(scope="module")
def server() -> Iterator[KubernetesServer]:
    with KubernetesServer() as server:
        yield server


@pytest.mark.slow
class TestRarerWrites(IntegrationContract):
    """On the stand-in."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: KubernetesServer) -> Subject:
        writes = rarer_writes(server)
        return msgspec.structs.replace(subject_of(server), reads=(), writes=writes, limit=None)


class TestKubernetes(IntegrationContract):
    """On the stand-in."""

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: KubernetesServer) -> Subject:
        return subject_of(server)

    def test_the_pod_that_takes_a_deleted_ones_name_is_left_alone(
        self, server: KubernetesServer, cell: Callable[[str], CellRunner]
    ) -> None:
        runner = cell("k8s.delete_pod('prod', 'web-0', api=api)")
        pod(server, "web-0")
        assert runner.run("call.after_effect@2=kill").killed  # the first is the look at the pod
        assert server.made("delete", "web-0") == 1
        pod(server, "web-0")  # as a StatefulSet's controller does
        assert runner.run().status == 0
        assert server.made("delete", "web-0") == 1

    def test_a_change_that_somebody_changed_further_is_not_undone(
        self, server: KubernetesServer, cell: Callable[[str], CellRunner]
    ) -> None:
        runner = cell(f"print(k8s.patch('{MAPS}/cm', {{'data': {{'a': 'ours', 'b': '1'}}}}, api=api)['data'])")
        server.put(f"{MAPS}/cm", data={"a": "old"})
        assert runner.run("call.after_effect=kill").killed
        server.put(f"{MAPS}/cm", **{**server.objects[f"{MAPS}/cm"], "data": {"a": "theirs"}})
        assert runner.run().status == 0
        assert server.objects[f"{MAPS}/cm"]["data"] == {"a": "theirs"}

    def test_somebody_elses_object_is_no_success(self, server: KubernetesServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "try:\n    core.create_namespaced_config_map('prod', {'metadata': {'name': 'cm'}})\n"
            "except ApiException as e:\n    print('refused', e.status)"
        )
        assert runner.run("call.after_intent=kill").killed
        server.put(f"{MAPS}/cm", data={"a": "theirs"})
        passed = runner.run()
        assert (passed.status, passed.out) == (0, "refused 409\n"), passed

    def test_the_dry_run_asks_the_server(self, server: KubernetesServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("k8s.scale('prod', 'web', 3, api=api)\nk8s.delete_pod('prod', 'nobody', api=api)")
        deployment(server)
        runner.dry_run = True
        assert runner.run().status == 0
        assert [one["said"] for one in runner.planned()] == ["would be accepted", 'would be refused: 404 "nobody" not found']
        assert not server.changes

    def test_checks_say_what_fails_and_functions_mend_it(self, server: KubernetesServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "print(k8s.check_pods('prod', api=api))\nprint(k8s.check_deployments('prod', api=api))\nprint(k8s.check_nodes(api=api))\n"
            "print(k8s.rollback('prod', 'web', api=api))\nprint(k8s.drain('n1', api=api).column('object'))"
        )
        server.put("/api/v1/nodes/n1", status={"conditions": [{"type": "Ready", "status": "False"}]})
        deployment(server)
        pod(server, "web-0")
        pod(server, "web-1", "CrashLoopBackOff")
        passed = runner.run()
        assert passed.status == 0, passed
        assert passed.out.splitlines() == [
            "NOT OK: pods of prod: prod/web-1 (CrashLoopBackOff (last exit 137, OOMKilled))",
            "NOT OK: deployments of prod: prod/web (the newest change is not being worked on yet)",
            "NOT OK: nodes: n1 (not ready)",
            "1",
            "['prod/web-0', 'prod/web-1']",
        ]
        assert server.objects[WEB]["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"
        assert server.objects["/api/v1/nodes/n1"]["spec"]["unschedulable"] is True

    def test_a_budget_is_waited_for(self, server: KubernetesServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("k8s.evict('prod', 'web-0', api=api)")
        pod(server, "web-0")
        server.budget_blocks = 2
        assert runner.run().status == 0
        assert server.made("delete", "web-0") == 1

    def test_secrets_of_the_cluster_are_not_recorded(
        self, server: KubernetesServer, cell: Callable[[str], CellRunner], tmp_path: Path
    ) -> None:
        runner = cell(
            "made = core.create_namespaced_secret('prod', {'metadata': {'name': 's'}, 'stringData': {'k': 'hidden-value'.upper()}})\n"
            "print(made.metadata.name, len(core.read_namespaced_secret('s', 'prod').metadata.uid))"
        )
        passed = runner.run()
        assert (passed.status, passed.out) == (0, "s 36\n"), passed
        assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"HIDDEN-VALUE" in p.read_bytes()]
