"""What ``%holdfast`` shows: tables from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast.errors import LookupFailedError
from holdfast.foundation import clock
from holdfast.journal.store import Store
from holdfast.kernel import holding
from holdfast.kernel.notices import Bundle, notice, table
from holdfast.model.entry import Kind
from holdfast.model.execution import Status
from holdfast.prompts.listing import list_prompts

if TYPE_CHECKING:
    from holdfast.kernel.session import Session


def status(session: Session) -> Bundle:
    """The execution and its steps; begins nothing."""
    held, store = session.holding, session.store
    if held is None:
        found = holding.unfinished(store, session.config, session.place)
        if found is None:
            return notice("No execution yet", ["The next cell begins one.", f"Journal: {session.config.journal_for_people}"])
        return notice(
            f"Execution {found.id} of {found.runbook} is {found.status}",
            ["The next cell resumes it. To start anew instead:"],
            commands=["%holdfast new"],
        )
    session.book.refresh()
    header = store.header(held.header.id) or held.header
    title = f"Execution {header.id} of {header.runbook}: {header.status}"
    return table(
        ["step", "state", "attempt", "cells", "calls", "ended", "seconds"], _steps(session), title=title, empty="Nothing recorded yet."
    )


def _steps(session: Session) -> list[list[Any]]:
    book, manifest = session.book, session.place.manifest
    names = [s.name for s in manifest.steps] if manifest else []
    names += [s for s in step_names(session) if s not in names]
    rows: list[list[Any]] = []
    for name in names:
        records = book.of_step(name)
        cells = [c for c in session.place.cells_of(name) if c.source.strip()]
        done = [r for r in records if not cells or any(c.id == r.key and c.digest == r.digest for c in cells)]
        attempt = max([r.attempt for r in records] + [book.attempts(name)], default=0)
        of = f"{len(done)} of {len(cells)}" if cells else len(done)
        ended = clock.iso(max(r.at for r in records)) if records else ""
        seconds = f"{sum(r.duration for r in records):.1f}" if records else ""
        rows.append([name, _state(session, name, len(done), len(cells)), attempt or "", of, sum(r.calls for r in records), ended, seconds])
    return rows


def _state(session: Session, step: str, done: int, cells: int) -> str:
    book = session.book
    if book.skipped(step) is not None:
        return "skipped"
    if step in book.failed_steps():
        return "failed"
    if done and done >= cells:
        return "succeeded"
    return "edited" if book.of_step(step) and not done else "running" if done else "pending"


def step_names(session: Session) -> list[str]:
    """Steps with records, in order."""
    if session.holding is None:
        return []
    names = [r.step for r in session.book.in_order()] + list(session.book.failed_steps())
    return list(dict.fromkeys(names))


def calls(session: Session, step: str | None) -> Bundle:
    """The calls of the execution, oldest first; the cheap ones (clock, random) are counted only."""
    held = session.ready()
    kinds = (Kind.CALL_INTENT, Kind.CALL_OUTCOME, Kind.CALL_VERDICT)
    rows: dict[tuple[str, str], list[Any]] = {}
    cheap = 0
    for entry in session.store.read(held.header.id, step=step, kinds=kinds):
        body, place = entry.data, (entry.step or "", entry.key or "")
        if body.get("cheap"):
            cheap += 1
            continue
        row = rows.setdefault(place, [entry.step, "", "", "", "", "", ""])
        if "kind" in body:
            row[1:4] = [body["kind"], body["operation"], body["effect"]]
            row[4], row[5] = "started", body.get("attempt", 1)
        if entry.kind == Kind.CALL_OUTCOME:
            row[4], row[5] = body["state"], body.get("attempt", row[5])
            row[6] = f"{body['ended_at'] - body['started_at']:.2f}" if "started_at" in body else ""
        elif entry.kind == Kind.CALL_VERDICT:
            row[4] = f"{row[4]}, {body.get('who') or 'probe'} says {body['verdict']}"
    title = f"Calls of {step or held.header.id}" + (f" (and {cheap} readings of clock and chance)" if cheap else "")
    return table(["step", "kind", "operation", "effect", "state", "attempt", "seconds"], list(rows.values()), title=title, empty="None.")


def checkpoint(session: Session) -> Bundle:
    """What is kept of each cell."""
    session.ready()
    session.book.refresh()
    rows: list[list[Any]] = []
    for record in session.book.in_order():
        size = sum(len(delta) for _, delta in record.deltas())
        flags = "; ".join(_flag(f) for f in record.flags)
        rows.append(
            [record.step, record.key, record.attempt, record.label_of_restore, size, "yes" if session.state.has(record) else "", flags]
        )
    return table(
        ["step", "cell", "attempt", "restores", "bytes in journal", "in memory", "flags"], rows, title="Checkpoints", empty="None yet."
    )


def _flag(flag: Any) -> str:
    return ": ".join(str(flag[k]) for k in ("name", "why", "reason", "what", "text") if k in flag) if isinstance(flag, dict) else str(flag)


def prompts(session: Session) -> Bundle:
    """Open questions of this execution, or of all when the kernel has none yet."""
    execution = session.holding.header.id if session.holding is not None else None
    found = list_prompts(session.store, execution=execution)
    rows = [[p.id, p.step, p.kind, p.text, " | ".join(p.verdicts)] for p in found]
    return table(["id", "step", "kind", "question", "answers"], rows, title="Open prompts", empty="Nothing waits for an answer.")


def answers(session: Session, words: list[str]) -> list[str]:
    """Completions of ``answer``: ids, then the verdicts of the one given."""
    found = list_prompts(session.store, execution=session.holding.header.id if session.holding else None)
    if not words:
        return [p.id for p in found]
    return [v for p in found if p.id == words[0] for v in p.verdicts]


def resumable(session: Session) -> list[str]:
    """Completions of ``resume``."""
    statuses = [s for s in Status if s not in (Status.SUCCEEDED, Status.CANCELLED)]
    return [h.id for h in session.store.headers(statuses=statuses, limit=20)]


def find_execution(store: Store, prefix: str) -> str:
    """The id that ``prefix`` begins.

    Raises:
        LookupFailedError: HF601, there is none or there are several.
    """
    if store.header(prefix) is not None:
        return prefix
    found = [h.id for h in store.headers() if h.id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} executions begin with {prefix!r}" if found else f"no execution begins with {prefix!r}"
    raise LookupFailedError("HF601", what, cure="Give the whole id; `holdfast list` shows all.")


__all__ = ["table"]
