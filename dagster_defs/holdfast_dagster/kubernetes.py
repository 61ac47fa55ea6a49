"""Dagster's launcher and executor for Kubernetes, patient with an API server that answers late, wrongly or not at all.

Dagster's own take a lost connection for a lost pod and start a second one beside it, and fail a run when the server says 429.
"""

from __future__ import annotations

from typing import Any, Final

import dagster as dg
from dagster import Executor
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster_k8s import K8sRunLauncher, k8s_job_executor
from dagster_k8s.client import DagsterKubernetesClient
from kubernetes.client import BatchV1Api
from kubernetes.client.rest import ApiException
from urllib3.util import Retry

#: About half a minute in all, or as long as the server asks for. Creating a job may be tried again: its name is its idempotency key.
_AGAIN: Final = Retry(
    total=6,
    backoff_factor=0.5,
    backoff_max=15,
    status_forcelist=(408, 429, 500, 502, 503, 504),
    allowed_methods=None,
    respect_retry_after_header=True,
    raise_on_status=False,
)


class _Jobs(BatchV1Api):  # type: ignore[misc]
    """Creates a job of a name once."""

    def create_namespaced_job(self, namespace: str, body: Any, **options: Any) -> Any:
        """The job, or the one that is there under this name: an earlier request arrived, and its answer did not. That job may have failed;
        whoever looks after it finds that out, and a step then gets another one under the name of its next attempt."""
        try:
            return super().create_namespaced_job(namespace=namespace, body=body, **options)
        except ApiException as error:
            if error.status != 409:
                raise
            return self.read_namespaced_job_status(body.metadata.name, namespace)


def _be_patient(client: DagsterKubernetesClient) -> None:
    client.batch_api = _Jobs(client.batch_api.api_client)
    for api in (client.batch_api, client.core_api):
        api.api_client.rest_client.pool_manager.connection_pool_kw["retries"] = _AGAIN


class HoldfastK8sRunLauncher(K8sRunLauncher):
    """Dagster's ``K8sRunLauncher``, with its settings. In ``dagster.yaml``: ``module: holdfast_dagster.kubernetes``."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        _be_patient(self._api_client)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's pod is there. As long as the API server does not say, nobody is to start another one."""
        found: CheckRunHealthResult = super().check_run_worker_health(run)
        if found.status == WorkerStatus.UNKNOWN and not (found.msg or "").endswith("could not be found"):
            return CheckRunHealthResult(WorkerStatus.RUNNING, f"not known: {found.msg}")
        return found


def _executor(context: dg.InitExecutorContext) -> Executor:
    made: Any = k8s_job_executor.executor_creation_fn(context)  # type: ignore[misc]
    _be_patient(made._step_handler._api_client)
    return made  # type: ignore[no-any-return]


#: Dagster's ``k8s_job_executor``, with its settings: a pod and a kernel per step.
holdfast_k8s_executor: Final = dg.ExecutorDefinition(
    name="k8s",
    config_schema=k8s_job_executor.config_schema,  # type: ignore[arg-type]
    requirements=multiple_process_executor_requirements(),
    executor_creation_fn=_executor,
    description=k8s_job_executor.description,
)

__all__ = ["HoldfastK8sRunLauncher", "holdfast_k8s_executor"]
