"""E-mail: the question as a mail with a link that is made out to its reader. Opening the link answers nothing (scanners open every link);
what answers is the form behind it.

A mail has the same Message-ID whenever it is sent, so one that is sent again after a kill is the same mail to whoever reads it;
reminders and the end are replies to it.
"""

from __future__ import annotations

import email.utils
import html
import re
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import blake2b
from typing import Any, Final

from holdfast.channels import links, tables
from holdfast.channels.channel import Address, Audience, Callback, Channel, Given, Heard, Receipt, Refused, Reply, Sending, TryLater
from holdfast.channels.message import heading, rows
from holdfast.errors import HoldfastError, RequestError
from holdfast.foundation import clock
from holdfast.model.prompt import Prompt, PromptState
from holdfast.prompts.wording import how_to_answer

_KEYS: Final = ("server", "from", "to", "groups", "user", "password", "security", "timeout")
_SECURITY: Final = {"starttls": 587, "tls": 465, "none": 25}
_ADDRESS: Final = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")
_SUBJECT: Final = 150


def make(given: Given) -> Channel:
    """From the table ``[email]``."""
    tables.known(given, _KEYS)
    security = tables.choice(given, "security", tuple(_SECURITY), "starttls")
    host, _, port = tables.text(given, "server").partition(":")
    if not host or (port and not port.isdigit()):
        raise ValueError("server must be HOST or HOST:PORT")
    sender, own = tables.text(given, "from"), tables.text(given, "to", "") or None
    groups = tables.texts(given, "groups")
    for address in (email.utils.parseaddr(sender)[1], *([own] if own else []), *groups.values()):
        if not _ADDRESS.fullmatch(address):
            raise ValueError(f"{address!r} is no mail address")
    user, password = tables.text(given, "user", ""), tables.secret(given, "password", needed="user" in given.table)
    login = (user, password or "") if user else None
    server = Server(host, int(port) if port else _SECURITY[security], security, tables.number(given, "timeout", 10), login)
    return Email(given.name, server, sender, given.key, own=own, groups=groups)


class Server:
    """A mail server as configured."""

    def __init__(self, host: str, port: int, security: str, timeout: float, login: tuple[str, str] | None) -> None:
        self.host, self.port, self._security, self._timeout, self._login = host, port, security, timeout, login

    def connect(self) -> smtplib.SMTP:
        """Signed in. Raises what :mod:`smtplib` and :mod:`socket` raise."""
        context = ssl.create_default_context()
        if self._security == "tls":
            link: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=self._timeout, context=context)
        else:
            link = smtplib.SMTP(self.host, self.port, timeout=self._timeout)
        try:
            if self._security == "starttls":
                link.starttls(context=context)
            if self._login is not None:
                link.login(*self._login)
        except BaseException:
            link.close()
            raise
        return link


class Email:
    """See :func:`make`."""

    needs_url = True

    def __init__(self, name: str, server: Server, sender: str, key: bytes, *, own: str | None, groups: Mapping[str, str]) -> None:
        self.name, self._server, self._sender, self._key = name, server, sender, key
        self._own, self._groups = own, groups
        self._domain = email.utils.parseaddr(sender)[1].partition("@")[2]

    def addresses(self, audience: Audience) -> tuple[list[Address], list[str]]:
        """A group's own list where the table names one, else each of its people; the table's ``to`` when nobody is named."""
        return audience.spread("email", own=self._own, groups=self._groups)

    # ---- out

    def deliver(self, sending: Sending) -> Receipt:
        """The mail with its link."""
        return self._send(sending, None)

    escalate = deliver

    def remind(self, sending: Sending, question: Receipt) -> Receipt:
        """A reply to it, with a link of its own."""
        return self._send(sending, question)

    def update(self, sending: Sending, question: Receipt) -> Receipt:
        """A reply that says how it ended, to all but the one who ended it from here. Votes are not worth a mail."""
        prompt = sending.prompt
        own = prompt.via == self.name and prompt.answered_by == sending.address.person
        if prompt.state == PromptState.OPEN or own:
            return question
        return self._send(sending, question)

    def _send(self, sending: Sending, question: Receipt | None) -> Receipt:
        mail = self._mail(sending, question)
        try:
            with self._server.connect() as link:
                link.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            self._refused(code, said, "the recipient")
        except smtplib.SMTPAuthenticationError as error:
            raise TryLater(f"the mail server does not let us in ({error.smtp_code})", all_of_it=True) from None
        except smtplib.SMTPResponseException as error:
            self._refused(error.smtp_code, error.smtp_error, "the mail")
        except (OSError, smtplib.SMTPException) as error:
            raise TryLater(f"the mail server cannot be reached: {type(error).__name__}: {error}", all_of_it=True) from None
        return Receipt(said={"message_id": str(mail["Message-ID"]), "subject": str(mail["Subject"])})

    def _refused(self, code: int, said: bytes | str, what: str) -> None:
        why = f"the mail server refuses {what}: {code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
        raise (Refused(why) if code >= 500 else TryLater(why))

    def _mail(self, sending: Sending, question: Receipt | None) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        subject = " ".join(f"[{sending.runbook}] {sending.prompt.text}".split())[:_SUBJECT]
        mail["Subject"] = f"Re: {question.said['subject']}" if question is not None else subject
        mail["From"], mail["To"] = self._sender, sending.address.place
        mail["Date"] = email.utils.format_datetime(clock.utc(sending.asked_at))
        digest = blake2b(sending.id.encode(), digest_size=16).hexdigest()
        mail["Message-ID"] = f"<{digest}.holdfast@{self._domain}>"
        if question is not None:
            mail["In-Reply-To"] = mail["References"] = question.said["message_id"]
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Holdfast-Prompt"] = sending.prompt.id
        mail.set_content(_text(sending))
        mail.add_alternative(_html(sending), subtype="html")
        return mail

    # ---- in

    def verify(self, callback: Callback, now: float) -> Heard:
        """The link. It only asks to see the question; what is typed there comes with the form."""
        token = callback.query.get("token", "")
        if not token:
            raise RequestError("HF722", "there is no link in this", cure="Open the link of the mail.")
        ticket = links.read(self._key, token, self.name, now)
        return Heard(prompt=ticket.prompt, person=ticket.person, wants=True)

    def show(self, heard: Heard, prompt: Prompt) -> Reply:
        """Where the page is, is known to the mail alone."""
        raise RequestError("HF722", "a mail's answer comes from its page", cure="Open the link of the mail.")

    def tell(self, heard: Heard, prompt: Prompt | None, error: HoldfastError | None) -> Reply:
        """The page tells."""
        if error is not None:
            raise error
        return Reply()

    def probe(self) -> str:
        """The server's greeting."""
        try:
            with self._server.connect() as link:
                code, said = link.noop()
        except smtplib.SMTPAuthenticationError as error:
            raise Refused(f"the mail server does not let us in ({error.smtp_code})") from None
        except (OSError, smtplib.SMTPException) as error:
            raise TryLater(f"{type(error).__name__}: {error}") from None
        return f"{self._server.host}:{self._server.port} says {code} {said.decode('utf-8', 'replace')}"


def _text(sending: Sending) -> str:
    prompt = sending.prompt
    told = [(name, value) for name, value in rows(sending)]
    width = max(len(name) for name, _ in told)
    lines = [heading(sending), "", prompt.text, "", *(f"  {name.ljust(width)}  {value}" for name, value in told), ""]
    if prompt.state == PromptState.OPEN:
        if sending.link:
            lines += ["Answer here (the link is yours alone; do not pass it on):", f"  {sending.link}", ""]
        if sending.page:
            lines += ["In the inbox, signed in:", f"  {sending.page}", ""]
        lines += ["On a terminal:", f"  {how_to_answer(prompt)}", ""]
    return "\n".join(lines)


def _html(sending: Sending) -> str:
    prompt = sending.prompt
    e: Any = html.escape
    cells = "".join(
        f'<tr><th style="text-align:left;padding:2px 12px 2px 0;vertical-align:top">{e(name)}</th><td>{e(value)}</td></tr>'
        for name, value in rows(sending)
    )
    parts = [
        f"<p>{e(heading(sending))}</p>",
        f'<p style="font-size:1.2em"><strong>{e(prompt.text)}</strong></p>',
        f"<table>{cells}</table>",
    ]
    if prompt.state == PromptState.OPEN:
        if sending.link:
            style = "display:inline-block;padding:10px 18px;background:#0b57d0;color:#fff;text-decoration:none;border-radius:4px"
            parts.append(f'<p><a href="{e(sending.link)}" style="{style}">Answer</a></p><p>The link is yours alone; do not pass it on.</p>')
        if sending.page:
            parts.append(f'<p><a href="{e(sending.page)}">Answer in the inbox</a>, signed in; or on a terminal:</p>')
        parts.append(f"<pre>{e(how_to_answer(prompt))}</pre>")
    return f'<!doctype html><html lang="en"><body style="font-family:sans-serif">{"".join(parts)}</body></html>'
