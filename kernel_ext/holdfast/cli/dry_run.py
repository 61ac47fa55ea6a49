"""``run --dry-run`` and ``plan``: what only reads is run; what would change something is listed, with the guardrails that would keep it
back; nothing stays."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from holdfast.cli.desk import FAILED, SUCCEEDED, Desk, command
from holdfast.durable.cell import QUESTION
from holdfast.engine.watcher import Watcher

if TYPE_CHECKING:
    from holdfast.config import Config
    from holdfast.executions.start import Prepared
    from holdfast.guardrails.foresight import Foresight
    from holdfast.journal.store import Store
    from holdfast.model.execution import Execution


class _Plan(Watcher):
    """Gathers the calls that were not made and the questions that were not asked, in their order."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    @property
    def writes(self) -> list[dict[str, Any]]:
        """What would change something."""
        return [c for c in self.all if c["effect"] != QUESTION]

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What people would be asked, with the answer that was assumed."""
        return [c for c in self.all if c["effect"] == QUESTION]

    def cell_told(self, index: int, step: str, told: dict[str, Any]) -> None:
        for one in told.get("plan") or ():
            self.all.append({"id": f"{len(self.all) + 1}", **one, "step": step, "cell": index})

    def foresee(self, foresight: Foresight) -> None:
        """Note with each change what would keep it back."""
        for one in self.all:
            if one["effect"] == QUESTION:
                foresight.asked(one)
            else:
                one["refused"] = msgspec.to_builtins(foresight.refusals(one))


@click.command()
@click.argument("id")
@click.option("--unattended", is_flag=True, help="As if a rule, a schedule or a sensor started it.")
@command
def plan(desk: Desk, id: str, unattended: bool) -> None:
    """List what the execution ID would change if it were started again now, with its notebook and parameters, and what guardrails would
    refuse. What only reads is run; nothing is changed and nothing kept."""
    from holdfast.executions.find import find
    from holdfast.executions.start import pinned_notebook, prepare
    from holdfast.guardrails.approvals import attended

    store = desk.store()
    header = find(store, id)
    prepared = prepare(pinned_notebook(store, header), parameters=header.parameters)
    dry_run(desk, prepared, attended=not unattended and attended(store, header), again=header)


def dry_run(desk: Desk, prepared: Prepared, *, attended: bool = True, again: Execution | None = None) -> None:
    """Run ``prepared`` against a journal of its own that is thrown away, and end with 0; or 1 when it could not go to the end, or
    guardrails would refuse something.

    Args:
        attended: whether a person would start it.
        again: the execution whose plan it is; its lock is no obstacle.
    """
    from holdfast.engine.execute import execute
    from holdfast.engine.stage import Options
    from holdfast.executions.start import start
    from holdfast.guardrails.foresight import Foresight
    from holdfast.guardrails.settings import GuardrailsFile
    from holdfast.journal.opening import open_store

    plan = _Plan()
    with tempfile.TemporaryDirectory(prefix="holdfast-dry-run-") as folder:
        config = _elsewhere(desk.config, Path(folder))
        store = open_store(config.journal, key_file=config.key_file)
        try:
            execution, _ = start(store, config, prepared, via="dry run")
            result = execute(store, config, execution.id, options=Options(write_output=False), watchers=[plan])
            header = msgspec.structs.replace(execution, parent=again.id if again is not None else None)
            file = GuardrailsFile(desk.config.guardrails_file)
            plan.foresee(Foresight(_journal(desk) or store, header, prepared.manifest, file, attended=attended))
        finally:
            store.close()
    stopped = None if result.status == "succeeded" else result.reason or str(result.status)
    document = {
        "dry_run": True,
        "runbook": prepared.manifest.name,
        "writes": plan.writes,
        "questions": plan.questions,
        "refused": sum(1 for one in plan.writes if one["refused"]),
        "complete": stopped is None,
        "stopped": stopped,
    }
    if desk.as_json:
        desk.document(document)
    else:
        _show(desk, document)
    desk.end(SUCCEEDED if stopped is None and not document["refused"] else FAILED)


def _journal(desk: Desk) -> Store | None:
    """The journal, if there is one yet."""
    from holdfast.errors import OperatorError

    try:
        return desk.store()
    except OperatorError as error:
        if error.code != "HF227":
            raise
        return None


def _elsewhere(config: Config, folder: Path) -> Config:
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


def _show(desk: Desk, document: dict[str, Any]) -> None:
    from holdfast.client.planning import plan_lines, plan_table

    for line in plan_lines(document):
        desk.say(line)
    head, rows = plan_table(document)
    if rows:
        desk.table(head, rows, always=("step", "effect", "change"), title="would change")
    else:
        desk.say("it would change nothing")
