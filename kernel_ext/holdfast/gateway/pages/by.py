"""The page behind an answer link (of a mail): one question, for the one person it was made out to, without signing in.

To look at it answers nothing: scanners of mail follow every link. The link is the proof of who it is, so the form needs no other.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from holdfast.channels.channel import Callback
from holdfast.errors import LookupFailedError, RequestError
from holdfast.foundation import clock
from holdfast.gateway.asker import Asker, address_of, hall_of
from holdfast.gateway.hearing import asker_of, refuse
from holdfast.gateway.pages import prompts
from holdfast.gateway.texts import Name

router = APIRouter()
Token = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,2000}$")]


def _entered(request: Request, name: str, token: str) -> tuple[Asker, str]:
    """Who comes by this link, and to which prompt.

    Raises:
        LookupFailedError: HF611. RequestError: HF705, HF720, HF721.
    """
    hall = hall_of(request)
    try:
        channel = hall.channels.get(name)
        heard = channel.verify(Callback(query={"token": token}), clock.now())
        if heard.person is None or not heard.wants:
            raise RequestError("HF720", "the link is made out to nobody", cure="Answer in the inbox.")
    except (RequestError, LookupFailedError) as error:  # not by its address, which has the link in it
        refuse(hall, name, error, address_of(request))
        raise
    return asker_of(hall, channel, heard, address_of(request)), heard.prompt


@router.get("/by/{name}/{token}")
def look(request: Request, name: Name, token: Token) -> Response:
    """The question and its form."""
    asker, prompt = _entered(request, name, token)
    return prompts.show(request, asker, prompt, guest=True)


@router.post("/by/{name}/{token}")
async def answer(request: Request, name: Name, token: Token, filled: prompts.Filled) -> Response:
    """The answer."""

    def work() -> Response:
        asker, prompt = _entered(request, name, token)
        return prompts.take(request, asker, prompt, filled, guest=True)

    return await run_in_threadpool(work)
