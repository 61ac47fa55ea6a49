"""Listening: a socket, the owner's token where there is no policy, uvicorn."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import uvicorn

from holdfast.access.tokens import owner_token
from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.gateway.app import create
from holdfast.gateway.hall import Hall
from holdfast.journal.store import Store

_GRACE = 5  # seconds for requests under way when the server is told to end


def serve(store: Store, config: Config, *, host: str = "127.0.0.1", port: int = 8181, ready: Callable[[str, str | None], None]) -> None:
    """Serve until told to end.

    Args:
        store: the open journal.
        config: the settings.
        host: the address to listen on.
        port: 0: any that is free.
        ready: is told the address and, without a policy, the owner's token.

    Raises:
        OperatorError: HF267 it would be open to all; HF211 it cannot listen there; HF202, HF265, HF266, HF268.
    """
    local = is_loopback(host)
    if config.policy_file is None and not local:
        raise OperatorError(
            "HF267", f"without a policy file the gateway listens on this machine only, not on {host}",
            cure="Write a policy (setting policy_file), or leave --host out.",
        )  # fmt: skip
    token = owner_token(config.state_dir / "gateway-token") if config.policy_file is None else None
    listening = _listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    hall = Hall(store, config, owner=(config.user, token) if token is not None else None, url=address)
    app = create(hall, hosts=_hosts(host, config) if local else ())
    settings = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE, lifespan="on",
        h11_max_incomplete_event_size=64 * 1024,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    ready(config.public_url or address, token)
    asyncio.run(server.serve(sockets=[listening]))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hosts(host: str, config: Config) -> tuple[str, ...]:
    """A page of another site must not reach a server on this machine by a name of its own."""
    public = urlsplit(config.public_url).hostname if config.public_url else None
    return tuple({"localhost", "127.0.0.1", "::1", host, *([public] if public else [])})


def _listen(host: str, port: int) -> socket.socket:
    try:
        kind = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(kind, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(256)
    except OSError as error:
        raise OperatorError(
            "HF211", f"the gateway cannot listen on {host}:{port}: {error.strerror}", cure="Choose another: --host, --port."
        ) from None
    return listening
