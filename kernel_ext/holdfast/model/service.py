"""Service: a long-running program that ``holdfast up`` keeps up; packages add theirs through the entry point ``holdfast.services``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One program and how a person reaches it."""

    name: str
    command: tuple[str, ...]
    folder: Path  # where it works
    port: int | None = None  # where it listens, on loopback
    url: str = ""  # what a person opens; with the token where one is needed
    ready: str = ""  # an address that answers with 200 as soon as it can be used
    purpose: str = ""  # what it is for, in a few words


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What one package adds to ``holdfast up``.

    Its entry point is a callable that is given the folder of runbooks, the port, and the environment that all services will have.
    """

    services: tuple[Service, ...]
    environment: Mapping[str, str] = {}  # added to that of all services
    notes: tuple[str, ...] = ()  # lines for whoever starts it: what was found, what is broken
    start: Callable[[Mapping[str, str]], None] | None = None  # before its services start, with the environment of all
    stop: Callable[[], str | None] | None = None  # after its services have ended: ends what they left; says what that was
