"""Holdfast: durable runbooks in Jupyter.

What an author uses in cells: ``confirm``, ``ask``, ``form``, ``approve``, ``wait``, ``now``, ``call``, ``for_each``, ``idempotency_key``,
``secret``, ``TerminalError``. Nothing has to be imported for commands, HTTP, AWS, clocks and randomness to be durable in a Holdfast kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.durable.answers import Ballot as Ballot
    from holdfast.durable.answers import Confirmation as Confirmation
    from holdfast.durable.answers import Secret as Secret
    from holdfast.durable.asking import approve as approve
    from holdfast.durable.asking import ask as ask
    from holdfast.durable.asking import confirm as confirm
    from holdfast.durable.asking import form as form
    from holdfast.durable.calls import call as call
    from holdfast.durable.calls import idempotency_key as idempotency_key
    from holdfast.durable.children import Child as Child
    from holdfast.durable.children import publish as publish
    from holdfast.durable.children import run_runbook as run_runbook
    from holdfast.durable.clock import now as now
    from holdfast.durable.for_each import for_each as for_each
    from holdfast.durable.interceptor import Outcome as Outcome
    from holdfast.durable.polling import wait_for as wait_for
    from holdfast.durable.references import secret as secret
    from holdfast.durable.results import Results as Results
    from holdfast.durable.signals import signal as signal
    from holdfast.durable.targets import Targets as Targets
    from holdfast.durable.targets import changing as changing
    from holdfast.durable.targets import targets as targets
    from holdfast.durable.timers import Waited as Waited
    from holdfast.durable.timers import wait as wait
    from holdfast.errors import CallError as CallError
    from holdfast.errors import ForEachError as ForEachError
    from holdfast.errors import GuardrailError as GuardrailError
    from holdfast.errors import HoldfastError as HoldfastError
    from holdfast.errors import NondeterminismError as NondeterminismError
    from holdfast.errors import PromptError as PromptError
    from holdfast.errors import TerminalError as TerminalError
    from holdfast.model.policy import Retry as Retry

#: Public name -> the module that has it. Loaded when first used, so that importing ``holdfast`` costs next to nothing.
_PUBLIC = {
    "Ballot": "holdfast.durable.answers",
    "CallError": "holdfast.errors",
    "Child": "holdfast.durable.children",
    "Confirmation": "holdfast.durable.answers",
    "ForEachError": "holdfast.errors",
    "GuardrailError": "holdfast.errors",
    "HoldfastError": "holdfast.errors",
    "NondeterminismError": "holdfast.errors",
    "Outcome": "holdfast.durable.interceptor",
    "PromptError": "holdfast.errors",
    "Results": "holdfast.durable.results",
    "Retry": "holdfast.model.policy",
    "Secret": "holdfast.durable.answers",
    "Targets": "holdfast.durable.targets",
    "TerminalError": "holdfast.errors",
    "Waited": "holdfast.durable.timers",
    "approve": "holdfast.durable.asking",
    "ask": "holdfast.durable.asking",
    "call": "holdfast.durable.calls",
    "changing": "holdfast.durable.targets",
    "confirm": "holdfast.durable.asking",
    "for_each": "holdfast.durable.for_each",
    "form": "holdfast.durable.asking",
    "idempotency_key": "holdfast.durable.calls",
    "now": "holdfast.durable.clock",
    "publish": "holdfast.durable.children",
    "run_runbook": "holdfast.durable.children",
    "secret": "holdfast.durable.references",
    "signal": "holdfast.durable.signals",
    "targets": "holdfast.durable.targets",
    "wait": "holdfast.durable.timers",
    "wait_for": "holdfast.durable.polling",
}

__all__ = [
    "Ballot",
    "CallError",
    "Child",
    "Confirmation",
    "ForEachError",
    "GuardrailError",
    "HoldfastError",
    "NondeterminismError",
    "Outcome",
    "PromptError",
    "Results",
    "Retry",
    "Secret",
    "Targets",
    "TerminalError",
    "Waited",
    "approve",
    "ask",
    "call",
    "changing",
    "confirm",
    "for_each",
    "form",
    "idempotency_key",
    "now",
    "publish",
    "run_runbook",
    "secret",
    "signal",
    "targets",
    "wait",
    "wait_for",
]


def __getattr__(name: str) -> Any:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext holdfast``: make the Jupyter kernel of this shell durable from the next cell on."""
    from importlib import import_module

    import_module("holdfast.kernel.attach").load(shell)
