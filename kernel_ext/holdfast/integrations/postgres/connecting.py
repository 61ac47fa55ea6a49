"""A connection, its password by reference."""

from __future__ import annotations

import re
from typing import Any

from holdfast.durable.references import secret
from holdfast.foundation import clock

#: What a server says that will take connections by and by. It gives no code with it, only its text.
_BUSY = re.compile(r"too many (?:clients|connections)|connection slots are reserved|is starting up|is shutting down|in recovery mode")
_APART = 0.5


def connect(conninfo: str = "", *, password: str | None = None, autocommit: bool = True, patience: float = 60.0, **parameters: Any) -> Any:
    """A ``psycopg.Connection``. Make it in a cell tagged ``setup``: it is made anew in every kernel.

    Args:
        conninfo: as libpq takes it, without the password.
        password: a reference to it (``env:NAME`` …).
        autocommit: each statement by itself; ``with db.transaction():`` binds several together.
        patience: for how many seconds a server is asked again that has no connection left, or is just starting.
    Raises:
        OperatorError: HF219 the reference leads nowhere. psycopg.OperationalError: the server is not reached, or refuses.
    """
    import psycopg

    given = dict(parameters) if password is None else {**parameters, "password": str.__str__(secret(password))}
    made = _opened(psycopg, patience, conninfo, autocommit=autocommit, **given)
    again = {**parameters, "patience": patience}
    made.holdfast_made = connect_again, (conninfo, password, autocommit, again)  # for checkpoints: no password, its reference
    return made


def connect_again(conninfo: str, password: str | None, autocommit: bool, parameters: dict[str, Any]) -> Any:
    """What a checkpoint does to have a connection of :func:`connect` back."""
    return connect(conninfo, password=password, autocommit=autocommit, **parameters)


def _opened(psycopg: Any, patience: float, conninfo: str, **given: Any) -> Any:
    until = clock.monotonic() + patience
    while True:
        try:
            return psycopg.connect(conninfo, **given)
        except psycopg.OperationalError as error:
            if not _BUSY.search(str(error)) or clock.monotonic() >= until:
                raise
        clock.sleep(_APART)
