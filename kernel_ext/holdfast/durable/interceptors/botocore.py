"""boto3: every operation of every client, waiter, paginator and resource, at the level where it has a meaning.

Below it, on HTTP, the same operation looks different each time (dates, signatures, random tokens); so the innermost libraries pass.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date
from typing import Any

from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Outcome, Recorder, Request, Transient
from holdfast.durable.interceptors.aws_operations import CREDENTIALS, done_already, effect_of, throttled
from holdfast.durable.interceptors.aws_probes import probe_for, tagged, target_of
from holdfast.durable.interceptors.http import Body, Fate, fate_of_cause
from holdfast.errors import OutcomeUnknownError
from holdfast.model.call import Effect

_once: ContextVar[bool] = ContextVar("holdfast_aws_once", default=False)


class BotocoreInterceptor:
    """Wraps ``BaseClient._make_api_call``; and keeps botocore from repeating by itself what may have happened and must not happen twice."""

    name = "boto3"
    modules: tuple[str, ...] = ("botocore.client",)

    def __init__(self) -> None:
        self._originals: tuple[Any, Any] | None = None

    def install(self, recorder: Recorder) -> None:
        """Wrap it."""
        base, endpoint_class = _classes()
        make, needs_retry = self._originals = (base._make_api_call, endpoint_class._needs_retry)

        @functools.wraps(make)
        def make_api_call(client: Any, operation_name: str, api_params: dict[str, Any]) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return make(client, operation_name, api_params)
            if (client.meta.service_model.service_name, operation_name) in CREDENTIALS:
                with recorder.passthrough():
                    return make(client, operation_name, api_params)
            return _Operation(recorder, make, client, operation_name, api_params).perform()

        @functools.wraps(needs_retry)
        def needs(endpoint: Any, *args: Any, **kwargs: Any) -> Any:
            error = kwargs.get("caught_exception", args[4] if len(args) > 4 else None)
            if error is not None and _once.get() and _fate(error) == "maybe":
                return False
            return needs_retry(endpoint, *args, **kwargs)

        base._make_api_call, endpoint_class._needs_retry = make_api_call, needs

    def uninstall(self) -> None:
        """Undo."""
        if self._originals is not None:
            base, endpoint_class = _classes()
            base._make_api_call, endpoint_class._needs_retry = self._originals
            self._originals = None


def _classes() -> tuple[Any, Any]:
    from botocore.client import BaseClient
    from botocore.endpoint import Endpoint

    return BaseClient, Endpoint


class _Operation:
    """One operation about to be made."""

    def __init__(self, recorder: Recorder, make: Any, client: Any, name: str, parameters: dict[str, Any]) -> None:
        self._recorder, self._make, self._client, self._name = recorder, make, client, name
        self._service: str = client.meta.service_model.service_name
        model = client.meta.service_model.operation_model(name)
        self._dry = model.input_shape is not None and "DryRun" in model.input_shape.members
        self._tokens = [member for member in model.idempotent_members if member not in parameters]
        self._bodies = {k: Body(v) for k, v in parameters.items() if hasattr(v, "read")}
        self._parameters = parameters
        self._effect = effect_of(self._service, name, parameters, bool(model.idempotent_members))
        self._reached = False  # an earlier attempt may have had its effect

    def perform(self) -> Any:
        """Make it, or answer from the record."""
        __tracebackhide__ = True
        meta = self._client.meta
        plain = {k: self._bodies[k].form if k in self._bodies else v for k, v in self._parameters.items()}
        request = Request(
            kind="aws",
            operation=f"{self._service}.{self._name}",
            fingerprint=digest([self._service, self._name, meta.region_name, meta.endpoint_url, plain]),
            effect=self._effect,
            arguments={**_shown(plain), "region": meta.region_name},
            target=target_of(self._service, meta.region_name, plain),
        )
        found = probe_for(self._service, self._name)
        return self._recorder.perform(
            request,
            self._do,
            load=self._load,
            probe=None if found is None else functools.partial(self._probe, found),
            transient=self._transient,
            failed=lambda stored: "error" in stored,
            assumed=_assumed,
            preview=self._preview if self._dry and self._effect != Effect.READ else None,
        )

    def _ask(self, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._make(self._client, name, parameters)
        return answer

    def _probe(self, look: Any, attempt: Attempt) -> Outcome | None:
        """Whether it happened, where that can be seen."""
        found = look(self._parameters, attempt.idempotency_key, self._ask)
        if found is None:
            return None
        return Outcome(happened=False) if found is False else Outcome(happened=True, value=_assumed(found))

    def _preview(self) -> tuple[None, str]:
        """What EC2 says to ``DryRun``."""
        from botocore.exceptions import ClientError

        try:
            self._make(self._client, self._name, {**self._parameters, "DryRun": True})
        except ClientError as e:
            details = e.response.get("Error", {})
            if details.get("Code") == "DryRunOperation":
                return None, "would be accepted"
            return None, f"would be refused: {details.get('Code')} {details.get('Message', '')}".rstrip()[:300]
        return None, ""

    def _do(self, attempt: Attempt) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        parameters = {**self._parameters, **{k: body.again() for k, body in self._bodies.items()}}
        parameters.update(dict.fromkeys(self._tokens, attempt.idempotency_key))
        parameters.update(tagged(self._service, self._name, self._parameters, attempt.idempotency_key))
        token = _once.set(self._effect == Effect.WRITE)
        try:
            return _store(self._make(self._client, self._name, parameters))
        except ClientError as e:
            code = done_already(self._name, e.response) if attempt.resumed or self._reached else None
            if code is not None and self._effect == Effect.IDEMPOTENT:
                return {"value": {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"x-holdfast": f"already-done; code={code}"}}}}
            return {"error": _plain(e.response)}
        except Exception as e:
            if _fate(e) != "maybe":
                raise
            self._reached = True
            if self._effect != Effect.WRITE:
                raise
            raise OutcomeUnknownError(
                "HF312",
                f"the connection broke after {self._service}.{self._name} was sent ({type(e).__name__})",
                cure="find out in the account whether it happened, then answer the prompt",
            ) from e
        finally:
            _once.reset(token)

    def _transient(self, stored: Mapping[str, Any] | None, error: BaseException | None) -> Transient | None:
        if error is not None:
            return None if _fate(error) == "final" else Transient(reason=f"{type(error).__name__}: {error}"[:300])
        if stored is not None and "error" in stored and throttled(stored["error"]):
            self._reached = self._reached or stored["error"].get("ResponseMetadata", {}).get("HTTPStatusCode") in {502, 504}
            return Transient(reason=str(stored["error"].get("Error", {}).get("Code")))
        return None

    def _load(self, stored: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if "error" in stored:
            details = stored["error"].get("Error", {})
            error = self._client.exceptions.from_code(details.get("QueryErrorCode") or details.get("Code"))
            raise error(stored["error"], self._name)
        value = dict(stored["value"])
        for name, data in stored.get("streams", {}).items():
            from botocore.response import StreamingBody

            value[name] = StreamingBody(_Raw(data), len(data))
        for name in stored.get("events", ()):
            value[name] = RecordedEvents(value[name])
        return value


class _Raw(io.BytesIO):
    """What a StreamingBody reads from; it asks urllib3's responses for more than a file has."""

    def stream(self, amount: int = 1 << 16, decode_content: bool | None = None) -> Any:
        while data := self.read(amount):
            yield data

    def release_conn(self) -> None:
        """There is no connection."""


class RecordedEvents(list[Any]):
    """The events of an event stream, complete."""

    def close(self) -> None:
        """Nothing is open."""

    def get_initial_response(self) -> Any:
        """The first event."""
        return self[0] if self else None


def _store(value: Any) -> dict[str, Any]:
    from botocore.eventstream import EventStream
    from botocore.response import StreamingBody

    if not isinstance(value, dict):
        return {"value": value}
    streams, events, plain = {}, [], {}
    for name, item in value.items():
        if isinstance(item, StreamingBody):
            streams[name] = item.read()
        elif isinstance(item, EventStream):
            events.append(name)
            plain[name] = [dict(event) for event in item]
        else:
            plain[name] = item
    return {"value": plain, **({"streams": streams} if streams else {}), **({"events": events} if events else {})}


def _plain(response: Mapping[str, Any]) -> dict[str, Any]:
    """An error's response without what does not pickle."""
    return {k: v for k, v in response.items() if k != "ResponseMetadata" or isinstance(v, dict)}


def _assumed(value: Any) -> dict[str, Any]:
    """The answer that a person's word stands for."""
    given = dict(value) if isinstance(value, Mapping) else {}
    return {"value": {"ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"x-holdfast": "assumed"}}, **given}}


def _shown(value: Any) -> Any:
    """Parameters as JSON types; long bytes by their size."""
    if isinstance(value, Mapping):
        return {str(k): _shown(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [_shown(v) for v in value]
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _fate(error: BaseException) -> Fate:
    from botocore import exceptions as e

    if isinstance(error, e.EndpointConnectionError):
        fate = fate_of_cause(error.kwargs.get("error"))
        return "final" if fate == "final" and _no_such_name(error) else "unsent"
    if isinstance(error, e.ConnectTimeoutError):
        return "unsent"
    if isinstance(error, e.SSLError | e.ProxyConnectionError | e.ParamValidationError):
        return "final"
    if isinstance(error, e.ReadTimeoutError | e.ConnectionClosedError | e.HTTPClientError | e.ResponseStreamingError):
        return "maybe"
    return fate_of_cause(error) if isinstance(error, OSError) else "final"


def _no_such_name(error: Any) -> bool:
    from urllib3.exceptions import NameResolutionError

    return isinstance(error.kwargs.get("error"), NameResolutionError)
