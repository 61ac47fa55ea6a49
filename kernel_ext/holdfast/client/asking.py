"""How a question is answered, for programs that show it to people."""

from __future__ import annotations

from holdfast.prompts.wording import how_to_answer

__all__ = ["how_to_answer"]
