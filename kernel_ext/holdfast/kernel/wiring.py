"""Interceptors, call sites and the audit hook, put into a kernel when its first durable cell comes."""

from __future__ import annotations

from typing import Any

from holdfast.durable import wiring
from holdfast.kernel.session import Session


class Wiring:
    """Makes the calls of a kernel's cells durable.

    Args:
        shell: IPython's shell.
        session: of this kernel.
    """

    def __init__(self, shell: Any, session: Session) -> None:
        wiring.Wiring(session.recorder, shell.ast_transformers, session.config.intercepts).install()

    def before_cell(self) -> None:
        """Nothing: what a cell imports later is noticed when it is imported."""
