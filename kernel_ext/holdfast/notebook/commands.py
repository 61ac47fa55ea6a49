"""Which shell commands only read (a table, ``data/commands.toml``), and what a whole command line does.

Everything that is not surely a reading is a write: an unknown program, an unknown sub-command, an option that changes something, a
redirection into a file, shell syntax that is not read here. A mistake in that direction costs a question to a person; a mistake in the
other would repeat an effect without a word.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import AuthorError
from holdfast.model.call import Effect
from holdfast.notebook import programs
from holdfast.notebook.metadata import near
from holdfast.notebook.shell import UNKNOWN, NotUnderstood, Simple, Word, read_line

_DATA = Path(__file__).parent / "data" / "commands.toml"
_ORDER = {Effect.READ: 0, Effect.IDEMPOTENT: 1, Effect.WRITE: 2}
_STANDARD_FOLDERS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"})
_HARMLESS_TARGETS = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"})
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
_BRACES = re.compile(r"\{[^}]*(,|\.\.)[^}]*\}")
_UNSAFE_VARIABLE = re.compile(
    r"PATH|LD_.*|DYLD_.*|BASH_.*|ENV|PYTHON.*|PERL.*|RUBY.*|NODE_.*|JAVA_TOOL_OPTIONS|GIT_.*|.*PAGER|.*EDITOR|VISUAL|BROWSER"
    r"|PROMPT_COMMAND|SHELLOPTS|LESS.*|.*_COMMAND|.*_ASKPASS|KUBECTL_EXTERNAL_DIFF"
)


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One form of a program that does no more than its class says."""

    words: str = ""  # leading words that are no options; fnmatch per word; `$` at the end: no further words
    unless: list[str] = []  # options with which it is a write; for `-x` also within a cluster, for `--long` also shortened
    requires: list[str] = []  # at least one of these must be given


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table."""

    reads: bool | list[str | Form] = False  # True: with any words
    idempotent: list[str | Form] = []  # running it twice is as running it once
    writes: list[str] = []  # words that are a write although `reads` matches them
    values: list[str] = []  # options followed by a value
    unless: list[str] = []
    requires: list[str] = []
    options: list[str] | None = None  # when given: the only options allowed
    arguments: str | None = None  # a regular expression that every further word must match in full
    ignore_case: bool = False
    same_as: str | None = None  # another program of the table
    special: str | None = None  # one of programs.SPECIAL; either this or `reads` is enough


Table = Mapping[str, Sequence[Program]]


_own: ContextVar[tuple[str | Path, ...]] = ContextVar("holdfast_command_tables", default=())


@contextmanager
def using(extra: Sequence[str | Path]) -> Iterator[None]:
    """In this context :func:`classify` and :func:`classify_argv` know these tables too, unless they are given others."""
    token = _own.set(tuple(extra))
    try:
        yield
    finally:
        _own.reset(token)


def classify(command: str, extra: Sequence[str | Path] | None = None) -> Effect:
    """What running a shell command line (or a script) does at most.

    Args:
        command: as the shell gets it.
        extra: further tables, paths of ``commands.toml`` files of a pack; they add to the shipped one.

    Raises:
        AuthorError: HF104, one of ``extra`` cannot be used.
    """
    return _classify_cached(command, _stamped(_own.get() if extra is None else extra))


def classify_argv(argv: Sequence[str], extra: Sequence[str | Path] | None = None) -> Effect:
    """The same for a program started without a shell. Raises as :func:`classify`."""
    table = _table(_stamped(_own.get() if extra is None else extra))
    if not argv or any("\x00" in a for a in argv):
        return Effect.WRITE
    return _Classifier(table).words([Word(a, True) for a in argv], 0)


def tables_of(metadata: Mapping[str, Any], notebook: str | Path | None) -> tuple[Path, ...]:
    """The further tables that a notebook's ``metadata.holdfast.commands`` names, relative to the notebook; fit for ``extra``."""
    named = metadata.get("commands") or []
    folder = Path(notebook).parent if notebook is not None else Path()
    return tuple(folder / name for name in ([named] if isinstance(named, str) else named) if isinstance(name, str))


def load(path: str | Path) -> dict[str, Program]:
    """Read a table.

    Raises:
        AuthorError: HF104.
    """
    try:
        raw = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise AuthorError("HF104", f"the table of commands cannot be read ({reason})", cure="check the path", file=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise AuthorError("HF104", f"no valid TOML: {error}", cure="mend it there", file=str(path)) from None
    unknown = set(raw) - {"commands"}
    if unknown or not isinstance(raw.get("commands", {}), dict):
        what = f"unknown key {sorted(unknown)[0]!r}" if unknown else "'commands' is no table"
        raise AuthorError("HF104", what, cure="write [commands.PROGRAM]", file=str(path))
    return {name: _program(name, line, path) for name, line in raw.get("commands", {}).items()}


def _program(name: str, line: Any, path: str | Path) -> Program:
    def refuse(what: str, cure: str) -> AuthorError:
        return AuthorError("HF104", f"[commands.{name}]: {what}", cure=cure, file=str(path))

    if isinstance(line, dict):
        for key in set(line) - set(Program.__struct_fields__):
            raise refuse(f"unknown key {key!r}", near(key, set(Program.__struct_fields__)))
    try:
        program = msgspec.convert(line, Program)
        re.compile(program.arguments or "")
    except (msgspec.ValidationError, re.error) as error:
        raise refuse(str(error), "see docs/reference/notebook-metadata.md") from None
    if program.special is not None and program.special not in programs.SPECIAL:
        raise refuse(f"unknown special {program.special!r}", near(program.special, set(programs.SPECIAL)))
    return program


Stamped = tuple[tuple[str, int], ...]  # paths of tables, and when each was changed


def _stamped(extra: Sequence[str | Path]) -> Stamped:
    found: list[tuple[str, int]] = []
    for path in (*extra, _DATA):
        try:
            found.append((str(path), Path(path).stat().st_mtime_ns))
        except OSError:
            found.append((str(path), 0))
    return tuple(found)


@lru_cache(maxsize=8)
def _table(stamped: Stamped) -> Table:
    merged: dict[str, list[Program]] = {}
    for path, _ in stamped:
        for name, program in load(path).items():
            merged.setdefault(name, []).append(program)
    return merged


@lru_cache(maxsize=1024)
def _classify_cached(command: str, stamped: Stamped) -> Effect:
    return _Classifier(_table(stamped)).line(command, 0)


def _worst(effects: Iterable[Effect]) -> Effect:
    return max(effects, key=_ORDER.__getitem__, default=Effect.READ)


class _Classifier:
    """Classifies with one table; the special programs call back into it for the commands they wrap."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def line(self, text: str, depth: int) -> Effect:
        """A command line in shell syntax."""
        if depth > 8:
            return Effect.WRITE
        try:
            commands = read_line(text).commands
        except NotUnderstood:
            return Effect.WRITE
        return _worst(self._simple(c, depth) for c in commands)

    def _simple(self, command: Simple, depth: int) -> Effect:
        for operator, target in command.redirects:
            if not _harmless(operator, target):
                return Effect.WRITE
        return self.words(list(command.words), depth)

    def words(self, words: list[Word], depth: int) -> Effect:
        """The words of a simple command, variables set for it first."""
        while words and not words[0].text.startswith(UNKNOWN) and (match := _ASSIGNMENT.match(words[0].text)):
            if _UNSAFE_VARIABLE.fullmatch(match.group(1)):
                return Effect.WRITE
            words = words[1:]
        if not words:
            return Effect.READ
        name, arguments = words[0].text, words[1:]
        if not words[0].literal or depth > 8:
            return Effect.WRITE
        if "/" in name:
            folder, _, name = name.rpartition("/")
            if folder not in _STANDARD_FOLDERS:
                return Effect.WRITE
        if name.endswith(".exe"):
            name = name[:-4]
        lines = self.table.get(name, ())
        return min((self._by(p, arguments, depth) for p in lines), key=_ORDER.__getitem__, default=Effect.WRITE)

    def _by(self, program: Program, arguments: list[Word], depth: int) -> Effect:
        if program.same_as is not None:
            lines = self.table.get(program.same_as, ())
            return min((self._by(p, arguments, depth + 1) for p in lines), key=_ORDER.__getitem__, default=Effect.WRITE)
        if program.special is not None:
            effect = programs.SPECIAL[program.special](arguments, self, depth + 1)
            if effect is Effect.READ or not (program.reads or program.idempotent):
                return effect
        options, words = _split(arguments, program.values)
        if program.ignore_case:
            words = [Word(w.text.lower(), w.quoted) for w in words]
        if not _options_allowed(program.options, options) or not _permits(program.unless, program.requires, options, arguments):
            return Effect.WRITE
        if any(_matches(pattern, words) is not None for pattern in program.writes):
            return Effect.WRITE
        if self._fits(program, program.reads, options, words, arguments):
            return Effect.READ
        return Effect.IDEMPOTENT if self._fits(program, program.idempotent, options, words, arguments) else Effect.WRITE

    def _fits(self, program: Program, forms: bool | list[str | Form], options: list[str], words: list[Word], arguments: list[Word]) -> bool:
        if isinstance(forms, bool):
            return forms and _arguments_allowed(program.arguments, words)
        for form in forms:
            form = Form(words=form) if isinstance(form, str) else form
            rest = _matches(form.words, words)
            if rest is None or not _permits(form.unless, form.requires, options, arguments):
                continue
            if _arguments_allowed(program.arguments, rest):
                return True
        return False


def _harmless(operator: str, target: Word) -> bool:
    """Whether a redirection changes nothing."""
    if operator == "<<<":
        return True
    if operator in ("<", "<&"):
        return not target.text.startswith(("/dev/tcp", "/dev/udp", UNKNOWN)) or operator == "<&"
    if operator == ">&" and (target.text.isdigit() or target.text == "-"):
        return True
    return operator != "<>" and target.text in _HARMLESS_TARGETS


def _split(arguments: list[Word], values: Sequence[str]) -> tuple[list[str], list[Word]]:
    """Options and other words; the values of options are left out."""
    options: list[str] = []
    words: list[Word] = []
    takes = frozenset(values)
    skip = over = False
    for word in arguments:
        if skip:
            skip = False
        elif over or not word.text.startswith("-") or word.text == "-":
            words.append(word)
        elif word.text == "--":
            over = True
        else:
            options.append(word.text)
            skip = word.text in takes
    return options, words


def _options_allowed(allowed: list[str] | None, options: list[str]) -> bool:
    return allowed is None or all(any(fnmatchcase(o, a) for a in allowed) for o in options)


def _permits(unless: list[str], requires: list[str], options: list[str], arguments: list[Word]) -> bool:
    if unless:
        if any(has_option(o, u) for o in options for u in unless):
            return False
        # what the shell fills in may be an option
        if any(w.text.startswith(UNKNOWN) or (not w.quoted and _BRACES.search(w.text)) for w in arguments):
            return False
    return not requires or any(_is_option(o, r) for o in options for r in requires)


def has_option(given: str, option: str) -> bool:
    """Whether ``given`` is, may be short for, or holds ``option``."""
    name = given.split("=", 1)[0]
    if option.startswith("--"):
        return name.startswith("--") and len(name) > 2 and (option.startswith(name) or name == option)
    if len(option) == 2:
        return not given.startswith("--") and option[1] in given[1:]
    return name == option


def _is_option(given: str, option: str) -> bool:
    """Whether ``given`` surely is ``option`` (with its value, when the option names one)."""
    if given == option or ("=" not in option and given.split("=", 1)[0] == option):
        return True
    return len(option) == 2 and not given.startswith("--") and re.fullmatch(r"-[A-Za-z]+", given) is not None and option[1] in given


def _matches(pattern: str, words: list[Word]) -> list[Word] | None:
    """What follows when the leading words fit ``pattern``, else None."""
    parts = pattern.split()
    closed = bool(parts) and parts[-1] == "$"
    parts = parts[:-1] if closed else parts
    if len(words) < len(parts) or (closed and len(words) != len(parts)):
        return None
    if not all(w.literal and fnmatchcase(w.text, p) for w, p in zip(words, parts, strict=False)):
        return None
    return words[len(parts) :]


def _arguments_allowed(pattern: str | None, words: list[Word]) -> bool:
    return pattern is None or all(w.literal and re.fullmatch(pattern, w.text) for w in words)


def quote(argv: Sequence[str]) -> str:
    """An argument list as people read it: a command line."""
    return shlex.join(argv)
