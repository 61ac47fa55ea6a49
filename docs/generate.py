"""Makes the reference pages that have a source in the code: ``make docs``. Tests compare the pages with what this would write."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import holdfast
from holdfast.config import PREFIX, SETTINGS
from holdfast.errors import CODES
from holdfast.notebook.line_commands import families, family_of, parameters, word_of

DOCS = Path(__file__).parent
WIDTH = 100
WHO = {
    "1": "The runbook must change (its author acts)",
    "2": "The installation must change (its operator acts)",
    "3": "The outside said no",
    "4": "A person said no, or nothing",
    "5": "The journal could not be reached or written (trying again is safe)",
    "6": "No such thing",
    "7": "Whoever asks must ask otherwise (sign in, be allowed, mend the request)",
    "8": "A guardrail said no (wait, ask a person, or break the glass)",
    "9": "Stopped by the author",
}


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    made = {
        DOCS / "reference" / "configuration.md": _between_marks(DOCS / "reference" / "configuration.md", settings_table()),
        DOCS / "reference" / "errors" / "README.md": errors_index(),
        DOCS / "reference" / "python.md": python_reference(),
        DOCS / "reference" / "line-commands.md": line_commands(),
    }
    api = rest_reference()
    if api is not None:
        made[DOCS / "reference" / "rest-api.md"] = api
    cli = command()
    if cli is not None:
        made[DOCS / "reference" / "cli.md"] = cli_reference(cli)
    return made


def settings_table() -> str:
    """The settings as a list: name, variable, type, default, meaning."""
    parts = []
    for name, setting in SETTINGS.items():
        parts.append(f"### `{name}`\n\n{setting.meaning}\n\n- Type: {setting.type}\n- Default: {setting.default}\n")
        parts.append(f"- Variable: `{PREFIX}{name.upper()}`\n\n")
    return "".join(parts).rstrip() + "\n"


def errors_index() -> str:
    """All codes by who must act."""
    text = "# Error codes\n\nThe hundreds digit says who must act. `holdfast` prints *what happened — where — what to do*.\n"
    for digit, who in WHO.items():
        codes = sorted(code for code in CODES if code[2] == digit)
        if codes:
            text += f"\n## HF{digit}xx: {who}\n\n" + "".join(f"- [{code}]({code}.md): {CODES[code]}\n" for code in codes)
    return text


def line_commands() -> str:
    """The one-line commands of the integrations that come with Holdfast."""
    text = "# One-line commands\n\nWhat a word in such a line means: [how-to](../how-to/one-line-commands.md). "
    text += "`[--x]` may be given by place as well.\n"
    for name in families():
        of = family_of(name)
        text += f"\n## `!{word_of(name)}`\n\n{of.about}.\n\n| command | does | options |\n|---|---|---|\n"
        for command in of.commands.values():
            effect = "destroys" if command.destructive else str(command.effect)
            options = " ".join(f"`{_option(p)}`" for p in parameters(command).values())
            text += f"| `{command.name}` | {effect}: {command.about.rstrip('.').replace('``', '`')} | {options} |\n"
    return text


def _option(parameter: inspect.Parameter) -> str:
    name = f"{parameter.name.upper()}…" if parameter.kind == parameter.VAR_POSITIONAL else f"--{parameter.name.replace('_', '-')}"
    return name if parameter.kind == parameter.KEYWORD_ONLY else f"[{name}]"


def rest_reference() -> str | None:
    """The REST API from its OpenAPI document; None where the gateway is not installed."""
    try:
        from fastapi import FastAPI

        from holdfast.gateway.app import ROUTERS, document
    except ImportError:
        return None
    app = FastAPI(title="Holdfast")
    for prefix, router in ROUTERS:
        app.include_router(router, prefix=prefix)
    text = (
        "# REST API\n\nMade from the OpenAPI document (`/api/v1/openapi.json` of a running gateway) by `make docs`.\n"
        "Errors are RFC 9457 problem "
        "documents with our `code`, `where` and `cure`. [Serve the inbox and the API](../how-to/serve.md) tells how to sign in.\n"
    )
    for path, operations in document(app)["paths"].items():
        for method, operation in operations.items():
            text += f"\n## `{method.upper()} {path}`\n\n{operation.get('description', '')}\n"
            for one in operation.get("parameters", ()):
                about = one.get("description", "") or one["schema"].get("description", "")
                text += f"\n- `{one['name']}` ({one['in']}{', required' if one.get('required') else ''})" + (f": {about}" if about else "")
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            named = [part["$ref"] for part in (body, *body.get("anyOf", ())) if "$ref" in part]
            for name in named:
                schema = document(app)["components"]["schemas"][name.rpartition("/")[2]]
                fields = [f"`{n}`" + (" (required)" if n in schema.get("required", ()) else "") for n in schema["properties"]]
                text += f"\n- body: {', '.join(fields)}"
            statuses = ", ".join(sorted(operation["responses"]))
            text += f"\n\nAnswers: {statuses}.\n"
    return text.replace("\n\n\n", "\n\n")


def python_reference() -> str:
    """The public names of ``holdfast``: signature and docstring."""
    text = "# In a cell\n\nThe public names of `holdfast`, made from the code by `make docs`. Everything else may change without notice.\n"
    for name in sorted(holdfast.__all__, key=str.lower):
        thing = getattr(holdfast, name)
        text += f"\n## `{name}`\n\n```python\n{_signature(name, thing)}\n```\n\n```text\n{inspect.getdoc(thing)}\n```\n"
    return text


def _signature(name: str, thing: Any) -> str:
    if isinstance(thing, type) and issubclass(thing, Exception):
        return f"class {name}({thing.__bases__[0].__name__})"
    signature = inspect.signature(thing)
    parameters, star = [], False
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not star:
            parameters.append("*")
            star = True
        shown = one.name if one.annotation is one.empty else f"{one.name}: {_type(one.annotation)}"
        parameters.append(shown if one.default is one.empty else f"{shown} = {_value(one.default)}")
        if one.kind is one.POSITIONAL_ONLY:
            parameters.append("/")
    result = (
        "" if isinstance(thing, type) or signature.return_annotation is signature.empty else f" -> {_type(signature.return_annotation)}"
    )
    lead = f"class {name}" if isinstance(thing, type) else name
    line = f"{lead}({', '.join(parameters)}){result}"
    return line if len(line) <= WIDTH else f"{lead}(\n" + "".join(f"    {p},\n" for p in parameters) + f"){result}"


def _type(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _value(default: Any) -> str:
    if type(default) is object:  # a mark that nothing was given; its text holds an address
        return "..."
    if isinstance(default, enum.Enum):
        return repr(default.value)
    return default.__name__ if isinstance(default, type) else repr(default)


def command() -> Any:
    """The click group of the command line; None where it is not there yet."""
    try:
        return importlib.import_module("holdfast.cli.main").cli
    except ModuleNotFoundError as e:
        if e.name and e.name.startswith("holdfast.cli"):
            return None
        raise


def cli_reference(cli: Any) -> str:
    """Every command's own help text, as a person sees it."""
    text = "# Command line\n\nMade from the commands themselves by `make docs`.\n"
    for context in _contexts(cli, "holdfast", None):
        help_text = re.sub(r"\x1b\[[0-9;]*m", "", inspect.cleandoc(context.command.get_help(context))).rstrip()
        text += f"\n## `{context.command_path}`\n\n```text\n{help_text}\n```\n"
    return text


def _contexts(command: Any, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """A context for the command and for each one below it, with the width of the page."""
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    yield context
    for below, one in commands(command).items():
        yield from _contexts(one, below, context)


def commands(group: Any) -> dict[str, Any]:
    """The commands of a group that are shown to people; none for a command."""
    if not hasattr(group, "list_commands"):
        return {}
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    return {name: one for name, one in found.items() if one is not None and not one.hidden}


def _between_marks(page: Path, text: str) -> str:
    start, end = "<!-- made by docs/generate.py: begin -->\n", "<!-- made by docs/generate.py: end -->"
    before, found, rest = page.read_text().partition(start)
    if not found or end not in rest:
        raise SystemExit(f"{page} has lost its marks")
    return f"{before}{start}\n{text}\n{end}{rest.partition(end)[2]}"


def main() -> int:
    """Write the pages; tell which changed."""
    for page, text in pages().items():
        if not page.exists() or page.read_text() != text:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
            print(f"wrote {page.relative_to(DOCS.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
