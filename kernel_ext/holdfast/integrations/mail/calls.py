"""``smtplib``: a mail that was handed over is sent, and nothing tells afterwards whether it was: a person is asked.

Each mail carries a Message-ID made of its call's key, unless it has one: whoever is asked can look for it, and most mailboxes show it once.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from holdfast.durable.calls import idempotency_key
from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Recorder, Request, Transient
from holdfast.errors import OutcomeUnknownError
from holdfast.model.call import Effect

_PASSING = frozenset({421, 450, 451, 452})
_CHANGING = re.compile(rb"^(date|message-id):[^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE)


class MailInterceptor:
    """Wraps ``SMTP.sendmail``, which ``send_message`` uses. Connecting and signing in are not recorded."""

    name = "mail"
    modules: tuple[str, ...] = ("smtplib",)

    def __init__(self) -> None:
        self._original: Any = None

    def install(self, recorder: Recorder) -> None:
        """Wrap it."""
        import smtplib

        original: Any = smtplib.SMTP.sendmail
        self._original = original

        @functools.wraps(original)
        def sendmail(link: Any, sender: str, to: Any, message: Any, *options: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            if not recorder.active:
                return original(link, sender, to, message, *options, **named)
            receivers = [to] if isinstance(to, str) else list(to)
            data = message.encode("ascii") if isinstance(message, str) else bytes(message)
            where = f"{getattr(link, '_host', '') or 'smtp'}"
            request = Request(
                kind="mail",
                operation=f"mail to {', '.join(receivers)}: {_subject(data)}",
                fingerprint=digest([where, sender, receivers, _plain(data), list(options), named]),
                effect=Effect.WRITE,
                target=f"mailto:{','.join(receivers)}",
                arguments={"from": sender, "to": receivers, "subject": _subject(data)},
            )

            def do(attempt: Attempt) -> Any:
                try:
                    return original(link, sender, receivers, _identified(data, attempt.idempotency_key), *options, **named)
                except (smtplib.SMTPServerDisconnected, TimeoutError, ConnectionError) as error:
                    raise OutcomeUnknownError(
                        "HF315",
                        f"the connection to the mail server broke while a mail was on its way ({type(error).__name__})",
                        cure=f"look for the Message-ID that begins with {attempt.idempotency_key}, then answer the prompt",
                    ) from error

            return recorder.perform(request, do, transient=_transient, assumed=lambda value: value or {})

        smtplib.SMTP.sendmail = sendmail  # type: ignore[method-assign, assignment]

    def uninstall(self) -> None:
        """Undo."""
        import smtplib

        if self._original is not None:
            smtplib.SMTP.sendmail = self._original  # type: ignore[method-assign]
            self._original = None


def posted(link: Any, sender: str, to: list[str], data: bytes) -> None:
    """Hand a mail over within a call: its Message-ID is the call's."""
    link.sendmail(sender, to, _identified(data, idempotency_key()))


def _transient(result: Any, error: BaseException | None) -> Transient | None:
    import smtplib

    codes: set[int] = set()
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = {code for code, _ in error.recipients.values()}
    elif isinstance(error, smtplib.SMTPResponseException):
        codes = {error.smtp_code}
    return Transient(reason=f"the mail server says {min(codes)}") if codes and codes <= _PASSING else None


def _identified(data: bytes, key: str) -> bytes:
    """The mail with a Message-ID."""
    head = data.split(b"\r\n\r\n", 1)[0].split(b"\n\n", 1)[0]
    return data if re.search(rb"(?im)^message-id:", head) else f"Message-ID: <{key}@holdfast.invalid>\r\n".encode() + data


def _plain(data: bytes) -> bytes:
    """The mail without what differs each time that it is written."""
    for boundary in set(re.findall(rb'boundary="?([^";\r\n]+)', data)):
        data = data.replace(boundary, b"boundary")
    return _CHANGING.sub(b"", data.replace(b"\r\n", b"\n"))


def _subject(data: bytes) -> str:
    import email
    import email.policy

    return str(email.message_from_bytes(data, policy=email.policy.default)["Subject"] or "")[:120]
