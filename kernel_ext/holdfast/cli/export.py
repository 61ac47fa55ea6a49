"""``export``: the evidence of an execution as one file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import Desk, command

if TYPE_CHECKING:
    from holdfast.executions.evidence import Evidence


@click.command()
@click.argument("id")
@click.option(
    "--format", "form", type=click.Choice(["ipynb", "html", "md", "json"]), help="By default what the ending of -o says, else md."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file; stdout when left out.")
@command
def export(desk: Desk, id: str, form: str | None, output: Path | None) -> None:
    """Export the evidence of the execution ID: timeline, who, what, calls, answers, outputs. The file needs nothing else to be read."""
    from holdfast.cli.files import write_text
    from holdfast.executions.evidence import evidence
    from holdfast.executions.find import find

    store = desk.store()
    header = find(store, id)
    found = evidence(store, header, desk.client().prompts(state=None, execution=header.id))
    chosen = form or (output.suffix.removeprefix(".") if output is not None else "md")
    if chosen not in _RENDER:
        from holdfast.cli.desk import bad_input

        raise bad_input(f"{chosen!r} is no format", f"Give one with --format: {', '.join(_RENDER)}.")
    text = _RENDER[chosen](found)
    if output is None:
        if desk.as_json and chosen != "json":
            desk.document({"id": header.id, "format": chosen, "text": text})
        else:
            sys.stdout.write(text)
        return
    write_text(output, text)
    if desk.as_json:
        desk.document({"id": header.id, "format": chosen, "output": str(output)})
    else:
        desk.say(f"{output}")


def as_document(found: Evidence) -> dict[str, Any]:
    """The evidence as JSON types."""
    from holdfast.cli.documents import call_document, execution_document, moment_document, prompt_document, step_document, time
    from holdfast.client.effects import deeds
    from holdfast.client.telling import document as told

    document = execution_document(found.execution)
    document |= {
        "exported_at": time(found.exported_at),
        "steps": [step_document(s) for s in found.history.steps],
        "effects": [told(d) for d in deeds(found.history)],
        "calls": [call_document(c) for c in found.history.calls],
        "prompts": [prompt_document(p) for p in found.prompts],
        "timeline": [moment_document(m) for m in found.moments],
        "notebook": found.notebook,
    }
    return document


def _json(found: Evidence) -> str:
    return json.dumps(as_document(found), ensure_ascii=False, indent=2, default=str) + "\n"


def _ipynb(found: Evidence) -> str:
    """The executed notebook, with the evidence as a last Markdown cell and in its metadata."""
    from holdfast.cli.report import markdown_sections

    document = json.loads(json.dumps(found.notebook, default=str))
    document["cells"].append({"cell_type": "markdown", "id": "holdfast-evidence", "metadata": {}, "source": markdown_sections(found)})
    data = as_document(found)
    data.pop("notebook")
    document["metadata"]["holdfast"]["record"] |= {"evidence": json.loads(json.dumps(data, default=str))}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _md(found: Evidence) -> str:
    from holdfast.cli.report import markdown

    return markdown(found)


def _html(found: Evidence) -> str:
    from holdfast.cli.report_html import html

    return html(found)


_RENDER = {"ipynb": _ipynb, "html": _html, "md": _md, "json": _json}
