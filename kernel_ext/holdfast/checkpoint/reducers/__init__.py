"""Built-in reducers. None of these modules imports the library it serves before an object of it is met."""

from __future__ import annotations

from holdfast.checkpoint.reducer import Reducer
from holdfast.checkpoint.reducers import aws, clients, concurrency, databases, files, joint, standard, widgets


def built_in() -> list[Reducer]:
    """All reducers that come with Holdfast."""
    return [
        *standard.REDUCERS,
        *joint.REDUCERS,
        *concurrency.REDUCERS,
        *files.REDUCERS,
        *databases.REDUCERS,
        *clients.REDUCERS,
        *aws.REDUCERS,
        *widgets.REDUCERS,
    ]
