"""What magics and shell lines say, after IPython's own transformation turned them into calls of ``get_ipython()``."""

from __future__ import annotations

import ast
import re
import string

import msgspec

_SHELL_CALLS = {"system": "!", "getoutput": "x = !", "getoutputs": "x = !"}
_SHELL_CELLS = frozenset({"bash", "sh", "script", "zsh"})
_SHELL_LINES = frozenset({"sx", "system", "sc"})
#: Cell magics whose body is Python run in the notebook's namespace.
PYTHON_BODY = frozenset({"capture", "time", "timeit", "prun", "debug"})
#: Line magics whose argument is a Python statement.
_PYTHON_LINE = frozenset({"time", "timeit", "prun", "debug"})
_WORDS = frozenset({"hf", "wait", "confirm"})
#: Magics that may bind any name.
ANY_NAME = frozenset({"run", "load", "pylab", "store", "rerun", "macro", "loadpy", "reset", "reset_selective", "xdel"})
_DOLLAR = re.compile(r"\$(\$?[\w.]+)")


class Magic(msgspec.Struct, frozen=True, kw_only=True):
    """A magic or a shell line, as written in the cell."""

    kind: str  # "shell" (a command line), "line" or "cell"
    name: str  # "!" or "x = !", else the magic's name
    line: str = ""  # the command line, or what follows the name
    body: str = ""  # of a cell magic
    lineno: int = 1

    @property
    def shell(self) -> tuple[str, bool, int] | None:
        """The shell text, whether IPython expands ``{x}`` and ``$x`` in it, and its first line; None when it is no shell."""
        if self.kind == "shell":
            return self.line, True, self.lineno
        if self.kind == "line" and self.name in _SHELL_LINES:
            return self.line, True, self.lineno
        if self.kind == "cell" and self.name in ("sx", "system", "!"):
            return f"{self.line}\n{self.body}", True, self.lineno
        if self.kind == "cell" and self.name in _SHELL_CELLS:
            if self.name == "script" and not re.match(r"(\S*/)?(ba|z|da)?sh\b", self.line.strip()):
                return None
            return self.body, False, self.lineno + 1
        return None

    @property
    def takes_words(self) -> bool:
        """Whether bare words in its line may be variables: one-line commands, ``%wait period``, ``%confirm question``."""
        return self.kind == "line" and self.name in _WORDS

    @property
    def words(self) -> tuple[tuple[str, bool], ...]:
        """The names such a line may read, and whether they may be plain words as well."""
        from holdfast.notebook.line_words import names_in

        if self.name != "hf":
            alone = tuple(names_in(self.line)) if len(self.line.split()) == 1 else ()
            return alone or tuple((name, not e.braces) for e in expansions(self.line) or () for name in e.names)
        return tuple(names_in(self.line, called=True))

    @property
    def binds(self) -> tuple[str, ...]:
        """The names it binds: ``%%capture x``, ``%%bash --out x``."""
        if self.kind == "cell" and self.name == "capture":
            return tuple(w for w in self.line.split() if w.isidentifier())[:1]
        if self.kind == "cell" and (self.name in _SHELL_CELLS or self.name in ("python", "python3", "perl", "ruby", "pypy")):
            return tuple(re.findall(r"--(?:out|err|proc)[ =]+([A-Za-z_]\w*)", self.line))
        return ()

    @property
    def python(self) -> tuple[str, int] | None:
        """Python source it runs in the namespace, and the line it starts on."""
        if self.kind == "cell" and self.name in PYTHON_BODY:
            return self.body, self.lineno + 1
        if self.kind == "line" and self.name in _PYTHON_LINE:
            return re.sub(r"^(-\S+\s+)*", "", self.line), self.lineno
        return None


def understand(node: ast.AST) -> Magic | None:
    """The magic behind a call such as ``get_ipython().system('ls')``; None for any other node."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)):
        return None
    inner = node.func.value.func
    if not (isinstance(inner, ast.Name) and inner.id == "get_ipython"):
        return None
    texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if len(texts) != len(node.args) or not texts:
        return None
    method = node.func.attr
    if method in _SHELL_CALLS:
        return Magic(kind="shell", name=_SHELL_CALLS[method], line=texts[0], lineno=node.lineno)
    if method == "run_line_magic":
        return Magic(kind="line", name=texts[0], line=texts[1] if len(texts) > 1 else "", lineno=node.lineno)
    if method == "run_cell_magic" and len(texts) == 3:
        return Magic(kind="cell", name=texts[0], line=texts[1], body=texts[2], lineno=node.lineno)
    return None


class Expansion(msgspec.Struct, frozen=True):
    """One ``{expr}`` or ``$name`` in a line that IPython expands."""

    text: str
    braces: bool
    names: tuple[str, ...]  # names it reads
    valid: bool  # whether it is Python at all: otherwise IPython leaves the whole line as it is


def expansions(line: str) -> list[Expansion] | None:
    """What IPython would put in for ``{expr}`` and ``$name``; None when the braces do not pair (then it expands nothing)."""
    found: list[Expansion] = []
    try:
        for literal, field, _, _ in string.Formatter().parse(line):
            for match in _DOLLAR.finditer(literal):
                if not match.group(1).startswith("$"):  # `$$x` stands for the shell's own `$x`
                    names = expression_names(match.group(1))
                    found.append(Expansion(match.group(), False, tuple(names or ()), names is not None))
            if field is not None:
                names = expression_names(field)
                found.append(Expansion("{" + field + "}", True, tuple(names or ()), names is not None))
    except ValueError:
        return None
    return found


def expression_names(text: str) -> list[str] | None:
    """The names a Python expression reads; None when it is none."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return None
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id not in own]
