"""The rehearsals of the runbooks in this folder, against a local AWS (moto)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3

from holdfast.testing.rehearsal import Answer, Stage, rehearsal
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.slack import TOKEN, Slack


def client(server: AwsServer, service: str) -> Any:
    """A client of the local AWS."""
    keys = {"aws_access_key_id": "rehearsal", "aws_secret_access_key": "rehearsal"}
    return boto3.client(service, endpoint_url=server.url, region_name="us-east-1", **keys)


def said(chat: Slack) -> Counter[str]:
    """The first words of what was posted."""
    return Counter("said: " + " ".join(message["text"].split()[:3]) for message in chat.messages())


@rehearsal("delete-unattached-volumes")
@contextmanager
def volumes(folder: Path) -> Iterator[Stage]:
    """A local AWS with 12 unattached volumes, one that is tagged `keep`, and 6 attached ones."""
    with AwsServer() as server, Slack() as chat:
        ec2, zone = client(server, "ec2"), "us-east-1a"
        image = ec2.describe_images()["Images"][0]["ImageId"]
        host = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone})["Instances"][0]["InstanceId"]

        def make(size: int, name: str, tag: str = "Name") -> str:
            tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}, {"Key": tag, "Value": name}]}]
            return str(ec2.create_volume(Size=size, AvailabilityZone=zone, TagSpecifications=tags)["VolumeId"])

        for n in range(5):  # the instance brought its root volume
            ec2.attach_volume(InstanceId=host, VolumeId=make(8, f"attached-{n}"), Device=f"/dev/sd{'fghij'[n]}")
        names = {make(10 * n, f"old-{n}"): f"old-{n}" for n in range(1, 13)}
        names[make(500, "kept", "keep")] = "kept"
        server.reset_recording()

        def effects() -> Counter[str]:
            done = Counter(f"{names[r['VolumeId']]} deleted" for r in server.actions("DeleteVolume"))
            done.update(said(chat))
            return done + Counter(f"{names[r['VolumeId']]} snapshotted" for r in server.actions("CreateSnapshot"))

        def state() -> Any:
            left = [names.get(v["VolumeId"], "attached") for v in ec2.describe_volumes()["Volumes"]]
            backed_up = [names[s["VolumeId"]] for s in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] if s["VolumeId"] in names]
            return {"volumes": sorted(left), "snapshots": sorted(backed_up)}

        yield Stage(
            environment={**server.environment, "SLACK_BOT_TOKEN": TOKEN},
            parameters={"dry_run": False, "min_age_days": 0, "slack_channel": "C1", "slack_url": f"{chat.url}/api/"},
            answers={"Delete 12 unattached volumes": Answer("yes", typed="12 volumes")},
            effects=effects,
            state=state,
        )


@rehearsal("rds-low-storage")
@contextmanager
def database(folder: Path) -> Iterator[Stage]:
    """A local AWS with the database `orders`, whose free storage has fallen from 30 to 6 GiB in a day; it rises once it is grown."""
    with AwsServer() as server, Slack() as chat:
        rds, cloudwatch = client(server, "rds"), client(server, "cloudwatch")
        keys = {"MasterUsername": "admin", "MasterUserPassword": "rehearsal-only"}
        rds.create_db_instance(
            DBInstanceIdentifier="orders", DBInstanceClass="db.m6g.large", Engine="postgres", AllocatedStorage=100, **keys
        )

        def measured(gib: float, minutes_ago: float) -> None:
            dimensions = [{"Name": "DBInstanceIdentifier", "Value": "orders"}]
            at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
            data = {"MetricName": "FreeStorageSpace", "Dimensions": dimensions, "Timestamp": at, "Value": gib * 1024**3, "Unit": "Bytes"}
            cloudwatch.put_metric_data(Namespace="AWS/RDS", MetricData=[data])

        for hour in range(24, 0, -1):
            measured(6 + hour, 60 * hour)
        measured(6, 6)
        server.reset_recording()

        def allocated() -> int:
            return int(rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]["AllocatedStorage"])

        def meanwhile(times: int) -> None:
            if allocated() == 120:
                measured(26, 0)

        def effects() -> Counter[str]:
            done = Counter(f"grown to {r['AllocatedStorage']} GiB" for r in server.actions("ModifyDBInstance"))
            return done + Counter("snapshotted" for _ in server.actions("CreateDBSnapshot")) + said(chat)

        yield Stage(
            environment={**server.environment, "SLACK_BOT_TOKEN": TOKEN},
            parameters={"db": "orders", "look_every": "1 s", "slack_channel": "C1", "slack_url": f"{chat.url}/api/"},
            answers={"What now?": Answer("grow"), "cannot shrink": Answer("yes", typed="orders")},
            meanwhile=meanwhile,
            effects=effects,
            state=lambda: {"GiB": allocated(), "snapshots": len(rds.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"])},
        )
