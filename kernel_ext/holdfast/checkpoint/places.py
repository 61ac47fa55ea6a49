"""Where modules come from: the author's own files are told from installed packages, and found again."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import sysconfig
import types

_places: tuple[str, ...] = tuple({p for k in ("stdlib", "platstdlib", "purelib", "platlib") if (p := sysconfig.get_path(k))})


def is_local(module: types.ModuleType) -> bool:
    """Whether a module is the author's: a file outside the interpreter's and the installed packages' folders."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py") or module.__name__ in {"__main__", "__mp_main__"}:
        return False
    if module.__name__.partition(".")[0] in {"holdfast", "holdfast_dagster"}:
        return False
    return not file.startswith(_places) and "site-packages" not in file and "dist-packages" not in file


def is_imported_by_author(module: types.ModuleType) -> bool:
    """Whether a finder or loader written in a cell made the module."""
    return type(getattr(module, "__loader__", None)).__module__ == "__main__"


def imported(name: str, file: str | None = None) -> types.ModuleType:
    """A module by name; from its file where its folder is no longer searched."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        if file is None or name in sys.modules:
            raise
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except FileNotFoundError:
            del sys.modules[name]
            raise ModuleNotFoundError(f"No module named {name!r}", name=name) from None
        return module
