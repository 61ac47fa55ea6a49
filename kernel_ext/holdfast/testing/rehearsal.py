"""A rehearsal: a runbook on a stage of its own, where it can be killed, and where the far side says what was done to it.

A pack describes its rehearsals in ``rehearsals.py`` beside its runbooks, one function per runbook::

    @rehearsal("restart-workers")
    @contextmanager
    def workers(folder: Path) -> Iterator[Stage]:
        with Workers(folder) as server:
            yield Stage(
                environment={"WORKERS_URL": server.url},
                parameters={"max_restarts": 3},
                answers={"Restart": Answer("yes")},
                effects=lambda: Counter(server.restarts()),
                state=lambda: server.states(),
            )

``python -m holdfast.testing.rehearse RUNBOOK`` shows it; ``tests/crash/test_runbooks_killed.py`` takes it through its kills.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import LookupFailedError

#: The file of a pack that describes its rehearsals.
FILE = "rehearsals.py"


class Answer(msgspec.Struct, frozen=True):
    """What a person says to a question.

    Args:
        verdict: ``yes``, ``no``, an option; None with a value.
        value: of a form or a text.
        who: each of them says so (votes), one after the other.
        typed: the name that a destructive question wants to see.
        after: seconds after it was asked, at the earliest.
    """

    verdict: str | None = None
    value: Any = None
    who: tuple[str, ...] = ("rehearsal",)
    why: str | None = "rehearsed"
    typed: str | None = None
    after: float = 0.0


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What monitoring has to say about a stage, for :mod:`holdfast.testing.demonstrate`.

    Args:
        labels: of the alert, as the rules in ``alerts.yaml`` of the pack give them.
        firing: whether it fires now.
        metrics: what the exporters of the stage show now, in Prometheus's text format.
    """

    labels: Mapping[str, str]
    firing: Callable[[], bool]
    metrics: Callable[[], str]


class Stage(msgspec.Struct, kw_only=True):
    """The world of one rehearsal, set up.

    Args:
        effects: what has been done at the far side so far, by its own record: a name that is the same in every rehearsal -> how often.
        state: how the far side looks, without what differs between rehearsals (ids, times).
        parameters: of the runbook.
        environment: of every process.
        answers: what a person says to the question that has this text in it; the first that fits.
        meanwhile: what the world does while the execution waits; called with how often it has been called, from 0 on. It may say
            True: go on at once, without waiting for what is due.
        ends: how the execution ends.
        alert: what would wake somebody up.
    """

    effects: Callable[[], Counter[str]]
    state: Callable[[], Any]
    parameters: Mapping[str, Any] = {}
    environment: Mapping[str, str] = {}
    answers: Mapping[str, Answer] = {}
    meanwhile: Callable[[int], object] | None = None
    ends: str = "succeeded"
    alert: Alert | None = None


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """How one runbook is rehearsed.

    Args:
        runbook: the notebook's name, without its ending.
        stage: sets up the world below a folder.
        story: one sentence for whoever watches.
        needs: a program that must be installed.
        repeated: effects that may rightly happen more than once (a reminder, an attempt that was refused).
    """

    runbook: str
    stage: Callable[[Path], AbstractContextManager[Stage]]
    story: str = ""
    needs: Callable[[], bool] | None = None
    repeated: frozenset[str] = frozenset()


Staging = Callable[[Path], AbstractContextManager[Stage]]


def rehearsal(
    runbook: str, *, needs: Callable[[], bool] | None = None, repeated: frozenset[str] = frozenset()
) -> Callable[[Staging], Rehearsal]:
    """Make a function that sets up a :class:`Stage` the rehearsal of a runbook of this pack; its docstring tells the story."""

    def made(stage: Staging) -> Rehearsal:
        return Rehearsal(runbook=runbook, stage=stage, story=(stage.__doc__ or "").strip(), needs=needs, repeated=repeated)

    return made


def rehearsals(pack: Path) -> dict[str, Rehearsal]:
    """All rehearsals of a pack (a folder), by the runbook's name; none when it describes none."""
    file = pack / FILE
    if not file.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"rehearsals_of_{pack.name.replace('-', '_')}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {one.runbook: one for one in vars(module).values() if isinstance(one, Rehearsal)}


def find(book: Path) -> Rehearsal:
    """The rehearsal of a runbook.

    Raises:
        LookupFailedError: HF605, its pack describes none.
    """
    found = rehearsals(book.parent).get(book.stem)
    if found is None:
        raise LookupFailedError("HF605", f"no rehearsal of {book.stem} in {book.parent / FILE}", cure="Describe one there.")
    return found
