"""One object with every verb; it only reads and writes the journal, the work is done by engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.executions.find import find
from holdfast.executions.fork import fork
from holdfast.executions.history import CallHistory, History, fold_calls, history
from holdfast.executions.running import end_commands
from holdfast.executions.start import prepare, start
from holdfast.journal import ownership
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Entry, Kind
from holdfast.model.execution import Change, Execution, Mode, Status
from holdfast.model.lease import Lease
from holdfast.model.prompt import Prompt, PromptState
from holdfast.notebook.reader import Notebook
from holdfast.prompts import answering, listing
from holdfast.prompts.allowed import groups_of

# `list` is a verb below
Entries = list[Entry]
Calls = list[CallHistory]
Prompts = list[Prompt]


class Client:
    """Start executions and act on them from outside. Safe to use from several threads.

    Args:
        store: an open journal; the caller closes it (:meth:`open` makes a client that owns its own).
        config: the settings; who acts is ``config.user``.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self.store, self.config = store, config

    @classmethod
    def open(cls, *, folder: Path | None = None, create: bool = True, **settings: Any) -> Client:
        """A client on the journal the settings name.

        Raises:
            OperatorError: HF201, HF202, HF22x.
        """
        config = Config.load(folder=folder, **settings)
        return cls(open_store(config.journal, key_file=config.key_file, key=config.key, create=create), config)

    def close(self) -> None:
        """Close the journal."""
        self.store.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ---- start

    def start(
        self,
        notebook: Path | str | Notebook,
        parameters: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        key: str | None = None,
        output: str | None = None,
        parent: str | None = None,
        via: str = "client",
    ) -> Execution:
        """Queue an execution; a worker (or ``holdfast resume``) runs it.

        Args:
            notebook: a file, or one that was read.
            parameters: values with types.
            id: of the new execution.
            key: idempotency key: the same key gives the same execution.
            output: where the output notebook goes.
            parent: the execution that asks for it.
            via: how it was asked for, for the record.

        Raises:
            LookupFailedError: HF605. AuthorError: HF101 to HF103. OperatorError: HF252, HF254. StoreError.
        """
        source = notebook if isinstance(notebook, Notebook) else Path(notebook)
        prepared = prepare(source, parameters=parameters, output=output)
        execution, _ = start(self.store, self.config, prepared, id=id, key=key, parent=parent, via=via)
        return execution

    def fork(self, id: str, step: str, *, new_id: str | None = None, output: str | None = None) -> Execution:
        """Queue a new execution that takes over what came before ``step`` and runs from there on.

        Raises:
            LookupFailedError: HF601, HF603. OperatorError: HF252 to HF254. StoreError.
        """
        return fork(self.store, self.config, find(self.store, id), step, id=new_id, output=output)

    # ---- look

    def get(self, id: str) -> Execution:
        """The header of the execution ``id`` (a unique beginning or end of the id will do).

        Raises:
            LookupFailedError: HF601.
        """
        return find(self.store, id)

    def list(
        self,
        *,
        statuses: Iterable[Status] | None = None,
        runbook: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[Execution]:
        """Headers, the newest first. ``after``: the last id of the page before."""
        return self.store.headers(statuses=statuses, runbook=runbook, limit=limit, after=after)

    def history(self, id: str) -> History:
        """Steps, calls and entries."""
        return history(self.store, self.get(id))

    def entries(self, id: str, *, after: int = 0, limit: int | None = None) -> Entries:
        """Entries in order of seq."""
        return self.store.read(self.get(id).id, after=after, limit=limit)

    def calls(self, id: str) -> Calls:
        """The calls, in the order in which they were begun."""
        header = self.get(id)
        kinds = (Kind.CALL_INTENT, Kind.CALL_OUTCOME, Kind.CALL_VERDICT)
        return fold_calls(self.store.read(header.id, kinds=kinds), alive=header.owner is not None)

    def prompts(self, *, state: PromptState | str | None = PromptState.OPEN, execution: str | None = None) -> Prompts:
        """Questions, the oldest first."""
        return listing.list_prompts(self.store, state=state, execution=self.get(execution).id if execution else None)

    # ---- act

    def answer(
        self,
        prompt: str,
        verdict: str | None = None,
        *,
        value: Any = None,
        why: str | None = None,
        typed: str | None = None,
        via: str = "client",
    ) -> Prompt:
        """Answer a question as ``config.user``; the first answer stands. See :func:`answering.answer` for the arguments.

        Raises:
            LookupFailedError: HF602. PromptError: HF401 to HF409. StoreError.
        """
        who = self.config.user
        groups = groups_of(who, self.config.groups)
        return answering.answer(self.store, prompt, verdict, value=value, who=who, via=via, why=why, typed=typed, groups=groups)

    def pause(self, id: str, *, why: str = "") -> Execution:
        """Hold an execution before its next cell; nothing goes on until somebody resumes it.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended. StoreError.
        """
        return self._ask(id, "pause", why)

    def cancel(self, id: str, *, why: str = "") -> Execution:
        """End an execution: the running cell is interrupted, steps tagged ``always`` still run.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended. StoreError.
        """
        return self._ask(id, "cancel", why)

    def _ask(self, id: str, what: str, why: str) -> Execution:
        header = self.get(id)
        if header.status in (Status.SUCCEEDED, Status.CANCELLED) or (what == "pause" and header.status == Status.FAILED):
            raise OperatorError(
                "HF253", f"the execution has {header.status} already", cure="There is nothing left to stop.", execution=header.id
            )
        if what == "pause" and header.status == Status.PAUSED:
            return header
        who = self.config.user
        request = Draft(kind=Kind.REQUESTED, body={"what": what, "who": who, "why": why}, actor=who)
        lease = None if self._worked_on(header) else self._taken(header)
        if lease is None and header.mode != Mode.SHELL:
            self.store.append(header.id, (request,), fence=None)
            return self.get(header.id)
        try:
            self._stop(header, request, what, why, lease.fence if lease else None)
        finally:
            if lease is not None:
                self.store.release(lease)
        if what == "cancel":
            end_commands(self.config.state_dir, header.id)  # they outlive their kernel
        return self.get(header.id)

    def _taken(self, header: Execution) -> Lease | None:
        """The lease of what nobody works on: a worker that wakes up later finds its fence passed. None when somebody was faster."""
        try:
            return ownership.take(self.store, header.id, ownership.this_process("client"), self.config.lease_ttl)
        except OperatorError as error:
            if error.code != "HF250":
                raise
            return None

    def _stop(self, header: Execution, request: Draft, what: str, why: str, fence: int | None) -> None:
        """Pause or cancel, without a worker."""
        who = self.config.user
        ended, kind = (Status.PAUSED, Kind.EXECUTION_PAUSED) if what == "pause" else (Status.CANCELLED, Kind.EXECUTION_CANCELLED)
        reason = f"{ended} by {who}" + (f": {why}" if why else "")
        drafts = (request, Draft(kind=kind, body={"reason": reason, "who": who, "why": why}, actor=who))
        change = Change(status=ended, reason=reason, due_at=0)

        def append(more: tuple[Draft, ...] = (), closes: tuple[str, ...] = ()) -> int:
            return self.store.append(header.id, (*drafts, *more), fence=fence, change=change, closes=closes)

        if what == "cancel":
            answering.end_with(self.store, header.id, append, who=who, why="the execution was cancelled")
        else:
            append()

    def _worked_on(self, header: Execution) -> bool:
        """Whether a worker will hear of a request: it has the lease, and is not known to be gone."""
        return header.mode != Mode.SHELL and not ownership.unattended(header, self.store.now())
