"""What a statement of SQL does, as far as its text tells."""

from __future__ import annotations

import re
from typing import Any

from holdfast.model.call import Effect

_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_READS = frozenset("select show explain table values fetch with".split())
_SESSION = frozenset("set reset listen unlisten discard deallocate prepare declare close".split())
_OUTSIDE = re.compile(
    r"vacuum|cluster|reindex\b.*\bconcurrently|(create|drop)\s+(database|tablespace)|alter\s+system|(create|drop)\s+index\s+concurrently"
)
_CHANGING = re.compile(
    r"\b(insert\s+into|update\s+\S+.*\bset|delete\s+from|merge\s+into|into\s+(temp|temporary|unlogged|table)?\s*\w+\s+from)\b"
)
_ACTING = re.compile(
    r"\b(nextval|setval|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_promote|pg_switch_wal|pg_create_\w+|"
    r"pg_drop_\w+|pg_notify|dblink\w*|lo_\w+|set_config)\s*\("
)
_AT_ONCE = re.compile(r"\b(pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile|pg_promote|pg_switch_wal)\s*\(")


class Statement:
    """A statement and its parameters."""

    def __init__(self, text: str, parameters: Any) -> None:
        self.text, self.parameters = text, parameters
        self._plain = " ".join(_COMMENTS.sub(" ", text).lower().split())
        self._word = re.match(r"\(*\s*([a-z]*)", self._plain)[1]  # type: ignore[index]

    @property
    def session(self) -> bool:
        """It sets up the session only: it is made in every kernel, and no call."""
        return self._word in _SESSION

    @property
    def controls(self) -> bool:
        """It begins or ends a transaction by itself, which psycopg does not see."""
        return self._word in ("begin", "start", "commit", "end", "rollback", "savepoint", "release", "abort")

    @property
    def at_once(self) -> bool:
        """It has its effect whether its transaction is committed or not, or can be in none."""
        return bool(_OUTSIDE.match(self._plain) or _AT_ONCE.search(self._plain))

    @property
    def effect(self) -> Effect:
        """What making it again would do."""
        if self.at_once:  # a backend that is named together with its start is never another one
            return Effect.IDEMPOTENT if "backend_start" in self._plain or "pg_reload_conf" in self._plain else Effect.WRITE
        if self._word not in _READS or _ACTING.search(self._plain) or (self._word == "explain" and "analyze" in self._plain):
            return Effect.WRITE
        return Effect.WRITE if _CHANGING.search(self._plain) else Effect.READ

    @property
    def destructive(self) -> bool:
        """Whether what it changes is lost."""
        return re.search(r"\b(drop|truncate|delete)\b", self._plain) is not None

    @property
    def shown(self) -> str:
        """For people."""
        text = " ".join(self.text.split())
        return text if len(text) <= 200 else text[:199] + "…"
