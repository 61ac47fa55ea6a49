"""E-mail on a real SMTP server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Subject, Write
from holdfast.testing.servers.mail import MailServer

BY_HAND = """import smtplib
from email.message import EmailMessage
message = EmailMessage()
message["From"], message["To"], message["Subject"] = "ops@example.com", "carol@example.com", "by hand"
message.set_content("body")
host, port = SERVER.split(":")
with smtplib.SMTP(host, int(port)) as link:
    print(link.send_message(message))"""
SEND = "print(mail.send('bob@example.com', 'web is back', 'text', html='<b>text</b>', sender='ops@example.com', server=SERVER, tls=False))"


class TestMail(IntegrationContract):
    """Mails are counted where they arrive."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
        with MailServer(tmp_path_factory.mktemp("mail")) as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: MailServer) -> Subject:
        known = [0]

        def reset() -> None:
            known[0] = len(server.mails())

        def arrived(words: str) -> Callable[[], int]:
            return lambda: sum(1 for one in server.mails()[known[0] :] if one["Subject"] == words)

        return Subject(
            setup=f"from holdfast.integrations import mail\nSERVER = {server.address!r}",
            reset=reset,
            modules=("holdfast.integrations.mail", "smtplib", "email.message"),
            reads=(),
            writes=(
                Write(name="smtplib", cell=BY_HAND, count=arrived("by hand"), effect="write", target="mailto:carol@example.com", asks=True),
                Write(name="send", cell=SEND, count=arrived("web is back"), effect="write", target="*", asks=True),
            ),
        )

    def test_a_mail_says_which_call_sent_it_and_busy_is_waited_for(self, server: MailServer, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(BY_HAND.replace("carol@", "busy.carol@"))
        assert runner.run().status == 0
        assert server.mails()[-1]["Message-ID"].endswith("@holdfast.invalid>")
