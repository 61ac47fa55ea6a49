"""The code location of where one is: the runbooks in the nearest folder ``runbooks``, else those in the working directory itself.

``dagster dev -m holdfast_dagster.here`` is all that a folder of runbooks needs.
"""

from __future__ import annotations

from pathlib import Path

from holdfast_dagster.definitions import build_definitions


def nearest(start: Path) -> Path:
    """The folder ``runbooks`` in ``start``, else that of the project ``start`` lies in, else ``start``."""
    for folder in (start, *start.parents):
        in_project = (folder / "pyproject.toml").exists() or (folder / ".git").exists()
        if (folder / "runbooks").is_dir() and (in_project or folder == start):
            return folder / "runbooks"
        if in_project:
            break
    return start


#: What Dagster loads.
defs = build_definitions(nearest(Path.cwd()))
