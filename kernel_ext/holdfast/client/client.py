"""One object with every verb; it only reads and writes the journal, the work is done by engines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from holdfast.access.people import People
from holdfast.config import Config
from holdfast.executions.family import children
from holdfast.executions.find import find
from holdfast.executions.fork import fork
from holdfast.executions.history import CALL_KINDS, CallHistory, History, fold_calls, history
from holdfast.executions.published import shown
from holdfast.executions.signals import send
from holdfast.executions.start import prepare, start
from holdfast.executions.stopping import stop
from holdfast.guardrails import locks
from holdfast.guardrails.breaking import FOR, break_glass
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Entry
from holdfast.model.execution import Execution, Status
from holdfast.model.guardrail import Glass
from holdfast.model.prompt import Prompt, PromptState
from holdfast.notebook.reader import Notebook
from holdfast.prompts import answering, listing

# `list` is a verb below
Entries = list[Entry]
Calls = list[CallHistory]
Prompts = list[Prompt]
Executions = list[Execution]


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
        queued: bool = True,
    ) -> Execution:
        """Queue an execution; a worker (``holdfast worker``) runs it.

        Args:
            notebook: a file, or one that was read.
            parameters: values with types.
            id: of the new execution.
            key: idempotency key: the same key gives the same execution.
            output: where the output notebook goes.
            parent: the execution that asks for it.
            via: how it was asked for, for the record.
            queued: any worker may take it. False: the caller sees to it that somebody works on it.

        Raises:
            LookupFailedError: HF605. AuthorError: HF101 to HF103. OperatorError: HF252, HF254. StoreError.
        """
        source = notebook if isinstance(notebook, Notebook) else Path(notebook)
        prepared = prepare(source, parameters=parameters, output=output)
        execution, _ = start(self.store, self.config, prepared, id=id, key=key, parent=parent, via=via, queued=queued)
        return execution

    def fork(self, id: str, step: str, *, new_id: str | None = None, output: str | None = None, queued: bool = True) -> Execution:
        """Queue a new execution that takes over what came before ``step`` and runs from there on.

        Args:
            queued: any worker may take it. False: the caller sees to it that somebody works on it.

        Raises:
            LookupFailedError: HF601, HF603. OperatorError: HF252 to HF254. StoreError.
        """
        return fork(self.store, self.config, find(self.store, id), step, id=new_id, output=output, queued=queued)

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
        return fold_calls(self.store.read(header.id, kinds=CALL_KINDS), alive=header.owner is not None)

    def prompts(self, *, state: PromptState | str | None = PromptState.OPEN, execution: str | None = None) -> Prompts:
        """Questions, the oldest first."""
        return listing.list_prompts(self.store, state=state, execution=self.get(execution).id if execution else None)

    def children(self, id: str) -> Executions:
        """What an execution has started, the oldest first."""
        return children(self.store, self.get(id).id)

    def outputs(self, id: str) -> dict[str, Any]:
        """What an execution has published, by name: JSON types; other values as text that says what they are."""
        return shown(self.store, self.get(id).id)

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
            LookupFailedError: HF602. PromptError: HF401 to HF409. OperatorError: HF265. StoreError.
        """
        who = self.config.user
        groups = People.load(self.config.policy_file).groups_of(who)
        return answering.answer(self.store, prompt, verdict, value=value, who=who, via=via, why=why, typed=typed, groups=groups)

    def pause(self, id: str, *, why: str = "") -> Execution:
        """Hold an execution before its next cell, and what it has started; nothing goes on until somebody resumes it.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended. StoreError.
        """
        header = self.get(id)
        stop(self.store, self.config, header, "pause", end_with=answering.end_with, who=self.config.user, why=why)
        return self.get(header.id)

    def cancel(self, id: str, *, why: str = "", finish: bool = False) -> Execution:
        """End an execution, and what it has started; steps tagged ``always`` still run.

        Args:
            finish: steps that run may come to their end first; otherwise the running cell is interrupted.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended. StoreError.
        """
        header = self.get(id)
        stop(self.store, self.config, header, "cancel", end_with=answering.end_with, who=self.config.user, why=why, finish=finish)
        if (header := self.get(header.id)).status.ended:
            locks.pass_on(self.store, header.id)
        return header

    def break_glass(self, id: str, *, why: str, guardrails: Iterable[str] = (), seconds: float = FOR, via: str = "client") -> Glass:
        """Set guardrails aside for an execution. The caller has asked the policy and written it down.

        Args:
            guardrails: by name; none: all that can be set aside.

        Raises:
            LookupFailedError: HF601. OperatorError: HF284. StoreError.
        """
        return break_glass(self.store, self.get(id), who=self.config.user, why=why, guardrails=guardrails, seconds=seconds, via=via)

    def signal(self, id: str, name: str, value: Any = None, *, key: str | None = None, via: str = "client") -> Entry:
        """Send a named message to an execution; it is kept until a ``signal`` of that name takes it.

        Args:
            value: JSON types.
            key: idempotency key: the same key sends once.

        Raises:
            LookupFailedError: HF601. OperatorError: HF253, it has ended. StoreError.
        """
        return send(self.store, self.get(id), name, value, key=key, who=self.config.user, via=via)
