"""From a URL to an open journal, with the installation's key checked."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from holdfast.errors import OperatorError
from holdfast.journal.keys import KEY_BYTES, fingerprint, load_key, make_key
from holdfast.journal.store import Store
from holdfast.journal.stores.sqlite import SqliteStore
from holdfast.journal.stores.sqlite_session import SqliteSession

_FINGERPRINT: Final = "key_fingerprint"


def open_store(url: str, *, key_file: Path | str | None = None, key: bytes | None = None, create: bool = True) -> Store:
    """Open the journal at ``url``; the caller closes it.

    Args:
        url: ``sqlite:///relative/path``, ``sqlite:////absolute/path`` or ``postgresql://user@host/database``.
        key_file: holds the installation's key (64 hexadecimal digits). Made when it is missing and the journal is new.
            Default for SQLite: ``key`` beside the journal; PostgreSQL has none.
        key: the key itself (32 bytes), instead of a file.
        create: make a journal where there is none; commands that only read say False.

    Raises:
        OperatorError: HF220 the URL is not understood, HF221 cannot be opened for writing, HF222 not a journal, HF223 newer than
            this Holdfast, HF225 another installation's key, HF226 key missing or unreadable, HF227 no journal, HF228 the
            database refuses, HF229 the database is not fit.
        StoreError: HF501–HF505, the journal cannot be reached or read.
    """
    scheme, _, rest = url.partition("://")
    if key is not None and len(key) != KEY_BYTES:
        raise OperatorError("HF226", f"an installation key has {KEY_BYTES} bytes, not {len(key)}", cure="Give the right key.")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return _open_sqlite(Path(unquote(rest[1:])).absolute(), key_file, key, create)
    if scheme in ("postgresql", "postgres") and rest:
        return _open_postgres(url, key_file, key, create)
    raise OperatorError(
        "HF220",
        f"the journal's URL {_without_password(url)!r} is not understood",
        cure="Write sqlite:///path/journal.db or postgresql://user@host/database.",
    )


def _open_sqlite(path: Path, key_file: Path | str | None, key: bytes | None, create: bool) -> Store:
    session = SqliteSession(path, create=create)
    try:
        session.unlock(_settled_key(session.meta, key, Path(key_file) if key_file is not None else path.with_name("key")))
    except BaseException:
        session.close()
        raise
    return SqliteStore(session)


def _open_postgres(url: str, key_file: Path | str | None, key: bytes | None, create: bool) -> Store:
    try:
        from holdfast.journal.stores.postgres import PostgresStore
        from holdfast.journal.stores.postgres_session import (
            PostgresSession,  # psycopg is an extra: only who names a PostgreSQL journal needs it
        )
    except ImportError as error:
        raise OperatorError(
            "HF210", f"a PostgreSQL journal needs psycopg: {error}", cure="Install it: pip install 'holdfast[postgres]'."
        ) from error
    session = PostgresSession(url, create=create)
    try:
        session.unlock(_settled_key(session.meta, key, None if key_file is None else Path(key_file)))
    except BaseException:
        session.close()
        raise
    return PostgresStore(session)


def _settled_key(meta: Callable[..., bytes | None], key: bytes | None, file: Path | None) -> bytes:
    """The journal's key. A new journal takes the one it is given, or a new one; later only that one will do.

    Raises:
        OperatorError: HF225, HF226.
    """
    known = meta(_FINGERPRINT)
    if key is None and file is not None:
        key = load_key(file)
        if key is None and known is None:
            key = make_key(file)
    if key is None:
        raise OperatorError(
            "HF226",
            "the installation key is missing",
            file=file,
            cure="Restore the key file (setting key_file); without it no checkpoint of this journal can be trusted.",
        )
    mine = fingerprint(key)
    known = known or meta(_FINGERPRINT, mine)
    if known is None or not hmac.compare_digest(known, mine):
        raise OperatorError(
            "HF225",
            "the journal was made with another installation key",
            file=file,
            cure="Use the key file of the installation that made it (setting key_file).",
        )
    return key


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.rpartition(':')[0]}:***@{tail}" if at and ":" in head.partition("://")[2] else url
