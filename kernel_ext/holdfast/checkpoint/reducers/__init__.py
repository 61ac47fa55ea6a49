"""Built-in reducers. None of these modules imports the library it serves before an object of it is met."""

from __future__ import annotations

from holdfast.checkpoint.reducer import Reducer
from holdfast.checkpoint.reducers import aws, clients, concurrency, databases, files, joint, standard, widgets
from holdfast.foundation import plugins


def announced() -> list[Reducer]:
    """Reducers of other packages: what their entry points of the group ``holdfast.reducers`` name, each a reducer or several.

    Raises:
        OperatorError: HF212 two packages announce different things under one name, HF213 one cannot be loaded.
    """
    found: list[Reducer] = []
    for plugin in plugins.find("holdfast.reducers"):
        thing = plugin.load()
        found += [thing] if isinstance(thing, Reducer) else thing
    return found


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
