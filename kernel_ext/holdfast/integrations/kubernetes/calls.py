"""The official Kubernetes client: what each request does, and how to tell whether it was done.

Names are no identities in Kubernetes: a StatefulSet makes a new pod under the name of the one that was deleted. So the object is read
before a delete or an eviction, and its uid goes along as a precondition: made twice, the second time touches nothing. Who made a change
is kept by the server itself (``managedFields``): every change carries a field manager of its own, by which a probe recognises it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec

from holdfast.durable.dialect import Answer, Ask, Asked, Dialect, Question, SpeakingInterceptor, altered, answer_of, document
from holdfast.durable.interceptor import Attempt
from holdfast.durable.interceptors.http import Sent, assumed
from holdfast.model.call import Effect

_PATH = re.compile(r"(?P<prefix>.*?)/(?:api/(?P<core>v\d\w*)|apis/(?P<group>[^/]+)/(?P<version>v\d\w*))/(?P<rest>.+)")
#: Asked by POST, and change nothing.
_REVIEWS = frozenset({"subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews", "selfsubjectrulesreviews"})
_STREAMS = frozenset({"exec", "attach", "portforward", "proxy"})
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes itself makes names of
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Which object, or which collection, an address means."""

    resource: str  # "deployments"; with its group where it is not a core one: "deployments.apps"
    namespace: str = ""
    name: str = ""
    sub: str = ""  # "scale", "eviction" …
    path: str = ""  # of the object, without the subresource
    server: str = ""

    @property
    def text(self) -> str:
        """For people: ``pods prod/web-0``."""
        return f"{self.resource}{'/' + self.sub if self.sub else ''} {'/'.join(filter(None, (self.namespace, self.name)))}".strip()

    @property
    def target(self) -> str:
        """What locks and caps know it by."""
        return "/".join(filter(None, (f"kubernetes://{self.server}", self.namespace, self.resource, self.name)))


def place_of(url: str) -> Place | None:
    """What ``url`` means; None for an address that is no object's (``/version``)."""
    parts = urlsplit(url)
    found = _PATH.fullmatch(parts.path)
    if found is None:
        return None
    rest = [p for p in found["rest"].split("/") if p]
    head = parts.path[: found.start("rest")]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, head, rest = rest[1], f"{head}namespaces/{rest[1]}/", rest[2:]
    resource = rest[0] if found["core"] else f"{rest[0]}.{found['group']}"
    return Place(
        resource=resource,
        namespace=namespace,
        name=rest[1] if len(rest) > 1 else "",
        sub="/".join(rest[2:]),
        path=head + "/".join(rest[:2]),
        server=parts.netloc,
    )


class KubernetesDialect(Dialect):
    """See the module."""

    name = "kubernetes"

    def understand(self, sent: Sent) -> Asked | None:
        place = place_of(sent.url)
        if place is None or place.sub.partition("/")[0] in _STREAMS:
            return None
        body = document(sent.body)
        if sent.method == "POST" and not place.name:
            named = (body or {}).get("metadata") or {} if isinstance(body, dict) else {}
            place = msgspec.structs.replace(
                place, name=named.get("name") or (f"{named['generateName']}…" if named.get("generateName") else "")
            )
        verb = "evict" if place.sub == "eviction" else _VERBS.get(sent.method, sent.method.lower())
        effect = self._effect(sent, place, body)
        credentials = place.resource == "tokenreviews.authentication.k8s.io" or (place.sub == "token" and sent.method == "POST")
        asked = Asked(
            operation=f"{verb} {place.text}",
            effect=effect,
            target=place.target,
            destructive=sent.method == "DELETE",
            arguments=_shown(place, sent, body),
            recorded=not credentials and not (effect == Effect.READ and place.resource == "secrets"),
        )
        changes_in_place = sent.method == "PATCH" and effect == Effect.WRITE
        if effect != Effect.READ and place.name and (sent.method == "DELETE" or place.sub == "eviction" or changes_in_place):
            return msgspec.structs.replace(asked, look=place.path)
        return asked

    @staticmethod
    def _effect(sent: Sent, place: Place, body: Any) -> Effect:
        if sent.method in ("GET", "HEAD", "OPTIONS") or "dryRun" in dict(parse_qsl(urlsplit(sent.url).query)):
            return Effect.READ
        if sent.method == "POST" and place.resource.partition(".")[0] in _REVIEWS:
            return Effect.READ
        if sent.method == "DELETE" and not place.name:
            return Effect.WRITE
        if sent.method == "PATCH" and isinstance(body, list) and not all(_settles(op) for op in body):
            return Effect.WRITE
        return Effect.IDEMPOTENT

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        sent, body = q.sent, document(q.sent.body)
        if q.asked.effect == Effect.READ:
            return sent
        uid = _uid(q.before)
        if sent.method == "DELETE":
            return altered(sent, body=_with_precondition(body, uid), headers=_JSON) if uid and place_name(sent) else sent
        if isinstance(body, dict) and q.asked.operation.startswith("evict "):
            return altered(sent, body={**body, "deleteOptions": _with_precondition(body.get("deleteOptions"), uid)}) if uid else sent
        if sent.method == "POST" and isinstance(body, dict) and (meta := body.get("metadata") or {}).get("generateName"):
            if not meta.get("name"):
                sent = altered(sent, body={**body, "metadata": {**meta, "name": meta["generateName"] + _suffix(attempt.idempotency_key)}})
        return _with_query(sent, "fieldManager", _manager(attempt))

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        place = self._place(q, attempt)
        if place is None or q.asked.effect == Effect.READ:
            return None
        if not place.name:  # the deletion of a collection
            left = ask("GET", _path_of(q.sent.url), None)
            listed = document(left["body"])
            return _done("deleted") if left["status"] == 200 and isinstance(listed, dict) and not listed.get("items") else None
        found = ask("GET", place.path, None)
        there = document(found["body"]) if found["status"] == 200 else None
        if q.sent.method == "DELETE" or place.sub == "eviction":
            gone = found["status"] in (404, 410) or (isinstance(there, dict) and _uid(q.before) not in ("", _uid(found)))
            going = isinstance(there, dict) and bool((there.get("metadata") or {}).get("deletionTimestamp"))
            return _done(f"already-gone; status={found['status']}") if gone or (going and q.before is not None) else None
        if found["status"] == 404 and q.sent.method == "POST":
            return False
        if not isinstance(there, dict):
            return None
        if not _own_manager(q.sent) and _manager(attempt) in _managers(there):
            return found if not place.sub else ask("GET", f"{place.path}/{place.sub}", None)
        same = q.before is not None and _version(q.before) == _version(found) != ""
        return False if same and q.asked.effect == Effect.WRITE else None

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        if answer["status"] not in (404, 409, 410, 422):
            return answer
        found = self.probe(q, attempt, ask)
        if found:
            return found
        place = self._place(q, attempt)
        if answer["status"] == 409 and q.sent.method == "POST" and place is not None and not place.sub:
            there = ask("GET", place.path, None)
            managers = _managers(document(there["body"]) or {})
            if there["status"] == 200 and (not managers or _own_manager(q.sent) in managers):  # no record of managers, or the author's own
                return there
        return answer

    def preview(self, q: Question) -> Sent | None:
        if q.asked.effect == Effect.READ:
            return None
        return _with_query(q.sent, "dryRun", "All")

    def assumed(self, q: Question, value: Any) -> Answer:
        if value is not None:
            return assumed(value)
        body, place = document(q.sent.body), place_of(q.sent.url)
        if q.sent.method == "DELETE" or place is None:
            return _done("assumed")
        if q.sent.method in ("POST", "PUT") and isinstance(body, dict):
            return answer_of(body, note="assumed")
        return answer_of({"metadata": {"name": place.name, "namespace": place.namespace or None}}, note="assumed")

    def keep(self, q: Question, answer: Answer) -> Answer:
        place = place_of(q.sent.url)
        if place is None or place.resource != "secrets":
            return answer
        body = document(answer["body"])
        if not isinstance(body, dict) or body.get("kind") == "Status":
            return answer
        kept = {k: v for k, v in body.items() if k not in ("data", "stringData")}
        return {**answer, "body": answer_of(kept)["body"]}

    @staticmethod
    def _place(q: Question, attempt: Attempt) -> Place | None:
        """The object that is (to be) there: for a creation, under the name that was sent."""
        place, body = place_of(q.sent.url), document(q.sent.body)
        if place is None or place.name or q.sent.method != "POST" or not isinstance(body, dict):
            return place
        meta = body.get("metadata") or {}
        name = meta.get("name") or (meta["generateName"] + _suffix(attempt.idempotency_key) if meta.get("generateName") else "")
        return msgspec.structs.replace(place, name=name, path=f"{place.path}/{quote(name)}") if name else None


class KubernetesInterceptor(SpeakingInterceptor):
    """Wraps ``ApiClient.request``: generated and dynamic clients. Fetching credentials (exec plugins, OIDC) is not recorded."""

    name = "kubernetes"
    modules = ("kubernetes.client.api_client", "kubernetes.config.kube_config")
    chokes = (("kubernetes.client.api_client:ApiClient", "request"),)
    private = (("kubernetes.config.kube_config:KubeConfigLoader", "_load_authentication"),)

    def dialect(self) -> Dialect:
        return KubernetesDialect()


_JSON = {"Content-Type": "application/json"}


def _settles(operation: Any) -> bool:
    """Whether an operation of a JSON patch leaves the same behind when it is made twice."""
    if not isinstance(operation, dict):
        return False
    last = str(operation.get("path", "")).rpartition("/")[2]
    return operation.get("op") == "replace" or (operation.get("op") == "add" and last != "-" and not last.isdigit())


def _shown(place: Place, sent: Sent, body: Any) -> dict[str, Any]:
    query = {k: v for k, v in parse_qsl(urlsplit(sent.url).query) if k != "pretty"}
    if place.resource == "secrets" and isinstance(body, dict):
        body = {**body, **{k: sorted(body[k]) for k in ("data", "stringData") if isinstance(body.get(k), dict)}}
    return {**query, **({"body": body} if body is not None else {})}


def place_name(sent: Sent) -> str:
    """The name of the object that the address means, if it means one."""
    place = place_of(sent.url)
    return place.name if place is not None else ""


def _own_manager(sent: Sent) -> str:
    """The field manager that the author names, if any."""
    return dict(parse_qsl(urlsplit(sent.url).query)).get("fieldManager", "")


def _manager(attempt: Attempt) -> str:
    """The field manager of a call."""
    return f"holdfast-{attempt.idempotency_key[:13]}"


def _suffix(key: str) -> str:
    number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")
    return "".join(_LETTERS[number // len(_LETTERS) ** i % len(_LETTERS)] for i in range(8))


def _with_query(sent: Sent, name: str, value: str) -> Sent:
    parts = urlsplit(sent.url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if name in dict(pairs):
        return sent
    return altered(sent, url=urlunsplit(parts._replace(query=urlencode([*pairs, (name, value)]))))


def _with_precondition(options: Any, uid: str) -> dict[str, Any]:
    given = options if isinstance(options, dict) else {}
    return {"apiVersion": "v1", "kind": "DeleteOptions", **given, "preconditions": {"uid": uid, **(given.get("preconditions") or {})}}


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(("", "", parts.path, parts.query, ""))


def _meta(answer: Answer | None) -> dict[str, Any]:
    found = document(answer["body"]) if answer is not None and answer["status"] == 200 else None
    return found.get("metadata") or {} if isinstance(found, dict) else {}


def _uid(answer: Answer | None) -> str:
    return str(_meta(answer).get("uid") or "")


def _version(answer: Answer) -> str:
    return str(_meta(answer).get("resourceVersion") or "")


def _managers(there: dict[str, Any]) -> set[str]:
    return {str(entry.get("manager")) for entry in (there.get("metadata") or {}).get("managedFields") or ()}


def _done(note: str) -> Answer:
    return answer_of({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}, note=note)
