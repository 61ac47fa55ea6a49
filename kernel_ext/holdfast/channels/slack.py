"""Slack: the question as a message with buttons, a modal where more must be said, reminders in its thread, and its end in its place.

Every message carries the sending's id as message metadata. When it is not known whether one arrived (a kill, a connection that broke), the
conversation is searched for that id before it is sent again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from holdfast.channels import slack_blocks, tables
from holdfast.channels.channel import Address, Audience, Callback, Channel, Given, Heard, Receipt, Refused, Reply, Sending, TryLater
from holdfast.errors import HoldfastError, OperatorError, RequestError
from holdfast.events.signatures import check_versioned
from holdfast.foundation.posting import NotTaken, post
from holdfast.model.prompt import Prompt, PromptState
from holdfast.prompts import schemas

_KEYS: Final = ("token", "signing_secret", "channel", "groups", "api_url", "timeout", "window")
_EVENT: Final = "holdfast_prompt"
_PAGES, _PAGE = 5, 200
#: Errors that pass by themselves.
_PASSING: Final = frozenset(
    "ratelimited rate_limited internal_error fatal_error service_unavailable request_timeout team_added_to_org timeout".split()
)
#: Errors that the operator must mend: nothing of this channel goes out until then.
_UNSET: Final = frozenset(
    "invalid_auth not_authed account_inactive token_revoked token_expired missing_scope no_permission not_allowed_token_type "
    "ekm_access_denied org_login_required access_denied".split()
)
_log = logging.getLogger("holdfast.channels")


def make(given: Given) -> Channel:
    """From the table ``[slack]``."""
    tables.known(given, _KEYS)
    token, signing_secret = tables.secret(given, "token"), tables.secret(given, "signing_secret")
    assert token is not None
    assert signing_secret is not None
    try:
        from slack_sdk import WebClient
    except ImportError as error:
        raise OperatorError("HF210", f"Slack needs a package: {error}", cure="pip install 'holdfast[slack]'") from None
    timeout = tables.number(given, "timeout", 10)
    url = tables.text(given, "api_url", WebClient.BASE_URL)
    client = WebClient(token=token, base_url=url if url.endswith("/") else f"{url}/", timeout=int(timeout), retry_handlers=[])
    return Slack(
        given.name, client, signing_secret.encode(), own=tables.text(given, "channel", "") or None, groups=tables.texts(given, "groups"),
        window=tables.number(given, "window", 300), timeout=timeout,
    )  # fmt: skip


class Slack:
    """See :func:`make`."""

    needs_url = False

    def __init__(
        self, name: str, client: Any, secret: bytes, *, own: str | None, groups: Mapping[str, str], window: float, timeout: float
    ) -> None:
        self.name, self._client, self._secret = name, client, secret
        self._own, self._groups, self._window, self._timeout = own, groups, window, timeout

    def addresses(self, audience: Audience) -> tuple[list[Address], list[str]]:
        """A group's own channel where the table names one, else each of its people; the table's channel when nobody is named."""
        return audience.spread("slack", own=self._own, groups=self._groups)

    # ---- out

    def deliver(self, sending: Sending) -> Receipt:
        """The message with its buttons."""
        return self._post(sending, slack_blocks.blocks(sending))

    escalate = deliver

    def remind(self, sending: Sending, question: Receipt) -> Receipt:
        """In the thread of the question, shown in the channel, too."""
        return self._post(sending, slack_blocks.reminder(sending), thread=question)

    def update(self, sending: Sending, question: Receipt) -> Receipt:
        """The same message, as things stand."""
        place = {"channel": question.said["channel"], "ts": question.said["ts"]}
        self._call(
            self._client.chat_update, **place, text=slack_blocks.text_of(sending), blocks=slack_blocks.blocks(sending)
        )  # fmt: skip
        return Receipt(said=place)

    def _post(self, sending: Sending, blocks: list[slack_blocks.Block], thread: Receipt | None = None) -> Receipt:
        if sending.again and (there := self._find(sending, thread)) is not None:
            return there
        said = self._call(
            self._client.chat_postMessage,
            channel=thread.said["channel"] if thread else sending.address.place,
            text=slack_blocks.text_of(sending),
            blocks=blocks,
            metadata={"event_type": _EVENT, "event_payload": {"id": sending.id, "prompt": sending.prompt.id}},
            unfurl_links=False,
            unfurl_media=False,
            **({"thread_ts": thread.said["ts"], "reply_broadcast": True} if thread else {}),
        )
        return Receipt(said={"channel": said["channel"], "ts": said["ts"]})

    def _find(self, sending: Sending, thread: Receipt | None) -> Receipt | None:
        """The message of an earlier try, when it arrived."""
        cursor = None
        try:
            channel = thread.said["channel"] if thread else self._conversation(sending.address)
            since = {"channel": channel, "oldest": f"{sending.asked_at - 60:.6f}", "include_all_metadata": True, "limit": _PAGE}
            for _ in range(_PAGES):
                if thread:
                    said = self._call(self._client.conversations_replies, ts=thread.said["ts"], cursor=cursor, **since)
                else:
                    said = self._call(self._client.conversations_history, cursor=cursor, **since)
                for message in said.get("messages") or ():
                    if ((message.get("metadata") or {}).get("event_payload") or {}).get("id") == sending.id:
                        return Receipt(said={"channel": channel, "ts": message["ts"]})
                cursor = (said.get("response_metadata") or {}).get("next_cursor")
                if not cursor:
                    return None
        except Refused as error:
            _log.warning("channel %s: it cannot be told whether a message arrived (%s); it may come twice", self.name, error)
        return None

    def _conversation(self, address: Address) -> str:
        """A person's id stands for the conversation with them."""
        if not address.place.startswith(("U", "W")):
            return address.place
        opened = self._call(self._client.conversations_open, users=address.place)
        return str(opened["channel"]["id"])

    def _call(self, method: Callable[..., Any], **arguments: Any) -> Any:
        """One call of Slack's API. Raises :class:`TryLater`, :class:`Refused`."""
        import http.client

        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            return method(**arguments)
        except SlackApiError as error:
            response: Any = error.response
            said = str(response.get("error") or response.status_code)
            after = {k.lower(): v for k, v in response.headers.items()}.get("retry-after", "")
            after = after[0] if isinstance(after, list) else after
            if response.status_code == 429 or said in _PASSING or response.status_code >= 500:
                raise TryLater(f"Slack says {said}", after=float(after) if str(after).isdigit() else None, all_of_it=True) from None
            if said in _UNSET:
                raise TryLater(f"Slack says {said}: look at the token and its scopes", all_of_it=True) from None
            raise Refused(f"Slack says {said}") from None
        except (OSError, SlackClientError, http.client.HTTPException, ValueError) as error:
            raise TryLater(f"Slack cannot be reached: {type(error).__name__}", all_of_it=True) from None

    # ---- in

    def verify(self, callback: Callback, now: float) -> Heard:
        """Slack's signature and time, then a click or a submitted view."""
        stamp, signature = (callback.headers.get(name, "") for name in ("x-slack-request-timestamp", "x-slack-signature"))
        check_versioned(self._secret, stamp, signature, callback.body, now, self._window)
        payload = _payload(callback.body)
        try:
            user = str(payload["user"]["id"])
            if payload["type"] == "view_submission":
                return _submission(payload["view"], user)
            if payload["type"] == "block_actions":
                return _click(payload, user)
        except (KeyError, TypeError, IndexError, ValueError):
            pass
        raise _not_understood("it is no answer to a question")

    def show(self, heard: Heard, prompt: Prompt) -> Reply:
        """Open the modal."""
        kept = {"response_url": heard.context.get("response_url")}
        view = slack_blocks.modal(prompt, heard.verdict, kept)
        try:
            self._call(self._client.views_open, trigger_id=heard.context.get("trigger_id"), view=view)
        except (TryLater, Refused) as error:
            _log.warning("channel %s: no modal for %s: %s", self.name, prompt.id, error)
            return Reply(then=self._whisper(heard, f"The form could not be opened ({error}). Click again."))
        return Reply()

    def tell(self, heard: Heard, prompt: Prompt | None, error: HoldfastError | None) -> Reply:
        """A refusal is whispered to whoever clicked, or stands in the modal; what was taken shows in the message itself."""
        if not heard.context.get("view"):
            if error is not None:
                return Reply(then=self._whisper(heard, f"{_sentence(error.what)} {_sentence(error.cure)}"))
            more = prompt is not None and prompt.state == PromptState.OPEN
            return Reply(then=self._whisper(heard, "Your vote counts; others are needed, too.")) if more else Reply()
        if error is None:
            return _reply({"response_action": "clear"})
        wrong = heard.context.get("wrong") if error.code == "HF405" else None
        place = {"HF408": "why", "HF409": "typed"}.get(error.code)
        if wrong or place:
            return _reply({"response_action": "errors", "errors": wrong or {str(place): _sentence(error.what)}})
        view = slack_blocks.result("Not taken", f"{_sentence(error.what)} {_sentence(error.cure)}")
        return _reply({"response_action": "update", "view": view})

    def probe(self) -> str:
        """Who the token belongs to."""
        said = self._call(self._client.auth_test)
        return f"signed in as {said.get('user')} of {said.get('team')}"

    def _whisper(self, heard: Heard, text: str) -> Callable[[], object] | None:
        """A message that only whoever clicked sees."""
        url = heard.context.get("response_url")
        if not url:
            return None
        body = json.dumps({"response_type": "ephemeral", "replace_original": False, "text": slack_blocks.escape(text)}).encode()

        def send() -> None:
            try:
                post(str(url), body, {"Content-Type": "application/json"}, timeout=self._timeout)
            except NotTaken as error:
                _log.warning("channel %s: nobody could be told %r: %s", self.name, text, error.why)

        return send


# ---- payloads


def _payload(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(parse_qs(body.decode(), strict_parsing=True)["payload"][0])
    except (ValueError, KeyError, RecursionError):
        raise _not_understood("there is no payload") from None
    if not isinstance(found, dict):
        raise _not_understood("the payload is no object")
    return found


def _click(payload: Mapping[str, Any], user: str) -> Heard:
    action = payload["actions"][0]
    id = str(action["action_id"])
    context = {"response_url": payload.get("response_url"), "trigger_id": payload.get("trigger_id")}
    if id == slack_blocks.PICK:
        prompt = str(action["block_id"]).removeprefix("answer.")
        number = int(action["selected_option"]["value"])
        return Heard(prompt=prompt, known_as=("slack", user), context=context, beside=lambda p: _picked(p, number, user, context))
    prompt, verdict = json.loads(action["value"])
    if not (isinstance(prompt, str) and isinstance(verdict, str) and id.startswith((slack_blocks.SAY, slack_blocks.OPEN))):
        raise ValueError
    return Heard(prompt=prompt, known_as=("slack", user), verdict=verdict, wants=id.startswith(slack_blocks.OPEN), context=context)


def _picked(prompt: Prompt, number: int, user: str, context: Mapping[str, Any]) -> Heard:
    verdict = prompt.verdicts[number] if 0 <= number < len(prompt.verdicts) else None
    wants = slack_blocks.needs_modal(prompt)
    return Heard(prompt=prompt.id, known_as=("slack", user), verdict=verdict, wants=wants, context=context)


def _submission(view: Mapping[str, Any], user: str) -> Heard:
    if view["callback_id"] != slack_blocks.MODAL:
        raise ValueError
    kept = json.loads(view["private_metadata"])
    context = {"view": True, "response_url": kept.get("response_url")}
    heard = Heard(prompt=str(kept["prompt"]), known_as=("slack", user), verdict=kept["verdict"], context=context)
    return msgspec.structs.replace(heard, beside=lambda prompt: _filled(heard, view, prompt))


def _filled(heard: Heard, view: Mapping[str, Any], prompt: Prompt) -> Heard:
    """What a view was filled in with, and which of its inputs are wrong."""
    value, why, typed = slack_blocks.submitted(view, prompt)
    schema = prompt.question.schema if prompt.question is not None else None
    context = dict(heard.context)
    if schema is not None and value is not None:
        found = [
            (slack_blocks.block_of(field, prompt), what) for field, what in schemas.misfits(schema, schemas.with_defaults(schema, value))
        ]
        context["wrong"] = {block: _sentence(what) for block, what in found if block is not None}
    return msgspec.structs.replace(heard, value=value, why=why, typed=typed, context=context, beside=None)


def _not_understood(why: str) -> RequestError:
    return RequestError("HF722", f"this is not understood: {why}", cure="Point Slack's interactivity here, nothing else.")


def _reply(said: Mapping[str, Any]) -> Reply:
    return Reply(content=json.dumps(said).encode())


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}." if text else ""
