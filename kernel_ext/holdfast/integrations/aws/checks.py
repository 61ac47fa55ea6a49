"""Checks: read-only, a finding each."""

from __future__ import annotations

from typing import Any

from holdfast.durable.clock import now
from holdfast.integrations.aws import looking
from holdfast.integrations.aws.looking import metric, volumes
from holdfast.show.findings import Finding, judge

_GIB = 1 << 30


def check_unattached_volumes(*, region: str | None = None, min_age_days: float = 0.0, ec2: Any = None) -> Finding:
    """Whether no volume lies about attached to nothing for longer than ``min_age_days``."""
    at = now()

    def why(volume: Any) -> str:
        days = (at - volume["created"]).total_seconds() / 86400
        return f"attached to nothing, {days:.0f} days old" if days >= min_age_days else ""

    return judge("unattached volumes", volumes(region=region, status="available", ec2=ec2), why)


def check_database_storage(
    database: str, *, least_free: float = 0.1, region: str | None = None, rds: Any = None, cloudwatch: Any = None
) -> Finding:
    """Whether a database has at least the share ``least_free`` (0 to 1) of its storage free, by CloudWatch's last value."""
    there = looking.database(database, region=region, rds=rds)
    points = metric("AWS/RDS", "FreeStorageSpace", {"DBInstanceIdentifier": database}, region=region, cloudwatch=cloudwatch)
    allocated = there["AllocatedStorage"]
    free = points[-1][1] / _GIB if points else None
    row = {"object": database, "allocated_gib": allocated, "free_gib": free, "status": there["DBInstanceStatus"]}

    def why(one: Any) -> str:
        if free is None:
            return "no value of FreeStorageSpace"
        return f"{free:.1f} of {allocated} GiB free" if free / allocated < least_free else ""

    return judge(f"storage of {database}", [row], why)
