"""``launch``: hand a runbook to the scheduler that is installed (Dagster) instead of running it here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from holdfast.cli.desk import Desk, bad_input, command


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("-p", "--parameter", "typed", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter; may be given several times.")
@click.option("--key", help="Idempotency key: the same key gives the same run, however often it is asked for.")
@command
def launch(desk: Desk, notebook: Path, typed: tuple[tuple[str, str], ...], key: str | None) -> None:
    """Launch NOTEBOOK in Dagster and come back at once; DAGSTER_HOME names the instance."""
    from holdfast.client import Client
    from holdfast.executions.start import prepare

    text: dict[str, str] = {}
    for name, value in typed:
        if name in text:
            raise bad_input(f"the parameter {name!r} is given twice", "Give it once.")
        text[name] = value
    prepared = prepare(notebook, text=text)
    client = Client(desk.store(create=True), desk.config)
    launched = launcher().launch(notebook, prepared.parameters, key=key, client=client)
    if desk.as_json:
        desk.document({"run": launched.run, "execution": launched.execution, "status": launched.status, "new": launched.new})
        return
    desk.out.print(f"{launched.status.lower()}  {launched.execution}  (run {launched.run})" + ("" if launched.new else "  launched before"))
    desk.say(f"  look:  holdfast show {launched.execution}")


def launcher() -> Any:
    """What is installed to launch runs with.

    Raises:
        OperatorError: HF210, nothing is.
    """
    from holdfast.errors import OperatorError
    from holdfast.foundation.plugins import find

    found = find("holdfast.launchers")
    cure = "pip install 'holdfast[dagster]'"
    if not found:
        raise OperatorError("HF210", "no scheduler is installed to launch runs with", cure=cure)
    try:
        return found[0].load()
    except OperatorError as error:
        raise OperatorError("HF210", f"no scheduler is installed to launch runs with: {error.what}", cure=cure) from error
