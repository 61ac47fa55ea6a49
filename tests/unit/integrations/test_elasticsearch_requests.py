"""What Elasticsearch's requests are taken for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.durable.dialect import Asked, Question
from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.http import Sent
from holdfast.integrations.elasticsearch.dialect import ElasticsearchDialect, flattened
from holdfast.model.call import Effect

READ, IDEMPOTENT, WRITE = Effect.READ, Effect.IDEMPOTENT, Effect.WRITE
ATTEMPT = Attempt(execution="e", step="s", call="c", number=1, idempotency_key="KEY")


def sent(method: str, path: str, body: Any = None) -> Sent:
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return Sent(method, f"elasticsearch://es-1:9200{path}", [("content-type", "application/json")], raw)


def understood(*args: Any) -> Asked:
    asked = ElasticsearchDialect().understand(sent(*args))
    assert asked is not None
    return asked


def prepared(*args: Any) -> Sent:
    return ElasticsearchDialect().prepare(Question(sent=sent(*args), asked=understood(*args)), ATTEMPT)


@pytest.mark.parametrize(
    ("method", "path", "body", "effect", "destructive"),
    [
        ("POST", "/logs/_search", {}, READ, False),
        ("POST", "/_msearch/template", None, READ, False),
        ("POST", "/_cluster/allocation/explain", {}, READ, False),
        ("POST", "/_query", {"query": "FROM logs"}, READ, False),
        ("POST", "/logs/_pit?keep_alive=1m", None, READ, False),
        ("DELETE", "/_pit", {"id": "x"}, READ, False),
        ("DELETE", "/_search/scroll", None, READ, False),
        ("PUT", "/_cluster/settings", {"persistent": {}}, IDEMPOTENT, False),
        ("POST", "/notes/_doc", {"a": 1}, IDEMPOTENT, False),
        ("POST", "/notes/_doc?op_type=index", {"a": 1}, WRITE, False),
        ("PUT", "/notes/_doc/7", {"a": 1}, IDEMPOTENT, False),
        ("POST", "/notes/_update/7", {"doc": {"a": 1}}, IDEMPOTENT, False),
        ("POST", "/notes/_update/7", {"script": "ctx._source.n++"}, WRITE, False),
        ("DELETE", "/notes/_doc/7", None, IDEMPOTENT, True),
        ("DELETE", "/notes", None, IDEMPOTENT, True),
        ("DELETE", "/_nodes/n1/shutdown", None, IDEMPOTENT, False),
        ("POST", "/notes/_delete_by_query", {}, WRITE, True),
        ("POST", "/_reindex", {}, WRITE, False),
        ("POST", "/_bulk", b'{"index":{"_index":"a"}}\n{"n":1}\n', IDEMPOTENT, False),
        ("POST", "/_bulk", b'{"delete":{"_index":"a","_id":"1"}}\n', IDEMPOTENT, True),
        ("POST", "/_bulk", b'{"update":{"_index":"a","_id":"1"}}\n{"script":"x"}\n', WRITE, False),
        ("POST", "/_aliases", {"actions": [{"add": {"index": "a", "alias": "b"}}]}, IDEMPOTENT, False),
        ("POST", "/_aliases", {"actions": [{"remove_index": {"index": "a"}}]}, IDEMPOTENT, True),
        ("POST", "/_cluster/reroute?retry_failed=true", None, IDEMPOTENT, False),
        ("POST", "/_cluster/reroute", {"commands": [{"move": {}}]}, WRITE, False),
        ("POST", "/logs/_rollover", None, WRITE, False),
        ("POST", "/logs/_flush", None, IDEMPOTENT, False),
        ("POST", "/_snapshot/r/s/_restore", None, WRITE, False),
    ],
)
def test_what_a_request_does(method: str, path: str, body: Any, effect: Effect, destructive: bool) -> None:
    asked = understood(method, path, body)
    assert (asked.effect, asked.destructive) == (effect, destructive)


def test_keys_are_not_recorded_and_passwords_not_shown() -> None:
    assert not understood("POST", "/_security/api_key", {"name": "x"}).recorded
    assert understood("GET", "/_security/api_key").recorded
    assert understood("PUT", "/_security/user/jo", {"password": "swordfish"}).arguments == {}


def test_documents_without_an_id_get_the_calls_own() -> None:
    assert (
        prepared("POST", "/notes/_doc?refresh=true&op_type=create", {"a": 1}).url
        == "elasticsearch://es-1:9200/notes/_create/KEY?refresh=true"
    )
    raw = b'{"index":{"_index":"a"}}\n{"n":1.0}\n{"delete":{"_index":"a","_id":"1"}}\n{"create":{"_index":"a","_id":"2"}}\n{"n":2}\n'
    assert prepared("POST", "/_bulk", raw).body == raw.replace(
        b'{"_index":"a"}}\n{"n":1.0}', b' {"_index": "a", "_id": "KEY-0"}}\n{"n":1.0}'
    )


def test_settings_are_compared_as_elasticsearch_shows_them() -> None:
    assert flattened({"a": {"b": True, "c": None}, "d.e": 3}) == {"a.b": "true", "a.c": None, "d.e": "3"}


def test_what_is_too_long_for_people_is_only_measured() -> None:
    assert understood("PUT", "/notes/_doc/7", {"a": 1}).arguments == {"a": 1}
    assert understood("PUT", "/notes/_doc/7", {"a": "x" * 70_000}).arguments == {"body": "70009 bytes"}
    assert understood("POST", "/_bulk", b'{"index":{}}\n{"n":1}\n').arguments == {}
