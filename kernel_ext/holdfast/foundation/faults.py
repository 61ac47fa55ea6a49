"""Named points where tests cut the power.

A fault is armed by :func:`arm` from a specification: ``POINT[@N]=ACTION``, several separated by commas. ``@N`` means the N-th time
that a process passes the point (1 when left out). Actions:

``kill``        SIGKILL to this process
``kill-parent`` SIGKILL to its parent (at a point in the kernel: the engine)
``kill-both``   SIGKILL to both
``kill-tree``   SIGKILL to this process and its children (at a point in the engine: engine and kernels)
``stop``        SIGSTOP to this process
``raise:OSError:28``  raise that error (28: no space left on device)

With ``-once`` behind the action's name (``kill-once``) it strikes in one process only, however many pass the point; this needs the
log. ``config`` arms faults from ``HOLDFAST_FAULTS`` and ``HOLDFAST_FAULT_LOG`` (a file to which each strike is written, so that a
test can tell that it happened). Production code calls :func:`point`, which costs one test.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

#: Every point that exists. A test reads this set, so a fault cannot be misspelt.
POINTS: Final[frozenset[str]] = frozenset(
    {
        "guardrail.before_check",
        "guardrail.before_count",
        "guardrail.after_count",
        "lock.before_take",
        "lock.after_take",
        "call.before_intent",
        "call.after_intent",
        "call.after_effect",
        "call.after_outcome",
        "checkpoint.during",
        "checkpoint.before_commit",
        "step.after_commit",
        "restore.during",
        "output.during_write",
        "lease.during_renewal",
        "journal.before_commit",
        "prompt.before_open",
        "prompt.after_open",
        "event.after_receive",
        "event.after_decision",
        "event.after_start",
        "sink.after_delivery",
        "channel.before_send",
        "channel.after_send",
        "channel.after_record",
        "prompt.after_answer",
        "prompt.before_take",
        "handover.before_offer",
        "handover.after_offer",
        "handover.before_accept",
        "handover.after_accept",
        "wait.holding",
        "timer.before_set",
        "timer.after_set",
        "timer.before_fire",
        "timer.after_fire",
        "signal.before_take",
        "signal.after_take",
        "child.before_start",
        "child.after_start",
        "child.before_end",
        "child.after_end",
        "child.before_cascade",
        "child.before_release",
        "shell.after_spawn",
        "engine.before_step",
        "engine.after_step",
        "worker.before_begin",
        "run.before_suspended",
        "run.signed_off",
        "run.after_suspended",
        "run.before_resumed",
        "run.before_worker",
        "run.before_submitted",
    }
)

_ACTIONS: Final[frozenset[str]] = frozenset({"kill", "kill-parent", "kill-both", "kill-tree", "stop", "raise"})

_armed: dict[str, list[tuple[int, str]]] = {}
_passed: dict[str, int] = {}
_lock = threading.Lock()
_log: str | None = None


def arm(specification: str, log: str | None = None) -> None:
    """Arm the faults of ``specification``; an empty text disarms all.

    Raises:
        ValueError: an unknown point or action, or ``-once`` without a log.
    """
    global _log
    _armed.clear()
    _passed.clear()
    _log = log
    for item in filter(None, (s.strip() for s in specification.split(","))):
        point_at, _, action = item.partition("=")
        name, _, nth = point_at.partition("@")
        if name not in POINTS:
            raise ValueError(f"unknown fault point {name!r}")
        verb = action.split(":")[0]
        if verb.removesuffix("-once") not in _ACTIONS:
            raise ValueError(f"unknown fault action {action!r}")
        if verb.endswith("-once") and not log:
            raise ValueError(f"{action!r} needs a fault log")
        _armed.setdefault(name, []).append((int(nth or 1), action))


def point(name: str) -> None:
    """Pass a named point; strikes when it is armed."""
    if _armed and name in _armed:
        _strike(name)


def _strike(name: str) -> None:
    with _lock:
        _passed[name] = count = _passed.get(name, 0) + 1
        actions = [action for nth, action in _armed[name] if nth == count]
    for action in actions:
        verb, *arguments = action.split(":")
        if verb.endswith("-once") and not _first(f"{name}@{count}"):
            continue
        _write_down(f"{os.getpid()} {name}@{count} {action}")
        _act(verb.removesuffix("-once"), arguments)


def _first(strike: str) -> bool:
    """Whether no other process has claimed this strike (creating a file is the claim)."""
    try:
        os.close(os.open(f"{_log}.{strike}", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _write_down(line: str) -> None:
    if _log:
        fd = os.open(_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{line}\n".encode())
        os.close(fd)


def _act(verb: str, arguments: list[str]) -> None:
    if verb == "raise":
        raise OSError(int(arguments[1]), os.strerror(int(arguments[1]))) if arguments[0] == "OSError" else RuntimeError(arguments[0])
    if verb == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
        return
    if verb in ("kill-parent", "kill-both"):
        os.kill(os.getppid(), signal.SIGKILL)
    if verb == "kill-tree":
        for child in _children(os.getpid()):
            os.kill(child, signal.SIGKILL)
    if verb != "kill-parent":
        os.kill(os.getpid(), signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """Direct children, newest state of the process table (Linux; elsewhere none are found)."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task") if os.path.isdir("/proc") else ():
        with open(f"/proc/{pid}/task/{task}/children") as children:
            found += [int(child) for child in children.read().split()]
    return found
