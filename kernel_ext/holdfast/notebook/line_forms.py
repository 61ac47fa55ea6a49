"""``%confirm Delete it?``: a question ends with a question mark, which IPython would otherwise take for a request for help."""

from __future__ import annotations

import tokenize
from typing import Any

from IPython.core.inputtransformer2 import EscapedCommand, MagicAssign

#: Line magics whose text may end with a question mark.
ASKING = frozenset({"confirm"})


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
                    made = cls((sign.start[0], tokens[0].start[1]))  # where the statement begins: that is what decides who is first
                    made._sign = sign.start[1]
                    return made
        return None

    def transform(self, lines: list[str]) -> Any:
        """The lines with this one as Python."""
        self.start_col = self._sign
        return super().transform(lines)


def teach(manager: Any) -> None:
    """Let IPython's ``TransformerManager`` know them. Idempotent."""
    known = manager.token_transformers
    known[:0] = [t for t in (Asking, AskingAssign) if t not in known]
