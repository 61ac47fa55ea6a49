"""What a journal answers when a compare-and-set is lost. (Faults of the store itself are ``StoreError``, see ``holdfast.errors``.)"""

from __future__ import annotations

from typing import Any

from holdfast.model.entry import Entry


class OnceTaken(Exception):
    """Another writer was first: ``entry`` is the one that has taken ``once``; nothing was written.

    Not a ``StoreError``: trying again cannot help, and only the caller knows what losing means (an answered prompt, a timer that fired).
    """

    def __init__(self, once: str, entry: Entry) -> None:
        super().__init__(f"{once!r} of execution {entry.execution} is taken by entry {entry.seq}")
        self.once, self.entry = once, entry

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.once, self.entry)
