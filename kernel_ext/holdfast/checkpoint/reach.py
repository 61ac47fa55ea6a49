"""What a piece of code can touch, judged by the names it mentions: names and attributes, nested code, identifiers in its strings."""

from __future__ import annotations

import ast
import dis
import functools
import re
import types
from dataclasses import dataclass

#: Names with which code can reach variables that it does not mention.
ESCAPES = frozenset(
    "globals locals vars eval exec get_ipython __import__ _getframe currentframe modules gc ctypes inspect __dict__ __main__ __globals__ "
    "f_globals f_locals import_module setattr delattr query settrace setprofile run_path runpy getattr_static get_objects get_referrers "
    "attrgetter __setattr__ __subclasses__".split()
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_LONGEST_STRING = 20_000


@dataclass(frozen=True)
class Facts:
    """What a code object mentions."""

    names: frozenset[str]  # names and attributes
    words: frozenset[str]  # identifiers inside string constants
    stores: frozenset[str]  # attributes set or deleted
    imports: frozenset[str]
    escapes: bool
    of_os: frozenset[str] = frozenset()  # attributes of ``os``


_NOTHING = Facts(frozenset(), frozenset(), frozenset(), frozenset(), False)
EVERYTHING = Facts(frozenset(), frozenset(), frozenset(), frozenset(), True)


@functools.lru_cache(maxsize=8192)
def names_in(code: types.CodeType) -> frozenset[str]:
    """Names and attributes mentioned by ``code`` and the code nested in it, and identifiers in its strings."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= names_in(constant)
        else:
            found |= _words(constant)
    return frozenset(found)


def _words(constant: object) -> set[str]:
    if isinstance(constant, str):
        return set(_WORD.findall(constant)) if len(constant) <= _LONGEST_STRING else set()
    if isinstance(constant, tuple | frozenset):
        return set().union(*(_words(c) for c in constant))
    return set()


def facts(code: types.CodeType) -> Facts:
    """All that :class:`Facts` holds, for a cell (functions need :func:`names_in` only)."""
    names: set[str] = set()
    words: set[str] = set()
    stores: set[str] = set()
    imports: set[str] = set()
    work = [code]
    while work:
        current = work.pop()
        names.update(current.co_names)
        for constant in current.co_consts:
            if isinstance(constant, types.CodeType):
                work.append(constant)
            else:
                words |= _words(constant)
        attributes, modules = _stores_and_imports(current)
        stores |= attributes
        imports |= modules
    of_os = frozenset(_attributes_of(code, "os")) if "os" in names else frozenset()
    return Facts(frozenset(names), frozenset(words), frozenset(stores), frozenset(imports), not ESCAPES.isdisjoint(names), of_os)


def _attributes_of(code: types.CodeType, owner: str) -> set[str]:
    """Attributes that ``code``, nested code included, takes of the name ``owner``."""
    found: set[str] = set()
    previous = None
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_ATTR", "LOAD_METHOD"} and previous == owner:
            found.add(instruction.argval)
        previous = instruction.argval if instruction.opname in {"LOAD_NAME", "LOAD_GLOBAL"} else None
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _attributes_of(constant, owner)
    return found


@functools.lru_cache(maxsize=8192)
def _stores_and_imports(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    stores: set[str] = set()
    imports: set[str] = set()
    raw = code.co_code
    if not _WANTED.isdisjoint(raw[::2]):
        extended = 0
        for operation, argument in zip(raw[::2], raw[1::2], strict=True):
            if operation == _EXTENDED:
                extended = (extended | argument) << 8
                continue
            if operation in _WANTED:
                (imports if operation == _IMPORT else stores).add(code.co_names[extended | argument])
            extended = 0
    return frozenset(stores), frozenset(imports)


_EXTENDED, _IMPORT = dis.opmap["EXTENDED_ARG"], dis.opmap["IMPORT_NAME"]
_WANTED = frozenset({dis.opmap["STORE_ATTR"], dis.opmap["DELETE_ATTR"], _IMPORT})


@functools.lru_cache(maxsize=8192)
def attributes_stored(code: types.CodeType) -> frozenset[str]:
    """Attributes that ``code``, nested code included, sets or deletes."""
    found = set(_stores_and_imports(code)[0])
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= attributes_stored(constant)
    return frozenset(found)


def of_source(source: str | types.CodeType) -> Facts:
    """Facts of a cell. Source that does not compile is taken to reach everything."""
    if isinstance(source, types.CodeType):
        return facts(source)
    if not source.strip():
        return _NOTHING
    try:
        return facts(compile(source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
    except (SyntaxError, ValueError):
        return EVERYTHING
