"""``holdfast``: durable runbooks from the command line."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from holdfast.cli.desk import BAD_INPUT, HELD, INTERNAL, Desk, desk_of
from holdfast.notebook.grammars import skip_grammars

#: Command -> where it is. A command's module is imported when it is used (or listed).
_COMMANDS = {
    "run": "holdfast.cli.run:run",
    "resume": "holdfast.cli.run:resume",
    "launch": "holdfast.cli.launch:launch",
    "list": "holdfast.cli.look:list_executions",
    "show": "holdfast.cli.look:show",
    "rerun": "holdfast.cli.run:rerun",
    "rollback": "holdfast.cli.run:rollback",
    "cancel": "holdfast.cli.ask:cancel",
    "pause": "holdfast.cli.ask:pause",
    "prompts": "holdfast.cli.look:prompts",
    "answer": "holdfast.cli.ask:answer",
    "handover": "holdfast.cli.handover:handover",
    "report": "holdfast.cli.handover:report",
    "plan": "holdfast.cli.dry_run:plan",
    "effects": "holdfast.cli.effects:effects",
    "break-glass": "holdfast.cli.glass:break_glass",
    "events": "holdfast.cli.events:events",
    "rules": "holdfast.cli.rules:rules",
    "channels": "holdfast.cli.channels:channels",
    "signal": "holdfast.cli.worker:signal",
    "worker": "holdfast.cli.worker:worker",
    "new": "holdfast.cli.new:new",
    "import": "holdfast.cli.importing:import_runbook",
    "check": "holdfast.cli.notebooks:check",
    "graph": "holdfast.cli.notebooks:graph",
    "export": "holdfast.cli.export:export",
    "shell": "holdfast.cli.shell:shell",
    "serve": "holdfast.cli.serve:serve",
    "token": "holdfast.cli.serve:token",
    "audit": "holdfast.cli.serve:audit",
    "up": "holdfast.cli.up:up",
    "doctor": "holdfast.cli.doctor:doctor",
}


class Commands(click.Group):
    """A group that knows its commands by name and imports them when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of daily use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        found: click.Command = getattr(importlib.import_module(module), name)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest name when there is none of that name."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            raise click.UsageError(f"There is no command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""), ctx)
        return super().resolve_command(ctx, args)


def _version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"holdfast {version('holdfast')}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version and end.")
@click.option("--journal", metavar="URL", help="The journal: sqlite:///PATH or postgresql://USER@HOST/DATABASE.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout; everything else goes to stderr.")
@click.pass_context
def cli(context: click.Context, journal: str | None, as_json: bool) -> None:
    """Run notebooks durably: kill them anywhere, resume them anywhere, do nothing twice.

    Exit codes: 0 succeeded, 1 failed, 2 bad input, 3 suspended, 4 cancelled, 5 another worker has the execution.
    """
    desk = desk_of(context)
    desk.journal, desk.as_json = journal, as_json or desk.as_json


def main(arguments: list[str] | None = None) -> None:
    """The console script: runs :data:`cli` and turns errors into one line (or one document) and an exit code."""
    skip_grammars()
    typed = sys.argv[1:] if arguments is None else arguments
    desk = Desk(as_json="--json" in typed)
    try:
        context = cli.make_context("holdfast", list(typed))
        with context:
            desk = desk_of(context)
            desk.as_json = "--json" in typed
            try:
                cli.invoke(context)
            finally:
                desk.close()
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        raise SystemExit(BAD_INPUT) from None
    except click.ClickException as error:
        _refuse(desk, error)
    except (click.Abort, KeyboardInterrupt):
        desk.note("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:  # `holdfast list | head`
        sys.stderr.close()
        raise SystemExit(0) from None
    except BaseException as error:
        _explain(desk, error)
        raise


def _refuse(desk: Desk, error: click.ClickException) -> None:
    """A usage error: one line, with where to read more."""
    from holdfast.cli.desk import bad_input

    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "holdfast"
    desk.fail(bad_input(" ".join(error.format_message().split()).rstrip("."), f"See: {path} --help"))


def _explain(desk: Desk, error: BaseException) -> None:
    """End with a line and a code when ``error`` is one of ours; else come back."""
    from holdfast.errors import Fenced, HoldfastError, OperatorError

    if isinstance(error, Fenced):
        lost: Any = OperatorError("HF250", error.reason, cure="That worker goes on with it; look with: holdfast show", **error.details)
        desk.fail(lost, HELD)
    if isinstance(error, HoldfastError):
        desk.fail(error, HELD if error.code == "HF250" else BAD_INPUT)
    if isinstance(error, Exception):
        import traceback

        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        desk.fail(OperatorError("HF258", what, cure="Nothing recorded is lost: resume. Please report the lines above."), INTERNAL)
