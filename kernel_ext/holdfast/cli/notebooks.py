"""``check`` and ``graph``: a notebook looked at without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import FAILED, SUCCEEDED, Desk, command, escape

if TYPE_CHECKING:
    from holdfast.notebook.finding import Finding

_RANK = {"info": 0, "warning": 1, "error": 2}


@click.command()
@click.argument("notebooks", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="NOTEBOOK...")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="error",
    show_default=True,
    help="End with 1 from this severity on.",
)
@command
def check(desk: Desk, notebooks: tuple[Path, ...], fail_on: str) -> None:
    """Say what is wrong with NOTEBOOK, or likely to go wrong: each finding with its code, place and cure."""
    from holdfast.notebook.check import check as run_checks
    from holdfast.notebook.reader import read

    found: list[tuple[Path, list[Finding]]] = [(path, run_checks(read(path))) for path in notebooks]
    if desk.as_json:
        desk.document([_document(path, f, n) for path, findings in found for n, f in enumerate(findings, 1)])
    else:
        for path, findings in found:
            _print(desk, path, findings)
    worst = max((_RANK[f.severity] for _, findings in found for f in findings), default=-1)
    desk.end(FAILED if fail_on != "never" and worst >= _RANK[fail_on] else SUCCEEDED)


def _document(path: Path, finding: Finding, number: int) -> dict[str, Any]:
    return {
        "id": f"{path}#{number}",
        "notebook": str(path),
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "cure": finding.cure or None,
        "cell": finding.cell,
        "index": finding.index,
        "line": finding.line,
        "column": finding.column,
    }


def _print(desk: Desk, path: Path, findings: list[Finding]) -> None:
    colours = {"error": "bold red", "warning": "yellow", "info": "blue"}
    for one in findings:
        place = f"{path}" + ("" if one.index is None else f":cell {one.index}") + ("" if one.line is None else f":line {one.line}")
        cure = f"\n    {one.cure}" if one.cure else ""
        desk.out.print(f"[bold]{escape(place)}[/] [{colours[one.severity]}]{one.severity}[/] {one.code} {escape(one.message + cure)}")
    counted = {s: sum(f.severity == s for f in findings) for s in colours}
    said = ", ".join(f"{n} {s}{'s' if n != 1 and s != 'info' else ''}" for s, n in counted.items() if n)
    desk.out.print(f"{escape(str(path))}: {said or '[green]nothing found[/]'}")


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write it to a file; a name ending in .md gets a Markdown fence.")
@command
def graph(desk: Desk, notebook: Path, output: Path | None) -> None:
    """Print NOTEBOOK as a Mermaid flowchart: its steps, their order, and the blocks and decisions named with "# @label:"."""
    from holdfast.cli.files import write_text
    from holdfast.notebook.compile import compile as compile_notebook
    from holdfast.notebook.graph import mermaid
    from holdfast.notebook.reader import read

    text = mermaid(compile_notebook(read(notebook))).rstrip("\n") + "\n"
    if output is not None:
        write_text(output, f"```mermaid\n{text}```\n" if output.suffix == ".md" else text)
    if desk.as_json:
        desk.document({"notebook": str(notebook), "mermaid": text, "output": str(output) if output else None})
    elif output is None:
        print(text, end="")
