"""Carries a one-line command out: words become arguments, the integration's function is called, JSON comes back with dots.

The function is called as a cell would call it: the journal, dry runs and guardrails see what it sends, not the line.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from holdfast.notebook.line_commands import Called, families, family_of, made_into, parameters, understand_line, word_of
from holdfast.notebook.line_words import LineWord, refuse
from holdfast.show.bundle import Bundle
from holdfast.show.dotted import dotted
from holdfast.show.tables import bundle_of

#: What stands for itself although it is bound: nobody hands a module to a command, but `--output json` is common below `import json`.
_NO_VALUES = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"": lambda value: value, "r": repr, "s": str, "a": ascii}


class Variables:
    """The names a line may take values from: those of the function it stands in, then those of the notebook.

    Args:
        local: names of the function, or the notebook's again.
        notebook: names of the notebook.
        hidden: what IPython itself put there; it counts only when the author has bound it to something else.
    """

    def __init__(self, local: Mapping[str, Any], notebook: Mapping[str, Any], hidden: Mapping[str, Any] | None = None) -> None:
        self._local, self._notebook, self._hidden = local, notebook, hidden or {}

    def bound(self, name: str) -> bool:
        """Whether there is a value of that name."""
        scope = self._local if name in self._local else self._notebook
        if name not in scope or (name in self._hidden and scope[name] is self._hidden[name]):
            return False
        return not isinstance(scope[name], _NO_VALUES)

    def value(self, expression: str) -> Any:
        """Of a Python expression."""
        return eval(compile(expression, "<line>", "eval"), {**self._notebook, **self._local})


def run(line: str, variables: Variables) -> Any:
    """Carry ``line`` out.

    Returns:
        what the function returned, dicts as :class:`Dotted` and lists as :class:`Found`; of ``--help`` what there is, to be shown.

    Raises:
        AuthorError: HF168, the line does not fit. OperatorError: HF212, HF213. Whatever the function raises.
    """
    __tracebackhide__ = True
    called = understand_line(line)
    if called.help or called.command is None:
        return _help(called)
    function = called.command.function
    known = parameters(called.command)
    arguments: list[Any] = []
    named: dict[str, Any] = {}
    for name, parameter in known.items():
        if name in called.values:
            value = _argument(called.values[name], parameter, variables, line)
            if parameter.kind == parameter.POSITIONAL_ONLY or called.rest and parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
                arguments.append(value)
            else:
                named[name] = value
        elif parameter.kind == parameter.VAR_POSITIONAL:
            arguments += [_argument(word, parameter, variables, line) for word in called.rest]
    return dotted(function(*arguments, **named))


def value_of(word: LineWord, variables: Variables, line: str) -> Any:
    """What a word stands for; text where nothing in it is a variable.

    Raises:
        AuthorError: HF168, it names something that is not there.
    """
    if word.reference is not None:
        names = [name for name, root in word.names if root]
        if names and variables.bound(names[0]):
            return _evaluated(word.reference, variables, line, cure=f"Quote it if the text {word.text!r} is meant.")
        return word.text
    if not any(p.expression for p in word.pieces):
        return word.text
    if len(word.pieces) == 1 and not word.quoted and not word.pieces[0].conversion and not word.pieces[0].format:
        return _evaluated(word.pieces[0].text, variables, line)
    parts = []
    for piece in word.pieces:
        if not piece.expression:
            parts.append(piece.text)
            continue
        value = _evaluated(piece.text, variables, line)
        parts.append(format(_CONVERSIONS[piece.conversion](value), piece.format))
    return "".join(parts)


def _evaluated(expression: str, variables: Variables, line: str, cure: str = "Bind it before, or write {{ for a brace.") -> Any:
    try:
        return variables.value(expression)
    except Exception as error:
        raise refuse(f"{expression} has no value: {type(error).__name__}: {error}", cure, line) from error


def _argument(given: LineWord | bool | tuple[LineWord, ...], parameter: inspect.Parameter, variables: Variables, line: str) -> Any:
    if isinstance(given, bool):
        return given
    if isinstance(given, tuple):
        return [one for word in given for one in _several(_argument(word, parameter, variables, line))]
    value = value_of(given, variables, line)
    if not isinstance(value, str):
        wants_text = parameter.annotation is str and isinstance(value, (int, float)) and not isinstance(value, bool)
        return str(value) if wants_text else value
    try:
        return made_into(parameter.annotation, value)
    except msgspec.ValidationError as error:
        what = f"{value!r} is nothing for --{parameter.name.replace('_', '-')}: {error}"
        raise refuse(what, "Correct the value.", line) from None
    except TypeError:  # a type of the integration's own
        return value


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _help(called: Called) -> Bundle:
    if called.command is None:
        return _list(called.family)
    rows = []
    for parameter in parameters(called.command).values():
        need = "required" if parameter.default is parameter.empty else "" if parameter.default in (None, "") else repr(parameter.default)
        by_place = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        option = parameter.name.upper() + " …" if parameter.kind == parameter.VAR_POSITIONAL else "--" + parameter.name.replace("_", "-")
        option = f"[{option}]" if by_place else option
        rows.append({"option": option, "takes": _shown(parameter.annotation), "default": need})
    does = "destroys" if called.command.destructive else str(called.command.effect)
    return bundle_of(rows, title=f"{word_of(called.family)} {called.command.name} ({does}): {called.command.about}")


def _list(name: str) -> Bundle:
    if name:
        of = family_of(name)
        rows = [
            {"command": f"{name} {c.name}", "": "destroys" if c.destructive else str(c.effect), "does": c.about}
            for c in of.commands.values()
        ]
        return bundle_of(rows, title=f"{of.about}. The program of that name, if there is one, is `!command {name}`")
    rows = [{"commands": f"!{one} …", "of": package} for one, package in families().items() if one != "holdfast"]
    return bundle_of(rows, title="One-line commands; `%hf NAME` lists those of one")


def _shown(annotation: Any) -> str:
    return (
        "anything" if annotation is Any else annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    )
