"""Units: what a component is made of. A unit is a variable (its bare name), a user class, a patched attribute, the globals of a
local module, or one piece of process state. All but variables are written in angle brackets, which no name can contain."""

from __future__ import annotations

import re

#: Names that IPython or the interpreter keeps in the namespace for itself.
RESERVED = frozenset(
    "In Out get_ipython _ih _oh _dh _i _ii _iii __name__ __doc__ __package__ __loader__ __spec__ __builtin__ "
    "__builtins__ __file__ __cached__ __session__".split()
)
_HISTORY = re.compile(r"_i\d+\Z")
_RESULT = re.compile(r"_(\d+)\Z")


def is_reserved(name: str) -> bool:
    """Whether ``name`` is IPython's or the interpreter's bookkeeping, restored by the kernel and not by a checkpoint."""
    return name in RESERVED or (name[:2] == "_i" and _HISTORY.match(name) is not None)


def result_number(name: str) -> int | None:
    """7 for ``_7``: the cell result that IPython also keeps in ``Out[7]``."""
    found = _RESULT.match(name)
    return int(found[1]) if found else None


def is_result(name: str) -> bool:
    """Whether IPython keeps a cell's result under ``name``."""
    return name in {"_", "__", "___"} or _RESULT.match(name) is not None


def class_unit(token: str) -> str:
    """The unit of a user class."""
    return f"<class {token}>"


def patch_unit(address: str) -> str:
    """The unit of an attribute that a cell set on something imported; ``address`` is ``module|name`` or ``module:Qual.name|name``."""
    return f"<patch {address}>"


def contents_unit(address: str) -> str:
    """The unit of what a library's own container holds; ``address`` is ``module|name``."""
    return f"<contents {address}>"


def module_unit(module: str) -> str:
    """The unit of a local module's globals."""
    return f"<module {module}>"


def process_unit(kind: str) -> str:
    """The unit of one piece of process state."""
    return f"<process {kind}>"


def kind_of(unit: str) -> str:
    """``variable``, ``class``, ``patch``, ``contents``, ``module`` or ``process``."""
    return unit[1:].split(" ", 1)[0] if unit[0] == "<" else "variable"


def argument_of(unit: str) -> str:
    """What stands after the kind: a token, a target, a module, a kind of state. The name itself for a variable."""
    return unit[1:-1].split(" ", 1)[1] if unit[0] == "<" else unit
