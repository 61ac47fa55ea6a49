"""The engine's main loop: owns an execution and sees it to an end."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from holdfast.engine.ending import Ending, standing
from holdfast.engine.gate import Gate
from holdfast.engine.kernels import Kernel
from holdfast.engine.plan import Plan, StepState, choose
from holdfast.engine.stage import Stage
from holdfast.engine.steps import StepEnd, StepRunner, Task
from holdfast.engine.watcher import Failure, Result
from holdfast.errors import AuthorError, Fenced, StoreError
from holdfast.executions.requests import Asked
from holdfast.executions.waited import waited
from holdfast.foundation import clock
from holdfast.model.entry import Kind
from holdfast.model.manifest import Step

#: Seconds between two looks at what suspended steps wait for, while others run.
LOOK = 0.25
#: So many kernels may die in one step, without any cell of it completing, before the step counts as failed.
MOST_DEATHS = 3


class Worker:
    """Sends the steps of one execution to kernels until nothing more can run.

    Args:
        stage: the execution, owned: notebook, journal, output.
        gate: an outside scheduler's word on which steps may begin; None: the runbook's order alone decides.
        undo: teardown steps that are all that is still to run.
    """

    def __init__(self, stage: Stage, gate: Gate | None = None, undo: Sequence[str] = ()) -> None:
        self.stage, self.record, self._gate, self._beside = stage, stage.record, gate, stage.options.beside
        limits = stage.manifest.metadata.get("limits")
        pools = limits.get("pools") if isinstance(limits, dict) else None
        self.plan = Plan(stage.manifest, pools if isinstance(pools, dict) else None, undo)
        self.ending = Ending(stage.execution.id, stage.output.place)
        self._kernels: list[Kernel] = []
        self._busy: dict[str, tuple[Kernel, Task]] = {}  # step -> where it runs
        self._later: dict[str, float] = {}  # step -> when its next attempt may start
        self._happened: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._lost: str | None = None
        self._hold_cells = False
        self.listen: Callable[[], None] = lambda: None  # hears of what was asked until now, see ask()
        self._runner = StepRunner(held=self._held, saved=stage.cell_saved, waited=partial(waited, stage.store, stage.execution.id))
        if gate is not None:
            gate.attach(lambda: self._happened.put(("released", None)))

    # ---- from any thread

    def ask(self, asked: Asked) -> None:
        """A person (or a signal) asks for something."""
        self._hold_cells = self._hold_cells or not asked.finish
        self._happened.put(("asked", asked))

    def lose(self, reason: str) -> None:
        """The lease is gone: nothing may be done any more."""
        self._lost = reason
        for kernel in list(self._kernels):
            kernel.kill()
        self._happened.put(("lost", reason))

    def _held(self) -> bool:
        """Before a cell: what was asked before now counts, however lately the heartbeat looked."""
        with contextlib.suppress(StoreError):  # the next write says so, and the heartbeat knows how long is too long
            self.listen()
        return self._hold_cells

    # ---- the loop

    def run(self) -> Result:
        """Go on until nothing more can run; returns how the execution stands, not yet written down.

        Raises:
            Fenced: another worker has taken the execution over.
            HoldfastError: the installation stands in the way.
        """
        standing(self.record, self.plan, self.stage.manifest, self.stage.parameters_digest, self.stage.layout.of)

        if self.plan.undo:
            self.plan.only_undo(lambda step: self.record.complete(step, self.stage.parameters_digest))

        def held() -> bool:  # whether all that is left to do is to wait for the outside scheduler
            return self._gate is not None and self._lost is None and self._gate.waits(self.plan, self._may_begin)

        try:
            if self._gate is not None:  # an outside scheduler asks for every step by name
                for name, state in self.plan.states.items():
                    if state != StepState.PENDING:
                        self.stage.announce.step_ended(name, str(state), None, None)
            self._skip_tagged()
            while True:
                if self._busy and self._beside is None:
                    with contextlib.suppress(StoreError):  # the next look sees it
                        self.ending.let_go_on(self.plan, self.stage.store, leave_pools=self._gate is not None)
                self._dispatch()
                if not self._busy and not self._wait_for_retry() and not self._close() and not held():
                    break
                self._take(block=bool(self._busy) or held())
            if self._kernels and not self._lost:
                self._kernels[0].submit(self._kernels[0].finish, self.stage.notebook).result()
            self.stage.pass_rest()
            return self.ending.result(self.plan, self.stage.manifest)
        finally:
            self._hold_cells = True
            now = self._lost is not None or self.ending.asked is not None or bool(self.ending.waiting)
            for kernel in self._kernels:
                kernel.close(now=now)

    def _skip_tagged(self) -> None:
        for step in self.plan.steps:
            if step.skip and self.record.step(step.name).skipped is None:
                if self._beside not in (None, step.name):
                    self.plan.end(step.name, StepState.SKIPPED)
                else:
                    self._skip(step.name, "tagged skip")

    def _skip(self, name: str, reason: str) -> None:
        self.plan.end(name, StepState.SKIPPED)
        self.stage.writer.append(Kind.STEP_SKIPPED, {"reason": reason}, step=name)
        self.record.step(name).skipped = reason
        self.stage.announce.step_ended(name, "skipped", None, None)

    def _dispatch(self) -> None:
        """Give every step that may begin, and for which there is a kernel, to one."""
        if self.plan.ready():
            self._held()  # what was asked before now counts, also where the steps that run are to end first
            while not self._happened.empty():
                self._take(block=False)
        if self._lost is not None:
            raise Fenced(self._lost, execution=self.stage.execution.id)
        for step in self.plan.ready():
            if not self._may_begin(step):
                continue
            task = self._task(step)
            kernel = self._kernel_for(task)
            if kernel is None:
                continue
            self._later.pop(step.name, None)
            self.plan.begin(step.name)
            self._busy[step.name] = (kernel, task)
            self.stage.announce.step_started(step.name, task.attempt, task.recorded)
            kernel.submit(self._runner.run, kernel, task).add_done_callback(
                lambda future, name=step.name: self._happened.put(("done", (name, future)))  # type: ignore[misc]
            )

    def _may_begin(self, step: Step) -> bool:
        """Whether neither a retry's delay nor the gate keeps the step back."""
        if self._later.get(step.name, 0.0) > clock.now():
            return False
        if self._gate is None or self.plan.closing or self._gate.passes(step.name):
            return True
        return self.record.complete(step, self.stage.parameters_digest)

    def _task(self, step: Step) -> Task:
        known = self.record.step(step.name)
        recorded = self.record.complete(step, self.stage.parameters_digest)
        ancestors = self.plan.ancestors(step.name)
        apply = not recorded or choose(self._idle(), ancestors) is not None or not self._kernels
        return self.stage.layout.task(
            step, ancestors=ancestors, attempt=known.attempt, recorded=recorded, apply=apply, begun=recorded or bool(known.cells)
        )

    def _idle(self) -> list[Kernel]:
        taken = {id(kernel) for kernel, _ in self._busy.values()}
        return [k for k in self._kernels if id(k) not in taken]

    def _kernel_for(self, task: Task) -> Kernel | None:
        """An idle kernel whose state fits, a new one, or one that is started anew; None when all are busy."""
        idle = self._idle()
        fit = choose(idle, task.ancestors)
        if isinstance(fit, Kernel):
            return fit
        if task.recorded and self._kernels:  # to show a record again is no reason to start a kernel
            return idle[0] if idle and not task.apply else None
        if len(self._kernels) < self.stage.config.parallel_kernels and not (idle and all(k.dirty for k in idle)):
            kernel = Kernel(self.stage.seat, len(self._kernels) + 1)
            self._kernels.append(kernel)
            return kernel
        if not idle:
            return None
        kernel = min(idle, key=lambda k: (not k.dirty, len(k.holds)))
        kernel.dirty = True  # its namespace is of no use to this step
        return kernel

    def _wait_for_retry(self) -> bool:
        """Wait until the next attempt is due; False when there is none, or it is so far away that the execution suspends."""
        if not self._later or self.plan.stopping or self.plan.closing:
            return False
        due = min(self._later.values())
        if due - clock.now() > self.stage.config.hold_for:
            self.ending.retry_at = due
            return False
        while clock.now() < due and self._happened.empty():
            clock.sleep(min(0.1, max(0.0, due - clock.now())))
        return True

    def _close(self) -> bool:
        """Nothing ordinary is left: let the ``always`` steps of a failed or cancelled execution run."""
        if self._beside:  # the last process to leave does that
            return False
        over = bool(self.plan.failures) or (self.ending.asked is not None and self.ending.asked.what == "cancel")
        if not over or self.plan.closing or self._lost is not None:
            return False
        self._hold_cells = False
        return self.plan.close()

    def _take(self, block: bool) -> None:
        """Take what happened, waiting for it when something runs; never for long: other steps may be due meanwhile, and a signal that the
        system hands to another thread (Ctrl-C) does not end this wait."""
        try:
            what, matter = self._happened.get(block=block, timeout=LOOK)
        except queue.Empty:
            return
        if what == "done":
            name, future = matter
            self._settle(name, future)
        elif what == "asked":
            self._obey(matter)

    def _obey(self, asked: Asked) -> None:
        again = self.ending.asked is not None and self.ending.asked.what == asked.what
        present = self.ending.asked
        if present is None or asked.what == "cancel" or (asked.at_once and present.what != "cancel"):
            self.ending.asked = asked
            if asked.what == "pause" and asked.stays and not asked.at_once and not asked.written and self._busy:
                body = {"what": "pause", "who": asked.who, "why": asked.why}
                self.stage.writer.append(Kind.REQUESTED, body)  # a cell that only waits sees it there and lets go
            self.stage.announce.note(f"{asked.what} asked for by {asked.who or 'somebody'}" + (f": {asked.why}" if asked.why else ""))
        self.plan.stopping = True
        self._hold_cells = self._hold_cells or not asked.finish
        for kernel, _ in self._busy.values():
            if asked.at_once or (again and self.plan.closing):
                kernel.kill()
            elif asked.what == "cancel" and not self.plan.closing and not asked.finish:
                kernel.end_cell()

    # ---- what becomes of an attempt

    def _settle(self, name: str, future: Future[StepEnd]) -> None:
        kernel, task = self._busy.pop(name)
        if self._lost is not None:
            raise Fenced(self._lost, execution=self.stage.execution.id)
        end = future.result()
        if end.state == "succeeded":
            self.plan.end(name, StepState.SUCCEEDED)
            self.stage.announce.step_ended(name, "succeeded", None, None)
        elif end.state == "skipped":
            self._skip(name, end.reason)
        elif end.state == "fenced":
            raise Fenced(end.reason or "another worker has taken the execution over", execution=self.stage.execution.id)
        elif end.state == "suspended":
            self.plan.end(name, StepState.SUSPENDED)
            self.ending.waiting[name] = end
            self.stage.suspended(name, end)
            if self._busy:  # those may take long; nothing is held for one that waits
                kernel.submit(lambda: kernel.stop(now=True))
        elif end.state == "cancelled":
            self.plan.end(name, StepState.PENDING)
            self.ending.aborted = end.reason or "ended by a person's verdict"
            self.plan.stopping = self._hold_cells = True
        elif end.state == "held" or (self.ending.cuts_short(self.plan) and end.state in ("died", "failed")):
            self.plan.end(name, StepState.PENDING)  # whoever goes on makes the attempt again, or the next one
            if end.state == "failed":
                self._count_failure(name, end)
        elif end.state == "died":
            self._settle_death(name, task, end)
        else:
            self._settle_failure(name, task, end)

    def _settle_death(self, name: str, task: Task, end: StepEnd) -> None:
        """A kernel ended in mid-cell: a new one goes on where it was, unless the step does nothing but kill kernels."""
        self.stage.writer.append(Kind.NOTE, {"what": "kernel_died", "words": end.reason, "attempt": task.attempt}, step=name)
        known = self.record.step(name)
        known.deaths += 1
        if self.stage.progress(name, known):
            known.deaths = 1
        if known.deaths < MOST_DEATHS:
            self.stage.announce.note(f"the kernel died in step {name}; a new one goes on from its last record")
            self.plan.end(name, StepState.PENDING)
            return
        error = AuthorError(
            "HF181",
            f"the step ended its kernel {known.deaths} times in a row" + (f"; its last words: {end.reason}" if end.reason else ""),
            step=name,
            cure="Look for too much memory, a crash in native code, or a call of os._exit; then resume.",
        )
        failure = Failure(step=name, type="KernelDied", what=error.what, code=error.code, terminal=True)
        self._settle_failure(name, task, StepEnd(state="failed", failure=failure, journaled=False))

    def _count_failure(self, name: str, end: StepEnd) -> None:
        """Keep the folded record in step with the journal; write the failure where the kernel could not."""
        failure = end.failure or Failure(step=name, type="Error", what="")
        if not end.journaled:
            error = {"type": failure.type, "code": failure.code, "what": failure.what}
            body = {"attempt": self.record.step(name).attempt, "error": error, "terminal": failure.terminal}
            self.stage.writer.append(Kind.STEP_FAILED, body, step=failure.step)
        known = self.record.step(failure.step)
        known.failures += 1
        known.since_person += 1

    def _settle_failure(self, name: str, task: Task, end: StepEnd) -> None:
        failure = end.failure or Failure(step=name, type="Error", what="")
        self._count_failure(name, end)
        known, retry = self.record.step(name), task.step.policy.retry
        if failure.step == name and not failure.terminal and known.since_person <= retry.count and not self.plan.stopping:
            due = clock.now() + retry.wait_before(known.since_person)
            self.stage.writer.append(Kind.STEP_STARTED, {"attempt": known.attempt, "not_before": due}, step=name)
            self._later[name] = due
            self.plan.end(name, StepState.PENDING)
            self.stage.announce.step_ended(name, "failed", failure, due)
            return
        self.stage.failed(name, failure)
        skipped = self.plan.failed(name)
        if self.plan.stopping and self.ending.failure is None:
            self.ending.failure, self.ending.error = failure, end.error
        self.stage.announce.step_ended(name, "failed", failure, None)
        for one in skipped:
            with contextlib.suppress(KeyError):
                self._skip(one, f"{name} failed; it goes on at {task.step.policy.on_failure}")
