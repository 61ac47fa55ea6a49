"""The Holdfast kernel: ipykernel's, with a decision before each cell and a record after it.

Nothing of the journal is imported or opened before the first cell that is to be recorded, so that the kernel starts like a plain one.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from traitlets import Type

from holdfast.errors import ControlFlow, Fenced, HoldfastError
from holdfast.kernel import tap
from holdfast.kernel.pump import PumpingKernel
from holdfast.kernel.registering import register
from holdfast.kernel.shell import CellShell
from holdfast.kernel.streams import drain
from holdfast.kernel.turn import Turn

if TYPE_CHECKING:
    from holdfast.kernel.desk import Desk

_WARM_UP_SECONDS = 0.15  # after the start: the answer to kernel_info_request goes first

_TURN: ContextVar[Turn | None] = ContextVar("holdfast_turn", default=None)


class DurableKernel(PumpingKernel):
    """What makes an ``IPythonKernel`` durable. Also put before the class of a running kernel by ``%load_ext holdfast``."""

    _holdfast_desk: Desk | None = None
    _holdfast_leaving = False  # told to shut down: no queued cell is begun any more
    # ipykernel leaves most of itself untyped
    shell: Any
    session: Any
    send_response: Any
    _topic: Any
    get_parent: Any
    _send_abort_reply: Any

    # -- deciding

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Decide, then go ipykernel's way: it announces the input, calls :meth:`do_execute` and replies."""
        if self._holdfast_leaving:  # the cell before it was cut off: its reply, which would abort the queue, may have failed
            self._send_abort_reply(stream, parent, ident)
            return
        turn = self._holdfast_turn(parent)
        if turn is not None and turn.plan == "skip" and turn.record is not None and turn.record.count is not None:
            turn.count_before = self.shell.execution_count
            self.shell.execution_count = turn.record.count
        token = _TURN.set(turn)
        try:
            base: Any = super().execute_request
            await base(stream, ident, parent)
        finally:
            _TURN.reset(token)

    def _holdfast_turn(self, parent: dict[str, Any]) -> Turn | None:
        """The decision on a request; None when the cell is none of Holdfast's business."""
        from holdfast.kernel.bypass import bypasses

        if threading.current_thread() is not threading.main_thread() or bypasses(parent):
            return None
        try:
            desk = self.holdfast
            return desk.decide(parent) if desk.durable else None
        except (Exception, ControlFlow, KeyboardInterrupt) as error:
            return Turn("refuse", error=error)

    @property
    def holdfast(self) -> Desk:
        """The durable side of this kernel, made at the first need."""
        if self._holdfast_desk is None:
            from holdfast.kernel.desk import Desk

            self._holdfast_desk = Desk(self)
        return self._holdfast_desk

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """From now on no cell is begun: what waits in the queue relied on the one that is cut off."""
        self._holdfast_leaving = True
        base: Any = super().shutdown_request
        await base(stream, ident, parent)

    # -- doing

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, Any] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Carry out what was decided."""
        turn = _TURN.get()
        run: Any = super().do_execute
        arguments = {"cell_meta": cell_meta, "cell_id": cell_id}
        reply: dict[str, Any]
        if turn is None:
            self._holdfast_bring(code)
            reply = await run(code, silent, store_history, user_expressions, allow_stdin, **arguments)
            return reply
        if turn.plan == "refuse":
            assert turn.error is not None
            return self._holdfast_refusal(turn, turn.error)
        desk = self.holdfast
        try:
            if turn.plan == "evaluate":
                desk.prepare_evaluation(turn)
                reply = await run(code, silent, store_history, user_expressions, allow_stdin, **arguments)
                return reply
            if turn.plan == "skip":
                return desk.skip(turn, code, user_expressions)
            if turn.plan == "run":
                desk.start(turn, self.get_parent("shell")["header"]["msg_id"])
            if turn.plan == "leave_out":
                return desk.leave_out(turn, user_expressions)
        except (Exception, ControlFlow, KeyboardInterrupt) as error:  # without a reply the front-end would wait for ever
            return self._holdfast_refusal(turn, error)
        tap.listen(self.session, turn.log)
        try:
            reply = await run(code, silent, store_history, user_expressions, allow_stdin, **arguments)
            drain()
        finally:
            tap.listen(self.session, None)
            desk.lifecycle.stop(turn)
        return self._holdfast_finish(turn, reply)

    def _holdfast_finish(self, turn: Turn, reply: dict[str, Any]) -> dict[str, Any]:
        """Record the cell; the reply says so, or why it could not be."""
        desk = self.holdfast
        try:
            desk.finish(turn, reply)
        except (Exception, ControlFlow) as error:
            return self._holdfast_refusal(turn, error, reply)
        state = turn.told.get("state")
        desk.show(turn.notices)
        if state in ("suspended", "cancelled", "fenced"):
            name = {"suspended": "Suspend", "cancelled": "Cancel", "fenced": "Fenced"}[state]
            return self._holdfast_error(turn, name, str(turn.told.get("reason", "")), reply, shown=not desk.headless(turn))
        return reply

    def _holdfast_refusal(self, turn: Turn, error: BaseException, reply: dict[str, Any] | None = None) -> dict[str, Any]:
        """The cell was not run, or it was and could not be recorded."""
        if not isinstance(error, HoldfastError | ControlFlow | OSError | KeyboardInterrupt):
            self.log.error("Holdfast failed on a cell", exc_info=error)
        said: dict[str, Any] = {"type": type(error).__name__, "what": str(error)}
        if isinstance(error, HoldfastError):
            said["code"] = error.code
        turn.told = {**turn.told, "state": "failed", "error": said, "reason": str(error)}
        shown = False
        if isinstance(error, Fenced) and self._holdfast_desk is not None:
            self._holdfast_desk.lifecycle.fenced(turn, error)
            self._holdfast_desk.show(turn.notices)
            shown = not self._holdfast_desk.headless(turn)
        return self._holdfast_error(turn, type(error).__name__, str(error), reply, shown=shown)

    def _holdfast_error(
        self, turn: Turn, name: str, text: str, reply: dict[str, Any] | None = None, *, shown: bool = False
    ) -> dict[str, Any]:
        """A reply that stops whoever sent the cell, with an ``error`` output unless the message was shown otherwise."""
        shown = shown or (reply is not None and (reply.get("ename"), reply.get("evalue")) == (name, text))  # the cell ended with it
        what = [line for line in text.split(" — ") if line]
        content = {"ename": name, "evalue": text, "traceback": [f"\x1b[31m{name}\x1b[0m: {what[0] if what else ''}", *what[1:]]}
        if not shown:
            self.send_response(self.iopub_socket, "error", content, ident=self._topic("error"))
        count = self.shell.execution_count
        if reply is None:
            self.shell.execution_count = count + 1
        else:
            count = reply.get("execution_count", count)
        return {
            "status": "error",
            **content,
            "execution_count": count,
            "user_expressions": {},
            "payload": (reply or {}).get("payload") or [],
        }

    # -- hooks of ipykernel

    def _holdfast_bring(self, code: str) -> None:
        """A restored state is loaded when it is needed; code that is not recorded needs it too."""
        if self._holdfast_desk is not None and threading.current_thread() is threading.main_thread():
            try:
                self._holdfast_desk.bring(code)
            except HoldfastError as error:
                self.log.warning("%s", error)

    def pre_handler_hook(self) -> None:
        """As ipykernel does it, and an interrupt by the engine is noted: it is the cell's end, whatever the author's code makes of it."""
        base: Any = super().pre_handler_hook
        base()
        handler: Any = signal.getsignal(signal.SIGINT)

        def interrupt(number: int, frame: Any) -> None:
            self._holdfast_interrupted()
            handler(number, frame)

        interrupt.stands_for = handler  # type: ignore[attr-defined]  # for checkpoints: nothing of the author's has changed
        signal.signal(signal.SIGINT, interrupt)

    def _holdfast_interrupted(self) -> None:
        if self._holdfast_desk is not None:
            self._holdfast_desk.interrupted()

    @contextmanager
    def _cancel_on_sigint(self, future: Any) -> Iterator[None]:
        """As ipykernel does it, and with the loop woken up: its own handler alone is not heard by a cell that only waits."""
        base: Any = super()._cancel_on_sigint
        with base(future):
            handler: Any = signal.getsignal(signal.SIGINT)
            loop = asyncio.get_running_loop()

            def interrupt(number: int, frame: Any) -> None:
                self._holdfast_interrupted()
                handler(number, frame)
                loop.call_soon_threadsafe(lambda: None)

            signal.signal(signal.SIGINT, interrupt)
            yield

    def do_complete(self, code: str, cursor_pos: int) -> Any:
        """Completions see what is restored."""
        self._holdfast_bring(code)
        base: Any = super().do_complete
        return base(code, cursor_pos)

    def do_inspect(self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()) -> Any:
        """So do tooltips."""
        self._holdfast_bring(code)
        base: Any = super().do_inspect
        return base(code, cursor_pos, detail_level, omit_sections)

    def finish_metadata(self, parent: Any, metadata: Any, reply_content: Any) -> Any:
        """Tell the engine, or JupyterLab's extension, what became of the cell."""
        base: Any = super().finish_metadata
        metadata = base(parent, metadata, reply_content)
        turn = _TURN.get()
        if turn is not None and turn.told:
            metadata["holdfast"] = turn.told
        return metadata

    def raw_input(self, prompt: str = "") -> str:
        """``input()``: a person's answer, recorded so that a replay does not ask again."""
        desk = self._holdfast_desk
        ask: Callable[[str], str] = super().raw_input
        return ask(prompt) if desk is None else desk.ask(prompt, ask)

    async def do_shutdown(self, restart: bool) -> Any:
        """Give the execution back, then shut down."""
        desk, self._holdfast_desk = self._holdfast_desk, None
        if desk is not None:
            desk.close()
        base: Any = super().do_shutdown
        reply = base(restart)
        return await reply if hasattr(reply, "__await__") else reply


class HoldfastKernel(DurableKernel):
    """The kernel of the kernelspec ``holdfast``. It calls itself ipython: it is one, and front-ends look at the name."""

    shell_class = Type(CellShell)

    def __init__(self, **options: Any) -> None:
        base: Any = super().__init__
        base(**options)
        register(self.shell, lambda: self.holdfast, lambda: self._holdfast_desk)

    def start(self) -> None:
        """Start, and load what the first cell will need while nobody waits for it."""
        base: Any = super().start
        base()
        self.io_loop.call_later(_WARM_UP_SECONDS, self._holdfast_warm_up)

    def _holdfast_warm_up(self) -> None:
        if self._holdfast_desk is None:
            import holdfast.kernel.desk  # noqa: F401

    @property
    def banner(self) -> str:  # type: ignore[override]
        """What a console shows first."""
        return f"{super().banner}Holdfast: what runs here is recorded. %holdfast help\n"
