"""``import``: a plain notebook or a Markdown runbook as a skeleton."""

from __future__ import annotations

import json
from pathlib import Path

import click

from holdfast.cli.desk import Desk, bad_input, command


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The runbook; by default SOURCE's name with .runbook.ipynb.")
@command
def import_runbook(desk: Desk, source: Path, output: Path | None) -> None:
    """Make the skeleton of a runbook from SOURCE, a plain notebook or an alert runbook in Markdown. Commands become steps, placeholders
    become parameters, what destroys asks first; what could not be decided is marked TODO."""
    from holdfast.cli.files import write_text
    from holdfast.notebook.importing import from_bytes, from_markdown, from_notebook
    from holdfast.notebook.reader import read

    target = output or source.with_name(source.stem + ".runbook.ipynb")
    if target.exists():
        raise bad_input("the file is there already", "Choose another with --output; nothing was written.", file=str(target))
    if source.suffix == ".ipynb":
        made = from_notebook(read(source).content)
    else:
        try:
            made = from_markdown(*from_bytes(source.read_bytes()))
        except OSError as error:
            raise bad_input(f"the file cannot be read: {error}", "Give a notebook or a Markdown file.", file=str(source)) from None
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    write_text(target, text)
    left = text.count("TODO")
    steps = sum(1 for c in made["cells"] for t in c["metadata"].get("tags", []) if t.startswith("step:"))
    if desk.as_json:
        desk.document({"notebook": str(target), "steps": steps, "undecided": left})
        return
    desk.say(f"{target}: {steps} steps, {left} places marked TODO")
    desk.say(f"  then:  holdfast check {target}")
