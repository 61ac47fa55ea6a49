"""Finding what a person names: an execution by a part of its id, a step by its name."""

from __future__ import annotations

import difflib

from holdfast.errors import LookupFailedError
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.manifest import Manifest


def find(store: Store, id: str) -> Execution:
    """The execution whose id is ``id``, or begins or ends with it, when there is only one such.

    Raises:
        LookupFailedError: HF601, none or several.
    """
    header = store.header(id)
    if header is not None:
        return header
    known = store.headers() if id else []
    for matching in ([h for h in known if h.id.startswith(id)], [h for h in known if h.id.endswith(id)]):
        if len(matching) == 1:
            return matching[0]
        if matching:
            some = ", ".join(h.id for h in matching[:5]) + (" ..." if len(matching) > 5 else "")
            raise LookupFailedError("HF601", f"{len(matching)} executions match {id!r}: {some}", cure="Give more of the id.")
    near = difflib.get_close_matches(id, [h.id for h in known], n=1, cutoff=0.5)
    cure = f"Did you mean {near[0]}?" if near else "`holdfast list` shows them."
    raise LookupFailedError("HF601", f"there is no execution {id!r}", cure=cure)


def require_step(manifest: Manifest, name: str, execution: str | None = None) -> str:
    """``name``, when it is a step of the runbook.

    Raises:
        LookupFailedError: HF603.
    """
    if manifest.step(name) is not None:
        return name
    names = [s.name for s in manifest.steps]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    cure = f"Did you mean {near[0]!r}?" if near else f"Its steps are: {', '.join(names)}."
    raise LookupFailedError("HF603", f"the runbook has no step {name!r}", cure=cure, runbook=manifest.name, execution=execution)
