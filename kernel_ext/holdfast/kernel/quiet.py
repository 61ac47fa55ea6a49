"""Run a cell's source in the shell without a trace: no output, no history, no count."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

from holdfast.kernel import tap
from holdfast.kernel.streams import drain


def run_quietly(shell: Any, source: str) -> None:
    """Run ``source`` as a cell.

    Raises:
        BaseException: whatever it raises.
    """
    kernel = getattr(shell, "kernel", None)
    session = getattr(kernel, "session", None)
    parent = kernel.get_parent("shell") if kernel is not None else None
    request = (parent or {}).get("header", {}).get("msg_id")
    drain()
    hides, count, last = shell.holdfast_hides, shell.execution_count, shell.last_execution_result
    if session is not None:
        tap.mute(session, request)
    shell.holdfast_hides = lambda error: True
    try:
        result = _run(shell, source)
    finally:
        shell.holdfast_hides, shell.execution_count, shell.last_execution_result = hides, count, last
        drain()
        if session is not None:
            tap.mute(session, None)
    result.raise_error()


def _run(shell: Any, source: str) -> Any:
    """Run the cell; one with top-level ``await`` on a loop of its own, as this thread's is busy with the request that needs the cell."""
    transformed = shell.transform_cell(source)
    if not shell.should_run_async(source, transformed_cell=transformed):
        return shell.run_cell(source, store_history=False, silent=True)
    context, results = contextvars.copy_context(), []

    def run() -> None:
        coroutine = shell.run_cell_async(source, store_history=False, silent=True, transformed_cell=transformed)
        results.append(asyncio.run(coroutine))

    thread = threading.Thread(target=context.run, args=(run,), name="holdfast-replay")
    thread.start()
    thread.join()
    return results[0]
