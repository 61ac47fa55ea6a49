"""One HTTP POST to a webhook: what came of it, in the terms of whoever must decide about another try."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

#: Statuses that say "not this message", whoever is asked and however often.
REFUSING: Final = frozenset({400, 405, 406, 409, 410, 411, 413, 414, 415, 422, 431})
_READ: Final = 64 * 1024


class NotTaken(Exception):
    """A POST that had no success.

    Args:
        why: one sentence without secrets.
        refused: the same message will be refused again.
        after: seconds that the server wants to be left alone.
    """

    def __init__(self, why: str, *, refused: bool = False, after: float | None = None) -> None:
        super().__init__(why)
        self.why, self.refused, self.after = why, refused, after


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        """A redirected POST would arrive as a GET; so it is none at all."""


_opener = urllib.request.build_opener(_NoRedirect)


def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout: float) -> bytes:
    """Send ``body``; the beginning of what is answered.

    Args:
        timeout: seconds for each step of the connection.

    Raises:
        NotTaken.
    """
    request = urllib.request.Request(url, body, dict(headers), method="POST")
    try:
        with _opener.open(request, timeout=timeout) as answer:
            read: bytes = answer.read(_READ)
            return read
    except urllib.error.HTTPError as error:
        after = error.headers.get("Retry-After", "")
        error.close()
        raise NotTaken(f"HTTP {error.code}", refused=error.code in REFUSING, after=float(after) if after.isdigit() else None) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotTaken(f"{type(error).__name__}: {error}") from None
