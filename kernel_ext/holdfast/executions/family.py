"""Executions that others started: finding them, and telling the parent of their end.

A child *follows* its parent when that waits for it: it is paused, resumed and cancelled with it. One that was started and not waited for
goes its own way until somebody waits for it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.errors import AuthorError
from holdfast.foundation import clock
from holdfast.foundation.faults import point
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Kind, Pending
from holdfast.model.execution import Change, Execution, Mode, Status

#: How deep executions may start executions: whoever comes so far calls itself.
MOST_NESTED = 10


def children(store: Store, parent: str) -> list[Execution]:
    """What an execution has started, the oldest first.

    Raises:
        StoreError.
    """
    return store.headers(parent=parent, newest_first=False)


def ancestors(store: Store, header: Execution) -> list[Execution]:
    """Whoever started the execution, whoever started that, and so on.

    Raises:
        StoreError.
    """
    found: list[Execution] = []
    while header.parent is not None and len(found) < 2 * MOST_NESTED:
        above = store.header(header.parent)
        if above is None:
            break
        found.append(above)
        header = above
    return found


def check_depth(store: Store, header: Execution, runbook: str) -> None:
    """Refuse a child of ``header`` that would be nested too deep.

    Raises:
        AuthorError: HF162.
    """
    above = ancestors(store, header)
    if len(above) + 1 >= MOST_NESTED:
        chain = " > ".join(h.runbook for h in (*reversed(above), header))
        raise AuthorError(
            "HF162",
            f"executions are nested {MOST_NESTED} deep: {chain} > {runbook}",
            cure="Let the runbook not start itself; use a loop.",
            execution=header.id,
        )


def tell_parent(store: Store, child: str) -> None:
    """Make the parent of an execution that has come to its end due, where it waits for it. Telling twice changes nothing.

    Raises:
        StoreError.
    """
    header = store.header(child)
    if header is None or header.parent is None or not header.status.ended:
        return
    point("child.before_end")
    for matter in store.pending(execution=header.parent, kind="child"):
        if child_of(matter) == child:
            _close(store, header.parent, matter, header.status)
    point("child.after_end")


def followers(store: Store, parent: str) -> list[Execution]:
    """The children that follow their parent and have not come to their end.

    Raises:
        StoreError.
    """
    living = [c for c in children(store, parent) if not c.status.ended]
    awaited = {str(e.data.get("child")) for e in store.read(parent, kinds=(Kind.CHILD_AWAITED,))} if living else set()
    return [c for c in living if c.id in awaited or not _alone(store, c.id)]


def _alone(store: Store, child: str) -> bool:
    created = store.read(child, kinds=(Kind.EXECUTION_CREATED,), limit=1)
    return bool(created and created[0].data.get("alone"))


def tell(store: Store, matter: Pending) -> bool:
    """Tell the parent that waits in ``matter`` for a child, when that has ended: whoever ended it may have died before telling.

    Returns:
        whether it has ended.

    Raises:
        StoreError.
    """
    header = store.header(child_of(matter))
    if header is None or not header.status.ended:
        return False
    _close(store, matter.execution, matter, header.status)
    return True


def child_of(matter: Pending) -> str:
    """The id of the child that is waited for."""
    body: dict[str, Any] = msgspec.msgpack.decode(matter.body)
    return str(body["child"])


def _close(store: Store, parent: str, matter: Pending, status: Status) -> None:
    above = store.header(parent)
    wakes = above is not None and above.mode == Mode.BATCH and not above.status.ended
    body = {"child": child_of(matter), "status": str(status)}
    draft = Draft(kind=Kind.CHILD_ENDED, key=matter.key, body=body, once=f"child:{matter.key}:end")
    try:
        store.append(parent, (draft,), fence=None, change=Change(due_at=clock.now()) if wakes else None, closes=(matter.key,))
    except OnceTaken:
        store.append(parent, (), fence=None, closes=(matter.key,))
