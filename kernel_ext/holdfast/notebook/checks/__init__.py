"""The built-in checks, one file per family."""

from __future__ import annotations

from holdfast.notebook.check import Check
from holdfast.notebook.checks.effects import Effects
from holdfast.notebook.checks.failures import Failures
from holdfast.notebook.checks.gates import Gates
from holdfast.notebook.checks.guardrails import GuardrailsCheck
from holdfast.notebook.checks.hygiene import Hygiene
from holdfast.notebook.checks.loops import Loops
from holdfast.notebook.checks.names import NamesCheck
from holdfast.notebook.checks.questions import Questions
from holdfast.notebook.checks.shell import ShellCheck
from holdfast.notebook.checks.structure import Structure

#: In the order in which they run.
BUILT_IN: tuple[Check, ...] = (
    Structure(),
    NamesCheck(),
    Failures(),
    Effects(),
    Gates(),
    Loops(),
    Questions(),
    GuardrailsCheck(),
    ShellCheck(),
    Hygiene(),
)
