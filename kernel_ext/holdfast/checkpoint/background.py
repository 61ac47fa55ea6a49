"""Threads and tasks of the author's that go on after a cell: they may change anything at any time, and no restore brings them back."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any

from holdfast.checkpoint.report import Flag

_list = os.listdir  # a cell may patch it
#: Functions of ``os`` that give out descriptors.
DESCRIPTOR_MAKERS = frozenset({"pipe", "pipe2", "open", "dup", "dup2", "openpty", "eventfd", "memfd_create", "forkpty"})


def descriptors() -> set[int]:
    """The file descriptors that are open now; empty where the system does not tell."""
    try:
        return {int(n) for n in _list("/proc/self/fd")}
    except OSError:
        return set()


#: Functions that change what nothing shows, and what they change.
_UNSEEN = {
    "addaudithook": "an audit hook",
    "register_at_fork": "a function called at a fork",
    "set_wakeup_fd": "the descriptor that signals write to",
    "prctl": "a setting of this process",
    "sched_setaffinity": "the processors that this process may use",
}


def unseen(names: frozenset[str]) -> list[Flag]:
    """Flags for what a cell that mentions ``names`` set and nobody can read, and for timers that run."""
    cure = "set it in a cell tagged `setup`, which runs in every new kernel"
    flags = [Flag(n, f"a resume does not bring back {_UNSEEN[n]}", cure, "HF131") for n in sorted(_UNSEEN.keys() & names)]
    if names & {"setitimer", "alarm"}:
        running = [n for n in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if signal.getitimer(getattr(signal, n))[0]]
        flags += [Flag(n, "a resume does not bring back a running timer", "set it again where it is needed", "HF131") for n in running]
    return flags


class Background:
    """Watches for running threads and pending tasks that execute the author's code.

    Args:
        namespace: the author's.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._known: set[int] = set()

    def start(self) -> None:
        """Threads there now are not the author's."""
        self._known = {t.ident for t in threading.enumerate() if t.ident is not None}

    def active(self) -> bool:
        """Whether code of the author's runs, or waits, beside the cell."""
        return bool(self._threads() or self._tasks())

    def _threads(self) -> list[str]:
        others = [t for t in threading.enumerate() if t.ident not in self._known and t is not threading.current_thread()]
        if not others:
            return []
        frames = sys._current_frames()
        found = []
        for thread in others:
            frame = frames.get(thread.ident or 0)
            while frame is not None:
                if frame.f_globals is self._namespace:
                    found.append(thread.name)
                    break
                frame = frame.f_back
            else:
                if isinstance(thread, threading.Timer):
                    found.append(thread.name)
        return found

    def _tasks(self) -> list[str]:
        found = []
        current = threading.main_thread()
        if threading.current_thread() is not current and not asyncio._get_running_loop():
            return []
        every: Any = getattr(asyncio.tasks, "_all_tasks", None) or getattr(asyncio.tasks, "_scheduled_tasks", ())
        for task in list(every):
            coroutine = task.get_coro()
            frame = getattr(coroutine, "cr_frame", None)
            if not task.done() and frame is not None and frame.f_globals is self._namespace and frame.f_code.co_name != "<module>":
                found.append(task.get_name())
        return found

    def flags(self) -> list[Flag]:
        """One flag for each thread or task that is still running."""
        cure = "wait for it before the cell ends: thread.join(), or await the task"
        flags = [Flag(name, "this thread still runs; after a resume it does not", cure, "HF137") for name in self._threads()]
        return flags + [Flag(name, "this task is still pending; after a resume it is not", cure, "HF137") for name in self._tasks()]
