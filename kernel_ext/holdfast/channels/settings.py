"""Which channels an installation has: the channels file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from holdfast.channels.channel import Channel, Given, Maker
from holdfast.config import Config, referred
from holdfast.errors import HoldfastError, LookupFailedError, OperatorError
from holdfast.events.near import Trouble, did_you_mean, read_table
from holdfast.foundation import plugins
from holdfast.foundation.rereading import Reread

#: ``via=`` names that nobody carries: people look there by themselves.
LOOKED_AT: Final = frozenset({"inbox"})
_BUILT_IN: Final = {
    "slack": "holdfast.channels.slack:make",
    "email": "holdfast.channels.email:make",
    "webhook": "holdfast.channels.webhook:make",
}
_DEFAULT: Final = "default"


class Channels:
    """The channels of an installation, by name.

    Args:
        by_name: as configured.
        default: names of those that carry a question without ``via=``.
    """

    def __init__(self, by_name: Mapping[str, Channel] | None = None, default: tuple[str, ...] = ()) -> None:
        self.by_name, self.default = dict(by_name or {}), default

    @classmethod
    def load(cls, config: Config, key: bytes) -> Channels:
        """Read the channels file of ``config``; none without one.

        Args:
            config: the settings.
            key: the installation's.

        Raises:
            OperatorError: HF210 a package is missing, HF213, HF290.
        """
        path = config.channels_file
        if path is None:
            return cls()
        place = ""
        try:
            tables, default = _tables(read_table(path))
            made = {}
            for name, table in tables.items():
                place = name
                made[name] = _maker(name)(
                    Given(name=name, table=table, secret=lambda r: _secret(r, path.parent), folder=path.parent, key=key)
                )
            place = _DEFAULT
            for name in default:
                if name not in made:
                    raise Trouble(f"there is no channel {name!r}", cure=did_you_mean(name, made))
        except Trouble as trouble:
            raise trouble.error("HF290", file=str(path), table=place or None) from None
        except ValueError as error:
            raise OperatorError("HF290", str(error), cure="Correct it.", file=str(path), table=place or None) from None
        return cls(made, default)

    def get(self, name: str) -> Channel:
        """The channel of that name. Raises ``LookupFailedError`` HF611."""
        found = self.by_name.get(name)
        if found is None:
            cure = did_you_mean(name, self.by_name) if self.by_name else "Describe it in the channels file (setting channels_file)."
            raise LookupFailedError("HF611", f"no channel is called {name!r}", cure=cure)
        return found


class ChannelsFile:
    """The channels as the file has them now; read again when it changes. A file that cannot be used any more changes nothing.

    Args:
        config: the settings.
        key: the installation's.
    """

    def __init__(self, config: Config, key: bytes) -> None:
        self._config, self._key = config, key
        self._file = Reread(config.channels_file, self._read) if config.channels_file is not None else None
        self._channels = Channels()  # as they could be read last
        self.trouble: HoldfastError | None = None  # why the file cannot be used

    def current(self) -> Channels:
        """The channels."""
        if self._file is None:
            return self._channels
        try:
            return self._file.current()
        except OSError:
            return self._read()

    def _read(self, path: Path | None = None) -> Channels:
        try:
            self._channels, self.trouble = Channels.load(self._config, self._key), None
        except HoldfastError as error:
            self.trouble = error
        return self._channels


def unknown_name(config: Config, via: Iterable[str]) -> tuple[str, str] | None:
    """The first of ``via`` that names no channel, and a cure; None where all do, or no file says."""
    if config.channels_file is None:
        return None
    try:
        known = LOOKED_AT | _tables(read_table(config.channels_file))[0].keys()
    except Trouble:
        return None
    return next(((name, did_you_mean(name, known)) for name in via if name not in known), None)


def _tables(content: Mapping[str, Any]) -> tuple[dict[str, Mapping[str, Any]], tuple[str, ...]]:
    """Channel -> its table, and the names of those that are used by default. A table of tables is several channels of one kind."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, table in content.items():
        if name == _DEFAULT:
            continue
        if not isinstance(table, dict):
            raise Trouble(f"{name} must be a table", key=name, cure=f"Write [{name}], or [webhook.{name}].")
        if table and all(isinstance(part, dict) for part in table.values()):
            found |= {f"{name}:{rest}": part for rest, part in table.items()}
        else:
            found[name] = table
    default = content.get(_DEFAULT, [])
    if not isinstance(default, list) or not all(isinstance(one, str) for one in default):
        raise Trouble("default must be a list of names", key=_DEFAULT)
    return found, tuple(default)


def _maker(name: str) -> Maker:
    kind = name.partition(":")[0]
    announced = {plugin.name: plugin for plugin in plugins.find("holdfast.channels")}
    if kind in announced:
        found: Maker = announced[kind].load()
        return found
    if kind not in _BUILT_IN:
        raise Trouble(f"there is no kind of channel {kind!r}", cure=did_you_mean(kind, [*_BUILT_IN, *announced]))
    built_in: Maker = plugins.Plugin(kind, "holdfast.channels", _BUILT_IN[kind], "holdfast").load()
    return built_in


def _secret(reference: str, folder: Path) -> str:
    scheme, _, name = reference.partition(":")
    return referred(f"file:{folder / Path(name).expanduser()}" if scheme == "file" and name else reference)
