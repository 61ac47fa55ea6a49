"""The evidence of an execution as one HTML file: no script, nothing loaded from elsewhere, readable on paper."""

from __future__ import annotations

from html import escape

from holdfast.cli.report import calls_table, facts, prompts_table, steps_table, timeline_table
from holdfast.client.effects import deeds, deeds_table
from holdfast.executions.evidence import Evidence
from holdfast.executions.rendering import cell_html

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .6rem .8rem; border-radius: 4px; white-space: pre-wrap; overflow-wrap: anywhere; margin: .4rem 0; }
pre.output { background: none; border-left: 3px solid var(--line); border-radius: 0; } pre.error { border-left-color: #c33; }
iframe { border: 1px solid var(--line); width: 100%; height: 20rem; background: #fff; }
.succeeded { color: #185; } .failed { color: #b22; font-weight: 600; } .suspended, .paused, .unknown { color: #a60; }
@media print { body { max-width: none; margin: 0; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src data:"


def html(found: Evidence) -> str:
    """The whole document."""
    title = found.history.manifest.title if found.history.manifest else found.execution.runbook
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)} – {escape(found.execution.id)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<style>{_STYLE}</style></head><body><main>",
        f"<h1>Evidence: {escape(title)}</h1>",
        "<dl>" + "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in facts(found)) + "</dl>",
        _section("Steps", *steps_table(found), state=1),
    ]
    if effects := deeds(found.history):
        parts.append(_section("Effects", *deeds_table(effects), state=3))
    if found.history.calls:
        parts.append(_section("Calls", *calls_table(found), state=4))
    if found.prompts:
        parts.append(_section("Questions and answers", *prompts_table(found)))
    parts.append(_section("Timeline", *timeline_table(found)))
    parts.append("<section><h2>Notebook</h2>" + "\n".join(cell_html(c) for c in found.notebook["cells"]) + "</section>")
    parts.append("</main></body></html>")
    return "\n".join(parts) + "\n"


def _section(name: str, head: list[str], rows: list[list[str]], state: int | None = None) -> str:
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join("<tr>" + "".join(_field(v, n == state) for n, v in enumerate(row)) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    return f'<section><h2>{escape(name)}</h2><div class="wide">{table}</div></section>'


def _field(value: str, is_state: bool) -> str:
    word = value.partition(",")[0].partition(" ")[0]
    kind = f' class="{escape(word)}"' if is_state and word.isalpha() else ""
    return f"<td{kind}>{escape(value)}</td>"
