"""``%holdfast``: looking at the execution of this kernel and steering it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError, LookupFailedError, OperatorError
from holdfast.foundation import clock
from holdfast.kernel import tables
from holdfast.kernel.notices import Bundle, bundled, notice

if TYPE_CHECKING:
    from holdfast.kernel.desk import Desk
    from holdfast.kernel.holding import Holding
    from holdfast.kernel.session import Session

#: subcommand -> (arguments, what it does); the order is that of `%holdfast help`.
COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("", "the execution of this kernel and its steps"),
    "calls": ("[STEP]", "what was asked of the outside, and what came of it"),
    "checkpoint": ("", "what is kept of each cell, and how faithfully it can be restored"),
    "plan": ("[NAME=VALUE ...]", "what a run of the saved notebook would change, and which guardrails would refuse it; changes nothing"),
    "prompts": ("", "questions that wait for an answer"),
    "answer": ("ID VERDICT [--value JSON] [--why TEXT]", "answer one; then run the waiting cell again"),
    "break-glass": ("--why TEXT [--guardrail NAME] [--for TIME]", "set guardrails aside for this execution"),
    "rerun": ("STEP", "forget the step's records, its calls too: run its cells to make everything anew"),
    "new": ("", "leave this execution and begin another"),
    "resume": ("ID", "leave this execution and go on with another"),
    "handover": (
        "[ID] [--to WHO] [--note TEXT] [--accept | --decline | --withdraw] [--why TEXT]",
        "what somebody who takes it over must know; offer it, take it over, say no, take the offer back",
    ),
    "help": ("", "this list"),
}


def run(desk: Desk, line: str) -> Bundle:
    """Carry a line out; what goes wrong is said, not raised."""
    try:
        words = shlex.split(line)
        name, arguments = (words[0], words[1:]) if words else ("status", [])
        if name not in COMMANDS:
            raise _usage(f"there is no %holdfast {name}")
        if arguments and not COMMANDS[name][0]:  # `%holdfast new --help` must not empty the namespace
            raise _usage(f"%holdfast {name} takes no arguments")
        if not desk.durable and name != "help":
            return notice(
                "Holdfast is switched off: this is a plain kernel",
                ["Set HOLDFAST_DURABLE=on and restart the kernel to have cells recorded."],
            )
        action: Callable[[Session, list[str]], Bundle] = globals()[f"_{name.replace('-', '_')}"]
        with desk.session.recorder.passthrough():
            return action(desk.session, arguments)
    except ValueError as error:
        return notice(f"%holdfast {line}: {error}", ["Close the quotation mark."], tone="stop")
    except HoldfastError as error:
        place = ", ".join(f"{k} {v}" for k, v in error.where.items())
        return notice(f"{error.code}: {error.what}", [place, error.cure], tone="stop")


def complete(desk: Desk | None, line: str) -> list[str]:
    """What may come next in ``line``, which begins with the magic's name."""
    words = line.split()
    word = "" if line.endswith(" ") or not words else words[-1]
    before = words[1:] if word == "" else words[1:-1]
    if not before:
        return [c for c in COMMANDS if c.startswith(word)]
    session = desk.session if desk is not None else None
    if session is None or session.holding is None:
        return []
    choices: list[str] = []
    if before[0] in ("rerun", "calls") and len(before) == 1:
        choices = tables.step_names(session)
    elif before[0] == "answer":
        choices = tables.answers(session, before[1:])
    elif before[0] in ("resume", "handover") and len(before) == 1:
        choices = tables.resumable(session)
    return [c for c in choices if c.startswith(word)]


def _usage(what: str) -> OperatorError:
    return OperatorError("HF242", what, cure="`%holdfast help` lists what there is.")


def _one(arguments: list[str], name: str) -> str:
    if len(arguments) != 1:
        raise _usage(f"%holdfast {name} takes {COMMANDS[name][0]}")
    return arguments[0]


def _help(session: Session, arguments: list[str]) -> Bundle:
    return tables.table(["command", "what it does"], [[f"%holdfast {n} {a}".rstrip(), w] for n, (a, w) in COMMANDS.items()])


def _status(session: Session, arguments: list[str]) -> Bundle:
    return tables.status(session)


def _calls(session: Session, arguments: list[str]) -> Bundle:
    step = _one(arguments, "calls") if arguments else None
    if step is not None:
        _must_be_known(session, step, [s.name for s in session.place.manifest.steps] if session.place.manifest else [])
    return tables.calls(session, step)


def _checkpoint(session: Session, arguments: list[str]) -> Bundle:
    return tables.checkpoint(session)


def _plan(session: Session, arguments: list[str]) -> Bundle:
    from holdfast.client.planning import plan_lines, plan_table, planned

    if session.place.path is None:
        raise _usage("%holdfast plan needs a notebook that is saved in a file")
    typed: list[str] = []
    for word in arguments:
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise _usage(f"%holdfast plan takes {COMMANDS['plan'][0]}")
        typed += ["-p", name, value]
    found = planned(session.config, ["run", session.place.path, "--dry-run", *typed])
    told = tables.table(*plan_table(found), title="Would change", empty="It would change nothing.")
    lines = plan_lines(found)
    return bundled([notice(lines[0], lines[1:], tone="wait" if found["refused"] or found["stopped"] else "info"), told]) if lines else told


def _prompts(session: Session, arguments: list[str]) -> Bundle:
    return tables.prompts(session)


def _answer(session: Session, arguments: list[str]) -> Bundle:
    from holdfast.prompts.answering import answer

    words, options = _options(arguments, ("value", "why"))
    if len(words) != 2:
        raise _usage(f"%holdfast answer takes {COMMANDS['answer'][0]}")
    value: Any = None
    if "value" in options:
        try:
            value = json.loads(options["value"])
        except ValueError:
            raise _usage(f"--value is no JSON: {options['value']}") from None
    prompt = answer(session.store, words[0], words[1], value=value, who=session.config.user, via="notebook", why=options.get("why"))
    where = f" of step {prompt.step}" if prompt.step else ""
    return notice(f"Answered: {words[1]}", [f"Run the waiting cell{where} again; it goes on from there."])


def _break_glass(session: Session, arguments: list[str]) -> Bundle:
    from holdfast.client import Client
    from holdfast.client.glass import break_glass

    words, options = _options(arguments, ("why", "guardrail", "for"))
    if words or "why" not in options:
        raise _usage(f"%holdfast break-glass takes {COMMANDS['break-glass'][0]}")
    named = [options["guardrail"]] if "guardrail" in options else []
    held = session.ready()
    client = Client(session.store, session.config)
    glass = break_glass(
        client, held.header.id, why=options["why"], guardrails=named, length=options.get("for"), via="notebook", how="login"
    )
    return notice(f"Set aside until {clock.iso(glass.until)}: {', '.join(glass.guardrails)}", ["Run the refused cell again."])


def _handover(session: Session, arguments: list[str]) -> Bundle:
    from holdfast.kernel import handing

    words, options = _options(arguments, ("to", "note", "why"), ("accept", "decline", "withdraw"))
    hows = [name for name in ("accept", "decline", "withdraw") if name in options]
    if (
        len(words) > 1
        or len(hows) + ("to" in options) > 1
        or ("note" in options and "to" not in options)
        or ("why" in options and not hows)
    ):
        raise _usage(f"%holdfast handover takes {COMMANDS['handover'][0]}")
    id = tables.find_execution(session.store, words[0]) if words else (session.holding or session.ready()).header.id
    if "to" in options:
        return handing.offered(session, id, [name for name in options["to"].split(",") if name.strip()], options.get("note", ""))
    return handing.ended(session, id, hows[0], options.get("why")) if hows else handing.shown(session, id)


def _options(arguments: list[str], known: tuple[str, ...], flags: tuple[str, ...] = ()) -> tuple[list[str], dict[str, str]]:
    """Words, and options with their values; a flag's value is empty."""
    words: list[str] = []
    options: dict[str, str] = {}
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            words.append(word)
        elif name in flags and not equals:
            options[name] = ""
        elif name not in known:
            raise _usage(f"there is no option --{name}")
        else:
            given = value if equals else next(rest, None)
            if given is None:
                raise _usage(f"--{name} needs a value")
            options[name] = given
    return words, options


def _must_be_known(session: Session, step: str, others: Sequence[str] = ()) -> Holding:
    """The execution, when something is recorded in it of ``step`` or it is one of ``others``.

    Raises:
        LookupFailedError: HF603, neither.
    """
    held = session.ready()
    session.book.refresh()
    book = session.book
    if step not in others and not book.of_step(step) and not book.failures(step) and book.skipped(step) is None:
        known = ", ".join(tables.step_names(session)) or "none yet"
        raise LookupFailedError(
            "HF603", f"nothing is recorded of a step {step!r}", cure=f"Recorded steps: {known}.", execution=held.header.id
        )
    return held


def _rerun(session: Session, arguments: list[str]) -> Bundle:
    from holdfast.model.entry import Kind

    step = _one(arguments, "rerun")
    held = _must_be_known(session, step)
    held.writer.append(Kind.STEP_RESET, {"why": "%holdfast rerun", "who": held.writer.actor}, step=step)
    session.book.refresh()
    return notice(
        f"The records of step {step} no longer count",
        ["Run its cells to make everything in it anew, its calls to the outside included. Steps that read from it run again after it."],
    )


def _new(session: Session, arguments: list[str]) -> Bundle:
    held = session.begin_anew()
    return notice(
        f"New execution {held.header.id}",
        ["Nothing is recorded in it yet, and the namespace is empty: run the cells from the top."],
    )


def _resume(session: Session, arguments: list[str]) -> Bundle:
    held = session.resume(tables.find_execution(session.store, _one(arguments, "resume")))
    session.notices.clear()
    done, total = session.progress()
    of = f" of {total}" if total else ""
    return notice(
        f"Execution {held.header.id} of {held.header.runbook}", [f"{done}{of} steps recorded. Run the cells: these are not run again."]
    )
