"""The code location of the working directory itself, whatever lies around it: what ``holdfast up FOLDER`` serves."""

from __future__ import annotations

from pathlib import Path

from holdfast_dagster.definitions import build_definitions

#: What Dagster loads.
defs = build_definitions(Path.cwd())
