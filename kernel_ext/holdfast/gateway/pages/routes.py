"""All pages on the application: who is not signed in is led to the door; what goes wrong is a page, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response

from holdfast.errors import HoldfastError, LookupFailedError, OperatorError, RequestError
from holdfast.gateway import problems
from holdfast.gateway.asker import address_of, hall_of, refused
from holdfast.gateway.pages import by, executions, handovers, prompts, runbooks
from holdfast.gateway.pages.drawing import go, page, root_of
from holdfast.gateway.signin.sessions import COOKIE

_STATIC: Final = Path(__file__).parent / "static"
_PLACE: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._%-]+)*")
_FILES: Final = {"holdfast.css": "text/css", "holdfast.js": "text/javascript", "icon.svg": "image/svg+xml"}

router = APIRouter(include_in_schema=False)


def add(app: FastAPI) -> None:
    """Put the pages on ``app``, and let errors at their addresses be pages."""
    for one in (router, by.router, prompts.router, handovers.router, executions.router, runbooks.router):
        app.include_router(one, include_in_schema=False)
    app.add_exception_handler(HoldfastError, _told(problems.of_holdfast))
    app.add_exception_handler(RequestValidationError, _told(problems.of_validation))
    app.add_exception_handler(HTTPException, _told(problems.of_http))
    app.add_exception_handler(Exception, _told(problems.of_fault))


def _told(document: Any) -> Any:
    async def tell(request: Request, error: Exception) -> Response:
        place = request.url.path.removeprefix(root_of(request))
        if place.startswith(("/api/", "/healthz", "/readyz", "/metrics")) or "text/html" not in request.headers.get("accept", ""):
            answered: Response = document(request, error)
            return answered
        if isinstance(error, RequestError) and error.code in ("HF701", "HF704") and request.method == "GET":
            return RedirectResponse(f"{root_of(request)}/login?next={quote(place.strip('/'))}", status_code=303)
        return await run_in_threadpool(_error_page, request, error)

    return tell


def _error_page(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        error = RequestError("HF710", "the request is not understood", cure="Go back and try again.")
    if not isinstance(error, HTTPException | HoldfastError):
        error, status = (
            OperatorError("HF258", "a fault in the gateway", cure="The server's log has the rest. Nothing recorded is lost."),
            500,
        )
    elif isinstance(error, HTTPException):
        status = error.status_code
        error = LookupFailedError("HF605", "there is no such page", cure="") if status == 404 else RequestError("HF710", str(error.detail))
    else:
        status = problems.status_of(error) if isinstance(error, HoldfastError) else 500
    return page(request, "error.html", None, status=status, error=error, status_code=status)


@router.get("/static/{file}")
def static(file: str) -> Response:
    """Style, script, icon."""
    if file not in _FILES:
        raise HTTPException(404)
    return FileResponse(_STATIC / file, media_type=_FILES[file], headers={"Cache-Control": "max-age=300"})


@router.get("/login")
async def door(request: Request, token: str | None = None, next: str = "") -> Response:
    """The door; with a token in the address (as printed at the start) straight through it."""
    if token:
        return await _enter(request, token, next)
    return await run_in_threadpool(page, request, "login.html", None, next=next, problem=None)


@router.post("/login")
async def enter(
    request: Request, token: Annotated[str, Form(max_length=10_000)] = "", next: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """Sign in with a token."""
    site = request.headers.get("sec-fetch-site", "none")
    if site not in ("none", "same-origin"):
        error = RequestError("HF703", "this did not come from our page", cure="Open the page and sign in there.")
        await run_in_threadpool(refused, request, None, error)
        raise error
    return await _enter(request, token.strip(), next)


async def _enter(request: Request, token: str, next: str) -> Response:
    hall = hall_of(request)
    try:
        person = await run_in_threadpool(hall.identity.by_token, token)
    except RequestError as error:
        await run_in_threadpool(refused, request, None, error)
        return await run_in_threadpool(page, request, "login.html", None, status=401, next=next, problem=error.what)
    await run_in_threadpool(hall.audit.write, "allowed", person, "sign in", None, via="inbox", address=address_of(request))
    response = go(request, next if _PLACE.fullmatch(next) else "")
    response.set_cookie(
        COOKIE, hall.identity.sessions.make(person), max_age=int(hall.config.session_lasts), httponly=True, samesite="lax",
        secure=_secure(request), path=f"{root_of(request)}/",
    )  # fmt: skip
    return response


@router.post("/logout")
async def leave(request: Request) -> Response:
    """Sign out. Needs no form token: the worst it could do is that somebody must sign in again; other sites are refused all the same."""
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise RequestError("HF703", "this did not come from our page", cure="")
    hall = hall_of(request)
    if COOKIE in request.cookies:
        await run_in_threadpool(hall.identity.sessions.end, request.cookies[COOKIE])
    response = go(request, "login")
    response.delete_cookie(COOKIE, path=f"{root_of(request)}/")
    return response


def _secure(request: Request) -> bool:
    return (hall_of(request).config.public_url or str(request.url)).startswith("https://")
