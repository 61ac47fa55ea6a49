"""Who asks, in one request: what they may do and see; every act and every refusal goes to the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import Depends, Request

from holdfast.access.audit import ALLOWED, FAILED, REFUSED
from holdfast.access.person import Person
from holdfast.access.policy import Policy, require
from holdfast.client import Client
from holdfast.errors import HoldfastError, LookupFailedError, RequestError
from holdfast.executions.veil import Veil
from holdfast.gateway.hall import Hall
from holdfast.gateway.signin.identity import Visit
from holdfast.model.execution import Execution

FORM_FIELD: Final = "_xsrf"  # also what Jupyter calls it
FORM_HEADER: Final = "x-xsrftoken"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Asker:
    """One person's request.

    Args:
        hall: what all requests share.
        visit: who, and how they proved it.
        via: ``api`` or ``inbox``.
        address: where the request came from.
    """

    def __init__(self, hall: Hall, visit: Visit, *, via: str, address: str) -> None:
        self.hall, self.visit, self.via, self.address = hall, visit, via, address
        self.policy: Policy = hall.policy

    @property
    def person(self) -> Person:
        """Who asks."""
        return self.visit.person

    @property
    def client(self) -> Client:
        """The verbs, in their name."""
        return self.hall.client(self.person)

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups they are in."""
        return self.policy.groups_of(self.person)

    @property
    def form_token(self) -> str:
        """What the forms of their pages carry."""
        return self.visit.form_token or self.hall.identity.sessions.form_token(self.visit.place)

    # ---- may they?

    def may(self, action: str, thing: str) -> bool:
        """Whether the policy lets them."""
        return self.policy.allows(self.person, action, thing)

    def must(self, action: str, thing: str, *, about: str | None = None) -> None:
        """Refuse, and write it down, unless the policy lets them.

        Raises:
            RequestError: HF702.
        """
        try:
            require(self.policy, self.person, action, thing)
        except RequestError as error:
            self._write(REFUSED, action, about or thing, thing.partition("/")[0], error)
            raise

    @contextmanager
    def acting(self, action: str, about: str, thing: str, *, detail: str = "") -> Iterator[None]:
        """Do something that changes something: allowed and written down first, and again when it fails.

        Args:
            action: of the policy.
            about: an execution's or prompt's id, a runbook's name.
            thing: what the policy knows it as.
            detail: for the audit log.

        Raises:
            RequestError: HF702. StoreError: it cannot be written down, and so must not be done.
        """
        self.must(action, thing, about=about)
        self._write(ALLOWED, action, about, thing.partition("/")[0], detail=detail)
        try:
            yield
        except HoldfastError as error:
            refused = error.code in ("HF406", "HF407", "HF421")  # the question or offer itself says who may
            self._write(REFUSED if refused else FAILED, action, about, thing.partition("/")[0], error)
            raise

    # ---- what they may see

    def execution(self, id: str) -> Execution:
        """The execution with exactly this id, when they may see it.

        Raises:
            LookupFailedError: HF601. RequestError: HF702.
        """
        header = self.hall.store.header(id)
        if header is None:
            raise LookupFailedError("HF601", "there is no such execution", cure="GET /api/v1/executions lists them.", execution=id)
        self.must("see", header.runbook, about=id)
        return header

    def veil(self, header: Execution) -> Veil:
        """What they may not see of an execution is masked by it."""
        secret = self.hall.secret_names(header)
        return Veil({n: v for n, v in header.parameters.items() if n in secret and not self.may("secrets", f"{header.runbook}/{n}")})

    def _write(
        self, outcome: str, action: str, about: str | None, runbook: str | None, error: HoldfastError | None = None, *, detail: str = ""
    ) -> None:
        self.hall.audit.write(
            outcome, self.person, action, about, runbook=runbook, via=self.via, address=self.address,
            code=error.code if error else None, detail=error.what if error else detail,
        )  # fmt: skip


# ---- from a request


def hall_of(request: Request) -> Hall:
    """What all requests share."""
    hall: Hall = request.app.state.hall
    return hall


def address_of(request: Request) -> str:
    """Where a request came from."""
    return request.client.host if request.client else ""


async def recognise(request: Request) -> Visit | None:
    """Who sends it; None when it brings no proof. What is forged or expired is refused and written down.

    Raises:
        RequestError: HF704.
    """
    given: Visit | None = request.scope.get("holdfast.visit")
    if given is not None:
        return given
    hall = hall_of(request)
    headers = {k.lower(): v for k, v in request.headers.items()}
    try:
        return await asyncio.to_thread(hall.identity.recognise, headers, request.cookies, address_of(request))
    except RequestError as error:
        await asyncio.to_thread(refused, request, None, error)
        raise


def refused(request: Request, person: Person | None, error: HoldfastError) -> None:
    """Write down that a request was refused before it was anybody's act."""
    hall_of(request).audit.write(
        REFUSED, person, f"{request.method.lower()} {request.url.path}"[:200], None, via=_via(request), address=address_of(request),
        code=error.code, detail=error.what,
    )  # fmt: skip


async def asker(request: Request) -> Asker:
    """The person behind a request, for operations that need one.

    Raises:
        RequestError: HF701 nobody, HF703 a form from elsewhere, HF704.
    """
    visit = await recognise(request)
    hall = hall_of(request)
    if visit is None:
        error = RequestError("HF701", "you are not signed in", cure="Send a token: Authorization: Bearer ...")
        await asyncio.to_thread(refused, request, None, error)
        raise error
    if visit.ambient and request.method not in _SAFE:
        await _require_form_token(request, hall, visit)
    return await asyncio.to_thread(Asker, hall, visit, via=_via(request), address=address_of(request))


async def _require_form_token(request: Request, hall: Hall, visit: Visit) -> None:
    """The browser sent the proof of identity by itself: only a page of ours knows what must come with it."""
    if visit.form_token is not None:
        return  # checked by who made it (Jupyter)
    given = request.headers.get(FORM_HEADER, "")
    if not given and request.headers.get("content-type", "").startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        field = (await request.form()).get(FORM_FIELD)
        given = field if isinstance(field, str) else ""
    if not given or not hall.identity.sessions.is_form_token(visit.place, given):
        error = RequestError("HF703", "this did not come from a page of ours, or the page is old", cure="Load the page again.")
        await asyncio.to_thread(refused, request, visit.person, error)
        raise error


def _via(request: Request) -> str:
    hall = hall_of(request)
    if hall.via != "gateway":
        return hall.via
    return "api" if "/api/" in request.url.path else "inbox"


Asking = Annotated[Asker, Depends(asker)]
