"""What code does to the outside, as far as can be seen: deeds that destroy, gates that ask a person first."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import msgspec

from holdfast.model.call import Effect
from holdfast.model.oneliner import LineCommand
from holdfast.notebook.book import Page, ShellLine
from holdfast.notebook.commands import classify
from holdfast.notebook.destroying import COMMAND, DRY, METHOD, SQL, command_destroys
from holdfast.notebook.line_commands import effect_of
from holdfast.notebook.magics import understand

GATES = frozenset({"confirm", "ask", "form", "approve", "input"})


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """Something that destroys."""

    text: str  # for people
    line: int
    column: int = 1
    function: str | None = None  # the module-level function it stands in


def called(node: ast.AST) -> str | None:
    """The last name of what a call calls: ``confirm`` for ``hf.confirm(...)``, and for ``%confirm ...``."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr == "run_line_magic":
        magic = understand(node)
        line = line_command(node)
        name = line.name if line is not None else magic.name if magic is not None else ""
        return name if name in GATES else node.func.attr
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else None


def line_command(node: ast.AST) -> LineCommand | None:
    """The command behind a line such as ``!ec2 delete-volume vol``."""
    magic = understand(node)
    return effect_of(magic.line) if magic is not None and magic.kind == "line" and magic.name == "hf" else None


def is_gate(node: ast.AST) -> bool:
    """Whether a node asks a person."""
    if not isinstance(node, ast.Call) or called(node) not in GATES:
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr == "run_line_magic":
        return True
    return not (isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call))


def destroying_commands(shell: ShellLine) -> Iterator[tuple[str, int]]:
    """The parts of shell text that destroy: (text, line of the cell)."""
    for number, line in enumerate(shell.text.split("\n")):
        bare = re.sub(r"(^|\s)#.*", "", line)
        if command_destroys(bare) and classify(bare) is Effect.WRITE:
            yield bare.strip(), shell.line + number


def destroys(node: ast.AST) -> str | None:
    """What a call destroys, for people; None when it does not."""
    if not isinstance(node, ast.Call):
        return None
    line, magic = line_command(node), understand(node)
    if line is not None and magic is not None:
        return f"!{magic.line}"[:60] if line.destructive and not DRY.search(magic.line) else None
    if any(
        k.arg in ("DryRun", "dry_run") and isinstance(k.value, ast.Constant) and k.value.value not in (False, None) for k in node.keywords
    ):
        return None
    if isinstance(node.func, ast.Attribute):
        name = node.func.attr
        root = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if METHOD.fullmatch(name):
            return f"{ast.unparse(node.func)}(...)"
        if name in ("delete", "terminate") and isinstance(node.func.value, ast.Call) and (called(node.func.value) or "")[:1].isupper():
            return f"{ast.unparse(node.func)}(...)"  # boto3's resources: ec2.Volume("vol-1").delete()
        if name == "delete" and (root in ("requests", "httpx", "session", "http", "client") or _url(node)):
            return f"{ast.unparse(node.func)}(...)"
        if name in ("request", "execute") and node.args:
            text = _literal(node.args[0])
            if text is not None and ((name == "request" and text.upper() == "DELETE") or SQL.match(text)):
                return f"{ast.unparse(node.func)}({text[:30]!r} ...)"
    words = command_words(node)
    if words is not None and COMMAND.search(words) and not DRY.search(words) and classify(words) is Effect.WRITE:
        return words[:60]
    return None


def _url(node: ast.Call) -> bool:
    return (_literal(node.args[0]) or "" if node.args else "").startswith(("http://", "https://"))


def _literal(node: ast.expr) -> str | None:
    """A text as far as it is literal, with X for what is put in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def command_words(node: ast.Call) -> str | None:
    """The command line of ``subprocess.run([...])``, ``os.system('...')`` and kin, as far as it is literal."""
    name = ast.unparse(node.func) if isinstance(node.func, (ast.Attribute, ast.Name)) else ""
    if (
        name not in ("os.system", "os.popen")
        and name.rpartition(".")[2] not in ("check_call", "check_output", "Popen")
        and name != "subprocess.run"
    ):
        return None
    first = node.args[0] if node.args else None
    if isinstance(first, (ast.List, ast.Tuple)):
        return " ".join(e.value if isinstance(e, ast.Constant) and isinstance(e.value, str) else "X" for e in first.elts)
    return _literal(first) if first is not None else None


def deeds_of(page: Page) -> list[Deed]:
    """Everything in a cell that destroys, with the function it stands in."""
    found: list[Deed] = []
    for statement in page.tree.body if page.tree is not None else ():
        function = statement.name if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else None
        for node in ast.walk(statement):
            text = destroys(node)
            if text is not None and isinstance(node, ast.Call):
                found.append(Deed(text=text, line=node.lineno, column=node.col_offset + 1, function=function))
        for shell in page.shells:
            if any(shell.node is n for n in ast.walk(statement)):
                found += [Deed(text=t, line=line, function=function) for t, line in destroying_commands(shell)]
    if page.tree is not None and not found:
        found += [Deed(text=t, line=line) for s in page.shells if s.syntax.startswith("%%") for t, line in destroying_commands(s)]
    return found


def acts(body: list[ast.stmt], page: Page) -> str | None:
    """What a block does that destroys or changes something outside; None when it only tells, raises or returns."""
    for statement in body:
        for node in ast.walk(statement):
            text = destroys(node)
            if text is not None:
                return text
            line = line_command(node)
            if line is not None and line.effect is not Effect.READ:
                return line.name
            for shell in page.shells:
                if shell.node is node and classify(shell.text) is not Effect.READ:
                    return shell.text.strip().split("\n")[0][:60]
    return None


def only_aborts(body: list[ast.stmt]) -> bool:
    """Whether a block does no more than tell and end: ``raise``, ``return``, ``print(...)``, ``sys.exit()``."""
    telling = {"print", "display", "exit", "quit", "log", "info", "warning", "error", "debug"}
    for statement in body:
        if isinstance(statement, (ast.Raise, ast.Return, ast.Pass, ast.Break, ast.Continue)):
            continue
        if isinstance(statement, ast.Expr) and (isinstance(statement.value, ast.Constant) or called(statement.value) in telling):
            continue
        return False
    return True
