"""A recorded failure is raised again as what it was; where that cannot be, as a CallError with its text."""

from __future__ import annotations

import threading
from typing import Any

import botocore.exceptions
import msgspec
import pytest
import requests

from holdfast.codecs import decode_error, encode_error
from holdfast.errors import CallError, OutcomeUnknownError, StoreError

KEY = b"k" * 32


class Refused(Exception):
    """Its constructor takes other arguments than it keeps: pickles, but cannot be made again."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port}")


class Rich(Exception):
    pass


def again(error: BaseException, **options: Any) -> BaseException:
    stored = encode_error(error, blobs=None, key=KEY, **options)  # type: ignore[arg-type]  # nothing here is over 1 MiB
    return decode_error(msgspec.msgpack.decode(msgspec.msgpack.encode(stored)), blobs=None, key=KEY)  # type: ignore[arg-type]


def test_builtin_and_library_errors_come_back_with_type_arguments_and_attributes() -> None:
    back = again(FileNotFoundError(2, "No such file", "/x"))
    assert type(back) is FileNotFoundError
    assert (back.errno, back.filename) == (2, "/x")
    aws = again(botocore.exceptions.ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "DescribeVolumes"))
    assert type(aws) is botocore.exceptions.ClientError
    assert aws.response["Error"]["Code"] == "Throttling"
    own = again(OutcomeUnknownError("HF301", "unknown", step="drain"))
    assert type(own) is OutcomeUnknownError
    assert own.where == {"step": "drain"}
    note = ValueError("x")
    note.add_note("look here")
    assert again(note).__notes__ == ["look here"]


def test_attributes_that_cannot_be_stored_are_left_out() -> None:
    error = Rich("no", 7)
    error.socket = threading.Lock()  # type: ignore[attr-defined]
    error.status = 503  # type: ignore[attr-defined]
    stored = encode_error(error, blobs=None, key=KEY)  # type: ignore[arg-type]
    assert stored["lost"] == ["socket"]
    back = again(error)
    assert type(back) is Rich
    assert back.args == ("no", 7)
    assert back.status == 503  # type: ignore[attr-defined]


def test_a_failed_request_keeps_its_response() -> None:
    response = requests.Response()
    response.status_code, response._content, response.reason, response.url = 404, b"gone", "Not Found", "http://localhost/x"
    with pytest.raises(requests.HTTPError) as caught:
        response.raise_for_status()
    back = again(caught.value)
    assert type(back) is requests.HTTPError
    assert back.response.status_code == 404
    assert back.response.text == "gone"


def test_what_cannot_be_made_again_is_a_call_error_with_its_text() -> None:
    back = again(Refused("db1", 5432))
    if type(back) is not Refused:  # made again through its attributes where that works
        assert isinstance(back, CallError)
        assert back.code == "HF349"
    assert "db1:5432" in str(back)
    locked = again(Rich(threading.Lock()))
    assert isinstance(locked, CallError)
    assert "Rich" in str(locked)


def test_causes_are_kept_as_text() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        back = again(outer)
    assert type(back) is RuntimeError
    assert any("KeyError: 'inner'" in n for n in back.__notes__)


def test_secrets_are_taken_out_of_text_and_arguments() -> None:
    def redact(value: Any) -> Any:
        return value.replace("hunter2", "***") if isinstance(value, str) else value

    stored = encode_error(RuntimeError("password hunter2 refused"), blobs=None, key=KEY, redact=redact)  # type: ignore[arg-type]
    assert b"hunter2" not in msgspec.msgpack.encode(stored)
    assert "***" in str(again(RuntimeError("password hunter2 refused"), redact=redact))
    assert type(again(RuntimeError("nothing secret"), redact=redact)) is RuntimeError


def test_names_that_are_not_utf8() -> None:
    back = again(FileNotFoundError(2, "No such file", "caf\udce9"))
    assert back.filename == "caf\udce9"  # type: ignore[attr-defined]


def test_a_forged_exception_is_refused() -> None:
    stored = encode_error(ValueError("x"), blobs=None, key=KEY)  # type: ignore[arg-type]
    stored["exception"]["b"] += b"."
    with pytest.raises(StoreError):
        decode_error(stored, blobs=None, key=KEY)  # type: ignore[arg-type]
