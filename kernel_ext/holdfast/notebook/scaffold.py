"""A new runbook with the structure of a good one: every part is there, runs as it is, and says what to put in its place."""

from __future__ import annotations

from typing import Any

REAL = "real"
GO_ON = "real and choice == 'restart'"

_HEADER = """# {title}

*One sentence: what this alert means, and what stops working.*

**Do not:** *what makes it worse.*"""

_PARAMETERS = """service: str = "example"  # what this runbook is about"""

_SETUP = """from holdfast import ask, call, changing, confirm, targets

# Put your clients here: this cell runs in every new kernel. Credentials come from outside, never into a notebook.
state = {f"{service}-{n}": "running" for n in range(3)}
state[f"{service}-0"] = "stuck"


@call(effect="read")
def list_instances():
    return [{"name": name, "state": value} for name, value in state.items()]


@call
def restart(name: str):
    print("here", name, "would be restarted: put the real change in its place")
    return "restarted"


@call
def take_back(name: str):
    print("here", name, "would be put back as it was")"""

_ACT = """for instance in chosen:
    with changing(instance, why="it is stuck", read=lambda i=instance: state[i["name"]]):
        state[instance["name"]] = restart(instance["name"])"""

_CELLS: list[tuple[str, str, str, dict[str, Any]]] = [
    (
        "step:is-it-real",
        "## Is it real?\n\nOne look; nothing is changed. Expected: the instances that are stuck; none is a false positive.",
        'stuck = [i for i in list_instances() if i["state"] == "stuck"]\nreal = bool(stuck)\nprint(len(stuck), "stuck:", stuck)',
        {"effects": "read"},
    ),
    (
        "step:context",
        "## What else happened?\n\nRecent deployments, logs, dependencies. Expected: a hint of the cause.",
        'recent = "no deployment in the last hour"  # look it up\nprint(recent)',
        {"effects": "read", "when": REAL},
    ),
    (
        "step:decide",
        "## Decide\n\nThe safest choice comes first.",
        'choice = ask(f"{len(stuck)} of {service} are stuck; {recent}. What now?", options=["leave it", "restart"])',
        {"when": REAL},
    ),
    (
        "step:plan",
        "## Plan\n\nExactly what will be touched. What is read here is read again before it is changed, if that takes long.",
        'chosen = targets(list_instances, where=lambda i: i["state"] == "stuck", name="stuck instances", max_age="15 min")\nchosen.labels',
        {"effects": "read", "when": GO_ON},
    ),
    (
        "step:gate",
        "## Gate\n\nTarget and number are named. No answer is no consent.",
        'confirm(f"restart {len(chosen)} of {chosen.total} of {service}?", target=chosen.labels, count=len(chosen))',
        {"when": GO_ON},
    ),
    (
        "step:act",
        "## Act\n\nOne change after the other; no more than the caps allow. Expected: `restarted` for each.",
        _ACT,
        {"max_targets": 1, "when": GO_ON},
    ),
    (
        "step:verify",
        "## Verify\n\nExpected: none is stuck any more.",
        'left = [name for name, value in state.items() if value == "stuck"]\nassert not left, f"still stuck: {left}"',
        {"effects": "read", "when": GO_ON},
    ),
    (
        "teardown:act",
        "## Roll back\n\nOffered after a failure: `holdfast rollback EXECUTION`.",
        'for instance in chosen:\n    take_back(instance["name"])',
        {},
    ),
    (
        "step:report",
        "## Close\n\nWhat came of it, for the ticket and for whoever is next.",
        'print(f"{service}: {len(stuck)} stuck;", choice if real else "a false positive, nothing was changed")',
        {"effects": "read"},
    ),
]


def scaffold(title: str, *, owner: str, reviewed: str) -> dict[str, Any]:
    """The notebook as nbformat has it.

    Args:
        title: of the runbook.
        owner: who answers for it.
        reviewed: today, ISO 8601.
    """
    cells = [
        _cell("header", "markdown", _HEADER.format(title=title)),
        _cell("parameters", "code", _PARAMETERS, tags=["parameters"]),
        _cell("setup", "code", _SETUP, tags=["setup"]),
    ]
    for tag, prose, source, policy in _CELLS:
        name = tag.replace(":", "-").removeprefix("step-")
        cells.append(_cell(f"{name}-text", "markdown", prose))
        cells.append(_cell(name, "code", source, tags=[tag], policy=policy))
    about = {
        "title": title,
        "owner": owner,
        "escalation": "who is called when this does not help",
        "severity": "high",
        "impact": "what stops working",
        "never": "what makes it worse",
        "minutes": 10,
        "reviewed": reviewed,
        "version": "0.1",
        "concurrency": {"key": "service/{service}", "overlap": "queue"},
        "limits": {"max_effects": 10, "executions_per_hour": 3, "cooldown": "10 min"},
        "parameters": {"service": {"pattern": "^[\\w-]+$"}},
    }
    kernel = {"name": "holdfast", "display_name": "Holdfast", "language": "python"}
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}, "holdfast": about},
        "cells": cells,
    }


def _cell(id: str, kind: str, source: str, *, tags: list[str] | None = None, policy: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if policy:
        metadata["holdfast"] = policy
    cell: dict[str, Any] = {"cell_type": kind, "id": id, "metadata": metadata, "source": source}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
