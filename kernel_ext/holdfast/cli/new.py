"""``new``: a runbook to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from holdfast.cli.desk import Desk, bad_input, command


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--title", help="What it is about; by default the file's name.")
@click.option("--owner", help="Who answers for it; by default you.")
@command
def new(desk: Desk, notebook: Path, title: str | None, owner: str | None) -> None:
    """Write a new runbook NOTEBOOK: header card, parameters, is-it-real check, context, decision, plan, gate, act, verify, rollback, close.
    It runs as it is and passes `holdfast check`; put your own into its cells."""
    from holdfast.cli.files import write_text
    from holdfast.foundation import clock
    from holdfast.notebook.scaffold import scaffold

    path = notebook if notebook.suffix == ".ipynb" else notebook.with_name(notebook.name + ".ipynb")
    if path.exists():
        raise bad_input("the file is there already", "Choose another name; nothing was written.", file=str(path))
    words = path.stem.replace("-", " ").replace("_", " ")
    today = clock.utc(clock.now()).date().isoformat()
    made = scaffold(title or words[:1].upper() + words[1:], owner=owner or desk.config.user, reviewed=today)
    write_text(path, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    if desk.as_json:
        desk.document({"notebook": str(path)})
        return
    desk.say(f"{path}")
    desk.say(f"  look at it:  jupyter lab {path}")
    desk.say(f"  try it:      holdfast run {path}")
