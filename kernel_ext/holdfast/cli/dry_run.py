"""``run --dry-run``: what only reads is run, what would change something is listed; nothing stays."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli.desk import FAILED, SUCCEEDED, Desk, escape
from holdfast.durable.cell import QUESTION
from holdfast.engine.watcher import Watcher

if TYPE_CHECKING:
    from holdfast.config import Config
    from holdfast.executions.start import Prepared


class _Plan(Watcher):
    """Gathers the calls that were not made and the questions that were not asked."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    @property
    def writes(self) -> list[dict[str, Any]]:
        """What would change something."""
        return [c for c in self.calls if c["effect"] != QUESTION]

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What people would be asked, with the answer that was assumed."""
        return [c for c in self.calls if c["effect"] == QUESTION]

    def cell_told(self, index: int, step: str, told: dict[str, Any]) -> None:
        for one in told.get("plan") or ():
            self.calls.append({"id": f"{len(self.calls) + 1}", **one, "step": step, "cell": index})


def dry_run(desk: Desk, prepared: Prepared) -> None:
    """Run ``prepared`` against a journal of its own that is thrown away, and end with 0, or 1 when it could not go to the end."""
    from holdfast.engine.execute import execute
    from holdfast.engine.stage import Options
    from holdfast.executions.start import start
    from holdfast.journal.opening import open_store

    plan = _Plan()
    with tempfile.TemporaryDirectory(prefix="holdfast-dry-run-") as folder:
        config = _elsewhere(desk.config, Path(folder))
        store = open_store(config.journal, key_file=config.key_file)
        try:
            execution, _ = start(store, config, prepared, via="dry run")
            result = execute(store, config, execution.id, options=Options(write_output=False), watchers=[plan])
        finally:
            store.close()
    stopped = None if result.status == "succeeded" else result.reason or str(result.status)
    if desk.as_json:
        desk.document(
            {
                "dry_run": True,
                "runbook": prepared.manifest.name,
                "writes": plan.writes,
                "questions": plan.questions,
                "complete": stopped is None,
                "stopped": stopped,
            }
        )
    else:
        _show(desk, plan, stopped)
    desk.end(SUCCEEDED if stopped is None else FAILED)


def _elsewhere(config: Config, folder: Path) -> Config:
    import msgspec

    return msgspec.structs.replace(
        config,
        journal=f"sqlite:///{folder / 'journal.db'}",
        key=None,
        key_file=folder / "key",
        state_dir=folder / "state",
        dry_run=True,
        execution=None,
        fence=None,
    )


def _show(desk: Desk, plan: _Plan, stopped: str | None) -> None:
    from rich.table import Table

    for one in plan.questions:
        about = ", ".join(f"{k}: {v}" for k, v in one["arguments"].items() if k != "assumed")
        assumed = one["arguments"]["assumed"]
        desk.say(f"would ask in step {one['step']}: {one['operation']}" + (f" ({about})" if about else "") + f"; assumed: {assumed!r}")
    if calls := plan.writes:
        table = Table(title="would change", title_justify="left", box=None, pad_edge=False, header_style="bold")
        for name in ("step", "effect", "call", "arguments"):
            table.add_column(name, overflow="fold")
        for call in calls:
            arguments = ", ".join(f"{k}={v!r}" for k, v in (call.get("arguments") or {}).items())
            table.add_row(
                escape(call["step"]),
                "destructive" if call.get("destructive") else call["effect"],
                escape(f"{call['kind']}: {call['operation']}"),
                escape(arguments),
            )
        desk.out.print(table)
    else:
        desk.say("it would change nothing")
    if stopped is not None:
        desk.say(f"the dry run could not go on: {stopped}")
        desk.say("  a cell may need the result of a change that was not made; what comes after it is not listed")
