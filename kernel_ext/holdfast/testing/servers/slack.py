"""A stand-in of Slack's Web API on loopback, as far as Holdfast uses it, with the limits that Slack documents.

It keeps conversations, gives message metadata back only where it is asked for, takes an update only of its own messages, opens a view only
with a trigger that is fresh and unused, refuses blocks that Slack would refuse, and sends clicks and submitted views to the interactivity
address, signed as Slack signs. It runs in a process of its own and outlives whoever is killed;
its state is the truth about what arrived.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode

from holdfast.foundation import clock
from holdfast.testing.servers.standing_in import Came, Said, StandIn

#: What it knows its app by: a bot's token and a signing secret.
TOKEN, SECRET = "xoxb-stand-in", "8f742231b10e8888abcd99yyyzzz85a5"
_TRIGGER = 3.0  # seconds


def _direct(user: str) -> str:
    return "D" + user[1:]


def _wrong_blocks(blocks: Any) -> str | None:
    """Why Slack would answer ``invalid_blocks``."""
    if not isinstance(blocks, list) or not 0 < len(blocks) <= 50:
        return "number of blocks"
    ids = [b["block_id"] for b in blocks if "block_id" in b]
    if len(set(ids)) < len(ids):
        return "block_id twice"
    for block in blocks:
        kind = block.get("type")
        text = (block.get("text") or {}).get("text", "")
        if kind == "section" and not (0 < len(text) <= 3000 or block.get("fields")):
            return "section"
        if len(block.get("fields") or ()) > 10 or any(not 0 < len(f["text"]) <= 2000 for f in block.get("fields") or ()):
            return "fields"
        elements = block.get("elements") or ([block["element"]] if "element" in block else [])
        if kind == "actions" and not 0 < len(elements) <= 25:
            return "elements"
        actions = [e["action_id"] for e in elements if "action_id" in e]
        if len(set(actions)) < len(actions):
            return "action_id twice"
        for element in elements:
            if element["type"] == "button" and not (0 < len(element["text"]["text"]) <= 75 and len(element.get("value", "")) <= 2000):
                return "button"
            if not 0 < len(element.get("options") or [1]) <= 100:
                return "options"
            if any(not 0 < len(o["text"]["text"]) <= 75 or len(o["value"]) > 150 for o in element.get("options") or ()):
                return "option"
    return None


class _World(StandIn):
    """What the far side knows, and does with it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.whispers: list[dict[str, Any]] = []
        self.failures: dict[str, list[dict[str, Any]]] = {}
        self.triggers: dict[str, float] = {}
        self.number = 0

    def next(self) -> int:
        """A number that nothing else has."""
        self.number += 1
        return self.number

    def answer(self, came: Came) -> Said | None:
        """The state, a method of the API, or a control."""
        if came.method == "GET":
            return Said(document={"messages": self.messages, "views": self.views, "calls": self.calls, "whispers": self.whispers})
        given, method = _given(came), came.path.rpartition("/")[2]
        if came.path.startswith("/services/"):  # an incoming webhook: who knows the address may post
            self.messages.append(self._message("CHOOK", given))
            return Said(document=b"ok")
        if method == "_fail":
            self.failures.setdefault(given["method"], []).extend([given] * int(given.get("n", 1)))
        elif method == "_trigger":
            trigger = f"trigger.{self.next()}"
            self.triggers[trigger] = clock.monotonic()
            return Said(document={"trigger_id": trigger})
        elif method == "_response":
            self.whispers.append(given)
        else:
            return self._method(method, given, came.headers.get("authorization"))
        return Said(document={"ok": True})

    def _method(self, method: str, given: dict[str, Any], authorization: str | None) -> Said | None:
        self.calls.append(method)
        work = getattr(self, "_" + method.replace(".", "_"), None)
        failures = self.failures.get(method) or []
        failure = failures.pop(0) if failures else None
        if failure is not None and failure["error"] == "ratelimited":
            return Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(failure.get("after", 1))})
        if failure is not None and failure["error"] == "lost":  # it arrives, and the answer gets lost
            if work is not None:
                work(given)
            return None
        if failure is not None:
            return Said(int(failure.get("status", 200)), {"ok": False, "error": failure["error"]})
        if authorization != f"Bearer {TOKEN}":
            return Said(document={"ok": False, "error": "invalid_auth"})
        return Said(document=work(given) if work is not None else {"ok": False, "error": "unknown_method"})

    def _auth_test(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "team": "Stand-in", "user": "holdfast", "user_id": "UBOT", "bot_id": "B1"}

    def _chat_postMessage(self, given: dict[str, Any]) -> dict[str, Any]:
        place = given.get("channel", "")
        if place[:1] not in ("C", "U", "D", "G"):
            return {"ok": False, "error": "channel_not_found"}
        if given.get("blocks") and (wrong := _wrong_blocks(given["blocks"])):
            return {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": [wrong]}}
        if not given.get("text") and not given.get("blocks"):
            return {"ok": False, "error": "no_text"}
        place = _direct(place) if place.startswith("U") else place
        message = self._message(place, given)
        self.messages.append(message)
        return {"ok": True, "channel": place, "ts": message["ts"], "message": message}

    def _message(self, place: str, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "channel": place, "ts": f"{clock.now():.0f}.{self.next():06d}", "text": given.get("text"),
            "blocks": given.get("blocks"), "metadata": given.get("metadata"), "thread_ts": given.get("thread_ts"), "edits": 0,
            "reactions": [],
        }  # fmt: skip

    def _reactions_add(self, given: dict[str, Any]) -> dict[str, Any]:
        for message in self.messages:
            if (message["channel"], message["ts"]) == (given.get("channel"), given.get("timestamp")):
                if given.get("name") in message["reactions"]:
                    return {"ok": False, "error": "already_reacted"}
                message["reactions"].append(given.get("name"))
                return {"ok": True}
        return {"ok": False, "error": "message_not_found"}

    def _chat_update(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("blocks") and _wrong_blocks(given["blocks"]):
            return {"ok": False, "error": "invalid_blocks"}
        for message in self.messages:
            if (message["channel"], message["ts"]) == (given.get("channel"), given.get("ts")):
                message.update(text=given.get("text"), blocks=given.get("blocks"), edits=message["edits"] + 1)
                return {"ok": True, "channel": message["channel"], "ts": message["ts"], "text": message["text"]}
        return {"ok": False, "error": "message_not_found"}

    def _views_open(self, given: dict[str, Any]) -> dict[str, Any]:
        began = self.triggers.pop(given.get("trigger_id", ""), None)
        if began is None:
            return {"ok": False, "error": "invalid_trigger_id"}
        if clock.monotonic() - began > _TRIGGER * 10:  # a loaded machine is granted more than Slack grants
            return {"ok": False, "error": "expired_trigger_id"}
        view = given["view"]
        if _wrong_blocks(view.get("blocks")) or len(view["title"]["text"]) > 24 or len(view.get("private_metadata", "")) > 3000:
            return {"ok": False, "error": "invalid_arguments"}
        view = {**view, "id": f"V{self.next()}"}
        self.views.append(view)
        return {"ok": True, "view": view}

    def _conversations_open(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"ok": True, "channel": {"id": _direct(given["users"])}}

    def _conversations_history(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._found(given, lambda m: m["channel"] == given["channel"] and not m["thread_ts"])

    def _conversations_replies(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._found(given, lambda m: m["channel"] == given["channel"] and given["ts"] in (m["thread_ts"], m["ts"]))

    def _found(self, given: dict[str, Any], fits: Any) -> dict[str, Any]:
        found = [m for m in self.messages if fits(m) and float(m["ts"]) >= float(given.get("oldest", 0))]
        shown = [m if str(given.get("include_all_metadata")).lower() in ("1", "true") else {**m, "metadata": None} for m in found]
        return {"ok": True, "messages": shown[::-1], "has_more": False, "response_metadata": {"next_cursor": ""}}


def _given(came: Came) -> dict[str, Any]:
    if "json" not in came.headers.get("content-type", ""):
        given: dict[str, Any] = dict(parse_qsl(came.body.decode(), keep_blank_values=True))
    else:
        given = came.document
    for name in ("blocks", "metadata", "view"):
        if isinstance(given.get(name), str):
            given[name] = json.loads(given[name])
    return given


class Slack:
    """The stand-in as a process of its own, and a person at its screen."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> Slack:
        self._process = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError("the stand-in of Slack did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=10)

    # ---- looking

    def state(self) -> dict[str, Any]:
        """messages, views, calls, whispers."""
        with urllib.request.urlopen(f"{self.url}/_state", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def messages(self, prompt: str | None = None) -> list[dict[str, Any]]:
        """What arrived, in order; of one prompt when given."""
        found: list[dict[str, Any]] = self.state()["messages"]
        return [m for m in found if prompt in (None, ((m["metadata"] or {}).get("event_payload") or {}).get("prompt"))]

    def fail(self, method: str, error: str, **more: Any) -> None:
        """Let the next call (``n``: calls) of ``method`` fail: ``ratelimited`` (``after`` seconds), ``lost`` (it arrives, its answer does
        not), or an error of Slack's."""
        self._control("_fail", {"method": method, "error": error, **more})

    # ---- a person

    def click(self, url: str, message: Mapping[str, Any], label: str, user: str, **how: Any) -> tuple[int, Any]:
        """Click the button ``label``, or pick it from the menu. ``how``: see :meth:`send`. What the gateway answered."""
        for block in message["blocks"]:
            for element in block.get("elements") or ():
                if element.get("type") == "button" and element["text"]["text"] == label:
                    action = {"type": "button", "value": element["value"]}
                elif option := next((o for o in element.get("options") or () if o["text"]["text"] == label), None):
                    action = {"type": "static_select", "selected_option": option}
                else:
                    continue
                action |= {"action_id": element["action_id"], "block_id": block["block_id"]}
                return self.send(url, self.clicked(message, action, user), **how)
        raise AssertionError(f"the message has no button {label!r}: {json.dumps(message['blocks'])}")

    def clicked(self, message: Mapping[str, Any], action: Mapping[str, Any], user: str) -> dict[str, Any]:
        """The payload of a click."""
        trigger = self._control("_trigger", {})["trigger_id"]
        return {
            "type": "block_actions", "user": {"id": user, "team_id": "T1"}, "team": {"id": "T1"}, "trigger_id": trigger,
            "channel": {"id": message["channel"]}, "container": {"type": "message", "message_ts": message["ts"]},
            "response_url": f"{self.url}/_response", "actions": [action],
        }  # fmt: skip

    def submit(self, url: str, view: Mapping[str, Any], user: str, filled: Mapping[str, Any], **how: Any) -> tuple[int, Any]:
        """Fill in a view, by label, and send it. A text for inputs and menus, a truth value for a box."""
        values: dict[str, Any] = {}
        for block in view["blocks"]:
            if block["type"] != "input":
                continue
            element, given = block["element"], filled.get(block["label"]["text"])
            said: dict[str, Any] = {"type": element["type"]}
            if element["type"] == "plain_text_input":
                said["value"] = given if given is not None else element.get("initial_value")
            elif element["type"] == "static_select":
                said["selected_option"] = next((o for o in element["options"] if o["text"]["text"] == given), element.get("initial_option"))
            else:
                said["selected_options"] = element["options"] if given else []
            values[block["block_id"]] = {element["action_id"]: said}
        kept = {k: view[k] for k in ("id", "callback_id", "private_metadata")}
        payload = {"type": "view_submission", "user": {"id": user}, "team": {"id": "T1"}, "view": {**kept, "state": {"values": values}}}
        return self.send(url, payload, **how)

    def send(self, url: str, payload: Mapping[str, Any], *, secret: str = SECRET, age: float = 0.0) -> tuple[int, Any]:
        """Post a payload to the interactivity address, signed with ``secret``, ``age`` seconds ago. (status, what was answered)."""
        return post(url, signed(payload, secret=secret, at=clock.now() - age))

    def _control(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(f"{self.url}/{name}", json.dumps(given).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def signed(payload: Mapping[str, Any], *, secret: str = SECRET, at: float) -> tuple[bytes, dict[str, str]]:
    """Body and headers of a callback as Slack sends it."""
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(at))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}
    return body, {**headers, "Content-Type": "application/x-www-form-urlencoded"}


def post(url: str, request: tuple[bytes, Mapping[str, str]]) -> tuple[int, Any]:
    """(status, JSON or text) of a POST."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, request[0], dict(request[1])), timeout=60) as answer:
            status, text = answer.status, answer.read().decode()
    except HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def main() -> None:
    """Serve until terminated; the first line printed is the address."""
    with _World() as world:
        print(world.url, flush=True)  # noqa: T201 - for who started it
        threading.Event().wait()


if __name__ == "__main__":
    main()
