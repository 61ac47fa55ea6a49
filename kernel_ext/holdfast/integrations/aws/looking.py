"""Readings for people."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from holdfast.durable.clock import now
from holdfast.integrations.aws.connecting import connect
from holdfast.show.findings import Rows


def volumes(*, region: str | None = None, status: str | None = None, ids: Sequence[str] | None = None, ec2: Any = None) -> Rows:
    """EBS volumes: id, GiB, status, type, zone, when they were made, where they are attached, name, tags.

    Args:
        status: ``available`` (attached to nothing), ``in-use`` …
        ids: only those of these that are there.
    """
    client = ec2 or connect("ec2", region=region)
    filters = [{"Name": "status", "Values": [status]}] if status else []
    filters += [{"Name": "volume-id", "Values": list(ids)}] if ids is not None else []
    found = [v for page in client.get_paginator("describe_volumes").paginate(Filters=filters) for v in page["Volumes"]]
    return Rows(
        {
            "object": v["VolumeId"],
            "gib": v["Size"],
            "status": v["State"],
            "type": v.get("VolumeType"),
            "zone": v["AvailabilityZone"],
            "created": v["CreateTime"],
            "attached": ", ".join(a.get("InstanceId", "") for a in v.get("Attachments") or ()),
            "name": _tag(v, "Name"),
            "tags": {tag["Key"]: tag["Value"] for tag in v.get("Tags") or ()},
        }
        for v in found
    )


def instances(*, region: str | None = None, state: str | None = None, ec2: Any = None) -> Rows:
    """EC2 instances: id, state, type, when they were launched, name."""
    client = ec2 or connect("ec2", region=region)
    filters = [{"Name": "instance-state-name", "Values": [state]}] if state else []
    pages = client.get_paginator("describe_instances").paginate(Filters=filters)
    found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
    return Rows(
        {
            "object": i["InstanceId"],
            "state": i["State"]["Name"],
            "type": i.get("InstanceType"),
            "launched": i["LaunchTime"],
            "name": _tag(i, "Name"),
        }
        for i in found
    )


def database(name: str, *, region: str | None = None, rds: Any = None) -> dict[str, Any]:
    """A database as RDS shows it now: ``DBInstanceStatus``, ``AllocatedStorage`` (GiB), ``PendingModifiedValues`` …

    Raises:
        botocore.exceptions.ClientError: there is none of that name.
    """
    (found,) = (rds or connect("rds", region=region)).describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return dict(found)


def metric(
    namespace: str,
    name: str,
    dimensions: dict[str, str],
    *,
    hours: float = 3.0,
    statistic: str = "Average",
    region: str | None = None,
    cloudwatch: Any = None,
) -> list[tuple[datetime.datetime, float]]:
    """The points of a CloudWatch metric, oldest first, five minutes apart; ``show.lines({name: points})`` draws them."""
    client = cloudwatch or connect("cloudwatch", region=region)
    end = now()
    found = client.get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=end - datetime.timedelta(hours=hours),
        EndTime=end,
        Period=300,
        Statistics=[statistic],
    )
    return sorted((point["Timestamp"], float(point[statistic])) for point in found["Datapoints"])


def _tag(thing: dict[str, Any], key: str) -> str:
    return next((tag["Value"] for tag in thing.get("Tags") or () if tag["Key"] == key), "")
