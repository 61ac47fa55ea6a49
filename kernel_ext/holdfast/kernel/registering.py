"""Puts ``%holdfast`` with its completions, and the one-line commands, into a shell; loads the rest when it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.kernel.lines import register_lines

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

    def completer(shell: Any, event: Any) -> list[str]:
        from holdfast.kernel.magics import complete

        line = event.line.lstrip().removeprefix("%")
        return complete(present(), line)

    shell.register_magic_function(holdfast, "line", "holdfast")
    register_lines(shell)
    shell.set_hook("complete_command", completer, re_key=r"%?holdfast\b")
