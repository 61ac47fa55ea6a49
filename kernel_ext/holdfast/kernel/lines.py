"""What an author calls in one line: ``%confirm``, ``%wait``, and ``!ec2 list-volumes``, which is ``%hf ec2 list-volumes``."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from holdfast.notebook.line_forms import teach

if TYPE_CHECKING:
    from holdfast.durable.line_commands import Variables

_LINE = re.compile(r"(?:.*=)?\s*(?:!|%hf\s+)\s*(?:hf\s+)?(.*)$")


def register_lines(shell: Any) -> None:
    """Teach a shell of IPython's the one-line commands and the two questions of time and consent."""

    from IPython.core.magic import needs_local_scope, no_var_expand

    def confirm(line: str, local_ns: Mapping[str, Any]) -> object:
        """Ask a person: `%confirm Delete 3 volumes?`. A no ends the execution, unless the value is used: `ok = %confirm ...`."""
        from holdfast.durable.asking import confirm as ask

        __tracebackhide__ = True
        alone = _alone(line, _variables(shell, local_ns))
        return ask(str(alone) if alone is not None else shell.var_expand(line, 2))

    def wait(line: str, local_ns: Mapping[str, Any]) -> Any:
        """Wait durably: `%wait 30`, `%wait 3 days`, `%wait 2026-03-01T09:00Z`, `%wait period`."""
        from holdfast.durable.timers import wait

        __tracebackhide__ = True
        alone = _alone(line, _variables(shell, local_ns))
        return wait(alone if alone is not None else shell.var_expand(line, 2).strip())

    def hf(line: str, local_ns: Mapping[str, Any]) -> Any:
        """Call an integration: `%hf ec2 list-volumes --state available`, which is `!ec2 list-volumes --state available`."""
        from IPython.display import display

        from holdfast.durable.discarded import discarded
        from holdfast.durable.line_commands import run

        __tracebackhide__ = True
        value = run(line, _variables(shell, local_ns))
        if value is None or not discarded(shown=True):
            return value
        display(value)  # type: ignore[no-untyped-call]  # as a command's output is shown, in the middle of a cell as well
        return None

    for function in (confirm, wait, hf):
        shell.register_magic_function(no_var_expand(needs_local_scope(function)), "line", function.__name__)
    teach(shell.input_transformer_manager)
    shell.ast_transformers.insert(0, Capturing())
    shell.set_hook("complete_command", lambda shell, event: complete(event.text_until_cursor), re_key=r"(.*=)?\s*(!|%hf\s)")


class Capturing(ast.NodeTransformer):
    """In a function within a function, a line's names are mentioned to Python, which keeps an outer function's variable for the inner one
    only if it is: ``(lambda: (vol,)) and get_ipython().run_line_magic('hf', 'ec2 delete-volume vol')``."""

    def __init__(self) -> None:
        self._depth = 0

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._depth += 1
        try:
            return self.generic_visit(node)
        finally:
            self._depth -= 1

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """A line's."""
        self.generic_visit(node)
        if self._depth < 2:
            return node
        from holdfast.notebook.magics import understand

        magic = understand(node)
        names = sorted({name for name, _ in magic.words}) if magic is not None and magic.takes_words else []
        if not names:
            return node
        mention = ast.parse(f"lambda: ({', '.join(names)},)", mode="eval").body
        for part in ast.walk(mention):
            ast.copy_location(part, node)
        return ast.copy_location(ast.BoolOp(op=ast.And(), values=[mention, node]), node)


def complete(line: str) -> list[str]:
    """What may come next in a line that calls an integration, as far as the cursor."""
    from holdfast.errors import HoldfastError
    from holdfast.notebook.line_commands import families, family_of, parameters

    match = _LINE.match(line)
    words = match.group(1).split() if match else []
    word = "" if not words or line.endswith(" ") else words.pop()
    try:
        if not words:
            choices = [name for name in families() if name != "holdfast"]
        elif words[0] not in families():
            return []
        elif len(words) == 1:
            choices = list(family_of(words[0]).commands)
        else:
            command = family_of(words[0]).commands.get(words[1])
            choices = [f"--{name.replace('_', '-')}" for name in parameters(command)] if command is not None else []
    except HoldfastError:
        return []
    return [choice for choice in choices if choice.startswith(word)]


def _variables(shell: Any, local: Mapping[str, Any]) -> Variables:
    from holdfast.durable.line_commands import Variables

    return Variables(local, shell.user_ns, shell.user_ns_hidden)


def _alone(line: str, variables: Variables) -> Any:
    """The value of a line that is nothing but a bound name, attribute or index; None when it is text."""
    from holdfast.durable.line_commands import value_of
    from holdfast.errors import AuthorError
    from holdfast.notebook.line_words import split

    try:
        words = split(line)
    except AuthorError:  # an apostrophe in a question
        return None
    if len(words) != 1 or words[0].reference is None or not any(variables.bound(name) for name, root in words[0].names if root):
        return None
    return value_of(words[0], variables, line)
