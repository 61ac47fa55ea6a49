"""All that makes the calls of a process's cells durable, put in place in one go."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

from holdfast.durable import audit, callsite
from holdfast.durable.interceptor import Recorder as RecorderContract
from holdfast.durable.interceptors.installing import Installation
from holdfast.durable.recorder import Recorder


class NumpyRandom:
    """Call sites know NumPy's random functions once NumPy is imported."""

    name = "numpy"
    modules: tuple[str, ...] = ("numpy.random",)

    def install(self, recorder: RecorderContract) -> None:
        """Tell the call sites."""
        callsite.add_numpy()

    def uninstall(self) -> None:
        """Nothing is left to undo: the functions themselves are not touched."""


class Wiring:
    """Interceptors, call sites and audit hook of one process.

    Args:
        recorder: of the process.
        transformers: the shell's ``ast_transformers``.
        wanted: says by name which interceptors are on; ``clock`` names the call sites.

    Raises:
        OperatorError: HF212, HF213 from the plugins.
    """

    def __init__(self, recorder: Recorder, transformers: list[Any], wanted: Callable[[str], bool]) -> None:
        self._recorder, self._transformers = recorder, transformers
        self._sites = callsite.CallSites(recorder.adopt_task) if wanted("clock") else None
        self._installations = [Installation(recorder, wanted)]
        if self._sites is not None:
            self._installations.append(Installation(recorder, wanted, [NumpyRandom()]))

    def install(self) -> None:
        """Put all in place."""
        for installation in self._installations:
            installation.install()
        if self._sites is not None:
            callsite.install()
            self._transformers.append(self._sites)
        audit.install(self._recorder)
        _mute_children(self._recorder)

    def uninstall(self) -> None:
        """Undo."""
        audit.uninstall()
        if self._sites in self._transformers:
            self._transformers.remove(self._sites)
        for installation in self._installations:
            installation.uninstall()


_muted: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _mute_children(recorder: Recorder) -> None:
    """A forked child has its parent's recorder but not its journal: what it does is no call of the cell."""
    if not _muted:
        os.register_at_fork(after_in_child=_forget)
    _muted.add(recorder)


def _forget() -> None:
    for recorder in list(_muted):
        recorder.forget()
