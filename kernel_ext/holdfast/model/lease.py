"""Lease: one worker's right to write to one execution for a while; its fence refuses a writer whose lease is lost."""

from __future__ import annotations

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A worker process, told apart from a later one with the same pid by the time it started."""

    host: str
    boot: str  # the machine's boot id
    pid: int
    started: str  # start time of the process as the kernel gives it, text
    label: str = ""  # for people: "engine", "lab", "dagster"

    @property
    def text(self) -> str:
        """One line, as lists and the header show it."""
        return f"{self.label or 'worker'}@{self.host}:{self.pid}/{self.started}/{self.boot}"


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A claim as granted."""

    execution: str
    fence: int
    owner: str
    until: float  # seconds since the epoch
    step: str | None = None  # of this step alone; None: of the whole execution
