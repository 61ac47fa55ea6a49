"""slack_sdk: what each method does, and how to find a message that may have been posted.

A message carries the call's key twice: as ``client_msg_id``, and in its metadata, by which ``conversations.history`` shows it to the bot
afterwards. Slack refuses with status 200 and ``"ok": false``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from holdfast.durable.dialect import Answer, Ask, Asked, Dialect, Question, SpeakingInterceptor, altered, answer_of, document
from holdfast.durable.interceptor import Attempt, Transient
from holdfast.durable.interceptors.http import Sent, failed
from holdfast.model.call import Effect

_READ = re.compile(
    r".*\.(list|info|history|replies|members|test|lookupByEmail|get\w*|permalink|identity|teamInfo|export)|search\..*|api\.test"
)
_IDEMPOTENT = re.compile(
    r"chat\.(update|delete|deleteScheduledMessage)|reactions\..*|pins\..*|stars\..*|bookmarks\.(edit|remove)|users\.(profile\.set|setPresence)|"
    r"conversations\.(open|join|leave|invite|kick|archive|unarchive|rename|setTopic|setPurpose|mark|close)|usergroups\.(enable|disable|update|"
    r"users\.update)|views\.(publish|update)|dnd\..*"
)
_CREDENTIALS = re.compile(r"oauth\..*|openid\.connect\.token|apps\.connections\.open|tooling\.tokens\.rotate|auth\.revoke")
#: Refusals of a repetition that say that the first time succeeded.
_DONE = frozenset(
    "already_reacted no_reaction message_not_found already_pinned not_pinned no_pin already_in_channel not_in_channel already_archived "
    "not_archived already_starred not_starred".split()
)
_PASSING = frozenset({"ratelimited", "rate_limited", "service_unavailable"})


class SlackDialect(Dialect):
    """See the module."""

    name = "slack"

    def understand(self, sent: Sent) -> Asked | None:
        parts = urlsplit(sent.url)
        if parts.path.startswith(("/services/", "/actions/", "/commands/", "/workflows/")):  # the address itself is the secret
            return Asked(operation="webhook", effect=Effect.WRITE, target="slack://webhook", arguments={"body": document(sent.body)})
        method = parts.path.rpartition("/")[2]
        given = _arguments(sent)
        where = str(given.get("channel") or given.get("channel_id") or given.get("user") or "")
        if _READ.fullmatch(method):
            effect = Effect.READ
        else:
            effect = Effect.IDEMPOTENT if _IDEMPOTENT.fullmatch(method) else Effect.WRITE
        shown = {name: value for name, value in given.items() if name not in ("token", "client_msg_id")}
        return Asked(
            operation=method,
            effect=effect,
            target="/".join(filter(None, ("slack:/", where, str(given.get("ts") or given.get("timestamp") or "")))),
            destructive=method.endswith(("delete", "archive", "kick")),
            arguments=shown,
            recorded=_CREDENTIALS.fullmatch(method) is None,
        )

    def prepare(self, q: Question, attempt: Attempt) -> Sent:
        if q.asked.operation != "chat.postMessage":
            return q.sent
        given = _arguments(q.sent)
        if "metadata" in given:  # the author's own: there is no room for ours
            return _with(q.sent, {"client_msg_id": attempt.idempotency_key})
        mark = {"event_type": "holdfast_call", "event_payload": {"call": attempt.idempotency_key}}
        return _with(q.sent, {"client_msg_id": attempt.idempotency_key, "metadata": mark})

    def probe(self, q: Question, attempt: Attempt, ask: Ask) -> Answer | Literal[False] | None:
        given = _arguments(q.sent)
        if q.asked.operation != "chat.postMessage" or "metadata" in given:
            return None
        base = urlsplit(q.sent.url).path.rpartition("/")[0]
        channel = _channel(str(given.get("channel", "")), base, ask)
        if channel is None:
            return None
        what = {"channel": channel, "limit": "200", "include_all_metadata": "true"}
        method = "conversations.history"
        if given.get("thread_ts"):
            method, what["ts"] = "conversations.replies", str(given["thread_ts"])
        found = document(ask("POST", f"{base}/{method}", urlencode(what).encode())["body"])
        if not isinstance(found, dict) or not found.get("ok"):
            return None  # the bot may not read there
        for message in found.get("messages") or ():
            if ((message.get("metadata") or {}).get("event_payload") or {}).get("call") == attempt.idempotency_key:
                return answer_of({"ok": True, "channel": channel, "ts": message["ts"], "message": message}, note="already-there")
        return None if found.get("has_more") and given.get("thread_ts") else False

    def settle(self, q: Question, attempt: Attempt, answer: Answer, ask: Ask) -> Answer:
        said = document(answer["body"])
        if isinstance(said, dict) and said.get("error") in _DONE and q.asked.effect == Effect.IDEMPOTENT:
            return answer_of({"ok": True}, note=f"already-done; error={said['error']}")
        return answer

    def transient(self, q: Question, answer: Answer) -> Transient | None:
        said = document(answer["body"]) if answer["status"] == 200 else None
        if isinstance(said, dict) and said.get("ok") is False and said.get("error") in _PASSING:
            return Transient(reason=str(said["error"]))
        return None

    def refused(self, answer: Answer) -> bool:
        said = document(answer["body"])
        return failed(answer) or (isinstance(said, dict) and said.get("ok") is False)

    def assumed(self, q: Question, value: Any) -> Answer:
        given = _arguments(q.sent)
        return answer_of({"ok": True, "channel": given.get("channel"), **(value if isinstance(value, dict) else {})}, note="assumed")


class SlackInterceptor(SpeakingInterceptor):
    """Wraps ``WebClient.api_call`` (every method of the Web API) and ``WebhookClient``. The asynchronous clients are plain HTTP."""

    name = "slack"
    modules = ("slack_sdk.web.base_client", "slack_sdk.webhook.client")
    chokes = (("slack_sdk.web.base_client:BaseClient", "api_call"), ("slack_sdk.webhook.client:WebhookClient", "send_dict"))

    def dialect(self) -> Dialect:
        return SlackDialect()


def _arguments(sent: Sent) -> dict[str, Any]:
    """What the method is given: form fields or JSON, and the query."""
    body = sent.body or b""
    found = document(body) if body[:1] == b"{" else dict(parse_qsl(body.decode("utf-8", "replace")))
    return {**dict(parse_qsl(urlsplit(sent.url).query)), **(found if isinstance(found, dict) else {})}


def _with(sent: Sent, further: dict[str, Any]) -> Sent:
    """The request with further arguments, in the form that it has."""
    if (sent.body or b"")[:1] == b"{":
        return altered(sent, body={**document(sent.body), **further})
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in further.items()}
    return altered(sent, body=urlencode({**dict(parse_qsl((sent.body or b"").decode())), **texts}).encode())


def _channel(name: str, base: str, ask: Ask) -> str | None:
    """The id of a channel: history is to be had by id only."""
    if re.fullmatch(r"[CGD][A-Z0-9]+", name):
        return name
    if re.fullmatch(r"[UW][A-Z0-9]+", name):
        found = document(ask("POST", f"{base}/conversations.open", urlencode({"users": name}).encode())["body"]) or {}
        return (found.get("channel") or {}).get("id")
    more = ""
    while True:
        query = urlencode({"limit": "1000", "exclude_archived": "true", **({"cursor": more} if more else {})})
        page = document(ask("POST", f"{base}/conversations.list", query.encode())["body"]) or {}
        for channel in page.get("channels") or ():
            if channel.get("name") == name.lstrip("#"):
                return str(channel["id"])
        more = (page.get("response_metadata") or {}).get("next_cursor") or ""
        if not more:
            return None
