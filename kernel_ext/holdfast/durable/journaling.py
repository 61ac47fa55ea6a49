"""The recorder's journal side: what is written, how values are kept, what a call's keys are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from holdfast.config import Config
from holdfast.durable.commits import Committer
from holdfast.durable.identity import idempotency_key
from holdfast.durable.index import Record
from holdfast.durable.retries import DEFAULT
from holdfast.durable.showing import Present, Unseen
from holdfast.durable.values import Values
from holdfast.durable.waiting import Pause, sleeping
from holdfast.foundation.secrets import Redactor
from holdfast.journal.writer import Writer
from holdfast.model.entry import Draft
from holdfast.model.policy import Retry

if TYPE_CHECKING:
    from holdfast.durable.conduct import Call
    from holdfast.guardrails.guard import Guard


class Journaling:
    """What a recorder writes through; thread-safe.

    Args:
        writer: the execution's journal, or None until :meth:`attach`.
        owner: the worker's text, for the record.
        state_dir: this machine's folder for what must outlive the kernel beside the journal.
        redactor: takes secrets out of what people read.
        retry: of calls that fail in passing and bring no retry of their own.
        retry_deadline: seconds from the first failed try of a call to the start of its last.
        max_value_bytes: what a recorded value may have.
        hold: seconds a retry may be waited for with the kernel alive; a longer wait suspends the execution.
    """

    def __init__(
        self,
        writer: Writer | None = None,
        *,
        owner: str = "",
        state_dir: Path | None = None,
        redactor: Redactor | None = None,
        retry: Retry = DEFAULT,
        retry_deadline: float = 600.0,
        hold: float = 60.0,
        max_value_bytes: int = 64 << 20,
    ) -> None:
        self.owner, self.retry, self.retry_deadline, self.hold = owner, retry, retry_deadline, hold
        self.redactor = redactor or Redactor()
        self.redact: Callable[[Any], Any] = self.redactor.redact
        self.materialise: Callable[[str], object] | None = None  # set by the kernel: brings a lazily restored name into the namespace
        self._config: Config | None = None
        self._state_dir, self._max_value_bytes = state_dir, max_value_bytes
        self.encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
        self.attended = True  # False, set by the kernel: an engine drives it, and an interrupt is the engine's word to end the cell
        self.while_waiting: Callable[[], AbstractContextManager[Pause]] = sleeping  # set by the kernel: serves its front-ends meanwhile
        self.sends_keys = True  # whether HTTP requests carry their idempotency key; set by the kernel
        self.present: Present = Unseen  # set by the kernel: how a question looks where its cell runs
        self.groups: Callable[[], Mapping[str, Collection[str]]] = dict  # set by the kernel: who is in which group
        self.guard: Guard | None = None  # set by the kernel: what every change passes
        self.find_tables: Callable[[], Sequence[Path]] = tuple  # set by the kernel: the runbook's own tables of commands
        self._tables: Sequence[Path] | None = None
        self.execution = ""
        self.dry_run = False  # of the running cell: changes are only listed
        self._writer: Writer | None = None
        self._committer: Committer
        self.values: Values
        if writer is not None:
            self.attach(writer)

    def attach(self, writer: Writer) -> None:
        """Record into ``writer`` from now on (a new execution, or a new fence of the same)."""
        self._writer, self.execution, self._tables = writer, writer.execution, None
        self._committer = Committer(writer)
        self.values = Values(writer.store, self.redactor, limit=self._max_value_bytes, materialise=self._materialise)

    @property
    def config(self) -> Config:
        """The settings of this installation, as whoever made the recorder has them."""
        if self._config is None:
            self._config = Config.load()
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config = config

    @property
    def state_dir(self) -> Path:
        """This machine's folder for what must outlive the kernel beside the journal. May not exist yet."""
        if self._state_dir is None:
            raise RuntimeError("the recorder has no state folder")
        return self._state_dir

    @property
    def command_tables(self) -> Sequence[Path]:
        """The runbook's own tables of shell commands that only read."""
        if self._tables is None:
            self._tables = self.find_tables()
        return self._tables

    @property
    def writer(self) -> Writer:
        """The execution's journal.

        Raises:
            RuntimeError: none was attached.
        """
        if self._writer is None:
            raise RuntimeError("the recorder has no journal yet")
        return self._writer

    def commit(self, draft: Draft) -> None:
        """Make an entry durable, with whatever waits for the next commit."""
        self._committer.commit(draft)

    def flush(self) -> None:
        """Make durable what waits for the next commit."""
        self._committer.flush()

    def idempotency_key(self, key: str, record: Record) -> str:
        """The stored key of an earlier attempt, else a new one."""
        stored: str | None = record.about.get("idempotency_key")
        return stored or idempotency_key(self.execution, key)

    def hand_over(self, call: Call, plain: Any) -> Any:
        """What the cell gets for a stored value."""
        return call.load(plain) if call.load is not None else plain

    def recorded_error(self, outcome: Mapping[str, Any]) -> Exception | None:
        """The error of an outcome, or None when it is a value."""
        return self.values.decode_error(outcome["error"]) if "error" in outcome else None

    def _materialise(self, name: str) -> object:
        return self.materialise(name) if self.materialise is not None else None
