"""The Kubernetes integration on a real kube-apiserver, where its programs are installed: the stand-in must not flatter us."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.error import HTTPError

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Subject, Write
from holdfast.testing.servers.kube_apiserver import ApiServer, find_programs

MAPS = "/api/v1/namespaces/prod/configmaps"
PODS = "/api/v1/namespaces/prod/pods"
WEB = "/apis/apps/v1/namespaces/prod/deployments/web"
SETUP = """from kubernetes import client
from holdfast.integrations import kubernetes as k8s
api = k8s.connect(server=SERVER, token="env:KUBE_TOKEN", ca=CA)
core = client.CoreV1Api(api)
"""
POD = {"spec": {"containers": [{"name": "c", "image": "web:1"}], "terminationGracePeriodSeconds": 0}}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_programs() is None, reason="kube-apiserver and etcd are not installed")]


class TestRealKubernetes(IntegrationContract):
    """kube-apiserver and etcd."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
        with ApiServer(tmp_path_factory.mktemp("kubernetes")) as server:
            server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "prod"}})
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: ApiServer) -> Subject:
        def reset() -> None:
            for path in (MAPS, PODS, WEB.rpartition("/")[0]):
                server.ask("DELETE", f"{path}?gracePeriodSeconds=0", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})

        def make(path: str, name: str, **content: object) -> Callable[[], None]:
            def prepare() -> None:
                server.ask("POST", path, {"metadata": {"name": name}, **content})

            return prepare

        def there(path: str) -> bool:
            try:
                return bool(server.ask("GET", path))
            except HTTPError:
                return False

        def generation() -> int:
            return int(server.ask("GET", WEB)["metadata"]["generation"]) - 1 if there(WEB) else 0

        def maps(prefix: str) -> Callable[[], int]:
            return lambda: sum(1 for one in server.ask("GET", MAPS)["items"] if one["metadata"]["name"].startswith(prefix))

        def gone(path: str) -> Callable[[], int]:
            return lambda: 0 if there(path) else 1

        here = "kubernetes://127.0.0.1:*/prod"
        spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
        evict = "from holdfast.integrations.kubernetes import evict\nprint(evict('prod', 'web-1', grace=0, api=api))"
        return Subject(
            setup=f"SERVER, CA = {server.url!r}, {str(server.ca)!r}\n{SETUP}",
            reset=reset,
            environment={"KUBE_TOKEN": server.token},
            modules=("kubernetes", "holdfast.integrations.kubernetes", "kubernetes.client"),
            secret=server.token,
            reads=(),  # the stand-in counts them
            writes=(
                Write(
                    name="create",
                    cell="print(core.create_namespaced_config_map('prod', {'metadata': {'name': 'cm'}, 'data': {'a': '1'}}).data)",
                    count=maps("cm"),
                    effect="idempotent",
                    target=f"{here}/configmaps/cm",
                ),
                Write(
                    name="create with a generated name",
                    cell="print(core.create_namespaced_config_map('prod', {'metadata': {'generateName': 'gen-'}}).metadata.name[:4])",
                    count=maps("gen-"),
                    effect="idempotent",
                    target=f"{here}/configmaps/gen-…",
                ),
                Write(
                    name="delete",
                    cell="print(core.delete_namespaced_config_map('old', 'prod').status)",
                    prepare=make(MAPS, "old"),
                    count=gone(f"{MAPS}/old"),
                    effect="idempotent",
                    target=f"{here}/configmaps/old",
                ),
                Write(
                    name="evict",
                    cell=evict,
                    prepare=make(PODS, "web-1", **POD),
                    count=gone(f"{PODS}/web-1"),
                    effect="idempotent",
                    target=f"{here}/pods/web-1",
                ),
                Write(
                    name="scale",
                    cell="print(k8s.scale('prod', 'web', 5, api=api))",
                    prepare=make(WEB.rpartition("/")[0], "web", spec=spec),
                    count=generation,
                    effect="idempotent",
                    target=f"{here}/deployments.apps/web",
                ),
            ),
        )

    def test_the_pod_that_takes_a_deleted_ones_name_is_left_alone(self, server: ApiServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("k8s.delete_pod('prod', 'web-0', grace=0, api=api)")
        server.ask("POST", PODS, {"metadata": {"name": "web-0"}, **POD})
        assert runner.run("call.after_effect@2=kill").killed
        uid = server.ask("POST", PODS, {"metadata": {"name": "web-0"}, **POD})["metadata"]["uid"]
        assert runner.run().status == 0
        assert server.ask("GET", f"{PODS}/web-0")["metadata"]["uid"] == uid

    def test_what_others_changed_since_stays(self, server: ApiServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(f"print(k8s.patch('{MAPS}/list', {{'data': {{'a': 'ours', 'b': '1'}}}}, api=api)['data'])")
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "list"}, "data": {"c": "1"}}
        applied = "application/apply-patch+yaml"  # before 1.22 a server keeps managedFields only of what was applied once
        server.ask("PATCH", f"{MAPS}/list?fieldManager=test", made, applied)
        assert runner.run("call.after_effect=kill").killed
        there = server.ask("GET", f"{MAPS}/list")
        server.ask("PUT", f"{MAPS}/list", {**there, "data": {**there["data"], "a": "theirs"}})
        assert runner.run().status == 0
        assert server.ask("GET", f"{MAPS}/list")["data"] == {"a": "theirs", "b": "1", "c": "1"}
