"""The executions that one Dagster run works on in this process, and the kernels that live as long as they do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import msgspec
from sqlalchemy.exc import DBAPIError

from holdfast.client import Client
from holdfast.client.asking import how_to_answer
from holdfast.client.waking import note_scheduler
from holdfast.engine import identity
from holdfast.engine.telling import Stood, Told
from holdfast.engine.watcher import Result
from holdfast.errors import Fenced, HoldfastError, OperatorError
from holdfast.model.execution import Execution, Status
from holdfast.model.prompt import Prompt
from holdfast.notebook.grammars import skip_grammars
from holdfast_dagster import links, names, showing
from holdfast_dagster.choosing import choose_execution, executions_of, point_run_at
from holdfast_dagster.failing import installation, step_failed
from holdfast_dagster.processes import alone_in_its_process, run_worker
from holdfast_dagster.storing import complain, trouble
from holdfast_dagster.suspension import Superseded, Suspended

if TYPE_CHECKING:
    from holdfast.engine.driver import Driver


#: Seconds between two attempts to take an execution that another process of the same run works on: at first, and in the long run.
_BETWEEN_CLAIMS, _MOST_BETWEEN_CLAIMS = 0.2, 2.0


#: How an execution stands, as the end of a sentence about it.
_STANDS = {s.value: f"is {s.value}" for s in Status} | {"succeeded": "has succeeded", "failed": "has failed", "cancelled": "was cancelled"}


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step; see :func:`holdfast_dagster.driving.run_step` for the states."""

    step: str
    state: str  # succeeded | skipped | tolerated | suspended
    execution: str  # id
    attempts: int = 1
    reason: str = ""  # why it was skipped, tolerated or suspended
    notebook: str | None = None  # the output notebook
    links: Mapping[str, Any] = {}  # to the pages about the execution
    outputs: tuple[Any, ...] = ()  # nbformat outputs of its cells, in order

    @property
    def done(self) -> bool:
        """Whether the steps after it may run."""
        return self.state != "suspended"

    @property
    def value(self) -> str | None:
        """The value of the last expression, as the notebook shows it."""
        return showing.result_text(self.outputs)

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata values for the event log: what it printed and showed (see :func:`showing.metadata_of`), the notebook, the execution."""
        found = showing.metadata_of(self.outputs)
        found |= {"execution": dg.MetadataValue.text(self.execution), **self.links}
        if self.notebook is not None:
            found["notebook"] = dg.MetadataValue.notebook(self.notebook) if "://" not in self.notebook else self.notebook
        if self.attempts > 1:
            found["attempts"] = dg.MetadataValue.int(self.attempts)
        return found


class Manners(msgspec.Struct, kw_only=True):
    """What an executor says of a run before its first step."""

    suspends: bool = False  # the executor can suspend the run
    resumed: bool = False  # the run goes on after a suspension or a crash: nobody said "go on"


#: run id -> what its executor said; run id -> its sessions. A run worker has one of each; an in-process test may have several.
_manners: dict[str, Manners] = {}
_open: dict[str, RunSessions] = {}


def announce(run_id: str, manners: Manners) -> None:
    """An executor of Holdfast will run the steps of ``run_id``."""
    _manners[run_id] = manners


def forget(run_id: str) -> None:
    """That executor is through."""
    _manners.pop(run_id, None)


def sessions_of(run_id: str) -> RunSessions | None:
    """The open sessions of a run in this process."""
    return _open.get(run_id)


class RunSessions:
    """The value of the resource: one :class:`holdfast.engine.driver.Driver` per runbook, made with its first step.

    Args:
        instance: Dagster's.
        run_id: of the run.
    """

    def __init__(self, instance: dg.DagsterInstance, run_id: str) -> None:
        self._instance, self._run_id = instance, run_id
        self._drivers: dict[Path, tuple[Client, Driver]] = {}
        self._lost = self._stands_by = False
        self._leaves = ""
        _open[run_id] = self

    # ---- steps

    def run(self, context: Any, runbook: Path, step: str, parameters: Mapping[str, Any]) -> StepResult:
        """One step; see :func:`holdfast_dagster.driving.run_step`."""
        beside = step if self._run_id not in _manners and alone_in_its_process(context) else None
        try:
            client, driver = self._driver(runbook, parameters, beside)
            return self._run(context, step, client, driver)
        except HoldfastError as error:  # no use to try again: that is for workers that died
            raise installation(error) from error

    def _run(self, context: Any, step: str, client: Client, driver: Driver) -> StepResult:
        stood: Stood | None = None
        try:
            for told in driver.step(step):
                if isinstance(told, Told):
                    _log(context, step, told)
                else:
                    stood = told
        except Fenced as fenced:
            self._lost = True
            raise Superseded(f"another worker has the execution {driver.execution} now: {fenced.reason}") from None
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            if not self._interrupted(driver) or self._run_id not in _manners:
                raise
            return self._run(context, step, client, driver)  # how it ends is told by the step, not by a retry that Dagster would make
        assert stood is not None
        result = StepResult(
            step=step,
            state=stood.state,
            execution=driver.execution,
            attempts=stood.attempts,
            reason=stood.reason,
            notebook=_notebook(client, driver.execution),
            links=links.execution_links(client.config, driver.execution),
            outputs=stood.outputs,
        )
        return self._judged(context, stood, result, client, driver)

    def _judged(self, context: Any, stood: Stood, result: StepResult, client: Client, driver: Driver) -> StepResult:
        if stood.state in ("succeeded", "skipped", "tolerated"):
            if stood.state != "succeeded":
                context.log.info(f"{stood.step} is {stood.state}" + (f": {stood.reason}" if stood.reason else ""))
            return result
        if stood.state in ("suspended", "paused"):
            why, leads = self._waits_for(client, driver, stood)
            if _manners.get(self._run_id, Manners()).suspends:
                raise Suspended(why, links=leads, went_on=partial(driver.went_on, stood.step))
            context.log.warning(f"{stood.step} waits: {why}")
            return msgspec.structs.replace(result, state="suspended", reason=why)
        raise step_failed(client, driver.execution, stood, result.metadata)

    @staticmethod
    def _waits_for(client: Client, driver: Driver, stood: Stood) -> tuple[str, dict[str, Any]]:
        """In words, for the run's page; and where a person goes from there."""
        prompts = [p for p in client.prompts(execution=driver.execution) if p.step in (stood.step, None)]
        if prompts:
            first = prompts[0]
            more = f" ({len(prompts) - 1} more: holdfast prompts)" if len(prompts) > 1 else ""
            why = (
                f"Step {stood.step} waits for a person, and holds no process meanwhile: {first.text}\n"
                f"Who may answer: {_who_may(first)}. Then the run goes on by itself:\n"
                f"    {how_to_answer(first)}{more}"
            )
            return why, links.prompt_links(client.config, first.id)
        why = f"Step {stood.step} waits, and holds no process meanwhile" + (f": {stood.reason}" if stood.reason else "")
        return why, links.execution_links(client.config, driver.execution)

    # ---- executions

    def _driver(self, runbook: Path, parameters: Mapping[str, Any], beside: str | None) -> tuple[Client, Driver]:
        known = self._drivers.get(runbook)
        if known is not None:
            return known
        client = Client.open()
        try:
            driver = self._begun(client, runbook, parameters, beside)
        except BaseException:
            client.close()
            raise
        self._drivers[runbook] = client, driver
        return client, driver

    def _begun(self, client: Client, runbook: Path, parameters: Mapping[str, Any], beside: str | None) -> Driver:
        skip_grammars()  # a process per step would pay for them with each step
        from holdfast.engine.driver import Driver  # and with it the notebook runner: more than all else, and only run workers need it

        run = self._instance.get_run_by_id(self._run_id)
        assert run is not None
        self._sign(run)
        execution = choose_execution(client, self._instance, run, runbook, parameters)
        begun = any(e.id == execution.header.id for e in executions_of(client, run))
        point_run_at(self._instance, run, execution)
        if not begun:
            links.say_which_execution(self._instance, run, client.config, execution.header)
        if not self._instance.is_ephemeral:
            note_scheduler(client, execution.header.id, "dagster", self._instance.root_directory, self._run_id)
        manners = _manners.get(self._run_id, Manners())
        if manners.resumed and begun and execution.header.reason:
            self._report(f"The execution was {execution.header.status}: {execution.header.reason}")
        # a continuation or a resumed run goes on by itself; a new run, and a re-execution, is a person's word
        # of steps in processes of their own, the first says it for all: a worker that died must not renew what the steps may still try
        by_person = not (beside and begun) and (not manners.resumed and execution.reason_to_wait is None)
        by_person = by_person or run.tags.get(names.BY_PERSON) == "true"
        if names.BY_PERSON in run.tags:
            self._instance.add_run_tags(self._run_id, {names.BY_PERSON: ""})
        label = worker_label(self._run_id)
        pause = _BETWEEN_CLAIMS
        while True:
            driver = Driver(client.store, client.config, execution.header.id, by_person=by_person, label=label, beside=beside)
            try:
                driver.start()
            except OperatorError as error:
                if error.code != "HF250":
                    raise
                self._held(client, execution.header, error, label)
                threading.Event().wait(pause)
                pause = min(pause * 1.1, _MOST_BETWEEN_CLAIMS)
            else:
                return driver

    def _sign(self, run: dg.DagsterRun) -> None:
        """Write down who works on the run where neither the executor nor the launcher does: a worker that died would not be missed."""
        if run.tags.get(names.WORKER, "").startswith(worker_label(self._run_id)) or self._instance.is_ephemeral:
            return
        if not self._instance.run_launcher.supports_check_run_worker_health and (pid := run_worker(self._instance, self._run_id)):
            self._instance.add_run_tags(self._run_id, {names.WORKER: identity.identity(pid, worker_label(self._run_id)) or ""})

    def _held(self, client: Client, execution: Execution, error: OperatorError, label: str) -> None:
        """Somebody else has the execution: another worker of this run, or a person at a terminal.

        Comes back to try again when it is a process of the same run that has this very step: one that lost its parent, or is about to end.
        Also when it is a worker of this run on another machine (a pod), as long as the run goes on: whether that still lives is known when
        its lease ends, and the launcher, which looks at the youngest worker only, would take the run for lost if this one left.
        """
        owner = client.get(execution.id).owner
        ours = owner is None or owner.startswith(f"{label}@")
        if not ours and self._run_id not in _manners and owner is not None and self._is_of_before(owner):
            return  # a step's process that outlived the run's worker: it is about to end, or to come to its step's end
        elsewhere = identity.parse(owner) if owner is not None else None
        if ours and self._run_id not in _manners:
            return
        if ours and elsewhere is not None and elsewhere.host != identity.this_process("").host and self._goes_on():
            if not self._stands_by:
                self._report(f"{owner} is at work on this run; this worker stands by")
            self._stands_by = True
            return
        self._lost = True
        if ours:
            raise Superseded(f"another worker of this run has the execution: {owner}") from None
        if _manners.get(self._run_id, Manners()).suspends:
            raise Suspended(error.what) from None
        raise error

    def _goes_on(self) -> bool:
        """Whether the run has neither ended nor been suspended."""
        run = self._instance.get_run_by_id(self._run_id)
        return run is not None and run.status == dg.DagsterRunStatus.STARTED

    def _is_of_before(self, owner: str) -> bool:
        """Whether the owner works for the run that this one continues."""
        run = self._instance.get_run_by_id(self._run_id)
        before = run.tags.get("dagster/parent_run_id") if run is not None else None
        return before is not None and owner.startswith(f"{worker_label(before)}@")

    def _interrupted(self, driver: Driver) -> bool:
        """The worker was told to end: by somebody who cancels the run (then True), or because its machine goes down."""
        run = self._instance.get_run_by_id(self._run_id)
        if run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED):
            driver.ask("cancel", why="the Dagster run was cancelled")
            return True
        driver.ask("pause", why="the Dagster run's worker was told to end", at_once=True, stays=False)
        return False

    # ---- the end

    def leave(self, why: str) -> None:
        """This worker cannot go on, the run can: another one will, with the steps that are left."""
        self._leaves = why

    def settle(self) -> list[Result]:
        """Let go of all executions; how they stand is written. What goes wrong with one is reported and does not stop the others."""
        results = []
        drivers, self._drivers = list(self._drivers.values()), {}
        for client, driver in drivers:
            try:
                results.append(driver.finish(self._leaves))
            except (Fenced, HoldfastError) as error:
                if not self._lost:
                    self._report(f"execution {driver.execution}: {error}")
            finally:
                client.close()
        return results

    def cancelled(self) -> bool:
        """Whether somebody cancelled one of the executions."""
        return any(client.get(driver.execution).status == Status.CANCELLED for client, driver in self._drivers.values())

    def close(self) -> None:
        """:meth:`settle`, and tell the run how its executions stand."""
        for result in self.settle():
            self._report(f"Execution {result.execution} {_STANDS[result.status]}" + (f": {result.reason}" if result.reason else ""))
        if _open.get(self._run_id) is self:
            del _open[self._run_id]

    def _report(self, message: str) -> None:
        try:
            run = self._instance.get_run_by_id(self._run_id)
            if run is not None:
                self._instance.report_engine_event(message, run)
        except DBAPIError as error:  # the executions are let go of, whoever can be told of it
            complain(f"{message}; {trouble(self._instance, error)}")


def worker_label(run_id: str) -> str:
    """How workers of a run are called in leases."""
    return f"dagster-{run_id[:8]}"


def _who_may(prompt: Prompt) -> str:
    question = prompt.question
    named = ", ".join(question.who) if question is not None and question.who else "anybody whom the policy lets"
    return f"{named} ({question.at_least} of them)" if question is not None and question.at_least > 1 else named


def _notebook(client: Client, execution: str) -> str | None:
    """Where the output notebook is written."""
    created = client.entries(execution, limit=1)
    place = created[0].data.get("output") if created else None
    return str(place) if place else str(client.config.state_dir / "outputs" / f"{execution}.ipynb")


def _log(context: Any, step: str, told: Told) -> None:
    """One thing that happened, as a line of the event log; what was printed goes to the run's own output, too."""
    if told.what == "output" and showing.is_notice(told.output):
        return  # for people before a notebook: here the executor says why the run waits
    if told.what == "output":
        text = showing.text_of(told.output)
        if told.output.get("output_type") == "stream":
            stream = sys.stderr if told.output.get("name") == "stderr" else sys.stdout
            stream.write(text)
            stream.flush()
        if text.strip():
            context.log.info(text.rstrip("\n"))
    elif told.what in ("updated", "running"):
        context.log.info(told.text or showing.text_of(told.output).rstrip("\n"))
    elif told.what == "attempt" and told.attempt > 1:
        context.log.info(f"{step}: attempt {told.attempt}")
    elif told.what == "failed":
        context.log.warning(f"{step}: {told.text}")
    elif told.what == "note":
        context.log.warning(told.text)


__all__ = ["Manners", "RunSessions", "StepResult", "announce", "forget", "sessions_of", "worker_label"]
