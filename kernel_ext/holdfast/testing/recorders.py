"""A recorder that needs no journal: for the tests of interceptors, yours included."""

from __future__ import annotations

import hashlib
import pickle
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.errors import OutcomeUnknownError
from holdfast.foundation import faults
from holdfast.model.call import Effect

T = TypeVar("T")
_passing: ContextVar[bool] = ContextVar("holdfast_testing_passing", default=False)


class UnknownOutcome(Exception):
    """Where the real recorder would ask a person."""


class Record:
    """One call as recorded."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.attempts = 0
        self.open = False
        self.value: bytes | None = None
        self.error: BaseException | None = None
        self.failed = False


class MemoryRecorder:
    """Keeps ``Recorder``'s contract in memory, or in a file that survives a kill.

    Args:
        state_dir: what ``state_dir`` returns.
        file: where the records are kept; a recorder made with the same file finds them again.
        retries: how often a transient failure is tried again, without waiting.
    """

    def __init__(self, state_dir: Path, file: Path | None = None, retries: int = 3) -> None:
        self.state_dir, self._file, self._retries = state_dir, file, retries
        self.on = self.attended = self.sends_keys = True
        self.dry_run = False
        self.command_tables: tuple[Path, ...] = ()
        self.records: dict[str, Record] = pickle.loads(file.read_bytes()) if file is not None and file.exists() else {}
        self._seen: Counter[str] = Counter()
        self.made: list[Request] = []  # performed in this process, not answered from the record

    @property
    def active(self) -> bool:
        """Whether a call would be recorded now."""
        return self.on and not _passing.get()

    @contextmanager
    def passthrough(self) -> Iterator[None]:
        """Nothing in this context is recorded."""
        token = _passing.set(True)
        try:
            yield
        finally:
            _passing.reset(token)

    @contextmanager
    def off(self) -> Iterator[None]:
        """Nothing is recorded in this block."""
        self.on = False
        try:
            yield
        finally:
            self.on = True

    def rewind(self) -> None:
        """The step begins again: the next calls are answered from the record."""
        self._seen.clear()
        self.made.clear()

    def forget_outcome(self, index: int = -1) -> None:
        """As after a crash between effect and outcome of a recorded call."""
        record = list(self.records.values())[index]
        record.open, record.value, record.error = True, None, None
        self.rewind()

    def perform(
        self,
        request: Request,
        do: Callable[[Attempt], T],
        *,
        store: Callable[[T], Any] | None = None,
        load: Callable[[Any], T] | None = None,
        probe: Callable[[Attempt], Outcome | None] | None = None,
        transient: Callable[[T | None, BaseException | None], Transient | None] | None = None,
        failed: Callable[[Any], bool] | None = None,
        **_: Any,
    ) -> T:
        """See ``Recorder.perform``."""
        record, key = self._record(request)
        if record.value is not None or record.error is not None:
            return self._give(record, load)
        attempt = self._resumed(record, key, probe)
        if attempt is None:
            return self._give(record, load)
        while True:
            self._begin(record, attempt)
            result: T | None = None
            error: Exception | None = None
            token = _passing.set(True)
            try:
                result = do(attempt)
            except OutcomeUnknownError as e:
                raise UnknownOutcome(record.request.operation) from e
            except Exception as e:
                error = e
            finally:
                _passing.reset(token)
            faults.point("call.after_effect")
            if not self._again(record, attempt, result, error, transient):
                break
            attempt = self._attempt(record, key, attempt.number + 1, False)
        value: Any = result
        self._end(record, store(value) if error is None and store is not None else value, error, failed)
        return self._give(record, load)

    async def perform_async(
        self,
        request: Request,
        do: Callable[[Attempt], Awaitable[T]],
        *,
        store: Callable[[T], Any] | None = None,
        load: Callable[[Any], T] | None = None,
        probe: Callable[[Attempt], Outcome | None] | None = None,
        transient: Callable[[T | None, BaseException | None], Transient | None] | None = None,
        failed: Callable[[Any], bool] | None = None,
        **_: Any,
    ) -> T:
        """See ``Recorder.perform_async``."""
        record, key = self._record(request)
        if record.value is not None or record.error is not None:
            return self._give(record, load)
        attempt = self._resumed(record, key, probe)
        if attempt is None:
            return self._give(record, load)
        while True:
            self._begin(record, attempt)
            result: T | None = None
            error: Exception | None = None
            token = _passing.set(True)
            try:
                result = await do(attempt)
            except OutcomeUnknownError as e:
                raise UnknownOutcome(record.request.operation) from e
            except Exception as e:
                error = e
            finally:
                _passing.reset(token)
            faults.point("call.after_effect")
            if not self._again(record, attempt, result, error, transient):
                break
            attempt = self._attempt(record, key, attempt.number + 1, False)
        value: Any = result
        self._end(record, store(value) if error is None and store is not None else value, error, failed)
        return self._give(record, load)

    # ---- pieces ----

    def _record(self, request: Request) -> tuple[Record, str]:
        base = hashlib.blake2b(request.kind.encode() + b"\0" + request.fingerprint, digest_size=16).hexdigest()
        self._seen[base] += 1
        key = f"{base}~{self._seen[base]}"
        return self.records.setdefault(key, Record(request)), key

    def _attempt(self, record: Record, key: str, number: int, resumed: bool) -> Attempt:
        token = str(uuid.uuid5(uuid.NAMESPACE_OID, key))
        return Attempt(
            execution="x",
            step="s",
            call=key,
            number=number,
            idempotency_key=token,
            resumed=resumed,
            origin=record.request.origin,
            sends_key=self.sends_keys,
        )

    def _resumed(self, record: Record, key: str, probe: Callable[[Attempt], Outcome | None] | None) -> Attempt | None:
        if not record.open or record.request.effect == Effect.READ:
            return self._attempt(record, key, record.attempts + 1, False)
        attempt = self._attempt(record, key, record.attempts, True)
        if record.request.effect == Effect.IDEMPOTENT:
            return attempt
        found = probe(attempt) if probe is not None else None
        if found is None:
            raise UnknownOutcome(record.request.operation)
        if found.happened:
            self._end(record, found.value, None, None)
            return None
        return self._attempt(record, key, record.attempts + 1, False)

    def _begin(self, record: Record, attempt: Attempt) -> None:
        record.open, record.attempts = True, attempt.number
        self.made.append(record.request)
        if record.request.effect != Effect.READ:
            self._save()
            faults.point("call.after_intent")

    def _again(self, record: Record, attempt: Attempt, result: Any, error: Exception | None, transient: Any) -> bool:
        passing = transient(result, error) if transient is not None else None
        return passing is not None and attempt.number <= self._retries

    def _end(self, record: Record, value: Any, error: Exception | None, failed: Callable[[Any], bool] | None) -> None:
        record.open = False
        if error is not None:
            record.error, record.failed = error, True
        else:
            record.value = pickle.dumps(value)
            record.failed = failed is not None and failed(value)
        self._save()

    def _give(self, record: Record, load: Callable[[Any], T] | None) -> T:
        if record.error is not None:
            raise record.error
        value: Any = pickle.loads(record.value or b"")
        return load(value) if load is not None else value

    def _save(self) -> None:
        if self._file is not None:
            temporary = self._file.with_suffix(".new")
            temporary.write_bytes(pickle.dumps(self.records))
            temporary.replace(self._file)
