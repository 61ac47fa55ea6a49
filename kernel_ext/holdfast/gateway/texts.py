"""Texts and values from outside: what no store or terminal could take is refused at the door."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AfterValidator, Field

_DEEPEST: Final = 60
_WIDEST: Final = 2**63 - 1


def clean_text(text: str) -> str:
    """``text``, when it can be stored: no NUL, no half of a character."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a character") from None
    return text


def clean_value(value: Any, depth: int = 0) -> Any:
    """``value`` (JSON types), when it can be stored."""
    if depth > _DEEPEST:
        raise ValueError(f"is nested deeper than {_DEEPEST} levels")
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and not -_WIDEST <= value <= _WIDEST:
        raise ValueError("holds a whole number of more than 64 bits")
    if isinstance(value, float) and value not in (float("inf"), float("-inf")) and value == value:
        return value
    if isinstance(value, float):
        raise ValueError("holds a number that JSON does not have")
    if isinstance(value, list):
        return [clean_value(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean_text(str(name)): clean_value(item, depth + 1) for name, item in value.items()}
    return value


Text = Annotated[str, AfterValidator(clean_text)]
Json = Annotated[Any, AfterValidator(clean_value)]

#: An execution's id.
ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
ExecutionId = Annotated[str, Path(pattern=ID_PATTERN, description="The execution's whole id.")]
PromptId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$", description="The prompt's whole id.")]
Name = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^/\x00-\x1f]+$"), AfterValidator(clean_text)]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many.")]
After = Annotated[str | None, Query(pattern=ID_PATTERN, description="The last id of the page before.")]
Why = Annotated[str, Field(max_length=2000, description="The reason, for the record."), AfterValidator(clean_text)]
