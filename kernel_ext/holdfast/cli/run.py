"""``run``, ``resume``, ``rerun``: the commands that work on an execution."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import BAD_INPUT, CANCELLED, FAILED, SUCCEEDED, SUSPENDED, Desk, bad_input, command

if TYPE_CHECKING:
    from holdfast.cli.progress import Progress
    from holdfast.engine.watcher import Result


def progress_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--follow`` and ``--quiet``."""
    function = click.option("--quiet", "-q", is_flag=True, help="No progress, only the end.")(function)
    return click.option("--follow", is_flag=True, help="Also show what the cells print.")(function)


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("-p", "--parameter", "typed", nargs=2, multiple=True, metavar="NAME VALUE", help="A parameter; may be given several times.")
@click.option("-f", "--parameters-file", "file", type=click.Path(path_type=Path), help="Parameters from a YAML or JSON file; -p wins.")
@click.option("--id", help="The execution's id. When it is there already, with this notebook and these parameters, it is continued.")
@click.option("--output", "-o", help="Where the output notebook goes: a path, or s3://, gs://, abs:// ... as papermill writes them.")
@click.option("--dry-run", is_flag=True, help="Run what only reads and list the changes it would make, and what guardrails would refuse.")
@click.option("--unattended", is_flag=True, help="With --dry-run: as if a rule, a schedule or a sensor started it.")
@progress_options
@command
def run(
    desk: Desk,
    notebook: Path,
    typed: tuple[tuple[str, str], ...],
    file: Path | None,
    id: str | None,
    output: str | None,
    dry_run: bool,
    unattended: bool,
    follow: bool,
    quiet: bool,
) -> None:
    """Run NOTEBOOK durably, from its first cell to its end."""
    from holdfast.executions.start import check_id, prepare, start

    if id is not None:
        check_id(id)
    text: dict[str, str] = {}
    for name, value in typed:
        if name in text:
            raise bad_input(f"the parameter {name!r} is given twice", "Give it once.")
        text[name] = value
    given = _parameters_file(file) if file else {}
    prepared = prepare(notebook, parameters=given, text=text, output=_absolute(output))
    if dry_run:
        from holdfast.cli.dry_run import dry_run as dry

        dry(desk, prepared, attended=not (unattended or desk.config.unattended))
        return
    execution, new = start(desk.store(create=True), desk.config, prepared, id=id)
    if not new:
        desk.note(f"execution {execution.id} is there already ({execution.status}); it is continued")
    work(desk, execution.id, output=prepared.output, follow=follow, quiet=quiet)


@click.command()
@click.argument("id")
@click.option(
    "--accept-changes", is_flag=True, help="Take the notebook file's text as it is now; edited steps, and what reads from them, run again."
)
@click.option("--output", "-o", help="Another place for the output notebook.")
@progress_options
@command
def resume(desk: Desk, id: str, accept_changes: bool, output: str | None, follow: bool, quiet: bool) -> None:
    """Continue the execution ID where it stands. Completed steps are not run again."""
    from holdfast.executions.find import find

    header = find(desk.store(), id)
    work(desk, header.id, output=_absolute(output), follow=follow, quiet=quiet, changes=accept_changes)


@click.command()
@click.argument("id")
@click.option("--from", "step", required=True, metavar="STEP", help="The first step to run again.")
@click.option("--id", "new_id", metavar="NEW", help="The id of the new execution.")
@click.option("--output", "-o", help="Where the new output notebook goes.")
@progress_options
@command
def rerun(desk: Desk, id: str, step: str, new_id: str | None, output: str | None, follow: bool, quiet: bool) -> None:
    """Run the execution ID again from STEP on, as a new execution: what came before STEP is taken over, not repeated."""
    from holdfast.executions.find import find
    from holdfast.executions.fork import fork

    store = desk.store()
    forked = fork(store, desk.config, find(store, id), step, id=new_id, output=_absolute(output))
    desk.note(f"execution {forked.id}, forked from {id} at step {step}")
    work(desk, forked.id, follow=follow, quiet=quiet)


@click.command()
@click.argument("id")
@click.argument("steps", nargs=-1)
@click.option("--why", default="", help="The reason, for the record.")
@progress_options
@command
def rollback(desk: Desk, id: str, steps: tuple[str, ...], why: str, follow: bool, quiet: bool) -> None:
    """Undo the failed execution ID by its teardown STEPS: all that belong to a step which has begun, the last one first, unless some are
    named."""
    from holdfast.client.acting import acting
    from holdfast.executions.history import history, to_undo
    from holdfast.executions.undoing import ask_rollback

    client = desk.client()
    header = client.get(id)
    with acting(client, header, "rollback", via="cli", how="login", detail=why):
        names = ask_rollback(client.store, header, steps, who=client.config.user, why=why)
    undoes = to_undo(history(desk.store(), header), names)
    for name in names:
        desk.note(f"{name} is there to undo: {'; '.join(undoes[name]) or 'nothing that is on record'}")
    work(desk, header.id, follow=follow, quiet=quiet)


def work(desk: Desk, id: str, *, output: str | None = None, follow: bool = False, quiet: bool = False, changes: bool = False) -> None:
    """Drive an execution with progress on the terminal, and end with its exit code."""
    from holdfast.cli.progress import progress
    from holdfast.engine.execute import execute
    from holdfast.engine.stage import Options

    watcher = progress(desk, follow=follow, quiet=quiet)
    questions = _questions(desk, id, watcher, quiet)
    with watcher, questions:
        result = execute(
            desk.store(), desk.config, id, options=Options(output=output), watchers=[watcher], changes=changes, reins=signals(desk)
        )
    report(desk, result)


def _questions(desk: Desk, id: str, watcher: Progress, quiet: bool) -> AbstractContextManager[None]:
    """Ask whoever sits at the terminal: what is open already at once, the rest as it comes."""
    from holdfast.cli.terminal import TerminalQuestions, attended

    if not attended(desk, quiet):
        return nullcontext()
    questions = TerminalQuestions(desk, id, watcher.hush)
    with suppress(KeyboardInterrupt):  # left open: the execution stays as it is
        questions.ask_all()
    return questions.running()


def signals(desk: Desk) -> Any:
    """Ctrl-C pauses politely, a second one at once; SIGTERM and SIGHUP suspend at once, for another worker to take over."""
    from holdfast.executions.requests import Asked

    def reins(ask: Callable[[Asked], None]) -> None:
        pressed = 0

        def interrupt(number: int, frame: Any) -> None:
            nonlocal pressed
            pressed += 1
            ask(Asked(what="pause", who=desk.config.user, why="Ctrl-C", at_once=pressed > 1))
            if pressed == 1:
                desk.note("pausing after the running cell; Ctrl-C again stops it at once (nothing that is recorded is lost)")

        def terminate(number: int, frame: Any) -> None:
            why = f"the worker was told to end ({signal.Signals(number).name})"
            ask(Asked(what="pause", who=desk.config.user, why=why, at_once=True, stays=False))

        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, terminate)
        signal.signal(signal.SIGHUP, terminate)

    return reins


def report(desk: Desk, result: Result) -> None:
    """Say how it ended, what to do next, and end the command with the matching code."""
    from holdfast.cli.documents import prompt_document, result_document
    from holdfast.cli.texts import result_lines

    prompts = []
    if result.prompts:
        from holdfast.prompts.listing import list_prompts

        prompts = [p for p in list_prompts(desk.store(), execution=result.execution) if p.id in result.prompts]
    if desk.as_json:
        desk.document(result_document(result, [prompt_document(p) for p in prompts]))
    else:
        for line in result_lines(result, prompts):
            desk.out.print(line)
    desk.end(
        SUCCEEDED
        if result.undone
        else {"succeeded": SUCCEEDED, "failed": FAILED, "suspended": SUSPENDED, "paused": SUSPENDED, "cancelled": CANCELLED}.get(
            result.status, BAD_INPUT
        )
    )


def _absolute(place: str | None) -> str | None:
    return place if place is None or "://" in place else str(Path(place).expanduser().absolute())


def _parameters_file(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise bad_input("there is no such parameters file", "Check the path given with -f.", file=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise bad_input(f"the parameters file cannot be read: {error}", "Make it a readable UTF-8 text.", file=str(path)) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "it cannot be parsed"
        line = mark.line + 1 if mark is not None else None
        raise bad_input(f"the parameters file is not YAML: {what}", "Mend it there.", file=str(path), line=line) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(k, str) for k in content):
        raise bad_input("the parameters file is not a mapping of names to values", "Write one `name: value` per line.", file=str(path))
    return content
