"""Carries what the outbox holds: each channel at its own pace, one process at a time, through any kill.

Before a message goes out the line ``tried`` is committed, after it ``sent`` with what the far side said. Between the two a message may have
arrived that nobody recorded: it is sent again under the same id, and a channel that can look at the far side looks there first.
"""

from __future__ import annotations

import logging
import threading
from typing import Final
from uuid import uuid4

import msgspec

from holdfast.access.people import People
from holdfast.channels import links, outbox
from holdfast.channels.channel import Channel, Receipt, Refused, Sending, TryLater, What
from holdfast.channels.settings import Channels, ChannelsFile
from holdfast.config import Config
from holdfast.errors import HoldfastError, LookupFailedError, StoreError
from holdfast.executions.veil import Veil
from holdfast.foundation import clock, faults
from holdfast.journal.ownership import gone, this_process
from holdfast.journal.store import Store
from holdfast.model.cursor import Cursor
from holdfast.model.prompt import Prompt, PromptState
from holdfast.model.stream import Line, LineDraft
from holdfast.prompts.listing import get
from holdfast.prompts.wording import veiled

_log = logging.getLogger("holdfast.channels")
_CURSORS: Final = "channel/"
_PAGE: Final = 200
_LEASE: Final = 60.0  # seconds; beyond what one message takes
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0


class Waiting(msgspec.Struct, array_like=True):
    """A line of work that is not done."""

    seq: int
    at: float  # not before
    attempts: int = 0  # in vain


class ChannelState(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel's cursor remembers."""

    owner: str | None = None  # who carries now
    until: float = 0.0  # how long at most
    waiting: list[Waiting] = []
    next_at: float = 0.0  # nothing of this channel before
    failures: int = 0  # since the last success
    error: str | None = None


class Dispatcher:
    """What gateways and workers do for channels beside their own work.

    Args:
        store: the journal.
        config: the settings.
        url: where people reach the gateway, when that is known better here than from the settings.
    """

    def __init__(self, store: Store, config: Config, *, url: str | None = None) -> None:
        self._store, self._config, self._url = store, config, config.public_url or url
        self.file = ChannelsFile(config, store.key)
        self._told: str | None = None
        self._owner = this_process(f"channels-{uuid4().hex[:6]}").text
        self._threads: dict[str, threading.Thread] = {}

    def look(self, *, patience: float = 1.0) -> None:
        """Plan and send what is due. A channel that is slow holds up no other and, beyond ``patience`` seconds, not the caller either.

        Raises:
            StoreError: the journal cannot be reached; the next look makes up for it.
        """
        channels = self.file.current()
        self._complain(self.file.trouble)
        if not channels.by_name and not self.file.trouble and self._config.channels_file is None:
            return
        try:
            people = People.load(self._config.policy_file)
        except HoldfastError as error:
            self._complain(error)
            return
        if self.file.trouble is None:
            outbox.plan(self._store, channels, people)
        self._carry(channels, patience)

    def _complain(self, error: HoldfastError | None) -> None:
        if error is not None and self._told != str(error):
            _log.error("%s", error)
        self._told = str(error) if error is not None else None

    def _carry(self, channels: Channels, patience: float) -> None:
        self._threads = {name: thread for name, thread in self._threads.items() if thread.is_alive()}
        for name, channel in channels.by_name.items():
            reachable = self._url is not None or not channel.needs_url
            if reachable and name not in self._threads and due(self._store, name, mine=self._owner):
                round_ = _Round(self._store, channel, self._url, self._owner)
                self._threads[name] = threading.Thread(target=round_.run, name=f"holdfast-channel-{name}", daemon=True)
                self._threads[name].start()
        until = clock.monotonic() + patience
        for thread in self._threads.values():
            thread.join(max(0.0, until - clock.monotonic()))


def state_of(store: Store, channel: str) -> ChannelState:
    """How a channel stands. Raises ``StoreError``."""
    return _state(store.streams.cursor(_CURSORS + channel))


def due(store: Store, channel: str, *, mine: str = "") -> bool:
    """Whether there is something to send that nobody else than ``mine`` is sending. Raises ``StoreError``."""
    cursor = store.streams.cursor(_CURSORS + channel)
    state = _state(cursor)
    if not _free(state, mine):
        return False
    if any(one.at <= clock.now() for one in state.waiting):
        return True
    return bool(store.streams.lines(outbox.stream(channel), after=cursor.position, limit=1))


class _Round:
    """One channel being carried, by one thread."""

    def __init__(self, store: Store, channel: Channel, url: str | None, owner: str) -> None:
        self._store, self._channel, self._url, self._owner = store, channel, url, owner
        self._stream = outbox.stream(channel.name)

    def run(self) -> None:
        try:
            self._run()
        except StoreError as error:
            _log.warning("channel %s: %s", self._channel.name, error)
        except Exception:
            _log.exception("channel %s", self._channel.name)

    def _run(self) -> None:
        cursor: Cursor | None = self._store.streams.cursor(_CURSORS + self._channel.name)
        assert cursor is not None
        state = _state(cursor)
        if not _free(state, self._owner):  # somebody was faster
            return
        waiting = {one.seq: one for one in state.waiting}
        place, failures, error = cursor.position, state.failures, state.error

        def hold(owner: str | None, next_at: float = 0.0) -> None:
            """Renew the lease, or let go of it, with all that is known by now."""
            nonlocal cursor
            assert cursor is not None
            new = ChannelState(
                owner=owner, until=clock.now() + _LEASE if owner else 0.0, waiting=list(waiting.values()), next_at=next_at,
                failures=failures, error=error,
            )  # fmt: skip
            cursor = self._store.streams.move(cursor, place, body=msgspec.msgpack.encode(new))

        hold(self._owner)
        while cursor is not None:
            page = self._store.streams.lines(self._stream, after=place, limit=_PAGE)
            waiting |= {line.seq: Waiting(line.seq, outbox.work(line).at) for line in page if line.kind in outbox.WORK}
            place = page[-1].seq if page else place
            ready = [one for one in sorted(waiting.values(), key=lambda w: w.seq) if one.at <= clock.now()]
            if not ready and len(page) < _PAGE:
                hold(None)
                return
            for one in ready:
                hold(self._owner)
                if cursor is None:  # somebody else took over meanwhile
                    return
                try:
                    self._guarded(one)
                except TryLater as later:
                    one.attempts += 1
                    failures, error = failures + 1, later.why
                    pause = max(later.after or 0.0, min(_FIRST_PAUSE * 2.0 ** min(one.attempts - 1, 30), _LONGEST_PAUSE))
                    one.at = clock.now() + pause
                    if later.all_of_it:
                        hold(None, one.at)
                        return
                else:
                    del waiting[one.seq]
                    failures, error = 0, None

    def _guarded(self, one: Waiting) -> None:
        """A channel with a fault must neither hold up its other messages nor send one of them every second."""
        try:
            self._one(one)
        except (TryLater, StoreError):
            raise
        except Exception as error:
            _log.exception("channel %s", self._channel.name)
            raise TryLater(f"{type(error).__name__}: {error}") from error

    def _one(self, one: Waiting) -> None:
        """Send one message, once. Raises :class:`TryLater`."""
        streams = self._store.streams
        if streams.line_once(self._stream, outbox.done(one.seq)) is not None:
            return
        line = streams.lines(self._stream, after=one.seq - 1, limit=1)[0]
        order = outbox.work(line)
        tried = streams.line_once(self._stream, f"{outbox.TRIED} {one.seq}") is not None
        try:
            prompt = get(self._store, line.key or "")
        except LookupFailedError as error:
            self._end(line, outbox.DROPPED, error.what)
            return
        question = self._question(order)
        why = self._needless(line, order, prompt, question) if not tried else None
        if why is not None:
            self._end(line, outbox.DROPPED, why)
            return
        if not tried:
            streams.add(self._stream, [LineDraft(kind=outbox.TRIED, key=line.key, once=f"{outbox.TRIED} {one.seq}")])
        faults.point("channel.before_send")
        try:
            receipt = self._send(self._sending(line, order, prompt, again=tried), question)
        except Refused as refused:
            _log.warning("channel %s: %s: %s", self._channel.name, prompt.id, refused)
            self._end(line, outbox.REFUSED, str(refused))
            outbox.note(self._store, prompt, self._channel.name, str(refused))
            return
        faults.point("channel.after_send")
        drafts = [LineDraft(kind=outbox.SENT, key=line.key, once=outbox.done(one.seq), body=receipt.said)]
        following = outbox.next_reminder(prompt, order.of or one.seq, order) if line.kind != What.UPDATE else None
        streams.add(self._stream, drafts + ([following] if following is not None else []))
        faults.point("channel.after_record")

    def _question(self, order: outbox.Work) -> Receipt | None:
        """What the far side said of the question that a reminder or an update is about; None when it never got there."""
        if not order.of:
            return None
        end = self._store.streams.line_once(self._stream, outbox.done(order.of))
        if end is None:
            raise TryLater("the question itself is still on its way")
        return Receipt(said=end.data) if end.kind == outbox.SENT else None

    def _needless(self, line: Line, order: outbox.Work, prompt: Prompt, question: Receipt | None) -> str | None:
        """Why this need not be sent any more."""
        if order.of and question is None:
            return "the question was never sent"
        if line.kind == What.UPDATE:
            overtaken = order.about.startswith(outbox.VOTE) and prompt.state != PromptState.OPEN
            return "it has ended since" if overtaken else None
        return f"it was {prompt.state} before" if prompt.state != PromptState.OPEN else None

    def _sending(self, line: Line, order: outbox.Work, prompt: Prompt, *, again: bool) -> Sending:
        header = self._store.header(prompt.execution)
        assert header is not None
        token = links.make(self._store.key, prompt.id, self._channel.name, order.person, asked_at=order.at, due_at=prompt.due_at)
        return Sending(
            id=outbox.sending_id(prompt.id, self._channel.name, line),
            what=What(line.kind),
            prompt=veiled(prompt, Veil.over(header)),
            runbook=header.runbook,
            address=order.address,
            asked_at=order.at,
            number=order.number,
            again=again,
            page=f"{self._url}/prompts/{prompt.id}" if self._url else None,
            link=f"{self._url}/by/{self._channel.name}/{token}" if self._url and order.person else None,
            callback=f"{self._url}/api/v1/channels/{self._channel.name}" if self._url else None,
            token=token,
        )

    def _send(self, sending: Sending, question: Receipt | None) -> Receipt:
        match sending.what:
            case What.QUESTION:
                return self._channel.deliver(sending)
            case What.ESCALATION:
                return self._channel.escalate(sending)
            case What.REMINDER:
                assert question is not None
                return self._channel.remind(sending, question)
            case _:
                assert question is not None
                return self._channel.update(sending, question)

    def _end(self, line: Line, kind: str, why: str) -> None:
        body = {"why": why[:500]}
        self._store.streams.add(self._stream, [LineDraft(kind=kind, key=line.key, once=outbox.done(line.seq), body=body)])


def _free(state: ChannelState, mine: str) -> bool:
    """Whether the channel may be carried now, and by nobody else."""
    now = clock.now()
    return state.next_at <= now and (state.owner is None or state.owner == mine or state.until <= now or gone(state.owner))


def _state(cursor: Cursor) -> ChannelState:
    return msgspec.msgpack.decode(cursor.body, type=ChannelState) if cursor.body else ChannelState()
