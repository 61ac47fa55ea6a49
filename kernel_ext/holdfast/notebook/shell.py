"""Read a shell command line into its simple commands. What is not understood is said, never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

#: Stands in a word for text only the shell knows: a variable, the output of a command.
UNKNOWN = "\x00"

_OPERATOR = re.compile(r"\|\||&&|\|&|;;|[|&;\n()]")
_REDIRECT = re.compile(r"(\d*|\{\w+\})(&>>|&>|>>|>&|>\||<<<|<<-?|<&|<>|>|<)")
_PLAIN = re.compile(r"[^ \t\r\n'\"\\$`|&;()<>#]+")  # to the shell, a no-break space is a letter like any other
_PREFIX_WORDS = frozenset({"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time"})
_CLOSING_WORDS = frozenset({"fi", "done", "}"})
_BEYOND = frozenset({"case", "esac", "function", "select", "coproc"})
_MAX_DEPTH = 8


class NotUnderstood(ValueError):
    """The command line uses shell syntax that is not read here."""


class Word(msgspec.Struct, frozen=True):
    """A word after quotes are taken off; :data:`UNKNOWN` marks each expansion."""

    text: str
    quoted: bool = False

    @property
    def literal(self) -> bool:
        """Whether nothing in it is left to the shell."""
        return UNKNOWN not in self.text


class Simple(msgspec.Struct, frozen=True):
    """A simple command: its words and its redirections."""

    words: tuple[Word, ...]
    redirects: tuple[tuple[str, Word], ...] = ()


class Line(msgspec.Struct, frozen=True):
    """A command line: its simple commands, those in substitutions included."""

    commands: tuple[Simple, ...]


def read_line(text: str, depth: int = 0) -> Line:
    """Read a command line or a whole script.

    Raises:
        NotUnderstood: for here-documents, ``case``, functions, process substitution for writing, unbalanced quotes.
    """
    if depth > _MAX_DEPTH:
        raise NotUnderstood("nested too deeply")
    reader = _Reader(text, depth)
    reader.run()
    return Line(tuple(reader.commands))


class _Reader:
    def __init__(self, text: str, depth: int) -> None:
        if UNKNOWN in text:
            raise NotUnderstood("a NUL character")
        self.text, self.depth, self.at = text, depth, 0
        self.commands: list[Simple] = []
        self.words: list[Word] = []
        self.redirects: list[tuple[str, Word]] = []

    def run(self) -> None:
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char in " \t\r":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif self._in_test() and char in "<>()&|":
                self._test_operator()
            elif text.startswith("((", self.at) and not self.words:
                raise NotUnderstood("an arithmetic command")
            elif text.startswith(("<(", ">("), self.at):
                self._process()
            elif match := _REDIRECT.match(text, self.at):
                self._redirect(match)
            elif match := _OPERATOR.match(text, self.at):
                self._operator(match.group())
            else:
                word = self._word()
                if not (word.text.isdigit() and self._before_redirect()):
                    self.words.append(word)
                    self._keyword()
        self._finish()

    def _in_test(self) -> bool:
        return bool(self.words) and self.words[0].text == "[[" and self.words[-1].text != "]]"

    def _test_operator(self) -> None:
        self.words.append(Word(self.text[self.at]))
        self.at += 1

    def _before_redirect(self) -> bool:
        return self.at < len(self.text) and self.text[self.at] in "<>"

    def _process(self) -> None:
        if self.text[self.at] == ">":
            raise NotUnderstood("a process substitution for writing")
        self.at += 2
        self._nested(self._balanced(")"))
        self.words.append(Word(UNKNOWN))

    def _redirect(self, match: re.Match[str]) -> None:
        if match.group(2) in ("<<", "<<-"):
            raise NotUnderstood("a here-document")
        self.at = match.end()
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        target = self._word()
        if not target.text and not target.quoted:
            raise NotUnderstood("a redirection without a target")
        self.redirects.append((match.group(2), target))

    def _operator(self, operator: str) -> None:
        if operator == ";;":
            raise NotUnderstood("a case statement")
        if operator == "(" and self.words:
            raise NotUnderstood("a function or an array")
        self.at += len(operator)
        self._finish()

    def _keyword(self) -> None:
        if len(self.words) != 1 or self.words[0].quoted:
            return
        word = self.words[0].text
        if word in _BEYOND:
            raise NotUnderstood(word)
        if word in _PREFIX_WORDS:
            self.words.clear()

    def _finish(self) -> None:
        words, redirects = self.words, self.redirects
        self.words, self.redirects = [], []
        if words and not words[0].quoted:
            if words[0].text in _CLOSING_WORDS:
                words = words[1:]
                if words:
                    raise NotUnderstood("words after a closing word")
            elif words[0].text == "for":
                if len(words) < 2 or any(w.text == "((" for w in words):
                    raise NotUnderstood("a for loop")
                words = []
        if words or redirects:
            self.commands.append(Simple(tuple(words), tuple(redirects)))

    def _word(self) -> Word:
        parts: list[str] = []
        quoted = False
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char == "'":
                end = text.find("'", self.at + 1)
                if end < 0:
                    raise NotUnderstood("an open quote")
                parts.append(text[self.at + 1 : end])
                self.at, quoted = end + 1, True
            elif char == '"':
                self.at += 1
                parts.append("".join(self._double()))
                quoted = True
            elif char == "\\":
                if self.at + 1 < len(text) and text[self.at + 1] != "\n":
                    parts.append(text[self.at + 1])
                self.at, quoted = self.at + 2, True
            elif char in "$`":
                parts.append(self._expansion())
            elif char == "#" and parts:
                parts.append("#")
                self.at += 1
            elif match := _PLAIN.match(text, self.at):
                parts.append(match.group())
                self.at = match.end()
            else:
                break
        return Word("".join(parts), quoted)

    def _double(self) -> Iterator[str]:
        """The inside of double quotes; ends after the closing one."""
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char == '"':
                self.at += 1
                return
            if char == "\\" and self.at + 1 < len(text):
                follows = text[self.at + 1]
                yield "" if follows == "\n" else follows if follows in '$`"\\' else char + follows
                self.at += 2
            elif char in "$`":
                yield self._expansion()
            else:
                yield char
                self.at += 1
        raise NotUnderstood("an open quote")

    def _expansion(self) -> str:
        text = self.text
        if text[self.at] == "`":
            end = self.at + 1
            while end < len(text) and text[end] != "`":
                end += 2 if text[end] == "\\" else 1
            if end >= len(text):
                raise NotUnderstood("an open back-quote")
            self._nested(re.sub(r"\\([$`\\])", r"\1", text[self.at + 1 : end]))
            self.at = end + 1
            return UNKNOWN
        if text.startswith("$((", self.at):
            self.at += 2
            inside = self._balanced(")")
            if "$(" in inside or "`" in inside:
                raise NotUnderstood("a command within arithmetic")
            return UNKNOWN
        if text.startswith("$(", self.at):
            self.at += 2
            self._nested(self._balanced(")"))
            return UNKNOWN
        if text.startswith("${", self.at):
            self.at += 2
            inside = self._balanced("}")
            if "$(" in inside or "`" in inside:
                raise NotUnderstood("a command within a variable")
            return UNKNOWN
        if text.startswith(("$'", '$"'), self.at):
            raise NotUnderstood("an escaped string")
        match = re.compile(r"\$(\w+|[@*#?$!-])").match(text, self.at)
        if match is None:
            self.at += 1
            return "$"
        self.at = match.end()
        return UNKNOWN

    def _balanced(self, closing: str) -> str:
        """The text up to the closing bracket; ``at`` moves behind it."""
        opening = {")": "(", "}": "{"}[closing]
        start, level, text = self.at, 1, self.text
        while self.at < len(text):
            char = text[self.at]
            if char == "\\":
                self.at += 1
            elif char == "'":
                self.at = text.find("'", self.at + 1)
                if self.at < 0:
                    break
            elif char == opening:
                level += 1
            elif char == closing:
                level -= 1
                if level == 0:
                    self.at += 1
                    return text[start : self.at - 1]
            self.at += 1
        raise NotUnderstood("an open bracket")

    def _nested(self, text: str) -> None:
        self.commands += read_line(text, self.depth + 1).commands
