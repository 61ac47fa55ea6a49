"""What is asked of the kernel: which cell of which step, whoever sends it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from holdfast.kernel.place import Place
from holdfast.model.policy import Policy
from holdfast.notebook.marks import Marks, read_marks
from holdfast.notebook.reader import NotebookCell, source_digest

_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: What JupyterLab adds to a cell's metadata for the kernel's eyes; no part of the notebook.
_TRANSPORT = frozenset({"cellId", "deletedCells", "recordTiming", "trusted", "holdfast_run"})
#: A papermill run puts the cell in with a new id each time.
INJECTED_KEY = "injected-parameters"

Role = Literal["cell", "setup", "parameters", "when", "skip"]


class CellRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One execute_request, understood."""

    code: str
    digest: str  # of the source, see notebook.reader.source_digest
    key: str  # the cell's key within the execution
    step: str
    role: Role = "cell"
    policy: Policy = Policy()
    always: bool = False
    teardown_of: str | None = None  # the step it undoes
    expects_error: bool = False  # tagged raises-exception, or allowed by the engine's caller: recorded like a success
    engine: bool = False
    # what only the engine says
    last: bool = False
    attempt: int | None = None
    ancestors: tuple[str, ...] = ()
    apply: bool = True
    parameters_digest: str | None = None
    when: str | None = None


class Requests:
    """Understands requests one after another: an untagged cell belongs to the step before it.

    Args:
        place: where this kernel stands.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._step: str | None = None  # the step begun last
        self._occurrences: dict[str, int] = {}
        self._undone: dict[str, str | None] = {}  # step -> the step it undoes
        self._policies: dict[str, tuple[Policy, bool]] = {}

    def understand(self, code: str, metadata: Mapping[str, Any], cell_id: str | None) -> CellRequest:
        """The request as a cell of a step."""
        run = metadata.get("holdfast_run")
        run = run if isinstance(run, Mapping) else None
        digest = source_digest(code)
        key = cell_id if isinstance(cell_id, str) and _CELL_ID.fullmatch(cell_id) else self._counted(digest)
        shown = {k: v for k, v in metadata.items() if k not in _TRANSPORT}
        tags = tuple(t for t in shown.get("tags") or () if isinstance(t, str))
        marks, _ = read_marks(NotebookCell(id=key, index=0, type="code", source=code, tags=tags, metadata=shown))
        if marks.role == "injected-parameters":
            key = INJECTED_KEY
        if run is not None:
            return self._from_engine(run, code, digest, key, tags, marks)
        role = _role(marks)
        step = self._place_in_step(key, role, marks)
        policy, always = self._policy_of(step, marks)
        return CellRequest(
            code=code, digest=digest, key=key, step=step, role=role, policy=policy, always=always, when=policy.when,
            expects_error="raises-exception" in tags, teardown_of=marks.teardown,
        )  # fmt: skip

    def _from_engine(self, run: Mapping[str, Any], code: str, digest: str, key: str, tags: tuple[str, ...], marks: Marks) -> CellRequest:
        step = str(run.get("step") or key)
        policy, always = self._policy_of(step, marks)
        undone = self._undone.setdefault(step, marks.teardown)
        return CellRequest(
            code=code,
            digest=digest,
            key=key,
            step=step,
            role=run.get("role") or "cell",
            policy=policy,
            always=always,
            teardown_of=undone,
            expects_error="raises-exception" in tags or run.get("allow_errors") is True,
            engine=True,
            last=bool(run.get("last")),
            attempt=run.get("attempt"),
            ancestors=tuple(run.get("ancestors") or ()),
            apply=run.get("apply") is not False,
            parameters_digest=run.get("parameters_digest"),
            when=run.get("when"),
        )

    def _counted(self, digest: str) -> str:
        """The key of a cell whose front-end sends no usable id: its source, and the n-th time this kernel sees it."""
        n = self._occurrences[digest] = self._occurrences.get(digest, 0) + 1
        return f"src:{digest}#{n}"

    def _place_in_step(self, key: str, role: Role, marks: Marks) -> str:
        if role in ("setup", "parameters"):
            return role
        if marks.step is not None:
            self._step = marks.step
        else:
            named = self._place.step_of(key)
            if named is None:
                tagged = self._step is not None or self._place.tagged
                named = (self._step or "start") if tagged else key
            elif self._place.tagged:
                self._step = named
            return named
        return self._step

    def _policy_of(self, step: str, marks: Marks) -> tuple[Policy, bool]:
        """Policy and ``always`` stand on the cell that starts the step; its other cells share them."""
        if marks.step == step or step not in self._policies:
            self._policies[step] = (marks.metadata.policy(), marks.always)
        return self._policies[step]


def _role(marks: Marks) -> Role:
    if marks.role is not None:
        return "setup" if marks.role == "setup" else "parameters"
    return "skip" if marks.skip else "cell"
