"""A step that waits, on its way from an op's body to the executor."""

from __future__ import annotations

from holdfast.errors import ControlFlow


class Suspended(ControlFlow):
    """The step waits; the executor that called the op will suspend the run. Not an ``Exception``: no retry policy applies to it."""


class Superseded(ControlFlow):
    """Another worker has the execution: this one must leave without a word about the run's end."""
