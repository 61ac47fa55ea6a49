"""The unfinished execution of a notebook that was renamed or moved since: known by its cells, for its file is gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from holdfast.foundation import process
from holdfast.kernel.records import RecordBook
from holdfast.model.entry import Kind
from holdfast.model.execution import Execution, Mode, Status

if TYPE_CHECKING:
    from holdfast.config import Config
    from holdfast.journal.store import Store
    from holdfast.kernel.place import Place

#: Executions whose notebook is gone that are compared, newest first; reading their records takes time.
_COMPARED = 20


def find(store: Store, config: Config, place: Place) -> Execution | None:
    """The newest unfinished interactive execution that was begun for this notebook at another path.

    Its notebook file must be gone (one that is still there was copied, not moved), and every cell it has recorded must be in this
    notebook with the same id and source. What this notebook went through at its present path since then comes first.
    """
    notebook = place.notebook
    if place.path is None or notebook is None:
        return None
    here = [h.created_at for h in store.headers(path=place.path, newest_first=True, limit=20) if h.mode is Mode.INTERACTIVE]
    cells = {(c.id, c.digest) for c in notebook.code_cells}
    open_ones = store.headers(statuses=[s for s in Status if not s.ended], newest_first=True)
    candidates = [
        h for h in open_ones if h.mode is Mode.INTERACTIVE and h.started_by == config.user and h.created_at > max(here, default=0.0)
    ]
    candidates.sort(key=lambda h: h.created_at, reverse=True)
    gone = [h for h in candidates if h.path is not None and h.path != place.path and _gone(h.path)]
    return next((h for h in gone[:_COMPARED] if _began_here(store, config, h) and _newest(store, h) and _matches(store, h, cells)), None)


def _gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # it cannot be told: then it counts as still there
    return False


def _began_here(store: Store, config: Config, header: Execution) -> bool:
    """In a journal that machines share, a path that does not exist here may well exist where the execution was begun."""
    if config.journal_path is not None:
        return True
    created = store.read(header.id, kinds=(Kind.EXECUTION_CREATED,), limit=1)
    return bool(created) and created[0].data.get("host") == process.host()


def _newest(store: Store, header: Execution) -> bool:
    """Whether no later execution was begun at its path: only the latest one of a notebook is gone on with."""
    others = store.headers(path=header.path, newest_first=True, limit=20)
    return all(h.created_at <= header.created_at for h in others if h.mode is Mode.INTERACTIVE)


def _matches(store: Store, header: Execution, cells: set[tuple[str, str]]) -> bool:
    book = RecordBook(store, header.id)
    book.refresh()
    recorded = {(r.key, r.digest) for r in book.in_order()}
    if recorded:
        return recorded <= cells
    failed = [e for step in book.failed_steps() for e in book.failures(step)]  # calls may have been made all the same
    return any((e.key, e.data.get("source_digest")) in cells for e in failed)
