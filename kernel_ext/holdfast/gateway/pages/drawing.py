"""Templates, and what they may call."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from holdfast.foundation import clock
from holdfast.gateway.asker import Asker
from holdfast.model.call import request_line

_environment = Environment(
    loader=PackageLoader("holdfast.gateway.pages"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

NAVIGATION: Final = (("", "Inbox"), ("executions", "Executions"), ("runbooks", "Runbooks"), ("statistics", "Statistics"))


def page(request: Request, template: str, asker: Asker | None, *, status: int = 200, **content: Any) -> Response:
    """A page.

    Args:
        template: its file.
        asker: whose page it is.
        status: of the response.
        content: what the template shows.
    """
    root = root_of(request)
    text = _environment.get_template(template).render(
        root=root, asker=asker, person=asker.person if asker else None, form_token=asker.form_token if asker else "",
        navigation=NAVIGATION, here=request.url.path.removeprefix(root).strip("/").partition("/")[0],
        alone=asker is None or asker.via != "jupyter", **{"guest": False, **content},
    )  # fmt: skip
    return HTMLResponse(text, status_code=status)


def go(request: Request, place: str) -> Response:
    """Look there instead (after something was done)."""
    return RedirectResponse(f"{root_of(request)}/{place}", status_code=303)


def root_of(request: Request) -> str:
    """What addresses begin with."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def duration(seconds: float | None) -> str:
    """``4 s``, ``3 min``, ``2 h 5 min``, ``3 d 4 h``."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 else "")
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago(at: float | None) -> str:
    """How long since."""
    return f"{duration(clock.now() - at)} ago" if at else ""


def left(at: float) -> str:
    """How long until."""
    remaining = at - clock.now()
    return f"{duration(remaining)} left" if remaining > 0 else "time is up"


def stamp(at: float | None) -> str:
    """A time for people: UTC."""
    return clock.utc(at).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""


def pretty(value: Any) -> str:
    """A value for people."""
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False, default=str)


_environment.filters.update(duration=duration, ago=ago, left=left, stamp=stamp, iso=lambda at: clock.iso(at) if at else "", pretty=pretty)
_environment.globals.update(request_line=request_line)
