"""Starting a runbook in Dagster from outside, and acting on it: what ``holdfast launch`` and the gateway use.

Only the instance is needed (``DAGSTER_HOME``): no webserver, no code server. The run is shown under the notebook's job in the code
location that serves it (see :mod:`holdfast_dagster.served`); as long as none has said so, in ``holdfast_dagster.here``.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
from dagster._core.code_pointer import CodePointer, CustomPointer, ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.errors import DagsterRunAlreadyExists
from dagster._core.origin import RepositoryPythonOrigin
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import PARTITION_NAME_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from holdfast.client import Client
from holdfast.errors import LookupFailedError, OperatorError
from holdfast.model.execution import Execution, Status
from holdfast.notebook.parameters import parameters_digest
from holdfast_dagster import names
from holdfast_dagster.capability import Capability, probe
from holdfast_dagster.choosing import run_of
from holdfast_dagster.config_schema import check_parameters, run_config
from holdfast_dagster.definitions import build_definitions
from holdfast_dagster.instance import open_instance, shown_folder
from holdfast_dagster.launcher import let_go_on
from holdfast_dagster.names import LOCATION
from holdfast_dagster.partitions import partition_of
from holdfast_dagster.runbook import Runbook, dagster_name, load_all, nearest
from holdfast_dagster.served import Place, place_of
from holdfast_dagster.storing import outlast_locks

#: How Dagster calls the ends of executions.
_ENDS = {Status.SUCCEEDED: "SUCCESS", Status.FAILED: "FAILURE", Status.CANCELLED: "CANCELED"}
_RUNS = uuid.UUID("6a1d3c0e-4f0b-5d0e-9d8a-0c6f1f6b7a51")


class Launched(msgspec.Struct, frozen=True, kw_only=True):
    """A run and the execution it works on."""

    run: str
    execution: str
    status: str  # of the run, in Dagster's words; the execution's end where its run has been deleted
    new: bool = True


def repository_for(path: str, prefix: str = "") -> Any:
    """The definitions of one notebook, for the worker of a run."""
    return build_definitions(Path(path), prefix=prefix, sensors=False).get_repository_def()


def _prefix(path: Path, instance: dg.DagsterInstance) -> str:
    """What stands before the notebook's name where its folder is shown as a whole: the folders between."""
    shown = shown_folder(Path(instance.root_directory)) if instance.is_persistent else None
    folder = shown if shown is not None and path.is_relative_to(shown) else nearest(path.parent)
    between = path.parent.relative_to(folder).parts if path.is_relative_to(folder) else ()
    return "".join(f"{part}__" for part in between)


def launch(
    notebook: Path | str,
    parameters: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    tags: Mapping[str, str] | None = None,
    instance: dg.DagsterInstance | None = None,
    client: Client | None = None,
) -> Launched:
    """Begin an execution and submit the run that works on it.

    Args:
        notebook: its file.
        parameters: values with types.
        key: idempotency key: the same key gives the same run, whoever comes first, however often; with another runbook or other
            parameters it is refused.
        tags: further tags of the run.
        instance, client: by default those that ``DAGSTER_HOME`` and Holdfast's settings name.

    Raises:
        LookupFailedError: HF605. AuthorError: HF101 to HF103. OperatorError: HF254, the key belongs to another launch; HF2xx. StoreError.
    """
    if client is None:
        with Client.open() as own:
            return launch(notebook, parameters, key=key, tags=tags, instance=instance, client=own)
    if instance is None:
        outlast_locks()
        with dg.DagsterInstance.get() as mine:
            return launch(notebook, parameters, key=key, tags=tags, instance=mine, client=client)
    path = Path(notebook).absolute()
    runbook, place = _loaded(path, instance)
    execution = client.start(path, parameters, key=f"launch/{key}" if key is not None else None, via="dagster", queued=False)
    if key is not None:
        _require_same(execution, runbook, check_parameters(runbook, parameters or {}), key)
        if execution.status.ended and instance.get_run_by_id(run := run_id_of(execution.id)) is None:  # deleted from Dagster since
            return Launched(run=run, execution=execution.id, status=_ENDS[execution.status], new=False)
    return _submitted(instance, execution, runbook, place, {**({names.KEY: key} if key is not None else {}), **(tags or {})})


def launch_existing(instance: dg.DagsterInstance, execution: Execution, *, tags: Mapping[str, str] | None = None) -> Launched:
    """Submit the run that works on an execution which is there already; the same run, however often and by whomever.

    Raises:
        LookupFailedError: HF605. AuthorError: HF101 to HF103.
    """
    runbook, place = _loaded(Path(execution.path or ""), instance)
    return _submitted(instance, execution, runbook, place, tags or {})


def _require_same(there: Execution, runbook: Runbook, parameters: Mapping[str, Any], key: str) -> None:
    differs = []
    if there.runbook != runbook.path.stem or Path(there.path or "").resolve() != runbook.path.resolve():
        differs.append(f"another runbook, {there.path or there.runbook}")
    if parameters_digest(there.parameters) != parameters_digest(parameters):
        differs.append("other parameters")
    if differs:
        what = f"the key {key!r} was used already, to launch {' and '.join(differs)}"
        cure = f"Use a new key for a new launch; what this key launched: holdfast show {there.id}"
        raise OperatorError("HF254", what, cure=cure, execution=there.id)


def _loaded(path: Path, instance: dg.DagsterInstance) -> tuple[Runbook, Place | None]:
    """The runbook under the name that it is served as, and where.

    Raises:
        LookupFailedError: HF605. AuthorError: HF101 to HF103, HF190.
    """
    if not path.is_file():
        raise LookupFailedError("HF605", "no such notebook", cure="Check the path.", file=str(path))
    place = place_of(instance, path)
    (runbooks, broken) = load_all(path, _prefix(path, instance))
    if broken:
        raise broken[0].error
    return msgspec.structs.replace(runbooks[0], name=place.job.name) if place is not None else runbooks[0], place


def run_id_of(execution: str) -> str:
    """The id of the run that a launched execution gets, whoever launches it and however often."""
    return str(uuid.uuid5(_RUNS, execution))


def _submitted(
    instance: dg.DagsterInstance, execution: Execution, runbook: Runbook, place: Place | None, tags: Mapping[str, str]
) -> Launched:
    run_id = run_id_of(execution.id)
    there = instance.get_run_by_id(run_id)
    new = there is None
    if there is None:
        given = {names.CONTINUES: execution.id, **tags}
        try:
            if (key := partition_of(runbook, execution.shown_parameters, instance)) is not None:
                given[PARTITION_NAME_TAG] = key
            # Dagster shows the configuration of a run to everybody: what is secret stays in the journal, where its worker finds it
            config = run_config(runbook, execution.shown_parameters)
            there = _created(instance, runbook, place, run_id, config, given)
        except DagsterRunAlreadyExists:  # the same key, at the same time
            new = False
    if new or (there is not None and there.status == dg.DagsterRunStatus.NOT_STARTED):  # whoever made it died before it was submitted
        there = instance.submit_run(run_id, workspace=None)  # type: ignore[arg-type]
    there = instance.get_run_by_id(run_id) or there
    assert there is not None
    return Launched(run=run_id, execution=execution.id, status=there.status.value, new=new)


def _created(
    instance: dg.DagsterInstance, runbook: Runbook, place: Place | None, run_id: str, config: Mapping[str, Any], tags: Mapping[str, str]
) -> dg.DagsterRun:
    alone = dagster_name(runbook.path.stem)
    prefix = runbook.name.removesuffix(alone) if runbook.name.endswith(alone) else None
    code = place.code if place is not None else None
    light = _alone(runbook.path, prefix, code) if prefix is not None else None  # of its notebook: the whole location need not be loaded
    whole = _repository(code.code_pointer, code) if code is not None else None
    job = (light or whole or _alone(runbook.path, "", code)).get_reconstructable_job(runbook.name)
    definition = job.get_definition()
    if place is not None and not place.job.plain and whole is not None:
        job = whole.get_reconstructable_job(runbook.name)
    return instance.create_run_for_job(
        job_def=definition,
        run_id=run_id,
        run_config=config,
        tags={**definition.run_tags, **tags},
        remote_job_origin=place.origin if place is not None else _origin(runbook.name),
        job_code_origin=job.get_python_origin(),
    )


def _alone(path: Path, prefix: str, code: RepositoryPythonOrigin | None) -> ReconstructableRepository:
    return _repository(CustomPointer(ModuleCodePointer(__name__, repository_for.__name__, None), [str(path), prefix], []), code)


def _repository(pointer: CodePointer, code: RepositoryPythonOrigin | None) -> ReconstructableRepository:
    """Loaded by ``pointer``, in the image and by the interpreter that ``code`` names."""
    if code is None:
        return ReconstructableRepository(pointer, executable_path=sys.executable)
    return ReconstructableRepository(
        pointer,
        container_image=code.container_image,
        executable_path=code.executable_path,
        entry_point=code.entry_point,
        container_context=code.container_context,
    )


def _origin(job: str) -> RemoteJobOrigin:
    served = LoadableTargetOrigin(executable_path=sys.executable, module_name=LOCATION, working_directory=str(Path.cwd()))
    return RemoteJobOrigin(RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(served, LOCATION), "__repository__"), job)


class Control:
    """Look at what was launched, and act on it; by the execution's id or the run's.

    Args:
        instance: Dagster's.
        client: on the journal.
    """

    def __init__(self, instance: dg.DagsterInstance, client: Client) -> None:
        self._instance, self._client = instance, client

    def status(self, id: str) -> tuple[Execution, dg.DagsterRun | None]:
        """The execution and the latest run that works on it.

        Raises:
            LookupFailedError: HF601.
        """
        run = self._instance.get_run_by_id(id)
        if run is not None:
            found = run.tags.get(names.EXECUTION) or run.tags.get(names.CONTINUES)
            if found is None:
                raise LookupFailedError("HF601", f"run {id} has not begun an execution yet", cure="Try again in a moment.")
            return self._client.get(found), run
        execution = self._client.get(id)
        return execution, run_of(self._instance, execution.id, execution.runbook) or self._waiting_run(execution)

    def _waiting_run(self, execution: Execution) -> dg.DagsterRun | None:
        return self._instance.get_run_by_id(run_id_of(execution.id))

    def cancel(self, id: str, *, why: str = "") -> None:
        """End the execution and its run, whether it is queued, under way or suspended.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended.
        """
        execution, run = self.status(id)
        self._client.cancel(execution.id, why=why)
        if run is None or run.is_finished:
            return
        if run.status == dg.DagsterRunStatus.QUEUED:
            self._instance.run_coordinator.cancel_run(run.run_id)
        else:
            self._instance.run_launcher.terminate(run.run_id)

    def pause(self, id: str, *, why: str = "") -> Execution:
        """Hold the execution before its next cell; its run is suspended until :meth:`resume`.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended.
        """
        return self._client.pause(self.status(id)[0].id, why=why)

    def resume(self, id: str) -> str:
        """A person says "go on" to a paused run; one that is queued goes on once its turn has come. Returns the run's id.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it is not a run that waits.
        """
        execution, run = self.status(id)
        if run is not None and run.status == dg.DagsterRunStatus.QUEUED and execution.status == Status.PAUSED:
            self._instance.add_run_tags(run.run_id, {names.BY_PERSON: "true"})
            return run.run_id
        if run is None or run.status.value != "SUSPENDED":
            stands = "has no run" if run is None else f"has a run that is {run.status.value.lower()}"
            raise OperatorError("HF253", f"the execution {stands}", cure="Only a run that waits can be resumed.", execution=execution.id)
        self._instance.add_run_tags(run.run_id, {names.BY_PERSON: "true"})
        let_go_on(self._instance, run, "A person says: go on")
        return run.run_id


class Launcher:
    """What the entry point ``holdfast.launchers`` announces: found by ``holdfast launch`` and ``holdfast doctor``."""

    @staticmethod
    def launch(
        notebook: Path, parameters: Mapping[str, Any], *, key: str | None, client: Client, tags: Mapping[str, str] | None = None
    ) -> Launched:
        """See :func:`launch`.

        Raises:
            OperatorError: HF215, there is no instance.
        """
        with open_instance(client.config) as instance:
            return launch(notebook, parameters, key=key, tags=tags, instance=instance, client=client)

    @staticmethod
    def probe() -> Capability:
        """See :func:`holdfast_dagster.capability.probe`."""
        return probe()


__all__ = ["Control", "Launched", "Launcher", "launch", "launch_existing", "repository_for", "run_id_of"]
