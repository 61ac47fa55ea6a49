"""Puts interceptors in place: at once for what is imported, and with the import for what is imported later."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from holdfast.durable.interceptor import Interceptor, Recorder
from holdfast.foundation import plugins


class Installation:
    """The interceptors of one process.

    Args:
        recorder: records what they see.
        wanted: says by name which ones are on.
        interceptors: instead of those that packages announce.

    Raises:
        OperatorError: HF212, HF213 from the plugins.
    """

    def __init__(self, recorder: Recorder, wanted: Callable[[str], bool], interceptors: Sequence[Interceptor] | None = None) -> None:
        self._recorder = recorder
        if interceptors is None:
            interceptors = [plugin.load()() for plugin in plugins.find("holdfast.interceptors") if wanted(plugin.name)]
        self._waiting: dict[str, list[Interceptor]] = {}  # module not yet imported -> who waits for it
        self._installed: list[Interceptor] = []
        for interceptor in interceptors:
            for module in interceptor.modules:
                self._waiting.setdefault(module, []).append(interceptor)
        self._finder = _Finder(self)

    def install(self) -> None:
        """Put in place what can be, and watch imports for the rest."""
        for module in [m for m in self._waiting if m in sys.modules]:
            self.imported(module)
        sys.meta_path.insert(0, self._finder)

    def uninstall(self) -> None:
        """Undo all of it."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for interceptor in self._installed:
            interceptor.uninstall()
        self._installed.clear()
        self._waiting.clear()

    def waits_for(self, module: str) -> bool:
        """Whether some interceptor comes with ``module``."""
        return module in self._waiting

    def imported(self, module: str) -> None:
        """``module`` is there: install those that waited for it. One that knows several modules is told of each."""
        for interceptor in self._waiting.pop(module, ()):
            interceptor.install(self._recorder)
            if interceptor not in self._installed:
                self._installed.append(interceptor)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds nothing itself; wraps the loader of a module that an interceptor waits for."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._busy: set[str] = set()

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not self._installation.waits_for(fullname) or fullname in self._busy:
            return None
        self._busy.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy.discard(fullname)
        loader: Any = spec.loader if spec is not None else None
        if spec is None or not hasattr(loader, "exec_module"):
            return None
        execute = loader.exec_module

        @functools.wraps(execute)
        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._installation.imported(fullname)

        loader.exec_module = exec_module
        return spec
