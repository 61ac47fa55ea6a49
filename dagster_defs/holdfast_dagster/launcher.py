"""A run launcher for one machine: every run worker is a process of its own, which outlives whoever started it and can be replaced."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

import dagster as dg
import msgspec
from dagster._core.code_pointer import CustomPointer
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, ResumeRunContext, RunLauncher, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value
from dagster._time import get_current_timestamp

from holdfast.client import Client
from holdfast.config import Config
from holdfast.engine import identity
from holdfast.engine.faults import point
from holdfast.errors import HoldfastError
from holdfast.model.execution import Execution
from holdfast_dagster import names
from holdfast_dagster.choosing import executions_of
from holdfast_dagster.internals import let_suspended_be_cancelled, mark_resumed, start_worker_again
from holdfast_dagster.pinned import with_pinned_code
from holdfast_dagster.sessions import worker_label
from holdfast_dagster.storing import outlast_locks
from holdfast_dagster.warm import Forked, Request, Warm

Run: TypeAlias = dg.DagsterRun
#: Seconds after which a run that is under way, and whose worker has signed off, is taken for one whose suspender or resumer died.
GRACE = 15.0


class HoldfastRunLauncher(RunLauncher[dg.DagsterInstance], ConfigurableClass):
    """Starts ``dagster api execute_run`` (or ``resume_run``) in a session of its own and knows it again by pid, start time and boot.

    In ``dagster.yaml``::

        run_launcher:
          module: holdfast_dagster.launcher
          class: HoldfastRunLauncher
        run_monitoring: {enabled: true, poll_interval_seconds: 2, max_resume_run_attempts: 100000, free_slots_after_run_end_seconds: 60}

    The launcher may run in the daemon, the webserver or any other process that holds the instance. Workers inherit its environment, with
    Holdfast's settings as that process has settled them; ``env`` (``NAME=value``, or ``NAME`` to copy) says what they get instead.

    With ``warm: true`` workers are forked from a process that has imported everything already (:mod:`holdfast_dagster.warm_server`). It is
    started with the first run; as long as it is not ready, or whenever it cannot serve, a worker is started the usual way.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None, env: list[str] | None = None, warm: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inst_data, self._env, self._warm = inst_data, env, warm
        self._children: list[subprocess.Popen[bytes]] = []
        outlast_locks()
        let_suspended_be_cancelled()  # in every process that holds the instance: web server, daemon

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """How the instance configured it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        """What ``dagster.yaml`` may say."""
        return {
            "env": dg.Field(dg.Noneable([str]), is_required=False, default_value=None),
            "warm": dg.Field(bool, is_required=False, default_value=False),
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Made by the instance."""
        return cls(inst_data=inst_data, env=config_value.get("env"), warm=config_value.get("warm", False))

    # ---- starting

    def launch_run(self, context: LaunchRunContext) -> None:
        """The first worker of a run."""
        self._start(context.dagster_run, ExecuteRunArgs)

    @property
    def supports_resume_run(self) -> bool:
        """Yes."""
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        """A further worker; none when the run still has one."""
        self._start(context.dagster_run, ResumeRunArgs)

    def _start(self, run: Run, arguments: Any) -> None:
        with self._alone(run.run_id):
            now = self._instance.get_run_by_id(run.run_id)
            if now is not None and arguments is ResumeRunArgs and (now.is_finished or now.status.value == "SUSPENDED"):
                self._instance.report_engine_event(f"No further worker is started: the run is {now.status.value}", run, cls=type(self))
                return
            worker = worker_of(now) if now is not None else None
            if worker and alive(worker):
                self._instance.report_engine_event(f"No further worker is started: {worker} is at it", run, cls=type(self))
                return
            run = with_pinned_code(self._instance, run)
            origin = run.job_code_origin
            if origin is None:
                raise dg.DagsterInvariantViolationError(f"Run {run.run_id} does not say where its code is")
            given = arguments(job_origin=origin, run_id=run.run_id, instance_ref=self._instance.get_ref()).get_command_args()
            given = given[given.index("api") :]
            # by module: the console script need not be on the path
            executable = origin.executable_path or sys.executable
            warm = self._forked(run, executable, given) if self._warm else "it is off"
            if isinstance(warm, str):
                pid, begin = self._spawn(run.run_id, [executable, "-m", "dagster", *given]).pid, _nothing
            else:
                pid, begin = warm.pid, warm.go
            started = identity.identity(pid, worker_label(run.run_id)) or f"process {pid}, which has ended already"
            self._instance.add_run_tags(run.run_id, {names.WORKER: started})
            try:
                begin()
            except OSError:  # killed before it could begin: no effect, and none will come
                process = self._spawn(run.run_id, [executable, "-m", "dagster", *given])
                started = identity.identity(process.pid, worker_label(run.run_id)) or started
                self._instance.add_run_tags(run.run_id, {names.WORKER: started})
        how = "" if not self._warm else f", not warm: {warm}" if isinstance(warm, str) else ", warm"
        self._instance.report_engine_event(f"Started {started}{how}", run, cls=type(self))

    def _forked(self, run: Run, executable: str, arguments: list[str]) -> Forked | str:
        """A worker from the warm server, or why there is none; the server is started where there is none."""
        warm, environment = Warm(Path(self._instance.root_directory)), self._environment()
        origin = run.job_code_origin
        ours = origin is not None and isinstance(origin.repository_origin.code_pointer, CustomPointer)
        request = Request(
            arguments=arguments,
            code=serialize_value(origin),
            keeps=not ours,  # of a single notebook: loaded in no time
            environment=environment,
            folder=str(Path.cwd()),
            log=str(self._folder / f"{run.run_id}.log"),
        )
        forked = warm.fork(request, executable)
        if isinstance(forked, str):
            server = warm.start(environment, executable=executable)
            if server is not None:
                self._children.append(server)
        return forked

    def _spawn(self, run_id: str, command: list[str]) -> subprocess.Popen[bytes]:
        self._children = [child for child in self._children if child.poll() is None]  # those that have ended are no zombies any more
        with open(self._folder / f"{run_id}.log", "ab") as log:
            process = subprocess.Popen(
                command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
            )
        self._children.append(process)
        return process

    def _environment(self) -> dict[str, str]:
        config = msgspec.structs.replace(Config.load(), execution=None, fence=None, step=None)
        whole = config.process_environment()
        whole.setdefault("DAGSTER_HOME", self._instance.root_directory)
        if self._env is None:
            return whole
        kept = {"PATH", "HOME", "LANG", "TZ", "DAGSTER_HOME", *config.environment()}
        given = {name: value for name, equals, value in (one.partition("=") for one in self._env) if equals}
        return {n: v for n, v in whole.items() if n in kept or n in self._env} | given

    @property
    def _folder(self) -> Path:
        folder = Path(self._instance.root_directory) / "holdfast"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def _alone(self, run_id: str) -> Iterator[None]:
        """Only one process of this machine starts a worker for the run at a time."""
        lock = os.open(self._folder / f"{run_id}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    # ---- looking

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Yes."""
        return True

    def check_run_worker_health(self, run: Run) -> CheckRunHealthResult:
        """Whether the run's worker is there: that very process, not another one with its pid."""
        for child in self._children:
            child.poll()
        worker = worker_of(run)
        if not worker and signed_off(run):  # about to be suspended, or about to get a worker: neither takes long
            record = self._instance.get_run_record_by_id(run.run_id)
            if record is not None and get_current_timestamp() - record.update_timestamp.timestamp() < GRACE:
                return CheckRunHealthResult(WorkerStatus.RUNNING, "its worker has just signed off")
        if not worker:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, "no worker was started")
        if alive(worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING, worker, run_worker_id=worker)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"{worker} is gone", run_worker_id=worker)

    def get_run_worker_debug_info(self, run: Run, include_container_logs: bool | None = True) -> str | None:
        """The last lines that the worker wrote by itself."""
        try:
            lines = (self._folder / f"{run.run_id}.log").read_text(errors="replace").splitlines()
        except OSError:
            return None
        return "\n".join(lines[-20:]) or None

    # ---- ending

    def terminate(self, run_id: str) -> bool:
        """Cancel a run: its worker cancels the execution; without a worker (a suspended run, a dead worker) that is done here."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = worker_of(run)
        if worker and end_worker(worker):
            return True
        cancelled = cancel_executions(run)
        told = f"Cancelled, and the execution {', '.join(cancelled)} with it: what it asked is withdrawn, what it did stays done"
        again = self._instance.get_run_by_id(run_id)
        if again is not None and not again.is_finished:
            self._instance.report_run_canceled(again, told if cancelled else "Cancelled while no worker was running")
        return True


def let_go_on(instance: dg.DagsterInstance, run: Run, message: str, workspace: Any = None) -> None:
    """SUSPENDED -> STARTED, with a new worker."""
    if isinstance(instance.run_launcher, HoldfastRunLauncher):  # it is at work at once, and Dagster refuses it while the run is suspended
        mark_resumed(instance, run, message)
        point("run.before_worker")
        start_worker_again(instance, instance.get_run_by_id(run.run_id) or run, workspace)
    else:  # run monitoring would start another one for a run that it finds without a pod
        start_worker_again(instance, run, workspace)
        mark_resumed(instance, run, message)


def _nothing() -> None:
    """A worker that was started the usual way has begun already."""


def worker_of(run: Run) -> str | None:
    """The last worker that was started for the run; None when there was none (a re-execution inherits the tags of another run)."""
    worker = run.tags.get(names.WORKER, "")
    return worker if worker.startswith(f"{worker_label(run.run_id)}@") else None


def signed_off(run: Run) -> bool:
    """Whether the run's last worker has said that it does nothing more for it, and no other was started."""
    return run.tags.get(names.WORKER) == ""


def alive(worker: str) -> bool:
    """Whether the process that the text names is there, on this machine and in this boot."""
    owner = identity.parse(worker)
    return owner is not None and identity.identity(owner.pid, owner.label) == worker


def end_worker(worker: str) -> bool:
    """Interrupt that very process; returns whether it was there."""
    owner = identity.parse(worker) if alive(worker) else None
    if owner is None:
        return False
    try:
        os.kill(owner.pid, signal.SIGINT)
    except ProcessLookupError:
        return False
    return True


def cancel_executions(run: Run, executions: Iterable[Execution] | None = None) -> list[str]:
    """Cancel what the run works on (or those given), and return it; what has ended already stays as it is."""
    cancelled = []
    with Client.open() as client:
        for execution in executions_of(client, run) if executions is None else executions:
            if execution.status.ended:
                continue
            try:
                client.cancel(execution.id, why="the Dagster run was cancelled")
                cancelled.append(execution.id)
            except HoldfastError as error:
                sys.stderr.write(f"{error}\n")
    return cancelled
