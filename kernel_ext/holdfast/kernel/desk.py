"""Between the kernel and its durable side: what only a kernel can do (publish, count, keep history) for what was decided."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from holdfast.config import Config
from holdfast.durable.interceptor import Request
from holdfast.errors import ControlFlow, Fenced
from holdfast.kernel import deciding, tap
from holdfast.kernel.lifecycle import Lifecycle
from holdfast.kernel.outputs import Output
from holdfast.kernel.session import Session
from holdfast.kernel.turn import Turn
from holdfast.model.call import Effect

if TYPE_CHECKING:
    from holdfast.durable.showing import Showing
    from holdfast.kernel.kernel import DurableKernel
    from holdfast.kernel.notices import Bundle
    from holdfast.kernel.wiring import Wiring
    from holdfast.model.prompt import Prompt


class Desk:
    """The durable side of ``kernel``.

    Args:
        kernel: running; its shell is there.

    Raises:
        OperatorError: HF201, HF202, a setting is wrong.
    """

    def __init__(self, kernel: DurableKernel) -> None:
        self._kernel: Any = kernel
        self.shell: Any = kernel.shell
        self.session = Session(self.shell, Config.load(), self.shell.user_ns.get("__session__"))
        tap.shroud(self._kernel.session, self.session.recorder.redactor)
        self.session.recorder.while_waiting = self._kernel.holdfast_waiting
        self.session.recorder.present = self._present
        self.lifecycle = Lifecycle(self.session)
        self.shell.holdfast_hides = self._hides
        self._wiring: Wiring | None = None
        self._pid = os.getpid()
        atexit.register(self.close)  # `exit()` in a cell ends the kernel without a shutdown request

    def _present(self, prompt: Prompt) -> Showing:
        """Show a question where its cell runs."""
        from holdfast.kernel.questions import Questions

        return Questions(self._kernel, self)(prompt)

    def decide(self, parent: dict[str, Any]) -> Turn:
        """See :func:`deciding.decide`."""
        content, metadata = parent["content"], parent.get("metadata") or {}
        turn = deciding.decide(self.session, content["code"], metadata, metadata.get("cellId"))
        if self._wiring is None:
            from holdfast.kernel.wiring import Wiring

            self._wiring = Wiring(self.shell, self.session)
        self._wiring.before_cell()
        turn.notices = [*self.session.notices, *turn.notices]
        self.session.notices.clear()
        return turn

    @property
    def durable(self) -> bool:
        """False with ``HOLDFAST_DURABLE=off``: a plain kernel."""
        return self.session.config.durable

    def bring(self, code: str) -> None:
        """Load what code outside of the recorded cells (a front-end's, a widget's callback) can touch of a restored state."""
        if self.session.holding is not None:
            self.session.state.bring(code)

    # -- what was decided

    def skip(self, turn: Turn, code: str, user_expressions: dict[str, Any] | None) -> dict[str, Any]:
        """Publish what the cell published when it ran, as if it ran."""
        shell, record = self.shell, turn.record
        assert record is not None
        before = shell.execution_count if turn.count_before is None else turn.count_before
        count = before if record.count is None else record.count
        try:
            with self.session.recorder.passthrough():
                outputs = self.lifecycle.restore(turn)
        finally:
            shell.execution_count = before
        self.show(turn.notices)
        for output in outputs:
            self.publish(output, count)
        self._remember(code, count, before)
        self.bring("\n".join((user_expressions or {}).values()))
        shell.execution_count = max(before, count + 1)
        reply: dict[str, Any] = {"execution_count": count, "payload": []}
        if record.error is not None:
            said = {"ename": record.error["type"], "evalue": record.error["what"], "traceback": _traceback(outputs)}
            return {"status": "error", **said, **reply, "user_expressions": {}}
        return {"status": "ok", **reply, "user_expressions": shell.user_expressions(user_expressions or {})}

    def _remember(self, code: str, count: int, before: int) -> None:
        """Put a skipped cell into the history, where its number is free."""
        manager = self.shell.history_manager
        if manager is None or count < before:
            return
        for lines in (manager.input_hist_parsed, manager.input_hist_raw):
            lines.extend([""] * (count - len(lines)))
        manager.store_inputs(count, self.shell.transform_cell(code), code)

    def start(self, turn: Turn, message_id: str) -> None:
        """Make ready; the plan may turn to ``leave_out``."""
        try:
            python = self.shell.transform_cell(turn.code)
        except Exception:
            python = ""  # no Python at all: IPython will say so when it runs the cell
        self.lifecycle.start(turn, message_id, python)
        if turn.plan == "run":
            self.show(turn.notices)
            turn.notices = []

    def leave_out(self, turn: Turn, user_expressions: dict[str, Any] | None) -> dict[str, Any]:
        """Say why the cell is not run."""
        self.bring("\n".join((user_expressions or {}).values()))
        self.show(turn.notices)
        turn.told = {"state": "skipped", "step": turn.asked.step, "left_out": True}
        count = self.shell.execution_count
        self.shell.execution_count = count + 1
        return {
            "status": "ok",
            "execution_count": count,
            "user_expressions": self.shell.user_expressions(user_expressions or {}),
            "payload": [],
        }

    def prepare_evaluation(self, turn: Turn) -> None:
        """The engine asks for a ``when``: bring in the state it is about."""
        session, request = self.session, turn.asked
        with session.recorder.passthrough():
            session.state.apply(session.state.needed_before(request, session.book, None))
            session.state.checkpointer.before_cell(request.when or "")

    def finish(self, turn: Turn, reply: dict[str, Any]) -> None:
        """Record the cell that has just run."""
        error: BaseException | None = None
        if reply["status"] != "ok":
            result = self.shell.last_execution_result
            error = result.error_before_exec or result.error_in_exec if result is not None else None
            error = error or RuntimeError(f"{reply.get('ename')}: {reply.get('evalue')}")
            if self._hides(error) and not isinstance(error, ControlFlow):
                error = Fenced("another worker has taken this execution over")
        self.lifecycle.finish(turn, error, reply["execution_count"])

    def _hides(self, error: BaseException) -> bool:
        """Control flow, and the interrupt that the loss of the lease sent."""
        holding = self.session.holding
        lost = holding is not None and holding.lost.is_set()
        return isinstance(error, ControlFlow) or (lost and isinstance(error, KeyboardInterrupt | asyncio.CancelledError))

    # -- publishing

    def show(self, bundles: Iterable[Bundle]) -> None:
        """Show messages to people in the running cell's output; they are no part of its record."""
        for bundle in bundles:
            content = {"data": bundle, "metadata": {}, "transient": {}}
            self._kernel.send_response(self._kernel.iopub_socket, "display_data", content, ident=self._kernel._topic("display_data"))

    def publish(self, output: Output, count: int) -> None:
        """Publish a recorded message again, as the running request's."""
        content = output["content"]
        if output["type"] == "execute_result":
            content = {**content, "execution_count": count}
        kernel = self._kernel
        kernel.session.send(
            kernel.iopub_socket,
            output["type"],
            content,
            parent=kernel.get_parent("shell"),
            ident=kernel._topic(output["type"]),
            metadata=output["metadata"],
            buffers=output["buffers"],
        )

    def headless(self, turn: Turn) -> bool:
        """Whether whoever sent the cell knows errors only from ``error`` outputs: neither the engine nor a person in JupyterLab."""
        engine = self.session.config.execution is not None if turn.request is None else turn.request.engine
        return not engine and self.session.place.path is None

    # -- the rest

    def ask(self, prompt: str, ask: Callable[[str], str]) -> str:
        """A person's answer to ``input()``."""
        recorder = self.session.recorder
        if not recorder.active:
            return ask(prompt)
        request = Request(kind="input", operation=f"input({prompt!r})", fingerprint=str(prompt).encode(), effect=Effect.READ)
        return recorder.perform(request, lambda attempt: ask(prompt))

    def interrupted(self) -> None:
        """An interrupt came. A person at the keyboard may go on in the same cell; the engine has ended it."""
        if not self.session.recorder.attended:
            self.session.recorder.stop()

    def close(self) -> None:
        """The kernel shuts down."""
        if os.getpid() != self._pid:
            return
        holding = self.session.holding
        self.session.close(busy=holding is not None and holding.running)

    def mute(self, on: bool) -> None:
        """Hold back what the running request publishes, or let it through again."""
        parent = self._kernel.get_parent("shell")
        tap.mute(self._kernel.session, parent["header"]["msg_id"] if on and parent else None)


def _traceback(outputs: list[Output]) -> list[str]:
    return next((list(o["content"].get("traceback") or ()) for o in reversed(outputs) if o["type"] == "error"), [])
