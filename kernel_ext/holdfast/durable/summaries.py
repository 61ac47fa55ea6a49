"""What is said of a cell when it ended."""

from __future__ import annotations

from holdfast.durable.active import ActiveCell
from holdfast.durable.cell import Summary
from holdfast.model.entry import Draft, Kind


def summarise(cell: ActiveCell, kept: list[Draft]) -> Summary:
    """Tallies, and the entries that are to be committed with the cell's end."""
    context, index = cell.context, cell.loaded
    orphans = index.orphans() if index is not None else []
    operations = tuple(str(r.about.get("operation", r.key)) for r in orphans)
    drafts = [*kept, *cell.notes]
    if orphans:
        calls = [{"key": r.key, "operation": o} for r, o in zip(orphans, operations, strict=True)]
        body = {"note": "orphaned", "cell": context.cell, "calls": calls}
        drafts.append(Draft(kind=Kind.NOTE, step=context.step, key=context.cell, body=body))
    if cell.undeclared:
        body = {"note": "undeclared", "cell": context.cell, "effects": list(cell.undeclared)}
        drafts.append(Draft(kind=Kind.NOTE, step=context.step, key=context.cell, body=body))
    return Summary(
        calls=cell.calls,
        replayed=cell.replayed,
        orphaned=operations,
        undeclared=tuple(cell.undeclared),
        matters=tuple(cell.matters),
        unwound=cell.main.ended,
        plan=tuple(cell.plan),
        drafts=tuple(drafts),
    )
