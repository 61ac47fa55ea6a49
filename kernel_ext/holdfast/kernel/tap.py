"""The one choke point of everything a kernel publishes: ``Session.send``. Streams, displays, results, errors and widgets' comms of
every thread pass it with the header of the request that they belong to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.session import Session

from holdfast.foundation.secrets import Redactor
from holdfast.kernel.outputs import OUTPUT_TYPES, OutputLog

#: What people see of an execution: outputs, but not the messages of widgets (a person's own typing is among them), and a reply's traceback.
SHOWN_TYPES = (OUTPUT_TYPES - {"comm_open", "comm_msg", "comm_close"}) | {"execute_reply"}


class TapSession(Session):
    """A session that lets one :class:`OutputLog` listen, and can hold back what a cell publishes while it is replayed."""

    _holdfast_log: OutputLog | None = None
    _holdfast_muted: str | None = None  # the id of the request whose outputs are held back
    _holdfast_redactor: Redactor | None = None  # registered secrets are shown to nobody

    def send(self, stream: Any, msg_or_type: Any, content: Any = None, parent: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Send as ever; outputs of the request listened to are logged, those of a muted one are dropped."""
        log, muted, redactor = self._holdfast_log, self._holdfast_muted, self._holdfast_redactor
        if redactor is not None and redactor.has_values:
            if isinstance(msg_or_type, dict):
                if msg_or_type["header"]["msg_type"] in SHOWN_TYPES:
                    msg_or_type = {**msg_or_type, "content": redactor.shroud(msg_or_type["content"])}
            elif msg_or_type in SHOWN_TYPES:
                content = redactor.shroud(content)
        if log is None and muted is None:
            return super().send(stream, msg_or_type, content, parent, *args, **kwargs)
        if not isinstance(msg_or_type, dict):
            if msg_or_type not in OUTPUT_TYPES:
                return super().send(stream, msg_or_type, content, parent, *args, **kwargs)
            kwargs, args = self._named(args, kwargs), ()
            header, metadata = kwargs.pop("header", None), kwargs.pop("metadata", None)
            msg_or_type = self.msg(msg_or_type, content=content, parent=parent, header=header, metadata=metadata)
            content = parent = None
        message = msg_or_type
        kind, request = message["header"]["msg_type"], (message.get("parent_header") or {}).get("msg_id")
        if kind in OUTPUT_TYPES and request is not None:
            if request == muted:
                return message
            if log is not None and request == log.message_id:
                buffers = kwargs.get("buffers") or (args[1] if len(args) > 1 else None) or message.get("buffers") or ()
                log.add(kind, message["content"], message.get("metadata") or {}, buffers)
        return super().send(stream, message, content, parent, *args, **kwargs)

    @staticmethod
    def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        return dict(zip(("ident", "buffers", "track", "header", "metadata"), args, strict=False)) | kwargs


def shroud(session: Session, redactor: Redactor) -> None:
    """Mask in what ``session`` publishes, and in its replies, the secrets that ``redactor`` knows."""
    if isinstance(session, TapSession):
        session._holdfast_redactor = redactor


def listen(session: Session, log: OutputLog | None) -> None:
    """Let ``log`` take what ``session`` publishes; None ends it. A session that is no tap (an embedded kernel) is left alone."""
    if isinstance(session, TapSession):
        session._holdfast_log = log


@contextmanager
def private(session: Session) -> Iterator[None]:
    """The widgets made within are no part of what is logged, neither what they show nor what is typed into them."""
    log = session._holdfast_log if isinstance(session, TapSession) else None
    if log is None:
        yield
        return
    with log.private():
        yield


def mute(session: Session, request: str | None) -> None:
    """Hold back the outputs of one request; None lets them through again."""
    if isinstance(session, TapSession):
        session._holdfast_muted = request
