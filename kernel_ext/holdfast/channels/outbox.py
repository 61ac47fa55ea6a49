"""What is to be sent, decided from the journal: one line per message in the stream of its channel, written before anything is sent.

A line is unique by prompt, address and reason, so planning may be repeated by anybody at any time. What became of it is a later line of the
same stream, unique by the number of the first: ``tried`` before it goes out, then ``sent``, ``refused`` or ``dropped``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final

import msgspec

from holdfast.access.people import GROUP, People
from holdfast.channels.channel import Address, Audience, What
from holdfast.channels.settings import LOOKED_AT, Channels
from holdfast.foundation import clock
from holdfast.journal.errors import OnceTaken
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Entry, Kind
from holdfast.model.execution import Mode
from holdfast.model.prompt import Prompt, PromptState, Question
from holdfast.model.stream import Line, LineDraft
from holdfast.prompts.listing import list_prompts

TRIED: Final = "tried"
SENT: Final = "sent"
REFUSED: Final = "refused"
DROPPED: Final = "dropped"
#: Kinds of lines that are work.
WORK: Final = tuple(What)
VOTE: Final = "vote"
END: Final = "end"

_PLANNED: Final = "channels"
_PAGE: Final = 200
_CHANGES: Final = frozenset({Kind.PROMPT_VOTED, Kind.PROMPT_ANSWERED, Kind.PROMPT_EXPIRED, Kind.PROMPT_WITHDRAWN})
_log = logging.getLogger("holdfast.channels")


class Work(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message that is to be sent: the body of its line."""

    place: str
    person: str | None = None
    at: float  # not before, seconds since the epoch
    number: int = 1  # of the reminder
    of: int = 0  # reminder, update: the line of the question
    about: str = ""  # update: END, or VOTE and how many

    @property
    def address(self) -> Address:
        """Where it goes."""
        return Address(place=self.place, person=self.person)


def stream(channel: str) -> str:
    """The stream of a channel."""
    return f"outbox/{channel}"


def work(line: Line) -> Work:
    """What a line of work says."""
    return msgspec.msgpack.decode(line.body, type=Work)


def done(n: int) -> str:
    """What the line takes that tells how line ``n`` ended."""
    return f"done {n}"


def draft(what: What, prompt: str, order: Work) -> LineDraft:
    """A line of work."""
    tail = {What.REMINDER: str(order.number), What.UPDATE: order.about}.get(what, "")
    once = f"{prompt}\n{order.place}\n{what}\n{tail}"
    return LineDraft(kind=what, key=prompt, once=once, body=msgspec.msgpack.encode(order))


def sending_id(prompt: str, channel: str, line: Line) -> str:
    """The same whenever that line is tried: by it the far side recognises a repetition."""
    digest = blake2b(f"{channel}\n{line.once}".encode(), digest_size=8).hexdigest()
    return f"{prompt}.{digest}"


# ---- planning


def plan(store: Store, channels: Channels, people: People) -> None:
    """Write down what follows from everything that happened to prompts since the last time. Quick; may be killed anywhere, and called by
    several processes at a time.

    Raises:
        StoreError.
    """
    while True:
        cursor = store.streams.cursor(_PLANNED)
        if cursor.version == 0:  # what is open when the first channel is set up is asked, too
            newest = store.streams.newest_change()
            for prompt in list_prompts(store):
                _opened(store, channels, people, prompt)
            store.streams.move(cursor, newest)
            continue
        page = store.streams.changes(after=cursor.position, limit=_PAGE)
        for _, entry in page:
            if entry.kind == Kind.PROMPT_OPENED:
                _opened(store, channels, people, msgspec.msgpack.decode(entry.body, type=Prompt))
            elif entry.kind in _CHANGES:
                _changed(store, channels, entry)
        if page:
            store.streams.move(cursor, page[-1][0])
        if len(page) < _PAGE:
            return


def _opened(store: Store, channels: Channels, people: People, prompt: Prompt) -> None:
    question = prompt.question or Question()
    for name in question.via or _by_default(store, channels, prompt):
        if name in LOOKED_AT:
            continue
        if name not in channels.by_name:
            _unreachable(store, prompt, name, "there is no such channel")
            continue
        asked = [(What.QUESTION, question.who, prompt.opened_at)]
        if question.escalate_after is not None:
            asked.append((What.ESCALATION, question.escalate_to, prompt.opened_at + question.escalate_after))
        drafts = []
        for what, whom, at in asked:
            found, without = channels.by_name[name].addresses(audience(people, whom, question))
            drafts += [draft(what, prompt.id, Work(place=a.place, person=a.person, at=at)) for a in found]
            for why in without:
                _unreachable(store, prompt, name, why)
        if drafts:
            store.streams.add(stream(name), drafts)


def _by_default(store: Store, channels: Channels, prompt: Prompt) -> tuple[str, ...]:
    """A question without ``via`` in somebody's own session is asked where they sit."""
    if not channels.default:
        return ()
    header = store.header(prompt.execution)
    return channels.default if header is not None and header.mode == Mode.BATCH else ()


def _changed(store: Store, channels: Channels, entry: Entry) -> None:
    """Every message that puts the question is to say how it stands."""
    prompt = entry.key or ""
    about = END
    if entry.kind == Kind.PROMPT_VOTED:
        about = f"{VOTE} {entry.seq}"
    for name in channels.by_name:
        asked = store.streams.lines(stream(name), key=prompt, kinds=(What.QUESTION, What.ESCALATION))
        drafts = []
        for line in asked:
            said = work(line)
            order = Work(place=said.place, person=said.person, at=entry.at, of=line.seq, about=f"{about} {line.seq}")
            drafts.append(draft(What.UPDATE, prompt, order))
        if drafts:
            store.streams.add(stream(name), drafts)


def audience(people: People, whom: Iterable[str], question: Question) -> Audience:
    """Whom ``whom`` names. Whoever may not answer, having started the execution, is not asked."""
    groups, named = {}, []
    left_out = question.started_by if question.not_self else ""
    for name in whom:
        bare = name.removeprefix(GROUP)
        if bare in people.groups or name != bare:
            groups[bare] = tuple(p for p in people.groups.get(bare, ()) if p != left_out)
        elif name != left_out:
            named.append(name)
    return Audience(groups=groups, people=tuple(named), about=people.about)


def _unreachable(store: Store, prompt: Prompt, channel: str, why: str) -> None:
    _log.warning("%s cannot be carried by %s: %s", prompt.id, channel, why)
    body = {"why": why}
    store.streams.add(stream(channel), [LineDraft(kind=REFUSED, key=prompt.id, once=f"unreachable\n{prompt.id}\n{why}", body=body)])
    note(store, prompt, channel, why)


def note(store: Store, prompt: Prompt, channel: str, why: str) -> None:
    """Tell people who look at the execution that somebody was not reached."""
    body = {"what": "undelivered", "prompt": prompt.id, "channel": channel, "why": why}
    once = f"undelivered:{prompt.id}:{channel}:{blake2b(why.encode(), digest_size=8).hexdigest()}"
    with suppress(OnceTaken):
        store.append(prompt.execution, (Draft(kind=Kind.NOTE, step=prompt.step, body=body, actor=channel, once=once),), fence=None)


def next_reminder(prompt: Prompt, question_line: int, order: Work) -> LineDraft | None:
    """The reminder that follows a question, or a reminder, which was just sent; None when there is none."""
    every = prompt.question.remind_every if prompt.question is not None else None
    if every is None or prompt.state != PromptState.OPEN:
        return None
    number = int((clock.now() - prompt.opened_at) // every) + 1
    at = prompt.opened_at + number * every
    if prompt.due_at is not None and at >= prompt.due_at:
        return None
    return draft(What.REMINDER, prompt.id, Work(place=order.place, person=order.person, at=at, number=number, of=question_line))


# ---- looking


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message and what became of it, for people."""

    channel: str
    prompt: str
    what: str
    place: str
    person: str | None
    at: float
    state: str  # waiting, tried, sent, refused, dropped
    why: str = ""


def deliveries(store: Store, channel: str, *, prompt: str | None = None, limit: int = 1000) -> list[Delivery]:
    """The newest messages of a channel, the oldest first. Raises ``StoreError``."""
    lines = store.streams.lines(stream(channel), key=prompt, newest_first=True, limit=limit)[::-1]
    ends: dict[int, Line] = {}
    for line in lines:
        if line.kind in (TRIED, SENT, REFUSED, DROPPED) and (line.once or "").partition(" ")[2].isdigit():
            ends[int((line.once or "").partition(" ")[2])] = line
    found = []
    for line in lines:
        if line.kind in WORK:
            order, end = work(line), ends.get(line.seq)
            said: dict[str, Any] = end.data if end is not None and end.kind in (REFUSED, DROPPED) else {}
            found.append(
                Delivery(
                    channel=channel, prompt=line.key or "", what=line.kind, place=order.place, person=order.person, at=line.at,
                    state=end.kind if end is not None else "waiting", why=str(said.get("why", "")),
                )
            )  # fmt: skip
        elif line.kind == REFUSED and (line.once or "").startswith("unreachable"):
            why = str(line.data.get("why", ""))
            found.append(
                Delivery(channel=channel, prompt=line.key or "", what="question", place="", person=None, at=line.at, state=REFUSED, why=why)
            )
    return found
