"""One mail, from its text to the server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from email.message import EmailMessage

from holdfast.durable.calls import call
from holdfast.durable.references import secret


def send(
    to: str | Sequence[str],
    subject: str,
    text: str,
    *,
    sender: str,
    server: str = "localhost:25",
    html: str | None = None,
    user: str | None = None,
    password: str | None = None,
    tls: bool = True,
) -> None:
    """Send a mail, once. When nobody knows whether it went out, a person is asked; by its Message-ID, the call's, it can be looked for.

    Args:
        server: ``HOST:PORT``; port 465 speaks TLS from the start, others by STARTTLS.
        user: with ``password``, signs in.
        password: a reference (``env:NAME`` …).
        tls: False sends in the clear, for a server on this machine.
    Raises:
        OperatorError: HF219 the reference leads nowhere. smtplib.SMTPException: the server refuses.
    """
    receivers = [to] if isinstance(to, str) else list(to)
    _deliver(receivers, subject, text, html, sender, server, user, password, tls)


@call(effect="write", name="mail.send", ignore=("password",))
def _deliver(
    to: list[str], subject: str, text: str, html: str | None, sender: str, server: str, user: str | None, password: str | None, tls: bool
) -> None:
    from holdfast.integrations.mail.calls import posted

    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, ", ".join(to), subject
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    host, _, port = server.partition(":")
    context = ssl.create_default_context()
    at_once = port == "465"
    with (
        smtplib.SMTP_SSL(host, int(port), timeout=60, context=context)
        if at_once
        else smtplib.SMTP(host, int(port or 25), timeout=60) as link
    ):
        if tls and not at_once:
            link.starttls(context=context)
        if user is not None and password is not None:
            link.login(user, str.__str__(secret(password)))
        posted(link, sender, to, message.as_bytes())
