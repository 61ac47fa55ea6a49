"""Lines that IPython would take for something else: ``%confirm Delete it?`` for help wanted, ``!ec2 list-volumes`` for the shell's."""

from __future__ import annotations

import tokenize
from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign, SystemAssign

#: Line magics whose text may end with a question mark.
ASKING = frozenset({"confirm", "hf"})


class Asking(EscapedCommand):
    """``%confirm text``."""

    priority = 0  # before the request for help, which begins at the same place

    @classmethod
    def find(cls, tokens_by_line: Any) -> Any:
        """The first of them in the cell."""
        for line in tokens_by_line:
            tokens = [t for t in line if t.type not in (tokenize.INDENT, tokenize.DEDENT)]
            if len(tokens) > 1 and tokens[0].string == "%" and tokens[1].string in ASKING:
                return cls(tokens[0].start)
        return None


class AskingAssign(MagicAssign):
    """``ok = %confirm text``."""

    priority = 0
    _sign = 0  # where the magic begins in its line

    @classmethod
    def find(cls, tokens_by_line: Any) -> Any:
        """The first of them in the cell."""
        for line in tokens_by_line:
            tokens = [t for t in line if t.type not in (tokenize.INDENT, tokenize.DEDENT)]
            for before, sign, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
                if before.string == "=" and sign.string == "%" and name.string in ASKING:
                    return cls.at(tokens[0].start[1], sign.start)
        return None

    @classmethod
    def at(cls, statement: int, sign: tuple[int, int]) -> AskingAssign:
        """For a statement that begins in a column, and its sign at a place: where the statement begins decides who is first."""
        made = cls((sign[0], statement))
        made._sign = sign[1]
        return made

    def transform(self, lines: list[str]) -> Any:
        """The lines with this one as Python."""
        self.start_col = self._sign
        return super().transform(lines)


class Line(EscapedCommand):
    """``!ec2 delete-volume vol``, where ``ec2`` is an integration's: as ``%hf ec2 delete-volume vol``."""

    priority = 0

    @classmethod
    def find(cls, tokens_by_line: Any) -> Any:
        """The first of them in the cell."""
        for line in tokens_by_line:
            tokens = [t for t in line if t.type not in (tokenize.INDENT, tokenize.DEDENT)]
            if tokens and tokens[0].string == "!" and _is_command(tokens[0].line[tokens[0].start[1] + 1 :]):
                return cls(tokens[0].start)
        return None

    def transform(self, lines: list[str]) -> Any:
        """The lines with this one as Python."""
        return super().transform(_as_magic(lines, self.start_line, self.start_col))  # type: ignore[no-untyped-call]


class LineAssign(AskingAssign):
    """``vols = !ec2 list-volumes``."""

    @classmethod
    def find(cls, tokens_by_line: Any) -> Any:
        """The first of them in the cell."""
        for line in tokens_by_line:
            found = SystemAssign.find([line])  # type: ignore[no-untyped-call]
            if found is None:
                continue
            text = next(t.line for t in line if t.start[0] == found.start_line + 1)
            if _is_command(text[found.start_col + 1 :]):
                tokens = [t for t in line if t.type not in (tokenize.INDENT, tokenize.DEDENT)]
                return cls.at(tokens[0].start[1], (found.start_line + 1, found.start_col))
        return None

    def transform(self, lines: list[str]) -> Any:
        """The lines with this one as Python."""
        return super().transform(_as_magic(lines, self.start_line, self._sign))


def _is_command(line: str) -> bool:
    from holdfast.notebook.line_commands import is_command  # at the first line of that kind: a kernel starts without it

    return is_command(line)


def _as_magic(lines: list[str], number: int, column: int) -> list[str]:
    """The lines with ``!`` at a place as ``%hf ``."""
    text = lines[number]
    return [*lines[:number], f"{text[:column]}%hf {text[column + 1 :].lstrip(' ')}", *lines[number + 1 :]]


def teach(manager: Any) -> None:
    """Let IPython's ``TransformerManager`` know them. Idempotent."""
    known = manager.token_transformers
    known[:0] = [t for t in (Asking, AskingAssign, Line, LineAssign) if t not in known]
