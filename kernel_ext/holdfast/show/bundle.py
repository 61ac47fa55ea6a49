"""One thing to look at, in several forms: the front-end takes the richest that it can show."""

from __future__ import annotations

from typing import Any


class Bundle:
    """Shown by ``display``.

    Args:
        text: for terminals and logs.
        forms: mimetype to content, e.g. ``text/markdown``.
    """

    def __init__(self, text: str, **forms: str) -> None:
        self._forms = {"text/plain": text, **{name.replace("_", "/", 1).replace("svg", "svg+xml"): form for name, form in forms.items()}}

    def __repr__(self) -> str:
        return self._forms["text/plain"]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return dict(self._forms)


def show(bundle: Bundle) -> None:
    """Display it in a cell; on a plain Python prompt print it."""
    from IPython.core.display_functions import display

    display(bundle)  # type: ignore[no-untyped-call]
