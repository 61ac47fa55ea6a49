"""Elasticsearch: what each request does, and how to find out afterwards whether it happened.

A document without an id is given the call's own, and made with ``_create``: there cannot be two of it. An index that is to be deleted is
known by its uuid, so that a later one of its name is never taken for it. What was set is compared with what is to be set.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from holdfast.durable.dialect import Answer, Ask, Asked, Dialect, Question, altered, answer_of, document, shown
from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.http import Sent, assumed
from holdfast.model.call import Effect

# POSTs (and DELETEs) that only ask, or put away what a search of one's own left behind.
_ASKS = re.compile(
    r"(?:.+/)?_(?:search|search/template|search/scroll|msearch|msearch/template|count|mget|field_caps|search_shards|explain/[^/]+|"
    r"validate/query|analyze|termvectors(?:/[^/]+)?|mtermvectors|rank_eval|terms_enum|knn_search|search_mvt/.+|disk_usage|pit|"
    r"eql/search|async_search|graph/explore)|"
    r"_cluster/allocation/explain|_render/template(?:/[^/]+)?|_scripts/painless/_execute|_ingest/(?:pipeline/)?(?:[^/]+/)?_simulate|"
    r"_index_template/_simulate(?:_index)?(?:/[^/]+)?|_sql(?:/translate|/close)?|_query(?:/async)?|_async_search/[^/]+|_security/user/_has_privileges|"
    r"_text_structure/.+|_snapshot/[^/]+/_verify"
)
# POSTs that say how a thing is to be: made twice they leave it as made once.
_SETS = re.compile(
    r"(?:.+/)?_(?:flush|refresh|forcemerge|open|close|cache/clear|cancel|ack|activate|deactivate|start|stop|enable|disable|pause|resume|"
    r"reload_search_analyzers|reload_secure_settings|aliases|unfollow|pause_follow|resume_follow)(?:/[^/]+)?|_cluster/voting_config_exclusions"
)
_GENTLE = re.compile(r"_nodes/[^/]+/shutdown|_cluster/voting_config_exclusions|(?:.+/)?_block/[^/]+|_async_search/[^/]+|_tasks/.+")
_KEYS = re.compile(r"_security/(?:api_key(?:/grant)?|cross_cluster/api_key|oauth2/token|service/.+|enroll/.+|saml/.+|oidc/.+|delegate_pki)")
_DOCUMENT = re.compile(r"(?P<index>[^/_][^/]*)/_(?P<how>doc|create|update)(?:/(?P<id>[^/]+))?")
_INDEX = re.compile(r"[^/_][^/]*")
_SHARDS = {"total": 0, "successful": 0, "failed": 0}


class ElasticsearchDialect(Dialect):
    """See the module. Requests come with the cluster's name as their host."""

    name = "elasticsearch"

    def understand(self, sent: Sent) -> Asked | None:
        parts = urlsplit(sent.url)
        what = parts.path.strip("/")
        secret = what.startswith("_security")
        return Asked(
            operation=f"{sent.method.lower()} {what}",
            effect=_effect(sent, what),
            target=f"elasticsearch://{parts.netloc}/{what}",
            destructive=_destroys(sent, what),
            arguments={} if secret else shown(sent.body),
            recorded=sent.method not in ("POST", "PUT") or _KEYS.fullmatch(what) is None,
            look=_look(sent, what, parts.path),
        )

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        what = _what(q.sent)
        if _nameless(q.sent, what):
            begin, _, query = q.sent.url.partition("?")
            made = re.sub(r"/_(doc|create)/?$", f"/_create/{attempt.idempotency_key}", begin)
            return altered(q.sent, url=f"{made}?{_without(query, 'op_type')}".rstrip("?"))
        if what.endswith("_bulk"):
            return altered(q.sent, body=_named(q.sent.body, attempt.idempotency_key))
        return q.sent

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        what = _what(q.sent)
        if (q.sent.method, what) == ("PUT", "_cluster/settings"):
            return _as_set(q, ask)
        if q.sent.method == "DELETE" and _INDEX.fullmatch(what):
            return _index_gone(q, ask)
        found = _DOCUMENT.fullmatch(what)
        if found is None or q.sent.method not in ("POST", "PUT"):
            return None
        if _nameless(q.sent, what):
            there = _read(q, ask, found["index"], attempt.idempotency_key)
            return False if there is None else _made(there) if there else None
        if found["how"] == "update" and q.before is not None:
            before, now = document(q.before["body"]) or {}, _read(q, ask, found["index"], found["id"]) or {}
            same = all(before.get(name) == now.get(name) for name in ("_seq_no", "_primary_term"))
            return False if same and "_seq_no" in before else None
        return None

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        what, status, found = _what(q.sent), answer["status"], _DOCUMENT.fullmatch(_what(q.sent))
        if q.sent.method == "DELETE" and status == 404:
            gone = {"_index": found["index"], "_id": found["id"], "result": "deleted"} if found else {"acknowledged": True}
            return answer_of(gone, note="already-gone; status=404")
        if status == 409 and found is not None and found["how"] in ("doc", "create"):
            there = _read(q, ask, found["index"], attempt.idempotency_key if _nameless(q.sent, what) else found["id"] or "")
            if there and (_nameless(q.sent, what) or there.get("_source") == document(q.sent.body)):
                return _made(there)
        if status == 400 and q.sent.method == "PUT" and re.search(rb"resource_already_exists|same name already exists", answer["body"]):
            return answer_of({"acknowledged": True, "accepted": True, "index": what}, note="already-there; status=400")
        return answer

    def preview(self, q: Question) -> Sent | None:
        what = _what(q.sent)
        if q.sent.method == "POST" and (what == "_cluster/reroute" or "/_rollover" in what):
            return altered(q.sent, url=q.sent.url + ("&" if "?" in q.sent.url else "?") + "dry_run=true")
        return None

    def assumed(self, q: Question, value: Any) -> Answer:
        if value is not None:
            return assumed(value)
        what, body = _what(q.sent), document(q.sent.body)
        found = _DOCUMENT.fullmatch(what)
        if found is not None:
            result = {"DELETE": "deleted"}.get(q.sent.method, "updated" if found["how"] == "update" else "created")
            return answer_of(_written(found["index"], unquote(found["id"] or "dry-run"), result), note="assumed")
        if what.endswith("_bulk"):
            return answer_of({"took": 0, "errors": False, "items": _items(q.sent.body)}, note="assumed")
        if what == "_cluster/settings" and isinstance(body, dict):
            return answer_of({"acknowledged": True, "persistent": {}, "transient": {}, **body}, note="assumed")
        return answer_of({"acknowledged": True, "accepted": True, "_shards": _SHARDS}, note="assumed")


# ---- what a request is ----


def _what(sent: Sent) -> str:
    return urlsplit(sent.url).path.strip("/")


def _without(query: str, name: str) -> str:
    return "&".join(part for part in query.split("&") if part and part.partition("=")[0] != name)


def _nameless(sent: Sent, what: str) -> bool:
    """Whether it makes a document to which Elasticsearch would give an id. One who says ``op_type=index`` wants just that."""
    found = _DOCUMENT.fullmatch(what)
    return sent.method == "POST" and found is not None and found["id"] is None and "op_type=index" not in urlsplit(sent.url).query


def _effect(sent: Sent, what: str) -> Effect:
    if sent.method in ("GET", "HEAD") or (sent.method in ("POST", "DELETE") and _ASKS.fullmatch(what)):
        return Effect.READ
    if sent.method in ("PUT", "DELETE"):
        return Effect.IDEMPOTENT
    found, body = _DOCUMENT.fullmatch(what), document(sent.body)
    if found is not None:
        if found["how"] == "update":
            return Effect.WRITE if not isinstance(body, dict) or "script" in body else Effect.IDEMPOTENT
        return Effect.IDEMPOTENT if found["id"] is not None or _nameless(sent, what) else Effect.WRITE
    if what.endswith("_bulk"):
        return Effect.WRITE if any("script" in (given or {}) for _, _, given in _actions(sent.body)) else Effect.IDEMPOTENT
    if what == "_cluster/reroute" and not (isinstance(body, dict) and body.get("commands")):
        return Effect.IDEMPOTENT  # only tries again what failed
    return Effect.IDEMPOTENT if _SETS.fullmatch(what) else Effect.WRITE


def _destroys(sent: Sent, what: str) -> bool:
    if sent.method == "DELETE":
        return _ASKS.fullmatch(what) is None and _GENTLE.fullmatch(what) is None
    if what.endswith("_bulk"):
        return any(how == "delete" for how, _, _ in _actions(sent.body))
    body = document(sent.body)
    actions = body.get("actions") if what == "_aliases" and isinstance(body, dict) else None
    return what.endswith("_delete_by_query") or any("remove_index" in one for one in actions or ())


def _look(sent: Sent, what: str, path: str) -> str:
    """What is to be read before: by it the probe knows whether anything happened."""
    if sent.method == "DELETE" and _INDEX.fullmatch(what):
        return f"{path}/_settings/index.uuid?flat_settings=true&ignore_unavailable=true"
    if (sent.method, what) == ("PUT", "_cluster/settings"):
        return f"{path}?flat_settings=true"
    if sent.method == "POST" and (found := _DOCUMENT.fullmatch(what)) and found["how"] == "update" and _effect(sent, what) == Effect.WRITE:
        return path.replace("/_update/", "/_doc/") + "?_source=false"
    return ""


# ---- documents ----


def _read(q: Question, ask: Ask, index: str, name: str) -> dict[str, Any] | None:
    """The document; None, there is none; empty, that cannot be told (an alias of several indices, a data stream, no permission)."""
    routing = re.search(r"(?:^|&)(routing=[^&]+)", urlsplit(q.sent.url).query)
    root = urlsplit(q.sent.url).path.partition(f"/{index}/_")[0]
    answer = ask("GET", f"{root}/{index}/_doc/{name}" + (f"?{routing[1]}" if routing else ""), None)
    found = document(answer["body"])
    if answer["status"] == 404 and isinstance(found, dict) and (found.get("found") is False or "index_not_found" in json.dumps(found)):
        return None
    return found if answer["status"] == 200 and isinstance(found, dict) else {}


def _written(index: str, name: str, result: str) -> dict[str, Any]:
    return {"_index": index, "_id": name, "_version": 1, "result": result, "_shards": _SHARDS, "_seq_no": 0, "_primary_term": 1}


def _made(there: dict[str, Any]) -> Answer:
    known = {name: value for name, value in there.items() if name in ("_version", "_seq_no", "_primary_term")}
    return answer_of({**_written(there["_index"], there["_id"], "created"), **known}, status=201, note="already-there")


def _actions(body: Any) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """What a bulk request asks for: how, its header, its document."""
    lines = [document(line) for line in (body or b"").splitlines() if line.strip()]
    found, at = [], 0
    while at < len(lines) and isinstance(lines[at], dict) and lines[at]:
        (how, about), given = next(iter(lines[at].items())), None
        if how != "delete":
            at += 1
            given = lines[at] if at < len(lines) else None
        found.append((how, about, given))
        at += 1
    return found


def _named(body: Any, key: str) -> bytes:
    """The bulk request with the call's own ids where there are none."""
    lines = [line for line in (body or b"").splitlines() if line.strip()]
    at = 0
    for n, (how, about, _) in enumerate(_actions(body)):
        if "_id" not in about and how in ("index", "create"):
            lines[at] = json.dumps({how: {**about, "_id": f"{key}-{n}"}}).encode()
        at += 1 if how == "delete" else 2
    return b"".join(line + b"\n" for line in lines)


def _items(body: Any) -> list[dict[str, Any]]:
    said = {"index": "created", "create": "created", "update": "updated", "delete": "deleted"}
    return [
        {how: {**_written(about.get("_index", ""), about.get("_id", f"dry-run-{n}"), said.get(how, "noop")), "status": 200}}
        for n, (how, about, _) in enumerate(_actions(body))
    ]


# ---- settings and indices ----


def flattened(settings: Any, prefix: str = "") -> dict[str, Any]:
    """``{"cluster": {"x": 1}}`` and ``{"cluster.x": "1"}`` as one dict of dotted names; values as texts, what is taken back as None."""
    if not isinstance(settings, dict):
        shown = json.dumps(settings) if isinstance(settings, bool | list) else settings
        return {prefix.rstrip("."): None if shown is None else str(shown)}
    return {name: value for key, inner in settings.items() for name, value in flattened(inner, f"{prefix}{key}.").items()}


def _as_set(q: Question, ask: Ask) -> Answer | Literal[False] | None:
    path, wanted = urlsplit(q.sent.url).path, document(q.sent.body)
    answer = ask("GET", f"{path}?flat_settings=true", None)
    now = document(answer["body"])
    if answer["status"] != 200 or not isinstance(now, dict) or not isinstance(wanted, dict):
        return None
    for scope in ("persistent", "transient"):
        there = flattened(now.get(scope) or {})
        for name, value in flattened(wanted.get(scope) or {}).items():
            pattern = re.escape(name).replace(r"\*", ".*")
            if value is None and any(re.fullmatch(pattern, one) for one in there):
                return False
            if value is not None and there.get(name) != value:
                return False
    return answer_of({"acknowledged": True, "persistent": {}, "transient": {}, **wanted}, note="already-set")


def _index_gone(q: Question, ask: Ask) -> Answer | Literal[False] | None:
    if q.before is None:
        return None
    known, answer = _uuids(q.before), ask("GET", q.asked.look, None)
    if not known or answer["status"] not in (200, 404):
        return None
    return answer_of({"acknowledged": True}, note="already-gone") if not known & _uuids(answer) else False


def _uuids(answer: Answer) -> set[str]:
    """Of the indices whose settings these are."""
    found = document(answer["body"])
    return {str(one["settings"]["index.uuid"]) for one in found.values() if "settings" in one} if answer["status"] == 200 else set()
