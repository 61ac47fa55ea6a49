"""The settings of the gateway (``holdfast serve``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.config.events import EventsSettings
from holdfast.config.parsing import Setting, names, number, path, whole, words


class GatewaySettings(EventsSettings, frozen=True, kw_only=True):
    """What the gateway needs beyond the journal."""

    runbooks: tuple[Path, ...] = ()
    policy_file: Path | None = None
    tokens_file: Path | None = None
    workers: str = "detached"
    public_url: str | None = None
    dagster_url: str | None = None
    session_lasts: float = 43_200.0
    max_request_bytes: int = 1 << 20
    request_timeout: float = 30.0
    trusted_proxies: tuple[str, ...] = ()
    proxy_user_header: str = ""
    proxy_groups_header: str = ""
    jwt_jwks: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_user_claim: str = "sub"
    jwt_groups_claim: str = "groups"
    jwt_header: str = "Authorization"


def _paths(value: Any, base: Path) -> tuple[Path, ...]:
    return tuple(path(one, base) for one in ([value] if isinstance(value, Path) else names(value, base)))


def _one_of(*choices: str) -> Callable[[Any, Path], str]:
    def parse(value: Any, base: Path) -> str:
        if value not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return str(value)

    return parse


def _address(value: Any, base: Path) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return value.rstrip("/")


def _keys(value: Any, base: Path) -> str:
    return words(value, base) if str(value).startswith(("http://", "https://")) else str(path(value, base))


#: In the order of the reference page.
GATEWAY: dict[str, Setting] = {
    "runbooks": Setting(
        _paths,
        "list of folders",
        "`./runbooks` when it is there, else the working directory",
        "Where the gateway looks for runbooks; their names are the file names without ending.",
    ),
    "policy_file": Setting(
        path, "path", "none", "Who may do what at the gateway (TOML). Without it, only the owner may use it, and only on this machine."
    ),
    "tokens_file": Setting(path, "path", "`tokens.json` in `state_dir`", "The digests of the static tokens that `holdfast token` makes."),
    "workers": Setting(
        _one_of("detached", "queue"),
        "`detached` or `queue`",
        "`detached`",
        "Who works on what is started or continued at the gateway: a worker that it keeps beside it, or (`queue`) `holdfast worker` and "
        "Dagster, wherever they run.",
    ),
    "public_url": Setting(
        _address,
        "address",
        "where the gateway listens",
        "How people reach the gateway: for links in messages and in Dagster's runs, and for `Secure` cookies when it is https.",
    ),
    "dagster_url": Setting(
        _address,
        "address",
        "none; `holdfast up` sets it",
        "How people reach Dagster's pages: the page of an execution then links to its runs. The other way, runs link to `public_url`.",
    ),
    "session_lasts": Setting(number(60, "seconds"), "seconds, ≥ 60", "`43200` (12 h)", "How long a sign-in to the pages lasts."),
    "max_request_bytes": Setting(whole(1024), "bytes, ≥ 1024", "`1048576` (1 MiB)", "The largest request body the gateway takes."),
    "request_timeout": Setting(number(1, "seconds"), "seconds, ≥ 1", "`30`", "How long the gateway works on one request."),
    "trusted_proxies": Setting(
        names, "list of addresses or networks", "none", "The proxies whose identity headers count; from anybody else they are ignored."
    ),
    "proxy_user_header": Setting(
        words, "header name", "none", "The header in which a trusted proxy names the person, e.g. `X-Forwarded-User`."
    ),
    "proxy_groups_header": Setting(
        words,
        "header name",
        "none",
        "The header in which a trusted proxy lists their groups, separated by commas, e.g. `X-Forwarded-Groups`.",
    ),
    "jwt_jwks": Setting(_keys, "path or address", "none", "The keys (JWKS) of the identity provider; switches sign-in by JWT on."),
    "jwt_issuer": Setting(words, "text", "none", "The `iss` a JWT must have."),
    "jwt_audience": Setting(words, "text", "none", "The `aud` a JWT must have."),
    "jwt_user_claim": Setting(
        words, "claim", "`sub`", "Which claim names the person as the policy file does, e.g. `email`; a dotted path leads inside."
    ),
    "jwt_groups_claim": Setting(words, "claim", "`groups`", "Which claim lists their groups, e.g. `realm_access.roles`."),
    "jwt_header": Setting(
        words,
        "header name",
        "`Authorization`",
        "Where the JWT comes: `Authorization: Bearer`, or a header that a trusted proxy sets, e.g. `X-Forwarded-Access-Token`.",
    ),
}
