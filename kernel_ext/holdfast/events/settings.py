"""Which sources events come from and which sinks they go to: the events file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.config import Config, referred
from holdfast.errors import LookupFailedError
from holdfast.events.near import Trouble, did_you_mean, expect, known_keys, read_table
from holdfast.events.source import Source, Trust
from holdfast.events.sources import SOURCES

_HASHES: Final = ("sha256", "sha1", "sha512")
_SOURCE: Final = (
    "type", "secret", "secrets", "token", "tokens", "window", "header", "prefix", "algorithm", "timestamp_header", "event_type",
    "event_id", "event_subject", "keep",
)  # fmt: skip
_SINK: Final = ("url", "file", "types", "runbooks", "headers", "secret", "timeout", "from", "enabled")


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A source as configured."""

    name: str
    source: Source
    trust: Trust = Trust()
    keep: tuple[str, ...] = ()  # names of fields that are no secrets, whatever they are called


class SinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A sink as configured: an address or a file, and which events go there."""

    name: str
    url: str | None = None
    file: Path | None = None
    types: tuple[str, ...] = ("*",)  # shell-style patterns
    runbooks: tuple[str, ...] = ("*",)
    headers: Mapping[str, str] = {}
    secret: bytes | None = None  # signs the body: X-Holdfast-Signature: sha256=…
    timeout: float = 10.0  # seconds per request
    begins: str = "now"  # a new sink is told of what comes after it was configured; "beginning": of everything
    enabled: bool = True


class EventsFile(msgspec.Struct, frozen=True, kw_only=True):
    """Sources and sinks by name."""

    sources: Mapping[str, SourceSettings] = {}
    sinks: Mapping[str, SinkSettings] = {}

    @classmethod
    def load(cls, config: Config) -> EventsFile:
        """Read the events file of ``config``; without one, every kind of source is there under its own name, trusting only
        callers whom the gateway knows.

        Raises:
            OperatorError: HF281.
        """
        path = config.events_file
        sources = {kind: SourceSettings(name=kind, source=source) for kind, source in SOURCES.items()}
        if path is None:
            return cls(sources=sources)
        place = ""
        try:
            content = read_table(path)
            known_keys(content, ("sources", "sinks"))
            for name, table in expect(content, "sources", dict, "a table", {}).items():
                place = f"sources.{name}"
                sources[name] = _source(name, table, path.parent)
            sinks = {}
            for name, table in expect(content, "sinks", dict, "a table", {}).items():
                place = f"sinks.{name}"
                sinks[name] = _sink(name, table, path.parent)
        except Trouble as trouble:
            raise trouble.error("HF281", file=str(path), table=place or None) from None
        return cls(sources=sources, sinks=sinks)

    def source(self, name: str) -> SourceSettings:
        """The source of that name. Raises ``LookupFailedError`` HF608."""
        found = self.sources.get(name)
        if found is None:
            raise LookupFailedError("HF608", "no such source", cure=did_you_mean(name, self.sources), source=name)
        return found


def _source(name: str, table: Any, base: Path) -> SourceSettings:
    if not isinstance(table, dict):
        raise Trouble("a source must be a table")
    known_keys(table, _SOURCE)
    kind = expect(table, "type", str, "a text", name)
    if kind not in SOURCES:
        raise Trouble(f"no type of source is called {kind!r}", key="type", cure=did_you_mean(kind, SOURCES))
    algorithm = expect(table, "algorithm", str, "a text", "sha256")
    if algorithm not in _HASHES:
        raise Trouble(f"algorithm must be one of {', '.join(_HASHES)}", key="algorithm")
    window = expect(table, "window", (int, float), "a number of seconds", 300)
    if window <= 0:
        raise Trouble("window must be more than 0 seconds", key="window")
    texts = {k: expect(table, k, str, "a text", None) for k in ("header", "timestamp_header", "event_type", "event_id", "event_subject")}
    trust = Trust(
        secrets=_secrets(table, "secret", base),
        tokens=_secrets(table, "token", base),
        window=float(window),
        prefix=expect(table, "prefix", str, "a text", ""),
        algorithm=algorithm,
        **texts,
    )
    if kind == "pagerduty" and trust.tokens:
        raise Trouble("PagerDuty signs with a secret", key="token", cure='Write secret = "env:NAME" instead.')
    keep = expect(table, "keep", list, "a list of names", [])
    if not all(isinstance(one, str) for one in keep):
        raise Trouble("keep must be a list of names", key="keep")
    return SourceSettings(name=name, source=SOURCES[kind], trust=trust, keep=tuple(keep))


def _secrets(table: Mapping[str, Any], key: str, base: Path) -> tuple[bytes, ...]:
    one = expect(table, key, str, "a reference (env:NAME or file:PATH)", None)
    many = expect(table, f"{key}s", list, "a list of references", [])
    return tuple(_secret(reference, key, base) for reference in ([one] if one is not None else []) + many)


def _secret(reference: Any, key: str, base: Path) -> bytes:
    if not isinstance(reference, str):
        raise Trouble(f"{key} must be a reference (env:NAME or file:PATH)", key=key)
    scheme, _, name = reference.partition(":")
    try:
        return referred(f"file:{base / Path(name).expanduser()}" if scheme == "file" and name else reference).encode()
    except ValueError as error:
        raise Trouble(str(error), key=key) from None


def _sink(name: str, table: Any, base: Path) -> SinkSettings:
    if not isinstance(table, dict):
        raise Trouble("a sink must be a table")
    known_keys(table, _SINK)
    url, file = expect(table, "url", str, "an address", None), expect(table, "file", str, "a path", None)
    if (url is None) == (file is None):
        raise Trouble("a sink has either url or file", key="url")
    if url is not None and not url.startswith(("http://", "https://")):
        raise Trouble("url must begin with http:// or https://", key="url")
    begins = expect(table, "from", str, "a text", "now")
    if begins not in ("now", "beginning"):
        raise Trouble("from must be now or beginning", key="from")
    timeout = expect(table, "timeout", (int, float), "a number of seconds", 10)
    if timeout <= 0:
        raise Trouble("timeout must be more than 0 seconds", key="timeout")
    headers = expect(table, "headers", dict, "a table of texts", {})
    return SinkSettings(
        name=name,
        url=url,
        file=base / Path(file).expanduser() if file is not None else None,
        types=_patterns(table, "types"),
        runbooks=_patterns(table, "runbooks"),
        headers={k: _header(v, base) for k, v in headers.items()},
        secret=_secret(table["secret"], "secret", base) if "secret" in table else None,
        timeout=float(timeout),
        begins=begins,
        enabled=expect(table, "enabled", bool, "true or false", True),
    )


def _header(value: Any, base: Path) -> str:
    """A header of a sink: text, or a reference to a secret anywhere behind the last space (``Bearer env:TOKEN``)."""
    if not isinstance(value, str):
        raise Trouble("headers must be texts", key="headers")
    before, space, last = value.rpartition(" ")
    return f"{before}{space}{_secret(last, 'headers', base).decode()}" if last.startswith(("env:", "file:")) else value


def _patterns(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    given = table.get(key, ["*"])
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, list) or not given or not all(isinstance(one, str) for one in given):
        raise Trouble(f"{key} must be a list of patterns", key=key)
    return tuple(given)
