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

    if password is not None:
        parameters["password"] = str.__str__(secret(password))
    return psycopg.connect(conninfo, autocommit=autocommit, **parameters)
