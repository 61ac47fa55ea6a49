"""A progress bar that is one small output: in a notebook one display, updated in place; on a terminal one line."""

from __future__ import annotations

import html
import sys
import threading
from typing import Any, TextIO
from uuid import uuid4

from holdfast.foundation import clock

_EVERY = 0.25  # seconds between two updates
_WIDTH = 24  # characters of the bar


class Progress:
    """Counts what is done.

    Args:
        total: how many items.
        label: for people.
        shown: False keeps quiet.
    """

    def __init__(self, total: int, label: str, *, shown: bool = True) -> None:
        self.total, self.label = total, label
        self.done = self.failed = self.replayed = 0
        self._lock = threading.Lock()
        self._began = clock.monotonic()
        self._last = 0.0
        self._display: Display | None = _display() if shown and total else None

    def count(self, *, failed: bool = False, replayed: bool = False) -> None:
        """One item more is done."""
        with self._lock:
            self.done += 1
            self.failed += failed
            self.replayed += replayed
            now = clock.monotonic()
            if self._display is None or (now - self._last < _EVERY and self.done < self.total):
                return
            self._last = now
            self._display.show(self)

    def close(self) -> None:
        """Show where it ended."""
        with self._lock:
            if self._display is not None:
                self._display.show(self)
                self._display.close()

    def text(self) -> str:
        """The bar as one line."""
        full = _WIDTH * self.done // self.total if self.total else _WIDTH
        parts = [f"{self.label} [{'█' * full}{'·' * (_WIDTH - full)}] {self.done}/{self.total}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.replayed:
            parts.append(f"{self.replayed} done before")
        made, spent = self.done - self.replayed, clock.monotonic() - self._began
        if 0 < self.done < self.total and made > 0:
            parts.append(f"about {_duration(spent / made * (self.total - self.done))} left")
        elif self.done >= self.total:
            parts.append(_duration(spent))
        return ", ".join(parts)

    def html(self) -> str:
        """The bar for a notebook."""
        return (
            f'<div role="status"><progress value="{self.done}" max="{self.total}" aria-label="{html.escape(self.label)}"></progress> '
            f"{html.escape(self.text().replace('█', '').replace('·', '').replace(' []', ''))}</div>"
        )


class Display:
    """Where a bar is shown."""

    def show(self, progress: Progress) -> None:
        """Show it, or show it anew."""

    def close(self) -> None:
        """It will not change any more."""


class _Notebook(Display):
    def __init__(self, publish: Any) -> None:
        self._publish, self._id, self._there = publish, uuid4().hex, False

    def show(self, progress: Progress) -> None:
        data = {"text/plain": progress.text(), "text/html": progress.html()}
        self._publish(data, transient={"display_id": self._id}, update=self._there)
        self._there = True


class _Terminal(Display):
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._width = stream, 0

    def show(self, progress: Progress) -> None:
        text = progress.text()
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)

    def close(self) -> None:
        self._stream.write("\n")
        self._stream.flush()


def _display() -> Display | None:
    if "IPython" in sys.modules:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        if shell is not None and hasattr(shell, "kernel"):
            return _Notebook(shell.display_pub.publish)
    return _Terminal(sys.stderr) if sys.stderr is not None and sys.stderr.isatty() else None


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
