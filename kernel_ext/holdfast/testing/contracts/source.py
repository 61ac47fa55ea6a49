"""What every ``holdfast.events.source.Source`` must do. An implementation subclasses and overrides the fixture ``example``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import pytest

from holdfast.errors import RequestError
from holdfast.events.cloudevents import from_json, to_json
from holdfast.events.source import Source, Trust
from holdfast.foundation import clock


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the vendor sends it, and how it proves itself."""

    source: Source
    body: bytes
    trust: Trust
    prove: Callable[[bytes, Trust, float], Mapping[str, str]]  # body, trust, time -> lower-case headers


class SourceContract:
    """Verification, ids, and what is not understood."""

    @pytest.fixture
    def example(self) -> Example:
        """Overridden by each implementation."""
        raise NotImplementedError

    def test_a_proved_request_gives_valid_events(self, example: Example) -> None:
        headers = {"content-type": "application/json", **example.prove(example.body, example.trust, clock.now())}
        example.source.verify(headers, example.body, example.trust, clock.now())
        events = example.source.read("mine", headers, example.body, example.trust)
        assert events
        for event in events:
            assert from_json(to_json(event)) == event
        assert len({(event.source, event.id) for event in events}) == len(events)

    def test_the_same_request_gives_the_same_ids(self, example: Example) -> None:
        headers = {"content-type": "application/json", **example.prove(example.body, example.trust, clock.now())}
        once, again = (example.source.read("mine", headers, example.body, example.trust) for _ in range(2))
        assert [(e.source, e.id) for e in once] == [(e.source, e.id) for e in again]

    def test_what_is_not_proved_is_refused(self, example: Example) -> None:
        good = dict(example.prove(example.body, example.trust, clock.now()))
        other = Trust(secrets=tuple(b"x" + s for s in example.trust.secrets), tokens=tuple(b"x" + t for t in example.trust.tokens))
        forged = dict(example.prove(example.body, other, clock.now()))
        empty = dict.fromkeys(good, "")
        odd = {name: value[:-1] + "é" for name, value in good.items()}
        for headers in ({}, forged, empty, odd):
            with pytest.raises(RequestError) as caught:
                example.source.verify(headers, example.body, example.trust, clock.now())
            assert caught.value.code == "HF720"
            assert not any(s.decode() in str(caught.value) for s in (*example.trust.secrets, *example.trust.tokens))

    def test_what_is_no_json_or_another_vendors_is_not_understood(self, example: Example) -> None:
        for body in (b"", b"{", b"\xff\xfe", b"[" * 50_000):
            with pytest.raises(RequestError) as caught:
                example.source.read("mine", {"content-type": "application/json"}, body, example.trust)
            assert caught.value.code == "HF722"


class SignedSourceContract(SourceContract):
    """For sources whose proof covers the body."""

    def test_an_altered_body_is_refused(self, example: Example) -> None:
        headers = example.prove(example.body, example.trust, clock.now())
        with pytest.raises(RequestError) as caught:
            example.source.verify(headers, example.body.replace(b"a", b"b", 1), example.trust, clock.now())
        assert caught.value.code == "HF720"

    def test_while_a_secret_is_replaced_either_will_do(self, example: Example) -> None:
        both = msgspec.structs.replace(example.trust, secrets=(b"the new one", *example.trust.secrets))
        example.source.verify(example.prove(example.body, example.trust, clock.now()), example.body, both, clock.now())
