"""What every command works with: the settings, the journal, and the way to say something."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from rich.console import Console

    from holdfast.client import Client
    from holdfast.config import Config
    from holdfast.errors import HoldfastError
    from holdfast.journal.store import Store

#: Exit codes.
SUCCEEDED, FAILED, BAD_INPUT, SUSPENDED, CANCELLED, HELD = 0, 1, 2, 3, 4, 5
#: A fault of Holdfast itself (EX_SOFTWARE).
INTERNAL = 70

#: Columns where there is no terminal to ask: logs and pipes wrap by themselves.
_WIDTH = 200


class Desk:
    """The settings and the journal of one command, opened when first needed; and its voice.

    Args:
        journal: ``--journal``.
        as_json: ``--json``: exactly one document on stdout, everything else on stderr.
    """

    def __init__(self, journal: str | None = None, as_json: bool = False) -> None:
        self.journal, self.as_json = journal, as_json
        self._config: Config | None = None
        self._store: Store | None = None

    @property
    def config(self) -> Config:
        """The settings. Raises ``OperatorError`` HF201, HF202."""
        if self._config is None:
            from holdfast.config import Config

            self._config = Config.load(journal=self.journal)
        return self._config

    def store(self, *, create: bool = False) -> Store:
        """The journal. Raises ``OperatorError`` HF22x, ``StoreError``."""
        if self._store is None:
            from holdfast.journal.opening import open_store

            config = self.config
            self._store = open_store(config.journal, key_file=config.key_file, key=config.key, create=create)
        return self._store

    def client(self) -> Client:
        """The verbs, on a journal that must be there."""
        from holdfast.client import Client

        return Client(self.store(), self.config)

    def close(self) -> None:
        """Close the journal."""
        if self._store is not None:
            self._store.close()

    # ---- voice

    @functools.cached_property
    def out(self) -> Console:
        """Where results go: stdout."""
        from rich.console import Console

        return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)

    @functools.cached_property
    def err(self) -> Console:
        """Where progress and complaints go: stderr."""
        from rich.console import Console

        return Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _WIDTH)

    def document(self, value: Any) -> None:
        """The one document of ``--json``."""
        print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=_plain))

    def say(self, text: str) -> None:
        """A line for people; nothing with ``--json``."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], *, always: Collection[str] = (), title: str | None = None) -> None:
        """A table for people, without columns that are empty, but for those that are ``always`` there; nothing with ``--json``."""
        from rich.table import Table

        if self.as_json:
            return
        used = [n for n, name in enumerate(head) if name in always or any(row[n] for row in rows)]
        table = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
        for n in used:
            table.add_column(head[n], overflow="fold")
        for row in rows:
            table.add_row(*(escape(row[n]) for n in used))
        self.out.print(table)

    def note(self, text: str) -> None:
        """A line beside the result."""
        self.err.print(text, markup=False, style="dim")

    def end(self, code: int) -> NoReturn:
        """End the command with ``code``."""
        raise SystemExit(code)

    def fail(self, error: HoldfastError, code: int = BAD_INPUT) -> NoReturn:
        """Say what is wrong, in one line or one document, and end."""
        if self.as_json:
            self.document({"error": error.to_dict()})
        else:
            self.err.print(f"[bold red]error[/]: {escape(' '.join(str(error).split()))}", soft_wrap=True)
        raise SystemExit(code)


def escape(text: str) -> str:
    """``text`` as it is, for a console that reads markup."""
    from rich.markup import escape as rich_escape

    return rich_escape(text)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def desk_of(context: click.Context) -> Desk:
    """The desk of the running command."""
    found = context.find_root().obj
    if not isinstance(found, Desk):
        found = context.find_root().obj = Desk()
    return found


def command(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--json`` and ``--journal`` (also after its name) and hand it its :class:`Desk` first."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout; everything else goes to stderr.")
    @click.option("--journal", metavar="URL", help="The journal: sqlite:///PATH or postgresql://USER@HOST/DATABASE.")
    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, /, *arguments: Any, as_json: bool, journal: str | None, **options: Any) -> Any:
        desk = desk_of(context)
        desk.as_json = desk.as_json or as_json
        desk.journal = journal or desk.journal
        return function(desk, *arguments, **options)

    return wrapped


def bad_input(what: str, cure: str, **where: Any) -> HoldfastError:
    """HF257: what was typed cannot be used."""
    from holdfast.errors import OperatorError

    return OperatorError("HF257", what, cure=cure, **where)
