"""Every setting, in one frozen object: argument, else ``HOLDFAST_*``, else ``holdfast.toml`` / ``[tool.holdfast]``, else the default.

This is the only module that reads the environment. A name it does not know is refused with the nearest one it does; a value it
cannot use is refused, never replaced. :data:`SETTINGS` is also what the reference page is made from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from holdfast.config.events import EVENTS
from holdfast.config.gateway import GATEWAY, GatewaySettings
from holdfast.config.guardrails import GUARDRAILS
from holdfast.config.parsing import SQLITE as _SQLITE
from holdfast.config.parsing import Setting
from holdfast.config.parsing import journal as _journal
from holdfast.config.parsing import key as _key
from holdfast.config.parsing import names as _names
from holdfast.config.parsing import number as _number
from holdfast.config.parsing import path as _path
from holdfast.config.parsing import switch as _switch
from holdfast.config.parsing import whole as _whole
from holdfast.config.parsing import words as _words
from holdfast.errors import OperatorError
from holdfast.foundation import faults

PREFIX = "HOLDFAST_"


class Config(GatewaySettings, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The settings of this process. Made by :meth:`load`; a plain ``Config(...)`` is for tests."""

    journal: str
    key_file: Path
    state_dir: Path
    user: str
    key: bytes | None = None
    lease_ttl: float = 30.0
    hold_for: float = 60.0
    max_value_bytes: int = 256 << 20
    parallel_kernels: int = 4
    worker_concurrency: int = 8
    retry_count: int = 5
    retry_delay: float = 0.5
    retry_max_delay: float = 30.0
    durable: bool = True
    interceptors: tuple[str, ...] = ()
    idempotency_header: bool = True
    kernel_nursery: Path | None = None
    execution: str | None = None
    fence: int | None = None
    step: str | None = None
    dry_run: bool = False
    guardrails_file: Path | None = None
    unattended: bool = False
    faults: str = ""
    fault_log: Path | None = None
    sources: Mapping[str, str] = {}  # setting -> where its value came from, for those that are not at their default

    @classmethod
    def load(cls, *, folder: Path | None = None, environment: Mapping[str, str] | None = None, **arguments: Any) -> Config:
        """Settle all settings and arm the faults when any are set.

        Args:
            folder: where the search for a settings file starts and relative paths lead; the working directory by default.
            environment: instead of the process's own.
            arguments: settings that win over all others; ``None`` means not given.

        Raises:
            OperatorError: HF201 for an unknown name, HF202 for a value that cannot be used.
        """
        base = Path.cwd() if folder is None else folder.absolute()
        given = _from_file(base)
        for name, text in (os.environ if environment is None else environment).items():
            if name.startswith(PREFIX) and text:
                setting = name.removeprefix(PREFIX).lower()
                given[setting] = _Given(text, name, base, known=name == name.upper())
        for name, value in arguments.items():
            if value is not None:
                given[name] = _Given(value, f"argument {name}", base)
        values = {name: _parse(name, one) for name, one in given.items()}
        sources = {name: one.source for name, one in given.items()}
        config = cls(**_with_defaults(values, base), sources=sources)
        config._arm_faults()
        return config

    @property
    def journal_path(self) -> Path | None:
        """The file of a SQLite journal; None for any other."""
        return Path(self.journal.removeprefix(_SQLITE)) if self.journal.startswith(_SQLITE) else None

    @property
    def journal_for_people(self) -> str:
        """The journal's address without its password."""
        scheme, separator, rest = self.journal.partition("://")
        login, at, host = rest.rpartition("@")
        return f"{scheme}{separator}{login.partition(':')[0]}{at}{host}"

    def environment(self) -> dict[str, str]:
        """What a child process must find in its environment to settle on the same settings, wherever it runs."""
        values = {name: getattr(self, name) for name in SETTINGS}
        return {PREFIX + name.upper(): _text(value) for name, value in values.items() if value not in (None, "", (), {})}

    def process_environment(self) -> dict[str, str]:
        """This process's whole environment with these settings in it, for a child process that needs the rest, too."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        return kept | self.environment()

    def intercepts(self, name: str) -> bool:
        """Whether the interceptor ``name`` is on."""
        if not self.durable or f"-{name}" in self.interceptors:
            return False
        chosen = [n for n in self.interceptors if not n.startswith("-")]
        return not chosen or name in chosen

    def _arm_faults(self) -> None:
        if not self.faults:
            return
        try:
            faults.arm(self.faults, str(self.fault_log) if self.fault_log else None)
        except ValueError as e:
            faults.arm("")
            raise OperatorError("HF202", f"faults: {e}", cure="Correct it.", setting=self.sources["faults"]) from None

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in SETTINGS if name != "key"} | {"journal": self.journal_for_people}
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


class _Given(msgspec.Struct, frozen=True):
    """A value as found, before it is understood."""

    value: Any
    source: str
    base: Path  # where relative paths lead
    known: bool = True  # False: the name is written in a way that can only be a mistake


#: Every setting, in the order of the reference page.
SETTINGS: dict[str, Setting] = {
    "journal": Setting(
        _journal,
        "address",
        "`sqlite:///./.holdfast/journal.db`",
        "Where the journal lives: `sqlite:///PATH` (relative to the settings file that says so, else to the working directory; "
        "`sqlite:////PATH` is absolute) or `postgresql://USER:PASSWORD@HOST:PORT/DATABASE`.",
    ),
    "key": Setting(
        _key,
        "64 hexadecimal digits",
        "read from `key_file`",
        "The installation's key. It authenticates everything that is unpickled; all machines that share a journal share it.",
    ),
    "key_file": Setting(
        _path,
        "path",
        "`key` beside a SQLite journal, `~/.config/holdfast/key` for PostgreSQL",
        "Where the installation's key is kept; made, readable to its owner only, when it is not there.",
    ),
    "state_dir": Setting(
        _path,
        "path",
        "the `.holdfast` folder of a SQLite journal; `./.holdfast` for PostgreSQL",
        "Where running shell commands keep their output and status, and executions their output notebooks.",
    ),
    "user": Setting(_words, "text", "the login name", "Who acts, for the record: on executions, answers, cancellations."),
    "lease_ttl": Setting(
        _number(0.2, "seconds"),
        "seconds, ≥ 0.2",
        "`30`",
        "How long a worker owns an execution without renewing; a worker lost with its whole machine is replaced after this time.",
    ),
    "hold_for": Setting(
        _number(0, "seconds"), "seconds, ≥ 0", "`60`", "A wait up to this long keeps the kernel; a longer one suspends the execution."
    ),
    "max_value_bytes": Setting(
        _whole(1), "bytes, ≥ 1", "`268435456` (256 MiB)", "The largest single value the journal takes: a call's result, one stored object."
    ),
    "parallel_kernels": Setting(
        _whole(1, 64), "1 to 64", "`4`", "How many kernels one execution may use at a time for branches that do not depend on each other."
    ),
    "worker_concurrency": Setting(_whole(1, 256), "1 to 256", "`8`", "How many executions one `holdfast worker` works on at a time."),
    "retry_count": Setting(
        _whole(0),
        "whole number, ≥ 0",
        "`5`",
        "How often a transient failure (429, 502, refused connection …) is tried again inside the call.",
    ),
    "retry_delay": Setting(_number(0, "seconds"), "seconds, ≥ 0", "`0.5`", "Before the first of these; doubled each time."),
    "retry_max_delay": Setting(_number(0, "seconds"), "seconds, ≥ 0", "`30`", "The longest of these delays."),
    "durable": Setting(_switch, "on or off", "`on`", "`off` makes the Holdfast kernel a plain Python kernel: nothing is recorded."),
    "interceptors": Setting(
        _names,
        "list of names",
        "all",
        "Which libraries' calls become durable unasked. Names choose only these; `-NAME` leaves one out (`-aiohttp,-boto3`).",
    ),
    "idempotency_header": Setting(
        _switch,
        "on or off",
        "`on`",
        "Whether HTTP requests that change something, and bring no key of their own, carry an `Idempotency-Key` header. "
        "`off` for servers that refuse headers they do not know.",
    ),
    "kernel_nursery": Setting(
        _path,
        "path",
        "none",
        "Socket of a process that forks kernels (`holdfast.kernel.nursery`); set by Dagster's warm server for its runs.",
    ),
    "execution": Setting(_words, "execution id", "none", "Set by the engine for its kernels: the execution they belong to."),
    "fence": Setting(_whole(1), "whole number", "none", "Set by the engine for its kernels: the fence they write under."),
    "step": Setting(_words, "step name", "none", "Set by the engine for its kernels: the step they were started for."),
    "dry_run": Setting(
        _switch, "on or off", "`off`", "Set by the engine for the kernels of a dry run: calls that change something are listed, not made."
    ),
    "faults": Setting(_words, "`POINT[@N]=ACTION`, …", "none", "Tests only: where to cut the power (see `holdfast.foundation.faults`)."),
    "fault_log": Setting(_path, "path", "none", "Tests only: a file to which each fault that struck is written."),
    **GUARDRAILS,
    **EVENTS,
    **GATEWAY,
}


def _parse(name: str, given: _Given) -> Any:
    setting = SETTINGS.get(name) if given.known else None
    if setting is None:
        import difflib

        close = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=0.5)
        nearest = close[0] if close else ""
        written = PREFIX + nearest.upper() if given.source.upper().startswith(PREFIX) else nearest
        cure = f"Did you mean {written}?" if nearest else "`holdfast doctor` lists all settings."
        raise OperatorError("HF201", f"unknown setting {name}", cure=cure, setting=given.source)
    try:
        return setting.parse(given.value, given.base)
    except ValueError as e:
        shown = "" if name in {"key", "journal"} else f", not {given.value!r}"
        raise OperatorError(
            "HF202", f"{name} {e}{shown}", cure="Correct it; nothing is replaced by a default.", setting=given.source
        ) from None


def _with_defaults(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Fill in what depends on other settings or on the machine."""
    journal = values.setdefault("journal", f"{_SQLITE}{base / '.holdfast' / 'journal.db'}")
    if journal.startswith(_SQLITE):
        folder = Path(journal.removeprefix(_SQLITE)).parent
        values.setdefault("key_file", folder / "key")
        values.setdefault("state_dir", folder if folder.name == ".holdfast" else folder / ".holdfast")
    else:
        values.setdefault("key_file", Path.home() / ".config" / "holdfast" / "key")
        values.setdefault("state_dir", base / ".holdfast")
    values.setdefault("tokens_file", values["state_dir"] / "tokens.json")
    values.setdefault("runbooks", (base / "runbooks" if (base / "runbooks").is_dir() else base,))
    for name in ("events", "guardrails", "channels"):
        if (base / f"{name}.toml").is_file():
            values.setdefault(f"{name}_file", base / f"{name}.toml")
    if "user" not in values:
        values["user"] = _login()
    return values


def referred(reference: str) -> str:
    """The secret that a reference leads to: ``env:NAME``, ``file:PATH``, or ``SCHEME:…`` where a plugin of the group ``holdfast.secrets``
    knows the scheme (``keyring:SERVICE/USER``, ``k8s:NAMESPACE/NAME/KEY``, ``aws-sm:NAME`` with the extras).

    Raises:
        ValueError: nobody knows the scheme, or there is nothing; the text says which, and holds no secret.
        OperatorError: HF212, HF213 of the plugins.
    """
    scheme, _, name = reference.partition(":")
    if scheme == "env" and name:
        if not os.environ.get(name):
            raise ValueError(f"the environment has no {name}")
        return os.environ[name]
    if scheme == "file" and name:
        try:
            found = Path(name).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{name} cannot be read: {error}") from None
        if not found:
            raise ValueError(f"{name} is empty")
        return found
    from holdfast.foundation import plugins

    known = {plugin.name: plugin for plugin in plugins.find("holdfast.secrets")}
    if scheme in known and name:
        if not (value := str(known[scheme].load()(name))):
            raise ValueError(f"{name} is empty")
        return value
    schemes = ", ".join(["env:NAME", "file:PATH", *(f"{other}:…" for other in known)])
    raise ValueError(f"a secret is written as a reference ({schemes}), never itself")


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"


def _from_file(base: Path) -> dict[str, _Given]:
    """The settings of the nearest ``holdfast.toml`` or ``[tool.holdfast]``, from ``base`` upwards."""
    for folder in (base, *base.parents):
        own, shared = folder / "holdfast.toml", folder / "pyproject.toml"
        tables = [(path, table) for path in (own, shared) if (table := _table(path)) is not None]
        if len(tables) > 1:
            raise OperatorError("HF202", "settings in two files of one folder", cure="Keep one of them.", file=f"{own} and {shared}")
        for path, table in tables:
            return {name: _Given(value, f"{name} in {path}", folder) for name, value in table.items()}
    return {}


def _table(path: Path) -> dict[str, Any] | None:
    """The settings that one file holds; None when there is no such file or it says nothing of Holdfast."""
    shared = path.name == "pyproject.toml"
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as e:
        raise OperatorError("HF202", f"the settings file cannot be read: {e.strerror}", cure="Make it readable.", file=str(path)) from e
    if shared and b"holdfast" not in raw:
        return None
    import tomllib

    try:
        content = tomllib.loads(raw.decode())
    except ValueError as e:
        raise OperatorError("HF202", f"the settings file is not TOML: {e}", cure="Correct it.", file=str(path)) from None
    table: Any = content
    for name in ("tool", "holdfast") if shared else ():
        table = table.get(name) if isinstance(table, dict) else table
    if table is not None and not isinstance(table, dict):
        raise OperatorError("HF202", "tool.holdfast is not a table", cure="Write [tool.holdfast].", file=str(path))
    return table


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
