"""What a worker does for events beside its own work: rules on what came in, and telling sinks what happened."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from holdfast.client.client import Client
from holdfast.errors import OperatorError
from holdfast.events.dispatch import Dispatched, dispatch_due
from holdfast.events.rules import Rules, rules_files
from holdfast.events.settings import EventsFile
from holdfast.events.sinks import deliver_due
from holdfast.foundation import clock
from holdfast.model.execution import Execution, Status

_log = logging.getLogger("holdfast.events")
#: Seconds after which rules and sinks are read again when their files have changed.
_READ_AGAIN: Final = 5.0


class Tender:
    """Rules and sinks of an installation, read again when their files change. For one thread at a time.

    Args:
        client: on the journal.
        folders: where rules lie; by default where the settings say runbooks are.
    """

    def __init__(self, client: Client, folders: Iterable[Path] | None = None) -> None:
        self._client = client
        self._folders = tuple(folders) if folders is not None else tuple(client.config.runbooks)
        self._looked = float("-inf")
        self._stamp: object = None
        self.rules, self.events = Rules(), EventsFile()

    def look(self, *, deliver: bool = True, patience: float = 1.0) -> Dispatched:
        """Start what rules want started, and tell sinks what they have not been told. Cheap when there is nothing.

        Args:
            deliver: also the sinks.
            patience: seconds for which slow sinks are waited for.

        Raises:
            StoreError: the journal cannot be reached; the next look makes up for it.
        """
        self._read()
        told = dispatch_due(self._client, self.rules)
        if deliver and self.events.sinks:
            deliver_due(self._client.store, self.events.sinks.values(), patience=patience)
        return told

    def _read(self) -> None:
        now = clock.monotonic()
        if now - self._looked < _READ_AGAIN:
            return
        self._looked = now
        files = [file for folder in self._folders for file in rules_files(folder)]
        path = self._client.config.events_file
        stamp = [(file, _changed(file)) for file in [*files, *([path] if path is not None else [])]]
        if stamp == self._stamp:
            return
        self._stamp = stamp
        self.rules = Rules.load(self._folders)
        for trouble in self.rules.troubles:
            _log.error("%s", trouble)
        try:
            self.events = EventsFile.load(self._client.config)
        except OperatorError as error:  # sinks stay as they were
            _log.error("%s", error)


def queued_by_rules(client: Client, rules: Rules, *, page: int = 500) -> Iterator[list[Execution]]:
    """Executions that ``rules`` started and that nobody has begun to work on, the oldest first, in pages. Raises ``StoreError``."""
    ours = tuple(f"rule/{rule.id}/" for rule in rules.rules)
    after: str | None = None
    while ours:
        found = client.store.headers(statuses=(Status.QUEUED,), newest_first=False, limit=page, after=after)
        yield [header for header in found if (header.key or "").startswith(ours) and header.owner is None]
        if len(found) < page:
            return
        after = found[-1].id


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
