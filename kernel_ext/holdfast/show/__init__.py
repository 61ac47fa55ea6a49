"""What a runbook shows to people: tables, charts and ticks that read the same in JupyterLab, in Dagster and on a terminal."""

from holdfast.show.charts import bars, lines
from holdfast.show.tables import table
from holdfast.show.ticks import tick

__all__ = ["bars", "lines", "table", "tick"]
