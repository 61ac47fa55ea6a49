"""What a database server says of itself, for ``holdfast doctor``."""

from __future__ import annotations

from typing import Any, Final

from holdfast.journal.store import Store

#: What decides whether a commit survives the loss of power, and how many workers fit.
_NAMES: Final = ("server_version", "fsync", "full_page_writes", "synchronous_commit", "max_connections")


def server_settings(store: Store) -> dict[str, str]:
    """The settings of the server behind ``store``; empty for a store without one.

    Raises:
        StoreError: the server cannot be reached.
    """
    session: Any = getattr(store, "_session", None)
    if not type(store).__module__.endswith(".postgres") or session is None:
        return {}
    rows = session.rows("SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s)", [list(_NAMES)])
    found = {str(name): str(setting) for name, setting in rows}
    return {name: found[name] for name in _NAMES if name in found}
