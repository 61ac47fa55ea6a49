"""One server's HTTP API, its credentials by reference."""

from __future__ import annotations

from typing import Any

from holdfast.durable.references import secret
from holdfast.errors import CallError


class Server:
    """An address and how to sign in there.

    Args:
        url: with its path prefix, if it has one.
        token: a reference to a bearer token.
        user: for basic authentication.
        password: a reference to the password.
        timeout: seconds per request.
    """

    def __init__(
        self, url: str, *, token: str | None = None, user: str | None = None, password: str | None = None, timeout: float = 30.0
    ) -> None:
        import httpx

        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {secret(token)}"} if token is not None else {}
        auth = (user, str.__str__(secret(password))) if user is not None and password is not None else None
        self._http = httpx.Client(headers=headers, auth=auth, timeout=timeout)

    def ask(self, method: str, path: str, **arguments: Any) -> Any:
        """The answer's JSON.

        Raises:
            CallError: HF333 the server refuses. httpx.HTTPError: it is not reached.
        """
        answer = self._http.request(method, self.url + path, **arguments)
        if answer.status_code >= 400:
            raise CallError(
                "HF333",
                f"{self.url} refuses {method} {path}: {answer.status_code} {answer.text[:300]}",
                cure="Correct the query or the request; look whether the credentials suffice.",
            )
        return answer.json() if answer.content else None
