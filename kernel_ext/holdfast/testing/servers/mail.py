"""A mail server on loopback that writes down what it takes, before it says so.

A recipient that begins with ``gone`` is refused for good, one that begins with ``busy`` for the first time it is named.
It runs in a process of its own. Needs the package ``aiosmtpd``.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
import signal
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any


class _Sink:
    def __init__(self, log: Path) -> None:
        self._log, self._busy = log, set[str]()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address.startswith("gone"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy") and address not in self._busy:
            self._busy.add(address)
            return "451 4.7.1 come again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        line = json.dumps({"to": envelope.rcpt_tos, "mail": envelope.content.decode("utf-8", "surrogateescape")})
        fd = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line.encode("utf-8", "surrogateescape") + b"\n")
        os.fsync(fd)
        os.close(fd)
        return "250 OK"


class MailServer:
    """The server as a process of its own.

    Args:
        folder: where it keeps what it took.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "mails.jsonl"
        self._process: subprocess.Popen[str] | None = None
        self.address = ""  # host:port

    def __enter__(self) -> MailServer:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self._log)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()
        if not self.address:
            raise RuntimeError("the mail server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=10)

    def mails(self, prompt: str | None = None) -> list[EmailMessage]:
        """What it took, in order; of one prompt when given. ``Delivered-To`` is who the envelope named."""
        lines = self._log.read_text("utf-8", "surrogateescape").splitlines() if self._log.exists() else []
        found = []
        for line in lines:
            said = json.loads(line)
            mail = email.message_from_string(said["mail"], policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            mail["Delivered-To"] = ", ".join(said["to"])
            if prompt in (None, mail["X-Holdfast-Prompt"]):
                found.append(mail)
        return found


async def _serve(log: str) -> None:
    from aiosmtpd.smtp import SMTP

    sink = _Sink(Path(log))
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(sink, hostname="localhost"), "127.0.0.1", 0)
    sys.stdout.write(f"127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
