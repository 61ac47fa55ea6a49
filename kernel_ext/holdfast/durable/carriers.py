"""Whether the channels that a question names are there: a question that nobody carries would wait for ever."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from holdfast.durable.interceptor import Attempt
from holdfast.errors import AuthorError, LookupFailedError
from holdfast.prompts.listing import get
from holdfast.prompts.opening import prompt_id
from holdfast.prompts.questions import Asked

if TYPE_CHECKING:
    from holdfast.durable.recorder import Recorder


def check_carriers(recorder: Recorder, attempt: Attempt, asked: Asked) -> None:
    """Refuse ``via=`` that names no channel, unless the question was asked while there was one.

    Raises:
        AuthorError: HF158. StoreError.
    """
    if not asked.question.via:
        return
    from holdfast.channels.settings import unknown_name

    wrong = unknown_name(recorder.config, asked.question.via)
    if wrong is not None:
        with suppress(LookupFailedError):
            get(recorder.writer.store, prompt_id(recorder.execution, attempt.step, attempt.call, asked.kind, attempt.number))
            return
        raise AuthorError("HF158", f"via: there is no channel {wrong[0]!r}", cure=wrong[1])
