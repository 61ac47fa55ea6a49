"""The contracts between the recorder and whatever reaches the outside: a request, an attempt at it, an interceptor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from holdfast.model.call import Effect
from holdfast.model.policy import Retry

T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call as made. Equal fingerprints mean: the same request."""

    kind: str  # "shell", "http", "aws", "clock", "random", "call" ...
    operation: str  # for people: the command line as run, "POST https://...", "ec2.DeleteVolume"
    fingerprint: bytes  # canonical bytes of the whole request, without what changes from try to try (dates, tokens, signatures)
    effect: Effect
    arguments: Mapping[str, Any] = {}  # for people, JSON types, credentials left out
    cheap: bool = False  # clock and random: the outcome may wait for the next commit (nothing outside depends on it before)
    kept: bool = False  # a read whose success later attempts of the step keep: a wait that is over, a person's answer
    target: str = ""  # what it changes, for people and for counting; worked out from the operation where it is empty
    destructive: bool | None = None  # whether what it changes is lost; None: worked out from the operation
    origin: str = ""  # the place whose traces a later probe would read (a host's state folder); kept with the intent, see Attempt.origin


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a request, as its performer sees it."""

    execution: str
    step: str
    call: str  # the call's key: unique within the execution, stable across replays, fit for a file name
    number: int  # 1, 2 ...
    idempotency_key: str  # UUID text, the same for every attempt at this call, also after a crash
    resumed: bool = False  # begun before (this very attempt, or an earlier one) with an outcome nobody knows (shell: re-attach)
    sends_key: bool = True  # whether the key may go with the request unasked
    origin: str = ""  # Request.origin as the intent recorded it: a probe elsewhere must not take missing traces for "never started"
    begun: float = 0.0  # when the attempt that may have had its effect was recorded, seconds since the epoch; 0: not known


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe or a re-attachment found."""

    happened: bool
    value: Any = None  # in the form that ``store`` returns


class Transient(msgspec.Struct, frozen=True, kw_only=True):
    """A failure that passes by itself: try again inside the call."""

    reason: str
    retry_after: float | None = None  # seconds, when the outside said so


class Recorder(Protocol):
    """What interceptors see of the recorder (durable/recorder.py has the one implementation)."""

    @property
    def active(self) -> bool:
        """Whether a cell is being recorded in this context and no outer call has already been recorded."""

    @property
    def dry_run(self) -> bool:
        """Whether changes are only listed here."""

    @property
    def state_dir(self) -> Path:
        """This machine's folder for what must outlive the kernel beside the journal (the supervisor's files). May not exist yet."""

    @property
    def attended(self) -> bool:
        """Whether a person sits at the kernel. Otherwise an interrupt is the engine's word to end the cell."""

    @property
    def command_tables(self) -> Sequence[Path]:
        """The runbook's own tables of shell commands that only read."""

    def passthrough(self) -> AbstractContextManager[None]:
        """Nothing in this context is recorded, nor reported as undeclared: for what is known to need no record (a token request)."""

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
        assumed: Callable[[Any], Any] | None = None,
        preview: Callable[[], tuple[T | None, str]] | None = None,
        retry: Retry | None = None,
    ) -> T:
        """Record ``do`` as one call, or answer from the record.

        Args:
            request: what is asked of the outside.
            do: performs it; inner interceptors pass through while it runs. It raises ``OutcomeUnknownError`` when the request was
                sent and nothing tells whether it happened: that is an unknown outcome (probe, else prompt), not a failure.
            store: turns the result into a storable value (JSON types, bytes, else anything that pickles); identity by default.
            load: turns a stored value into what the cell is handed, on the first pass and on every replay; identity by default.
            probe: for a write whose outcome is unknown: reads whether it happened; None when it cannot tell.
            transient: says whether a result or an exception passes by itself and is to be tried again.
            failed: says whether a stored value means failure (a command's exit status), for `show` and for later step attempts.
            assumed: makes the stored form of a result that nobody saw: from the JSON value a person gave with the verdict `happened`,
                or from None (`happened` without a value, `skip`, a dry run). Identity by default. A command makes exit status 0
                with the given text of it, HTTP a 200 with the given body.
            preview: for a write in a dry run: asks the outside what would come of it. Returns the stored form of the result, or None, and
                what is to be said in the plan. It must change nothing.
            retry: how transient failures of this call are retried; the installation's way by default.

        Raises:
            whatever ``do`` raised (also on replay), ``Suspend`` when a person must decide, ``Fenced``, ``StoreError``.
        """

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
        assumed: Callable[[Any], Any] | None = None,
        preview: Callable[[], tuple[T | None, str]] | None = None,
        retry: Retry | None = None,
    ) -> T:
        """The same for a coroutine function."""


class Interceptor(Protocol):
    """Makes one library's calls durable unasked. Found through the entry-point group ``holdfast.interceptors``."""

    name: str
    modules: tuple[str, ...]  # patched when (and only when) the author's code imports one of these

    def install(self, recorder: Recorder) -> None:
        """Wrap the library's choke point. Called once per process, after one of ``modules`` was imported."""

    def uninstall(self) -> None:
        """Undo."""
