"""The code location of where one is: the runbooks in the nearest folder ``runbooks``, else those in the working directory itself.

``dagster dev -m holdfast_dagster.here`` is all that a folder of runbooks needs.
"""

from __future__ import annotations

from pathlib import Path

from holdfast_dagster.definitions import build_definitions
from holdfast_dagster.runbook import nearest

#: What Dagster loads.
defs = build_definitions(nearest(Path.cwd()))
