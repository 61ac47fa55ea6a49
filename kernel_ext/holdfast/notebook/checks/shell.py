"""NB6xx: shell lines and scripts in cells."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from holdfast.model.call import Effect
from holdfast.notebook.book import Book, Page, ShellLine
from holdfast.notebook.commands import classify
from holdfast.notebook.deeds import command_words
from holdfast.notebook.finding import Finding
from holdfast.notebook.line_commands import problem
from holdfast.notebook.magics import expansions
from holdfast.notebook.shell import UNKNOWN, NotUnderstood, Simple, read_line

_NAMESPACED = frozenset(
    "get describe logs delete apply create patch replace edit scale autoscale rollout exec cp attach port-forward annotate"
    " label set expose run wait debug events top".split()
)
_CLUSTER_WIDE = re.compile(
    r"(no|nodes?|ns|namespaces?|pv|persistentvolumes?|sc|storageclass(es)?|crds?|customresourcedefinitions?|clusterroles?|clusterrolebindings?"
    r"|componentstatuses|cs|csr|certificatesigningrequests?|priorityclass(es)?|runtimeclass(es)?|apiservices?|(mutating|validating)webhook\w*"
    r"|ingressclass(es)?|volumeattachments?|csidrivers?|csinodes?)(/.*)?"
)
_SCOPE = re.compile(r"-n.*|--namespace(=.*)?|--context(=.*)?|-A|--all-namespaces(=.*)?|--raw(=.*)?")
_CURRENT = re.compile(
    r"\bset-context\s(?=[^\n]*--current)(?=[^\n]*--namespace)|\bkubens\s+\w"
)  # says which namespace the next commands mean
_BRACED = re.compile(r"(?<![$\\{\w.])\{([A-Za-z_]\w*)\}(?!\})")
_DOLLAR = re.compile(r"(?<![\\$])\$\{?([A-Za-z_]\w*)")


class ShellCheck:
    """What reaches the shell is what the author meant, and goes where the author meant."""

    codes = {
        "NB601": "kubectl without a namespace",
        "NB602": "a Python value that is not put in",
        "NB603": "a Python name in a script that does not see it",
        "NB604": "a one-line command that does not fit",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at every shell line and script."""
        bound = {e.name for p in book.pages for e in p.names.events if e.kind == "bind"} | {p.name for p in book.manifest.parameters}
        for page in book.pages:
            for magic in page.magics:
                wrong = problem(magic.line, bound.__contains__) if magic.kind == "line" and magic.name == "hf" else None
                if wrong is not None:
                    yield page.finding("NB604", "error", magic.lineno, wrong.what, wrong.cure)
            for shell in page.shells:
                yield from self._kubectl(page, shell.text, shell.line)
                if shell.expanded:
                    yield from self._expansion(page, shell, bound | _locals_around(page, shell.node))
                else:
                    yield from self._script(page, shell, bound)
            for node in page.walk():
                words = command_words(node) if node.__class__.__name__ == "Call" else None  # type: ignore[arg-type]
                if words:
                    yield from self._kubectl(page, words, getattr(node, "lineno", 1))

    def _kubectl(self, page: Page, text: str, first: int) -> Iterable[Finding]:
        text = _spelt_out(text)
        if not re.search(r"\b(kubectl|oc|k)\s", text) or _CURRENT.search(text):
            return
        try:
            commands = read_line(text).commands
        except NotUnderstood:
            commands = tuple(c for line in text.split("\n") for c in _try(line))
        for command in commands:
            shown = _unscoped(command)
            if shown is None:
                continue
            number = next((n for n, line in enumerate(text.split("\n")) if shown.split()[1] in line and shown.split()[0] in line), 0)
            writes = classify(shown) is not Effect.READ
            message = f"'{shown[:60]}' goes to whatever namespace and cluster the kubeconfig names just then"
            yield page.finding("NB601", "warning" if writes else "info", first + number, message, "add -n NAMESPACE (and --context)")

    def _expansion(self, page: Page, shell: ShellLine, bound: set[str]) -> Iterable[Finding]:
        found = expansions(shell.text)
        if found is None:
            names = [n for n in _BRACED.findall(shell.text) if n in bound]
            culprit = "a single brace"
        else:
            names = [n for e in found if e.braces for n in e.names if n in bound]
            bad = next((e for e in found if not e.valid or any(n not in bound for n in e.names)), None)
            if bad is None:
                return
            culprit = bad.text
        if names:
            message = f"{{{names[0]}}} is not put in: IPython leaves the whole line as it is because of {culprit!r}"
            cure = "write $$name for the shell's own variables and {{...}} for the shell's own braces"
            yield page.finding("NB602", "warning", shell.line, message, cure)

    def _script(self, page: Page, shell: ShellLine, bound: set[str]) -> Iterable[Finding]:
        own = set(re.findall(r"(?:^|[\s;(])(?:export\s+|local\s+|declare\s+(?:-\w+\s+)*)?([A-Za-z_]\w*)\+?=", shell.text))
        own |= set(re.findall(r"\bfor\s+([A-Za-z_]\w*)\s+in\b", shell.text))
        own |= {w for line in re.findall(r"\bread\s+([^\n;|&]+)", shell.text) for w in line.split() if w.isidentifier()}
        told: set[str] = set()
        for number, line in enumerate(shell.text.split("\n")):
            bare = re.sub(r"'[^']*'", "''", re.sub(r"(^|\s)#.*", "", line))
            for pattern, form in ((_BRACED, "{%s}"), (_DOLLAR, "$%s")):
                for name in pattern.findall(bare):
                    if name not in bound or name in own or name in told or name.isupper():
                        continue
                    told.add(name)
                    message = (
                        f"{form % name} is not the Python name {name!r}: a {shell.syntax} script sees only its own and exported variables"
                    )
                    cure = f'pass it: %%bash -s "${name}" and read "$1", or use a ! line'
                    yield page.finding("NB603", "warning", shell.line + number, message, cure)


def _locals_around(page: Page, node: ast.AST) -> set[str]:
    """Names local to the functions that ``node`` stands in: IPython looks there too."""
    line, names = getattr(node, "lineno", 0), set()
    for around in page.walk():
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef) and around.lineno <= line <= (around.end_lineno or line):
            names |= {a.arg for a in ast.walk(around) if isinstance(a, ast.arg)}
            names |= {n.id for n in ast.walk(around) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


def _spelt_out(text: str) -> str:
    """A script with ``$K`` written as what ``K=kubectl`` says."""
    for name, value in re.findall(r"(?:^|[\s;])(\w+)=[\"']?(kubectl|oc)\b[\"']?", text):
        text = re.sub(rf"\$(\{{{name}\}}|{name}\b)", value, text)
    return text


def _try(line: str) -> tuple[Simple, ...]:
    try:
        return read_line(line).commands
    except NotUnderstood:
        return ()


def _unscoped(command: Simple) -> str | None:
    words = [w.text for w in command.words]
    while words and (words[0] in ("sudo", "time", "watch") or ("=" in words[0] and not words[0].startswith("-"))):
        if words[0].startswith("KUBECONFIG="):
            return None
        words = words[1:]
    if len(words) < 2 or words[0] not in ("kubectl", "oc", "k"):
        return None
    rest = words[1:]
    if any(_SCOPE.fullmatch(w) or w.startswith((UNKNOWN, "{")) for w in rest):
        return None
    plain = [w for w in rest if not w.startswith("-")]
    if not plain or plain[0] not in _NAMESPACED:
        return None
    kinds = plain[1].split(",") if len(plain) > 1 else []
    if kinds and all(_CLUSTER_WIDE.fullmatch(k) for k in kinds):
        return None
    return " ".join(words).replace(UNKNOWN, "$…")
