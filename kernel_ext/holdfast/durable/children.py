"""``run_runbook`` and ``publish``: executions that start executions, and what comes back from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from holdfast.durable import canonical, current
from holdfast.durable.interceptor import Attempt, Request
from holdfast.durable.recorder import Recorder
from holdfast.durable.signals import here
from holdfast.durable.waiting import Matter, end_once, hold, matter_key, open_once
from holdfast.errors import CallError, LookupFailedError
from holdfast.executions.family import check_depth
from holdfast.executions.published import published
from holdfast.executions.start import prepare, start
from holdfast.executions.stopping import let_go_on
from holdfast.foundation.faults import point
from holdfast.model.call import Effect
from holdfast.model.entry import Kind
from holdfast.model.execution import Execution, Status


class Child(msgspec.Struct, frozen=True):
    """An execution that this one has started. ``child["name"]`` is what it has published under that name."""

    id: str
    runbook: str
    status: str = "queued"  # when this was made; `queued` when it was not waited for
    reason: str = ""
    outputs: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.outputs:
            raise KeyError(f"{self.runbook} has published no {name!r}, but: {', '.join(self.outputs) or 'nothing'}")
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    @property
    def ok(self) -> bool:
        """Whether it has succeeded."""
        return self.status == Status.SUCCEEDED

    def wait(self, *, check: bool = True) -> Child:
        """Wait for its end; see :func:`run_runbook`."""
        __tracebackhide__ = True
        return _await(here(current.active(), "Child.wait"), self, check)


def run_runbook(runbook: str | Path, /, *, wait: bool = True, key: str | None = None, check: bool = True, **parameters: Any) -> Child:
    """Run another runbook as an execution of its own. It is started once, whatever crashes. What is waited for follows this execution:
    it is paused, resumed and cancelled with it.

    Args:
        runbook: a path (relative to this runbook's folder, or to the working directory), with or without ``.ipynb``.
        wait: for its end. False: go on at once, and let it go its own way; ``child.wait()`` waits later.
        key: makes two calls the same; by default runbook and parameters do, one by one in the order of the calls.
        check: raise when it did not succeed.
        parameters: of the runbook.

    Returns:
        the child: ``id``, ``status``, ``outputs`` (what it has published).

    Raises:
        CallError: HF321, it failed; HF322, it was cancelled.
        AuthorError: HF103 the parameters do not fit, HF159 called where nothing is recorded, HF162 nested too deep.
        LookupFailedError: HF605, there is no such runbook.
        Suspend: the execution goes on when the child has ended.
    """
    __tracebackhide__ = True
    recorder = here(current.active(), "run_runbook")
    name = str(runbook)
    request = Request(
        kind="child",
        operation=f"run_runbook({name!r}" + "".join(f", {k}={v!r}"[:120] for k, v in parameters.items()) + ")",
        fingerprint=canonical.digest(["child", name, key if key is not None else parameters], what=f"the parameters of {name}"),
        effect=Effect.IDEMPOTENT,
        arguments={"runbook": name},
    )
    started = recorder.perform(request, lambda attempt: _start(recorder, attempt, name, parameters, wait), assumed=_not_started)
    child = Child(id=started["id"], runbook=started["runbook"])
    if not wait or not child.id:
        return child
    return _await(recorder, child, check)


def _not_started(value: Any) -> dict[str, str]:
    """What a dry run, or somebody who says "skip", gives for a child."""
    return {"id": str(value or ""), "runbook": ""}


def _start(recorder: Recorder, attempt: Attempt, name: str, parameters: dict[str, Any], wait: bool) -> dict[str, str]:
    store, config = recorder.writer.store, recorder.config
    header = store.header(recorder.execution)
    assert header is not None
    key = f"child:{recorder.execution}:{attempt.call}"
    there = next(iter(store.headers(key=key)), None)
    if there is None:
        check_depth(store, header, name)
        prepared = prepare(_place(header, name), parameters=parameters)
        point("child.before_start")
        who = header.started_by
        there, _ = start(store, config, prepared, key=key, parent=header.id, via="run_runbook", queued=True, started_by=who, alone=not wait)
        point("child.after_start")
    return {"id": there.id, "runbook": there.runbook}


def _place(header: Execution, name: str) -> Path:
    """The file of a runbook that is named in a cell of ``header``.

    Raises:
        LookupFailedError: HF605.
    """
    folders = [Path(header.path).parent] if header.path else []
    folders.append(Path.cwd())
    for folder in folders:
        for ending in ("", ".ipynb"):
            path = folder / f"{name}{ending}"
            if path.is_file():
                return path
    looked = " and ".join(dict.fromkeys(map(str, folders)))
    raise LookupFailedError("HF605", f"there is no runbook {name!r}", cure=f"Looked in {looked}.", execution=header.id)


def _await(recorder: Recorder, child: Child, check: bool) -> Child:
    __tracebackhide__ = True
    request = Request(
        kind="child",
        operation=f"wait for {child.runbook} {child.id}",
        fingerprint=canonical.digest(["child.end", child.id, check]),
        effect=Effect.READ,
        kept=True,
    )
    ended: Child = recorder.perform(request, lambda attempt: _Awaited(recorder, attempt, child, check).run(), store=_stored, load=_loaded)
    return ended


class _Awaited:
    """The wait for one child's end."""

    def __init__(self, recorder: Recorder, attempt: Attempt, child: Child, check: bool) -> None:
        self._recorder, self._attempt, self._child, self._check = recorder, attempt, child, check
        self._key = matter_key(attempt)

    def run(self) -> Child:
        recorder, child = self._recorder, self._child
        if self._attempt.number > 1 or (recorder.cell is not None and recorder.cell.context.step_attempt > 1):
            self._try_again()
        awaited = {"child": child.id, "runbook": child.runbook}
        _, opened = open_once(recorder, Kind.CHILD_AWAITED, "child", self._key, awaited, step=self._attempt.step, due_at=None)
        matter = Matter(kind="child", key=self._key, reason=f"waits for {child.runbook}, execution {child.id}", opened_at=opened)
        ended = hold(recorder, matter, self._look, busy=self._runs_here)
        return self._result(ended)

    def _header(self) -> Execution:
        header = self._recorder.writer.store.header(self._child.id)
        if header is None:
            raise LookupFailedError("HF601", f"the journal has lost the execution {self._child.id}", cure="Cancel this execution.")
        return header

    def _look(self) -> Execution | None:
        header = self._header()
        if not header.status.ended:
            return None
        body = {"child": header.id, "status": str(header.status)}
        end_once(self._recorder, Kind.CHILD_ENDED, "child", self._key, body, step=self._attempt.step)
        return header

    def _runs_here(self) -> bool:
        """Whether the worker of this execution is the one that works on the child: then the process lives anyway."""
        header, mine = self._header(), self._recorder.writer.store.header(self._recorder.execution)
        return header.status == Status.RUNNING and mine is not None and _process(header.owner) == _process(mine.owner)

    def _try_again(self) -> None:
        """A new attempt at the step, after the child failed, is a new attempt at the child."""
        header, writer = self._header(), self._recorder.writer
        if header.status == Status.FAILED:
            let_go_on(writer.store, self._recorder.config, header, who=writer.actor, why=f"{writer.execution} tries again")

    def _result(self, header: Execution) -> Child:
        recorder = self._recorder
        if self._check and header.status != Status.SUCCEEDED:
            cancelled = header.status == Status.CANCELLED
            raise CallError(
                "HF322" if cancelled else "HF321",
                f"{header.runbook}, started as {header.id}, {'was cancelled' if cancelled else 'failed'}"
                + (f": {header.reason}" if header.reason else ""),
                cure=f"See: holdfast show {header.id}; resuming this execution continues it too." if not cancelled else "",
                step=self._attempt.step,
                execution=recorder.execution,
            )
        outputs = {n: recorder.values.decode(v) for n, v in published(recorder.writer.store, header.id).items()}
        return Child(id=header.id, runbook=header.runbook, status=str(header.status), reason=header.reason, outputs=outputs)


def _process(owner: str | None) -> str:
    """An owner's text without its label."""
    return (owner or "?").partition("@")[2]


def _stored(child: Any) -> Any:
    return msgspec.structs.asdict(child)


def _loaded(stored: Any) -> Any:
    return Child(**stored)


def publish(**outputs: Any) -> None:
    """Give values back from this execution, by name: to the runbook that started it, to ``holdfast show``, to the record. The last
    value of a name counts.

    Args:
        outputs: values; JSON types where others than runbooks are to read them.

    Raises:
        AuthorError: HF159 called where nothing is recorded, HF165 a value cannot be stored.
    """
    __tracebackhide__ = True
    recorder = here(current.active(), "publish")
    if recorder.cell is not None and recorder.cell.context.dry_run:
        return
    request = Request(
        kind="publish",
        operation=f"publish({', '.join(outputs)})",
        fingerprint=canonical.digest(["publish", outputs], what="what is published"),
        effect=Effect.READ,
        kept=True,
    )

    def do(attempt: Attempt) -> None:
        recorder.flush()
        body = recorder.encode({"values": {n: recorder.values.encode(v) for n, v in outputs.items()}})
        recorder.writer.append(Kind.PUBLISHED, body, step=attempt.step, key=attempt.call)

    recorder.perform(request, do)
