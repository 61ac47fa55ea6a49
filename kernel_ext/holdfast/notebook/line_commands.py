"""Which lines are one-line commands, what they do, and whether they fit: by their text alone."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from holdfast.errors import AuthorError, OperatorError
from holdfast.foundation import plugins
from holdfast.model.oneliner import Family, LineCommand
from holdfast.notebook.line_words import LineWord, refuse, split
from holdfast.notebook.metadata import near

GROUP = "holdfast.commands"
_FIRST = re.compile(r"\s*([A-Za-z][\w-]*)(?=\s|$)")
_PLURAL = (list, tuple, set, frozenset, Collection, Sequence, Iterable)
_PLAIN = (str, int, float, bool)


def is_command(line: str) -> bool:
    """Whether a line behind ``!`` is a one-line command: its first word is the name of a family."""
    match = _FIRST.match(line)
    if match is None:
        return False
    names = _names()
    if match.group(1) != "hf":  # `hf` is Hugging Face's program as well: ours only where a command of ours follows
        return match.group(1) in names and match.group(1) != "holdfast"
    second = _FIRST.match(line, match.end())
    return second is not None and (second.group(1) in names or second.group(1) in family_of("holdfast").commands)


def families() -> dict[str, str]:
    """The names of all families, and the package of each."""
    return {one.name: one.package for one in plugins.find(GROUP)}


def word_of(name: str) -> str:
    """The first word of a family's lines: Holdfast's own go by ``hf``."""
    return "hf" if name == "holdfast" else name


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(families())


@lru_cache(maxsize=64)
def family_of(name: str) -> Family:
    """The family of that name.

    Raises:
        OperatorError: HF212, HF213, it cannot be loaded.
    """
    found = next(one for one in plugins.find(GROUP) if one.name == name).load()
    if not isinstance(found, Family):
        raise OperatorError("HF213", f"the commands {name} are no Family", cure="See docs/how-to/add-an-integration.md.", group=GROUP)
    return found


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """A line as far as its text tells: the command, and the words for each of its parameters."""

    family: str
    command: LineCommand | None = None  # None: the whole family is asked about
    values: Mapping[str, LineWord | bool | tuple[LineWord, ...]] = {}
    rest: tuple[LineWord, ...] = ()  # for ``*arguments``
    help: bool = False


def understand_line(line: str) -> Called:
    """What a line calls.

    Raises:
        AuthorError: HF168, there is no such command or option, a value is missing or too many.
        OperatorError: HF212, HF213, an integration cannot be loaded.
    """
    words = list(split(line))
    if words and words[0].text == "hf" and words[0].option is None:
        words = words[1:]
    if not words or words[0].option == "help":
        return Called(family="", help=True)
    first = words[0].text
    if first not in _names():
        ours = family_of("holdfast").commands
        if first not in ours:
            raise refuse(f"there is no {first!r}", near(first, [*_names() - {"holdfast"}, *ours]) or "`%hf` lists what there is.", line)
        words.insert(0, LineWord(text="holdfast"))
    name, rest = words[0].text, words[1:]
    of = family_of(name)
    if not rest or rest[0].option == "help":
        return Called(family=name, help=True)
    command = of.commands.get(rest[0].text.replace("_", "-")) if rest[0].option is None else None
    if command is None:
        cure = near(rest[0].text, of.commands) or f"`%hf {name}` lists what there is."
        raise refuse(f"{word_of(name)} has no command {rest[0].text}", cure, line)
    if any(word.option == "help" for word in rest[1:]):
        return Called(family=name, command=command, help=True)
    return _bound(name, command, rest[1:], line)


def parameters(command: LineCommand) -> dict[str, inspect.Parameter]:
    """The parameters of a command's function, annotations evaluated."""
    signature = inspect.signature(command.function)
    try:
        hints = typing.get_type_hints(command.function)
    except Exception:  # an annotation that only the type checker can see
        hints = {}
    return {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in signature.parameters.values()}


def _bound(name: str, command: LineCommand, words: list[LineWord], line: str) -> Called:
    known = parameters(command)
    options = {p.name.replace("_", "-"): p for p in known.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    values: dict[str, Any] = {}
    free: list[LineWord] = []
    shown = f"{word_of(name)} {command.name}"
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.option is None:
            free.append(word)
            continue
        parameter, negated = _option(word.option, options, shown, line)
        flag = bool in _members(parameter.annotation)
        following = words[at] if at < len(words) and words[at].option is None else None
        given: LineWord | bool
        if negated or flag and word.value is None and (following is None or following.text not in ("true", "false")):
            given = not negated
        elif word.value is not None:
            given = word.value
        elif following is not None:
            given, at = following, at + 1
        elif parameter.annotation is Any:
            given = True
        else:
            raise refuse(f"--{word.option} of {shown} needs a value", f"`%hf {shown} --help` says what there is.", line)
        earlier = values.get(parameter.name)
        if earlier is not None and not (plural(parameter.annotation) and isinstance(given, LineWord)):
            raise refuse(f"--{word.option} is given twice", "Give it once.", line)
        before = earlier if isinstance(earlier, tuple) else () if earlier is None else (earlier,)
        values[parameter.name] = (*before, given) if before and isinstance(given, LineWord) else given
    rest = _placed(free, known, values, shown, line)
    missing = [p for p in options.values() if p.default is p.empty and p.name not in values]
    if missing:
        lacks = ", ".join("--" + p.name.replace("_", "-") for p in missing)
        raise refuse(f"{shown} needs {lacks}", f"`%hf {shown} --help` says what there is.", line)
    return Called(family=name, command=command, values=values, rest=rest)


def _option(name: str, options: Mapping[str, inspect.Parameter], shown: str, line: str) -> tuple[inspect.Parameter, bool]:
    if name in options:
        return options[name], False
    if name.startswith("no-") and name[3:] in options and bool in _members(options[name[3:]].annotation):
        return options[name[3:]], True
    cure = near(name, options) or (f"It has --{', --'.join(options)}." if options else "It has no options.")
    raise refuse(f"{shown} has no option --{name}", cure, line)


def _placed(
    free: list[LineWord], known: Mapping[str, inspect.Parameter], values: dict[str, Any], shown: str, line: str
) -> tuple[LineWord, ...]:
    """Words without an option go to the parameters that may be given by position, from left to right."""
    open_ones = [p for p in known.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in values]
    for parameter, word in zip(open_ones, free, strict=False):
        values[parameter.name] = word
    left = free[len(open_ones) :]
    if left and not any(p.kind == p.VAR_POSITIONAL for p in known.values()):
        cure = "Quote a text of several words." if len(free) > 1 else f"`%hf {shown} --help` says what there is."
        raise refuse(f"{shown} does not know what to do with {left[0].text!r}", cure, line)
    return tuple(left)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; of anything else itself."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return typing.get_args(annotation)
    return (annotation,)


def plural(annotation: Any) -> bool:
    """Whether a parameter takes several values: ``a,b`` is then a list."""
    return any((typing.get_origin(one) or one) in _PLURAL for one in _members(annotation))


def made_into(annotation: Any, text: str) -> Any:
    """A word's text as what a parameter takes.

    Raises:
        msgspec.ValidationError: it cannot be made into that.
    """
    members = _members(annotation)
    if annotation is Any or str in members:
        return text
    if plural(annotation):
        return msgspec.convert([part.strip() for part in text.split(",") if part.strip()], annotation, strict=False)
    return msgspec.convert(text, annotation, strict=False)


def effect_of(line: str) -> LineCommand | None:
    """The command that a line calls, with its effect; None when that cannot be told (the check says why)."""
    try:
        return understand_line(line).command
    except (AuthorError, OperatorError):
        return None


def problem(line: str, bound: Callable[[str], bool]) -> AuthorError | None:
    """What is wrong with a line, as far as its text tells.

    Args:
        bound: whether a name is bound anywhere in the notebook.
    """
    try:
        called = understand_line(line)
    except AuthorError as error:
        return error
    except OperatorError:
        return None
    if called.command is None:
        return None
    known = parameters(called.command)
    for name, word in called.values.items():
        if not isinstance(word, LineWord) or any(p.expression for p in word.pieces):
            continue
        if word.reference is not None and any(bound(n) for n, _ in word.names):
            continue
        try:
            made_into(known[name].annotation, word.text)
        except Exception as error:  # whatever the conversion says: it is the author's text
            return refuse(f"{word.text!r} is nothing for --{name.replace('_', '-')}: {error}", "Correct it.", line)
    return None
