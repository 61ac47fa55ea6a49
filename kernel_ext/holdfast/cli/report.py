"""The evidence of an execution as Markdown."""

from __future__ import annotations

from typing import Any

from holdfast.cli.documents import time
from holdfast.cli.texts import duration
from holdfast.client.effects import deeds, deeds_table
from holdfast.client.markdown import fenced, inline, table
from holdfast.executions.evidence import Evidence
from holdfast.executions.rendering import joined, output_plain, source_of
from holdfast.model.call import request_line


def markdown(found: Evidence) -> str:
    """The whole: head, steps, calls, questions, timeline, then the notebook with its outputs."""
    return f"{markdown_sections(found)}\n## Notebook\n\n{_cells(found.notebook)}"


def markdown_sections(found: Evidence) -> str:
    """All but the notebook."""
    header = found.execution
    title = found.history.manifest.title if found.history.manifest else header.runbook
    parts = [f"# Evidence: {title}\n", _facts(found), "## Steps\n", table(*steps_table(found))]
    if effects := deeds(found.history):
        parts += ["## Effects\n", table(*deeds_table(effects))]
    if found.history.calls:
        parts += ["## Calls\n", table(*calls_table(found))]
    if found.prompts:
        parts += ["## Questions and answers\n", table(*prompts_table(found))]
    parts += ["## Timeline\n", table(*timeline_table(found))]
    return "\n".join(parts)


def facts(found: Evidence) -> list[tuple[str, str]]:
    """What stands at the head: name and value."""
    header = found.execution
    pairs = [
        ("execution", header.id),
        ("runbook", header.runbook),
        ("notebook", header.path),
        ("text", header.notebook.hex() if header.notebook else None),
        ("status", f"{header.status}" + (f" ({header.reason})" if header.reason else "")),
        ("started", f"{time(header.created_at)} by {header.started_by}"),
        ("parameters", ", ".join(f"{k} = {v!r}" for k, v in header.shown_parameters.items())),
        ("forked from", header.forked_from),
        ("parent", header.parent),
        ("exported", time(found.exported_at)),
    ]
    return [(name, str(value)) for name, value in pairs if value]


def steps_table(found: Evidence) -> tuple[list[str], list[list[str]]]:
    """Head and rows."""
    rows = []
    for step in found.history.steps:
        took = duration(step.ended_at - step.started_at) if step.ended_at and step.started_at else ""
        error = f"{step.error.get('code') or step.error.get('type')}: {step.error.get('what')}" if step.error else step.reason or ""
        rows.append([step.id, step.state, time(step.started_at) or "", took, str(step.attempts or ""), str(step.calls or ""), error])
    return ["step", "state", "started", "took", "attempts", "calls", "error"], rows


def calls_table(found: Evidence) -> tuple[list[str], list[list[str]]]:
    """Head and rows; clock and random are no news."""
    rows = []
    for call in found.history.calls:
        if call.kind in ("clock", "random"):
            continue
        asked = request_line({"kind": call.kind, "operation": call.operation, "arguments": call.arguments})
        verdict = f", {call.verdict.get('verdict')} on the word of {call.verdict.get('who')}" if call.verdict else ""
        rows.append(
            [call.step or "", call.kind, asked, call.effect, f"{call.state}{verdict}", time(call.started_at) or "", str(call.attempts)]
        )
    return ["step", "kind", "request", "effect", "state", "begun", "attempts"], rows


def prompts_table(found: Evidence) -> tuple[list[str], list[list[str]]]:
    """Head and rows."""
    rows = []
    for prompt in found.prompts:
        answer = "" if prompt.answer is None else prompt.answer + ("" if prompt.value is None else f" ({prompt.value!r})")
        who = f"{prompt.answered_by} via {prompt.via}, {time(prompt.answered_at)}" if prompt.answered_by else ""
        rows.append([prompt.step or "", prompt.text, request_line(prompt.request), f"{prompt.state}: {answer}", who, prompt.why or ""])
    return ["step", "question", "request", "answer", "by", "why"], rows


def timeline_table(found: Evidence) -> tuple[list[str], list[list[str]]]:
    """Head and rows."""
    return ["#", "when", "what", "who"], [[str(m.id), time(m.at) or "", m.text, m.who] for m in found.moments]


def _facts(found: Evidence) -> str:
    return "".join(f"- **{name}**: {inline(value)}\n" for name, value in facts(found))


def _cells(notebook: dict[str, Any]) -> str:
    parts = []
    for cell in notebook["cells"]:
        source = source_of(cell)
        if cell["cell_type"] == "markdown":
            parts.append(source.strip() + "\n")
        elif cell["cell_type"] == "code" and source.strip():
            parts.append(fenced(source, "python"))
            parts += [_output(output) for output in cell.get("outputs", [])]
    return "\n".join(parts)


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "text/markdown" in data:
        return joined(data["text/markdown"]).strip() + "\n"
    if "image/png" in data:
        return f"![output](data:image/png;base64,{''.join(joined(data['image/png']).split())})\n"
    text = output_plain(output).rstrip("\n")
    return fenced(text, "text") if text else ""
