"""One-line commands: ``!pagerduty acknowledge PT4KHLK``."""

from __future__ import annotations

from holdfast.integrations.pagerduty.incidents import acknowledge, check_incidents, incidents, note, on_call, resolve
from holdfast.model.oneliner import family

PAGERDUTY = family(
    "PagerDuty: incidents and who is on call",
    reads={"incidents": incidents, "on-call": on_call, "check-incidents": check_incidents},
    writes={"note": note, "acknowledge": acknowledge, "resolve": resolve},
)
