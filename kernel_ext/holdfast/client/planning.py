"""The plan of effects that a dry run gives: gathered by a process of its own, and told for people."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from holdfast.config import Config
from holdfast.errors import OperatorError

#: Seconds a dry run may take where somebody waits for its page.
PATIENCE = 300.0


def planned(config: Config, words: Sequence[str], *, given: str = "", patience: float = PATIENCE) -> dict[str, Any]:
    """Have the command line make the dry run: it has a kernel, a working directory and a journal of its own, and takes none of ours.

    Args:
        words: of the command, such as ``["plan", ID]``.
        given: its standard input.
        patience: seconds.

    Returns:
        the plan as ``holdfast run --dry-run --json`` prints it.

    Raises:
        OperatorError: HF285, it could not be made.
    """
    settings = msgspec.structs.replace(config, execution=None, fence=None)  # ours, where this is a kernel of an engine
    command = [sys.executable, "-m", "holdfast", words[0], "--json", *words[1:]]
    try:
        done = subprocess.run(
            command,
            check=False,
            input=given.encode(),
            capture_output=True,
            env=settings.process_environment(),
            timeout=patience,
            start_new_session=True,
        )
        document = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise _not_made(f"it took more than {patience:g} s") from None
    except (OSError, ValueError) as error:
        raise _not_made(str(error)) from None
    if not isinstance(document, dict) or "writes" not in document:
        told = document.get("error", {}) if isinstance(document, dict) else {}
        raise _not_made(f"{told.get('code', '')} {told.get('what', 'it gave no plan')}".strip(), str(told.get("cure") or ""))
    return document


def plan_table(plan: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: each change in its order, and what would keep it back."""
    rows = [
        [
            one["step"],
            "destructive" if one.get("destructive") else one["effect"],
            f"{one['kind']}: {one['operation']}",
            one["target"] if one.get("target") and one["target"] not in one["operation"] else "",
            ", ".join(f"{name}={value!r}" for name, value in (one.get("arguments") or {}).items()),
            "; ".join(f"{refusal['guardrail']}: {refusal['why']}" for refusal in one.get("refused", ())),
            one.get("said", ""),
        ]
        for one in plan["writes"]
    ]
    return ["step", "effect", "change", "target", "arguments", "would be refused", "the outside says"], rows


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """What stands beside the table: the questions, and how far the plan goes."""
    lines = []
    for one in plan["questions"]:
        about = ", ".join(f"{k}: {v}" for k, v in one["arguments"].items() if k != "assumed")
        told = f" ({about})" if about else ""
        lines.append(f"would ask in step {one['step']}: {one['operation']}{told}; assumed: {one['arguments']['assumed']!r}")
    if plan["refused"]:
        many = len(plan["writes"])
        lines.append(f"guardrails would refuse {plan['refused']} of {many} change{'s' if many != 1 else ''}, as things stand now")
    if plan["stopped"] is not None:
        lines.append(f"the dry run could not go on: {plan['stopped']}")
        lines.append("  a cell may need the result of a change that was not made; what comes after it is not listed")
    return lines


def _not_made(what: str, cure: str = "") -> OperatorError:
    return OperatorError("HF285", f"the dry run could not be made: {what}", cure=cure or "Run it by hand: holdfast run --dry-run NOTEBOOK")
