"""Every error Holdfast raises, with its code and its cure.

The hundreds digit says who must act: 1 the runbook's author, 2 the operator of the installation, 3 the outside said no,
4 a person said no (or nothing), 5 the store (try again), 6 no such thing, 7 whoever asks must ask otherwise,
8 a guardrail said no (wait, ask, or break the glass), 9 an author's own "stop, do not retry".
Each code has a page under ``docs/reference/errors/``.
"""

from __future__ import annotations

from typing import Any, ClassVar

#: code -> title. The architecture tests hold this table, the raising sites and the documentation pages together.
CODES: dict[str, str] = {
    # -- author: the runbook must change
    "HF101": "not a notebook that can be read",
    "HF102": "the runbook does not compile",
    "HF103": "parameters refused",
    "HF104": "bad table of shell commands",
    "HF130": "something that no checkpoint can hold",
    "HF131": "a checkpoint leaves something out",
    "HF132": "a cell that had to run again failed",
    "HF133": "the working directory is not there",
    "HF134": "two branches changed the same variable",
    "HF135": "a checkpoint that cannot be read here",
    "HF136": "a variable cannot be made again",
    "HF137": "work that goes on after its cell",
    "HF138": "a failed cell that cannot be undone in place",
    "HF139": "replay would repeat a change to files",
    "HF150": "a request that cannot be recognised again",
    "HF151": "more effects than the step may have",
    "HF152": "the step asks for something else than before",
    "HF153": "a call without a record while restoring",
    "HF154": "a function that cannot be a call",
    "HF155": "an idempotency key outside a call",
    "HF156": "a wrong argument of for_each",
    "HF157": "not a length of time nor a moment",
    "HF158": "a question that cannot be asked",
    "HF159": "called where nothing is recorded",
    "HF160": "request body too large to be recorded",
    "HF161": "request body cannot be recorded",
    "HF162": "executions nested too deep",
    "HF163": "a condition that changes something",
    "HF165": "value cannot be stored",
    "HF166": "value too large",
    "HF167": "stored value cannot be made again",
    "HF168": "a one-line command that does not fit",
    "HF175": "the condition of a step fails",
    "HF180": "a step took longer than its timeout",
    "HF181": "a step keeps ending its kernel",
    "HF182": "a condition cannot be evaluated",
    "HF190": "a runbook that Dagster cannot take",
    # -- operator: the installation must change
    "HF201": "unknown setting",
    "HF202": "invalid setting",
    "HF210": "a needed program or package is missing",
    "HF211": "a server needed here did not start",
    "HF212": "two plugins of one name",
    "HF213": "a plugin cannot be loaded",
    "HF214": "the state folder cannot be made",
    "HF215": "no Dagster instance",
    "HF216": "a port is taken",
    "HF217": "`holdfast up` runs already",
    "HF218": "a service cannot be started",
    "HF219": "a secret cannot be had",
    "HF220": "journal URL not understood",
    "HF221": "journal cannot be opened for writing",
    "HF222": "not a journal",
    "HF223": "journal newer than this Holdfast",
    "HF224": "execution id taken",
    "HF225": "another installation's key",
    "HF226": "installation key missing or unreadable",
    "HF227": "no journal",
    "HF228": "database refuses",
    "HF229": "database not fit for a journal",
    "HF250": "another worker has the execution",
    "HF240": "the execution has ended",
    "HF241": "a cell needed for restoring is not in the journal",
    "HF242": "no such %holdfast command",
    "HF243": "the extension needs a Jupyter kernel",
    "HF244": "the state of the last cell could not be put away",
    "HF251": "the kernel does not start",
    "HF252": "the output cannot be written",
    "HF253": "not possible for this execution",
    "HF254": "the execution id cannot be used",
    "HF256": "the execution did not come to its end",
    "HF257": "the command line cannot be understood",
    "HF258": "a fault in Holdfast itself",
    "HF280": "a rules file cannot be used",
    "HF281": "the events file cannot be used",
    "HF282": "an event cannot be turned into an execution",
    "HF283": "the guardrails file cannot be used",
    "HF285": "a dry run could not be made",
    "HF284": "the glass cannot be broken like this",
    "HF290": "the channels file cannot be used",
    "HF291": "a channel does not work",
    "HF265": "the policy file cannot be used",
    "HF266": "the tokens file cannot be used",
    "HF267": "the gateway would be open to all",
    "HF268": "sign-in by JWT is not set up right",
    "HF270": "two runbooks of one name",
    "HF271": "no worker can be started",
    # -- call: the outside said no
    "HF304": "too many items failed",
    "HF310": "a command's outcome is unknown",
    "HF311": "an HTTP request's outcome is unknown",
    "HF312": "an AWS operation's outcome is unknown",
    "HF313": "a command's output is incomplete",
    "HF314": "a database statement's outcome is unknown",
    "HF315": "a mail's outcome is unknown",
    "HF316": "a device's outcome is unknown",
    "HF320": "no signal came in time",
    "HF321": "an execution that was started failed",
    "HF322": "an execution that was started was cancelled",
    "HF323": "a condition did not come true in time",
    "HF330": "a check of a running system fails",
    "HF331": "nothing to go back to",
    "HF332": "a transaction that cannot be made again",
    "HF333": "a server refuses",
    "HF334": "a device cannot be reached",
    "HF349": "recorded failure",
    # -- prompt: a person said no, or nothing
    "HF401": "the prompt has ended already",
    "HF402": "no such verdict",
    "HF403": "the execution has ended",
    "HF404": "a value with a verdict that takes none",
    "HF405": "an answer that does not fit the question",
    "HF406": "this person may not answer",
    "HF407": "a second vote by one person",
    "HF408": "a reason is missing",
    "HF409": "the name was not typed",
    "HF410": "nobody answered in time",
    "HF420": "the hand-over has ended already",
    "HF421": "a hand-over that is not theirs",
    "HF422": "a hand-over that cannot be offered",
    "HF423": "nothing is offered",
    # -- store: try again
    "HF501": "journal locked",
    "HF502": "disk full",
    "HF503": "database not reachable",
    "HF504": "journal damaged",
    "HF505": "journal not readable or writable",
    "HF510": "blob damaged",
    "HF511": "stored value damaged",
    "HF512": "a stream was altered",
    # -- lookup: no such thing
    "HF602": "no such prompt",
    "HF603": "no such step",
    "HF605": "no such notebook",
    "HF601": "no such execution",
    "HF604": "no such blob",
    "HF608": "no such source",
    "HF609": "no such event",
    "HF610": "no such rule",
    "HF611": "no such channel",
    # -- request: whoever asks must ask otherwise
    "HF720": "a sender that did not prove itself",
    "HF721": "a signed request that is too old",
    "HF722": "an event or a callback that is not understood",
    "HF607": "no such runbook",
    "HF701": "not signed in",
    "HF702": "not allowed",
    "HF703": "a form that did not come from our page",
    "HF704": "sign-in refused",
    "HF705": "an answer by somebody unknown",
    "HF710": "the request is not understood",
    "HF711": "the request is too large",
    "HF712": "the request took too long",
    "HF713": "no such address",
    "HF714": "too many listeners",
    # -- guardrail: wait, ask a person, or break the glass
    "HF801": "more changes than the execution may make",
    "HF802": "too many changes in an hour",
    "HF803": "too soon after another execution",
    "HF804": "a change freeze",
    "HF805": "nobody approved it",
    "HF806": "more than was approved",
    "HF807": "another execution has the target",
    "HF808": "the targets are not what they were",
    "HF809": "a step that only reads would destroy something",
    "HF810": "a share of an unknown number",
    # -- terminal
    "HF900": "stopped by the author",
}


class HoldfastError(Exception):
    """Base of all errors: what happened, where, and what to do about it.

    Args:
        code: a key of :data:`CODES`.
        what: one sentence that says what happened.
        where: the place, from the outside in: any of ``runbook``, ``execution``, ``step``, ``cell``, ``call``, ``line``, ``file``.
        cure: one sentence that says what to do.
    """

    prefix: ClassVar[str] = ""

    def __init__(self, code: str, what: str, *, cure: str = "", **where: Any) -> None:
        if not code.startswith(f"HF{self.prefix}"):
            raise ValueError(f"{type(self).__name__} cannot carry the code {code}")
        self.code, self.what, self.cure = code, what, cure
        self.where = {k: v for k, v in where.items() if v is not None}
        super().__init__(what)

    def __str__(self) -> str:
        place = ", ".join(f"{k} {v}" for k, v in self.where.items())
        parts = [f"{self.code}: {self.what}", place, self.cure]
        return " — ".join(p for p in parts if p)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.code, self.what, self.cure, self.where)

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON types, as ``--json`` prints it and the journal keeps it."""
        return {"type": type(self).__name__, "code": self.code, "what": self.what, "where": self.where, "cure": self.cure}


def _rebuild(cls: type[HoldfastError], code: str, what: str, cure: str, where: dict[str, Any]) -> HoldfastError:
    return cls(code, what, cure=cure, **where)


class AuthorError(HoldfastError):
    """HF1xx: the runbook must change."""

    prefix = "1"


class NondeterminismError(AuthorError):
    """HF152: unchanged code, going through a step again, asked the outside for something it had not asked for before."""


class OperatorError(HoldfastError):
    """HF2xx: the installation must change."""

    prefix = "2"


class CallError(HoldfastError):
    """HF3xx: the outside said no."""

    prefix = "3"


class OutcomeUnknownError(CallError):
    """HF3xx: a call was begun and nothing tells whether it happened."""


class ForEachError(CallError):
    """HF304: more items of a ``for_each`` failed than may. ``results`` has all of them; it is not kept when the error is pickled."""

    def __init__(self, code: str, what: str, *, cure: str = "", results: Any = None, **where: Any) -> None:
        super().__init__(code, what, cure=cure, **where)
        self.results = results


class PromptError(HoldfastError):
    """HF4xx: a person said no, or nothing."""

    prefix = "4"


class StoreError(HoldfastError):
    """HF5xx: the journal could not be reached or written; trying again is safe."""

    prefix = "5"


class LookupFailedError(HoldfastError):
    """HF6xx: no such thing."""

    prefix = "6"


class RequestError(HoldfastError):
    """HF7xx: whoever asks must sign in, be allowed to, or ask otherwise."""

    prefix = "7"


class GuardrailError(HoldfastError):
    """HF8xx: a guardrail refused an effect; it was not made. ``where['guardrail']`` says which."""

    prefix = "8"


class TerminalError(HoldfastError):
    """HF900: raised by an author to stop the execution without any retry.

    ``raise TerminalError("the region is gone")`` is enough in a cell.
    """

    prefix = "9"

    def __init__(self, code: str, what: str = "", *, cure: str = "", **where: Any) -> None:
        if not what:
            code, what = "HF900", code
        super().__init__(code, what, cure=cure, **where)


class ControlFlow(BaseException):
    """What unwinds a cell on Holdfast's behalf; not an ``Exception``, so that an author's ``except Exception`` lets it pass."""

    def __init__(self, reason: str = "", **details: Any) -> None:
        super().__init__(reason)
        self.reason, self.details = reason, details

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_flow, (type(self), self.reason, self.details)


def _rebuild_flow(cls: type[ControlFlow], reason: str, details: dict[str, Any]) -> ControlFlow:
    return cls(reason, **details)


class Suspend(ControlFlow):
    """The execution waits (``details['waiting_for']`` names prompt, timer or signal); the kernel may end."""


class Cancel(ControlFlow):
    """A person ended the execution."""


class Fenced(ControlFlow):
    """Another worker owns this execution now; this one must stop writing and go."""
