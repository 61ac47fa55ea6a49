"""Reducers for clients of the outside that can be made again from their settings."""

from __future__ import annotations

from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer


def _requests_session(context: Context, o: Any) -> Any:
    state = {k: v for k, v in vars(o).items() if k != "adapters"}
    return make_requests_session, (type(o),), (state, list(o.adapters.items())), None, None, fill_requests_session


def make_requests_session(cls: type) -> Any:
    """A ``requests.Session`` with no connections yet."""
    import requests

    made: Any = object.__new__(cls)
    requests.Session.__init__(made)
    return made


def fill_requests_session(target: Any, state: Any) -> None:
    """Headers, cookies, authentication, adapters."""
    attributes, adapters = state
    vars(target).update(attributes)
    target.adapters.clear()
    target.adapters.update(adapters)


REDUCERS = [
    Reducer("requests.sessions:Session", _requests_session, follow=True),
]
