"""A kernel that serves its front-ends while a cell waits: widgets stay alive, completions and ``kernel_info`` are answered, a reloaded
page comes back. ipykernel hands messages to the main thread, which the cell occupies; while a cell waits they are taken aside instead
and handled by the very thread that waits. Cells keep their order: an ``execute_request`` is never taken aside."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from ipykernel.ipkernel import IPythonKernel

from holdfast.foundation import clock

_tasks: set[asyncio.Task[Any]] = set()  # a loop keeps no reference to what it runs
_COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})


class _Aside:
    """Messages taken aside, from the thread that receives them to the one that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0  # waits of the main thread, one within the other
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.later: list[Any] = []  # cells that had come to the main thread before it began to wait: they keep their turn

    @property
    def wanted(self) -> bool:
        return self._waiting > 0

    def put(self, message: Any) -> bool:
        """Take a message; False when nobody waits any more."""
        with self._lock:
            if self._waiting:
                self._messages.put(message)
            return self._waiting > 0

    def open(self) -> None:
        with self._lock:
            self._waiting += 1

    def close(self) -> list[Any]:
        """The wait is over; returns what it leaves to be handled."""
        with self._lock:
            self._waiting -= 1
            left = []
            while not self._waiting:
                try:
                    left.append(self._messages.get_nowait())
                except queue.Empty:
                    break
            return left

    def get(self, seconds: float) -> Any:
        """The next message; None when none comes in time."""
        try:
            return self._messages.get(timeout=seconds)
        except queue.Empty:
            return None


class PumpingKernel(IPythonKernel):
    """An ``IPythonKernel`` whose waiting cells call :meth:`holdfast_waiting`."""

    _holdfast_aside_made: _Aside | None = None
    # ipykernel leaves most of itself untyped
    session: Any
    shell_handlers: Any
    get_parent: Any
    set_parent: Any
    _publish_status: Any
    _shell_parent_ident: ContextVar[Any]

    @property
    def _holdfast_aside(self) -> _Aside:
        if self._holdfast_aside_made is None:  # also in a kernel that was made durable while it ran
            self._holdfast_aside_made = _Aside()
        return self._holdfast_aside_made

    @contextlib.contextmanager
    def holdfast_waiting(self) -> Iterator[Callable[[float], None]]:
        """Within: the function given lets front-ends be served for so many seconds, or until one of them was."""
        if threading.current_thread() is not threading.main_thread():
            yield clock.sleep
            return
        aside = self._holdfast_aside
        aside.open()
        try:
            yield self._holdfast_pause
        finally:
            for message in aside.close():
                self._holdfast_serve(message)
            if not aside.wanted:
                self._holdfast_hand_back()

    def _holdfast_pause(self, seconds: float) -> None:
        until = clock.monotonic() + seconds
        self._holdfast_catch_up()
        while (left := until - clock.monotonic()) > 0:
            message = self._holdfast_aside.get(left)
            if message is None:
                return
            self._holdfast_serve(message)

    def _holdfast_arrivals(self) -> Any:
        """Where messages come to the main thread; None in a kernel that has no thread for them."""
        thread: Any = getattr(self, "shell_channel_thread", None)
        return None if thread is None else thread.manager.get_shell_channel_to_subshell_pair(None)

    def _holdfast_catch_up(self) -> None:
        """Serve what had been sent to the main thread before it began to wait."""
        import zmq

        pair = self._holdfast_arrivals()
        while pair is not None:
            try:
                message = pair.to_socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            if self._holdfast_servable(message):
                self._holdfast_serve(message)
            else:
                self._holdfast_aside.later.append(message)

    def _holdfast_hand_back(self) -> None:
        """The cells that were read meanwhile go the way they would have gone, before any that comes now."""
        later, self._holdfast_aside.later = self._holdfast_aside.later, []
        if later:
            receive = self._holdfast_arrivals().to_stream._recv_callback
            for message in later:
                task = asyncio.get_running_loop().create_task(receive(message))
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)

    async def shell_channel_thread_main(self, msg: Any) -> None:
        """In the thread that receives: take aside what a waiting cell can serve."""
        if self._holdfast_aside.wanted and self.session is not None and self._holdfast_servable(msg) and self._holdfast_aside.put(msg):
            return
        base: Any = super().shell_channel_thread_main
        await base(msg)

    def _holdfast_servable(self, message: Any) -> bool:
        """Comms of every subshell (widgets belong to the cell that waits); of the main shell all but cells."""
        try:
            _, frames = self.session.feed_identities(message, copy=False)
            header = self.session.deserialize(frames, content=False, copy=False)["header"]
        except Exception:  # whatever it is, ipykernel says so
            return False
        kind = header.get("msg_type")
        return kind in _COMMS or (kind in self.shell_handlers and kind != "execute_request" and header.get("subshell_id") is None)

    def _holdfast_serve(self, message: Any) -> None:
        """Handle one message in the waiting thread, between busy and idle of its own; then the cell's request is the parent again."""
        parent, ident = self.get_parent("shell"), self._shell_parent_ident.get()
        try:
            idents, frames = self.session.feed_identities(message, copy=False)
            request = self.session.deserialize(frames, content=True, copy=False)
            self.set_parent(idents, request, channel="shell")
            self._publish_status("busy", "shell")
            self._holdfast_handle(idents, request)
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            self._publish_status("idle", "shell")  # what throttles a widget in the browser waits for this
        except Exception:
            self.log.error("a message could not be served while the cell waits", exc_info=True)
        finally:
            self.set_parent(ident, parent, channel="shell")
            self._publish_status("busy", "shell")

    def _holdfast_handle(self, idents: Any, request: dict[str, Any]) -> None:
        handler = self.shell_handlers.get(request["header"]["msg_type"])
        if handler is None:
            return
        made = handler(self._holdfast_stream(), idents, request)
        if inspect.iscoroutine(made):  # the loop is below us on the stack; these handlers do not really wait
            with contextlib.suppress(StopIteration):
                while True:
                    made.send(None)

    def _holdfast_stream(self) -> Any:
        thread: Any = getattr(self, "shell_channel_thread", None)
        return self.shell_stream if thread is None else thread.manager.get_subshell_to_shell_channel_socket(None)

    async def dispatch_shell(self, msg: Any, /, subshell_id: str | None = None, **options: Any) -> None:
        """ipykernel 7.4 handles comms beside a cell that awaits, but says neither busy nor idle for them: a widget in the browser, which
        sends one change at a time and waits for idle, would lose what is typed."""
        base: Any = super().dispatch_shell
        if not options.get("concurrent"):
            await base(msg, subshell_id, **options)
            return
        parent = self.get_parent("shell")
        await base(msg, subshell_id, **options)
        self._publish_status("busy", "shell")
        self._publish_status("idle", "shell")
        self._publish_status("busy", "shell", parent=parent)
