"""Puts ``%holdfast`` with its completions and ``%confirm`` into a shell; loads the rest when it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.notebook.line_forms import teach

if TYPE_CHECKING:
    from holdfast.kernel.desk import Desk


def register(shell: Any, desk: Callable[[], Desk], present: Callable[[], Desk | None]) -> None:
    """Register the line magics.

    Args:
        shell: IPython's.
        desk: the durable side, made when it is not there.
        present: the durable side if it is there; completing begins nothing.
    """

    def holdfast(line: str) -> None:
        """Look at this kernel's execution and steer it: `%holdfast help`."""
        from IPython.display import display

        from holdfast.errors import HoldfastError
        from holdfast.kernel.magics import run
        from holdfast.kernel.notices import notice

        try:
            shown = run(desk(), line)
        except HoldfastError as error:  # the settings are wrong: there is no desk
            shown = notice(f"{error.code}: {error.what}", [error.cure], tone="stop")
        display(shown, raw=True)  # type: ignore[no-untyped-call]

    def confirm(line: str) -> object:
        """Ask a person: `%confirm Delete 3 volumes?`. A no ends the execution, unless the value is used: `ok = %confirm ...`."""
        from holdfast.durable.asking import confirm as ask

        return ask(line)

    def wait(line: str) -> Any:
        """Wait durably: `%wait 30`, `%wait 3 days`, `%wait 2026-03-01T09:00Z`."""
        from holdfast.durable.timers import wait

        return wait(line.strip())

    def completer(shell: Any, event: Any) -> list[str]:
        from holdfast.kernel.magics import complete

        line = event.line.lstrip().removeprefix("%")
        return complete(present(), line)

    shell.register_magic_function(holdfast, "line", "holdfast")
    shell.register_magic_function(confirm, "line", "confirm")
    teach(shell.input_transformer_manager)
    shell.register_magic_function(wait, "line", "wait")
    shell.set_hook("complete_command", completer, re_key=r"%?holdfast\b")
