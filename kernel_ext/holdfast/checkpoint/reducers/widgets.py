"""Widgets live in the browser as much as in the kernel: only their cell makes them anew."""

from __future__ import annotations

from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer


def _refuse(context: Context, o: Any) -> Any:
    raise context.cannot(o, "its other half is in the browser")


def _mock(context: Context, o: Any) -> Any:
    raise context.cannot(o, "a mock")


REDUCERS = [
    Reducer("ipywidgets.widgets.widget:Widget", _refuse, subclasses=True, follow=True),
    Reducer("unittest.mock:NonCallableMock", _mock, subclasses=True),
    Reducer("unittest.mock:_patch", _mock),
]
