"""How a question looks where its cell runs. The contract that the kernel fulfils; by default nothing is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from holdfast.model.prompt import Prompt


class Showing(Protocol):
    """A question while the cell waits for its answer."""

    @property
    def live(self) -> bool:
        """Whether a person can answer it there: then the kernel is held for them."""

    def tick(self, prompt: Prompt) -> None:
        """It is still open; ``prompt`` has its votes so far. Called a few times a second, in the thread that waits."""

    def close(self, prompt: Prompt) -> None:
        """It has ended, or (``prompt`` is open) the cell stops waiting for it."""


#: Shows a question where the cell runs.
Present = Callable[[Prompt], Showing]


class Unseen:
    """Shows nothing."""

    live = False

    def __init__(self, prompt: Prompt) -> None:
        pass

    def tick(self, prompt: Prompt) -> None:
        """Nothing."""

    def close(self, prompt: Prompt) -> None:
        """Nothing."""
