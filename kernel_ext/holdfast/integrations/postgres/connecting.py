"""A connection, its password by reference."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret


def connect(conninfo: str = "", *, password: str | None = None, autocommit: bool = True, **parameters: Any) -> Any:
    """A ``psycopg.Connection``. Make it in a cell tagged ``setup``: it is made anew in every kernel.

    Args:
        conninfo: as libpq takes it, without the password.
        password: a reference to it (``env:NAME`` …).
        autocommit: each statement by itself; ``with db.transaction():`` binds several together.
    Raises:
        OperatorError: HF219 the reference leads nowhere. psycopg.OperationalError: the server is not reached, or refuses.
    """
    import psycopg

    given = dict(parameters) if password is None else {**parameters, "password": str.__str__(secret(password))}
    made: Any = psycopg.connect(conninfo, autocommit=autocommit, **given)
    made.holdfast_made = connect_again, (conninfo, password, autocommit, parameters)  # for checkpoints: no password, its reference
    return made


def connect_again(conninfo: str, password: str | None, autocommit: bool, parameters: dict[str, Any]) -> Any:
    """What a checkpoint does to have a connection of :func:`connect` back."""
    return connect(conninfo, password=password, autocommit=autocommit, **parameters)
