"""Errors as RFC 9457 problem documents: what happened, where, what to do."""

from __future__ import annotations

from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from holdfast.errors import CODES, HoldfastError, OperatorError, RequestError

MEDIA_TYPE: Final = "application/problem+json"

_BY_CODE: Final[dict[str, int]] = {
    "HF224": 409, "HF240": 409, "HF250": 409, "HF252": 409, "HF253": 409, "HF254": 409, "HF270": 409, "HF284": 422, "HF285": 409,
    "HF401": 409, "HF403": 409, "HF406": 403, "HF407": 409, "HF420": 409, "HF421": 403, "HF423": 409, "HF705": 403,
    "HF701": 401, "HF702": 403, "HF703": 403, "HF704": 401, "HF710": 422, "HF711": 413, "HF712": 504, "HF713": 404, "HF714": 503,
    "HF720": 401, "HF721": 401, "HF722": 400,
}  # fmt: skip
_BY_KIND: Final[dict[str, int]] = {"1": 422, "2": 503, "3": 502, "4": 422, "5": 503, "6": 404, "7": 400, "8": 409, "9": 500}
_RETRY: Final = "2"  # seconds


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE


def status_of(error: HoldfastError) -> int:
    """The HTTP status that fits."""
    return _BY_CODE.get(error.code) or _BY_KIND[error.code[2]]


def document(error: HoldfastError, status: int) -> dict[str, Any]:
    """The problem document."""
    where = {name: value if isinstance(value, str | int | float | bool) else str(value) for name, value in error.where.items()}
    return {
        "type": f"urn:holdfast:error:{error.code}",
        "title": CODES.get(error.code, error.code),
        "status": status,
        "detail": error.what,
        "code": error.code,
        "where": where,
        "cure": error.cure,
    }


def response(error: HoldfastError, *, status: int | None = None, more: dict[str, Any] | None = None) -> Response:
    """The answer that tells of ``error``."""
    status = status or status_of(error)
    headers = {"Retry-After": _RETRY} if status == 503 else {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return ProblemResponse({**document(error, status), **(more or {})}, status_code=status, headers=headers)


def of_holdfast(request: Request, error: Exception) -> Response:
    """Any error of ours."""
    assert isinstance(error, HoldfastError)
    return response(error)


def of_validation(request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with a request; what was sent is not sent back."""
    assert isinstance(error, RequestValidationError)
    found = [{"where": "/".join(map(str, e["loc"])), "what": str(e["msg"])} for e in error.errors()[:20]]
    what = "; ".join(f"{f['where']}: {f['what']}" for f in found)
    refused = RequestError("HF710", f"the request is not understood: {what}", cure="Look at /api/v1/openapi.json.")
    return response(refused, more={"errors": found})


def of_http(request: Request, error: Exception) -> Response:
    """What the framework refuses by itself: no such address, wrong method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, HoldfastError):  # FastAPI's word for whatever goes wrong while a body is read
        return response(error.__cause__)
    code = "HF713" if error.status_code in (404, 405) else "HF710"
    what = {404: "there is nothing at this address", 405: f"this address takes no {request.method}"}.get(
        error.status_code, str(error.detail)
    )
    found = response(RequestError(code, what, cure="Look at /api/v1/openapi.json.", address=request.url.path), status=error.status_code)
    for name, value in (error.headers or {}).items():
        found.headers[name] = value
    return found


def of_fault(request: Request, error: Exception) -> Response:
    """A fault of ours; the log has it whole."""
    what = f"a fault in the gateway: {type(error).__name__}"
    return response(OperatorError("HF258", what, cure="The server's log has the rest. Nothing recorded is lost."), status=500)


class Problem:
    """For the OpenAPI document: what every operation may answer."""

    SCHEMA: Final[dict[str, Any]] = {
        "title": "Problem",
        "description": "RFC 9457",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "where", "cure"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "pattern": "^HF[0-9]{3}$"},
            "where": {"type": "object"},
            "cure": {"type": "string"},
        },
    }


def responses(*statuses: int, also: str | None = None) -> dict[int | str, dict[str, Any]]:
    """The problem answers of an operation, for its OpenAPI description; those every operation has are added.

    Args:
        statuses: of the problems.
        also: a media type in which it can answer beside JSON.
    """
    told = {
        400: "the request cannot be read", 401: "not signed in", 403: "not allowed", 404: "no such thing", 409: "not in a state for this",
        413: "too large", 422: "not understood, or refused", 429: "too many", 503: "try again",
        504: "it took too long",
    }  # fmt: skip
    content = {MEDIA_TYPE: {"schema": Problem.SCHEMA}}
    good: dict[int | str, dict[str, Any]] = {200: {"content": {also: {"schema": {"type": "string"}}}}} if also else {}
    return good | {s: {"description": told[s], "content": content} for s in sorted({400, 401, 403, 413, 422, 503, 504, *statuses})}
