"""The words of a one-line command: what is literal in them, and what is taken from the cell's variables."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator

import msgspec

from holdfast.errors import AuthorError
from holdfast.notebook.magics import expression_names

_NAME = re.compile(r"[A-Za-z_]\w*")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*|\[.*\])*", re.DOTALL)
_OPTION = re.compile(r"--([A-Za-z][\w-]*)(=?)")
_SHELL = "|&;<>`"
_CLOSING = {"[": "]", "{": "}", "(": ")"}


class Piece(msgspec.Struct, frozen=True):
    """A part of a word: literal text, or ``{expression}`` with its conversion and format."""

    text: str
    expression: bool = False
    conversion: str = ""
    format: str = ""


class LineWord(msgspec.Struct, frozen=True, kw_only=True):
    """A word of a line. ``--name`` and ``--name=value`` are options; what stands behind the sign of equality is ``value``."""

    text: str  # as written, without quotation marks
    pieces: tuple[Piece, ...] = ()
    quoted: bool = False
    reference: str | None = None  # unquoted, and a name, attribute or index: its value, when the name is bound
    option: str | None = None
    value: LineWord | None = None

    @property
    def names(self) -> Iterator[tuple[str, bool]]:
        """The names it may read, and whether they may be plain words as well."""
        if self.value is not None:
            yield from self.value.names
        elif self.option is None and self.reference is not None:
            root = _NAME.match(self.reference)
            for name in expression_names(self.reference) or ():
                yield name, root is not None and name == root.group()
        elif self.option is None:
            for piece in self.pieces:
                if piece.expression:
                    yield from ((name, False) for name in expression_names(piece.text) or ())

    @property
    def literal(self) -> str | None:
        """The text, when no variable can have to do with it."""
        return self.text if self.reference is None and not any(p.expression for p in self.pieces) else None


def split(line: str) -> tuple[LineWord, ...]:
    """The words of a line.

    Quotation marks keep what they enclose together and from being taken for a variable; ``{expression}`` is filled in everywhere, as
    IPython does in its lines, and ``{{`` stands for a brace. A ``#`` followed by a space begins a comment.

    Raises:
        AuthorError: HF168, an open quotation mark or bracket; shell syntax.
    """
    return tuple(_Splitter(line).words())


def names_in(line: str, *, called: bool = False) -> Iterator[tuple[str, bool]]:
    """The names that a line may read, and whether they may be plain words as well. A line that cannot be read has none.

    Args:
        called: the line begins with what it calls; those words are no names.
    """
    try:
        words = split(line)
    except AuthorError:
        return
    if called:
        words = words[1:] if words and words[0].text == "hf" else words
        words = words[2:]
    for word in words:
        yield from word.names


def refuse(what: str, cure: str, line: str | None = None) -> AuthorError:
    """The error for a line that cannot be carried out."""
    return AuthorError("HF168", what, cure=cure, line=line)


class _Splitter:
    def __init__(self, line: str) -> None:
        self.line, self.at = line, 0

    def words(self) -> Iterator[LineWord]:
        options = True
        while True:
            while self.at < len(self.line) and self.line[self.at].isspace():
                self.at += 1
            if self.at >= len(self.line) or re.match(r"#(\s|$)", self.line[self.at :]):
                return
            match = _OPTION.match(self.line, self.at) if options else None
            if match is None:
                word = self._word()
                if options and word.text == "--" and not word.quoted:
                    options = False
                    continue
                yield word
                continue
            self.at = match.end()
            name = match.group(1).replace("_", "-")
            if not match.group(2) and self.at < len(self.line) and not self.line[self.at].isspace():
                raise refuse(f"--{name}{self.line[self.at]}… is no option", "Write --option VALUE or --option=VALUE.", self.line)
            yield LineWord(text=match.group().rstrip("="), option=name, value=self._word() if match.group(2) else None)

    def _word(self) -> LineWord:
        start = self.at
        pieces: list[Piece] = []
        quoted = False
        while self.at < len(self.line) and not self.line[self.at].isspace():
            char = self.line[self.at]
            if char in "'\"":
                quoted = True
                self._quoted(char, pieces)
            elif char == "{":
                self._brace(pieces)
            elif char == "[":
                pieces.append(Piece(self._balanced()))
            elif char == "\\" and self.at + 1 < len(self.line):
                quoted = True
                pieces.append(Piece(self.line[self.at + 1]))
                self.at += 2
            elif char in _SHELL or self.line.startswith("$(", self.at):
                shown = "$(" if char == "$" else char
                cure = "Quote it if it is text; `!command NAME …` runs the program of that name in a shell."
                raise refuse(f"{shown!r} means nothing in a one-line command: no shell runs it", cure, self.line)
            else:
                double = self.line[self.at : self.at + 2] == "}}"
                pieces.append(Piece(char))
                self.at += 2 if double else 1
        written = self.line[start : self.at]
        bare = written[1:] if written.startswith("$") else written
        whole = not quoted and _REFERENCE.fullmatch(bare) is not None and _is_reference(bare)
        return LineWord(
            text="".join(f"{{{p.text}}}" if p.expression else p.text for p in pieces),
            pieces=tuple(_joined(pieces)),
            quoted=quoted,
            reference=bare if whole else None,
        )

    def _quoted(self, mark: str, pieces: list[Piece]) -> None:
        self.at += 1
        pieces.append(Piece(""))
        while self.at < len(self.line):
            char = self.line[self.at]
            if char == mark:
                self.at += 1
                return
            if char == "{":
                self._brace(pieces, quoted=True)
                continue
            if char == "\\" and mark == '"' and self.line[self.at + 1 : self.at + 2] in ('"', "\\"):
                self.at += 1
                char = self.line[self.at]
            elif self.line.startswith("}}", self.at):
                self.at += 1
            pieces.append(Piece(char))
            self.at += 1
        raise refuse("a quotation mark is open", "Close it.", self.line)

    def _brace(self, pieces: list[Piece], *, quoted: bool = False) -> None:
        if self.line.startswith("{{", self.at):
            pieces.append(Piece("{"))
            self.at += 2
            return
        start = self.at
        try:
            inside = self._balanced()[1:-1]
        except AuthorError:
            if not quoted:
                raise
            self.at = start + 1
            pieces.append(Piece("{"))
            return
        piece = _expression(inside)
        if piece is None:  # no Python: text that happens to have braces, as JSON has
            self.at = start + 1
            piece = Piece("{")
        pieces.append(piece)

    def _balanced(self) -> str:
        """From the bracket here to the one that closes it."""
        start, open_ones = self.at, []
        while self.at < len(self.line):
            char = self.line[self.at]
            if char in "'\"":
                end = self.line.find(char, self.at + 1)
                if end < 0:
                    break
                self.at = end
            elif char in _CLOSING:
                open_ones.append(_CLOSING[char])
            elif open_ones and char == open_ones[-1]:
                open_ones.pop()
                if not open_ones:
                    self.at += 1
                    return self.line[start : self.at]
            self.at += 1
        raise refuse("a bracket is open", "Close it, or quote the word.", self.line)


def _expression(inside: str) -> Piece | None:
    """The inside of braces as an expression, with conversion and format; None when it is no Python."""
    if expression_names(inside) is not None:
        return Piece(inside.strip(), True)
    try:
        ((_, field, spec, conversion),) = string.Formatter().parse("{" + inside + "}")
    except ValueError:
        return None
    if not field or not expression_names(field):  # `{"a": 1}` is JSON, no text to be formatted
        return None
    return Piece(field.strip(), True, conversion or "", spec or "")


def _is_reference(text: str) -> bool:
    """Whether it is Python for a name, an attribute or an index, and nothing else at its root."""
    try:
        node: ast.AST = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return False
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return isinstance(node, ast.Name)


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    text = ""
    for piece in pieces:
        if not piece.expression:
            text += piece.text
            continue
        if text:
            yield Piece(text)
            text = ""
        yield piece
    if text:
        yield Piece(text)
