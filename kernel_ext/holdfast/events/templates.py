"""Templates in rules: sandboxed Jinja. A text that is exactly one ``{{ … }}`` keeps the type of its value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

_TAGS: Final = ("{{", "{%", "{#")


class TemplateTrouble(ValueError):
    """A template that cannot be read or rendered."""


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox in which ``data.items`` is what the data has under that name, not a method of Python's."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """See Jinja's own."""
        return obj[attribute] if isinstance(obj, Mapping) and attribute in obj else super().getattr(obj, attribute)


@cache
def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, autoescape=False)
    environment.filters |= {
        "from_json_string": json.loads,
        "to_json_string": lambda value: json.dumps(value, ensure_ascii=False),
        "regex_match": lambda value, pattern: re.match(pattern, str(value)) is not None,
        "regex_search": lambda value, pattern: re.search(pattern, str(value)) is not None,
        "regex_replace": lambda value, pattern, to: re.sub(pattern, to, str(value)),
        "regex_substring": _substring,
    }
    return environment


def _substring(value: Any, pattern: str, result_index: int = 0) -> str:
    found = re.findall(pattern, str(value))
    if not found:
        raise TemplateTrouble(f"{pattern!r} is nowhere in {value!r}")
    first = found[result_index]
    return str(first[0] if isinstance(first, tuple) else first)


def check_template(value: Any) -> None:
    """Raise :class:`TemplateTrouble` when a text in ``value``, however deep, is no template."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            check_template(key)
            check_template(inner)
    elif isinstance(value, list):
        for inner in value:
            check_template(inner)
    elif isinstance(value, str) and any(tag in value for tag in _TAGS):
        try:
            _environment().from_string(value)
        except TemplateError as error:
            raise TemplateTrouble(f"{value!r} is no template: {error}") from None


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """``value`` with every text in it rendered, however deep.

    Raises:
        TemplateTrouble: a name that is not there, a failing filter, something forbidden.
    """
    if isinstance(value, Mapping):
        return {render(key, scope): render(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [render(inner, scope) for inner in value]
    if not isinstance(value, str) or not any(tag in value for tag in _TAGS):
        return value
    try:
        expression = _only_expression(value)
        if expression is not None:
            found = _environment().compile_expression(expression, undefined_to_none=False)(**scope)
            if isinstance(found, StrictUndefined):
                str(found)  # raises, with the name that is missing
            return found
        return _environment().from_string(value).render(**scope)
    except TemplateTrouble:
        raise
    except Exception as error:  # whatever an expression of an author may raise
        raise TemplateTrouble(f"{value!r}: {type(error).__name__}: {error}") from None


def _only_expression(text: str) -> str | None:
    """What stands inside, when ``text`` is one ``{{ … }}`` and nothing else."""
    tokens = [(kind, part) for _, kind, part in _environment().lex(text.strip())]
    kinds = [kind for kind, _ in tokens]
    if len(kinds) < 3 or kinds[0] != "variable_begin" or kinds.count("variable_begin") != 1 or kinds[-1] != "variable_end":
        return None
    return "".join(part for _, part in tokens[1:-1]).strip()
