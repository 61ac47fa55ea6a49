"""What runbooks do to an account. Each change is one call of boto3, made once."""

from __future__ import annotations

from typing import Any

from holdfast.integrations.aws import looking
from holdfast.integrations.aws.connecting import connect


def snapshot_volume(volume: str, *, description: str = "", region: str | None = None, ec2: Any = None) -> str:
    """Begin a snapshot of a volume; returns its id. It carries a tag by which a resume recognises it."""
    client = ec2 or connect("ec2", region=region)
    made = client.create_snapshot(VolumeId=volume, Description=description or f"before {volume} is deleted")
    return str(made.get("SnapshotId", ""))  # a dry run makes none


def delete_volume(volume: str, *, region: str | None = None, ec2: Any = None) -> str:
    """Delete a volume that is attached to nothing. Returns ``deleted``, ``gone`` (it was not there any more) or ``in use`` (left alone)."""
    from botocore.exceptions import ClientError

    client = ec2 or connect("ec2", region=region)
    try:
        client.delete_volume(VolumeId=volume)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("InvalidVolume.NotFound", "VolumeInUse"):
            return "gone" if code == "InvalidVolume.NotFound" else "in use"
        raise
    return "deleted"


def snapshot_database(database: str, name: str, *, region: str | None = None, rds: Any = None) -> str:
    """Begin a snapshot of a database; returns its name, by which a resume recognises it. It is there when RDS calls it ``available``."""
    client = rds or connect("rds", region=region)
    client.create_db_snapshot(DBInstanceIdentifier=database, DBSnapshotIdentifier=name)
    return name


def grow_database(database: str, gib: int, *, region: str | None = None, rds: Any = None) -> int:
    """Give a database ``gib`` GiB of storage, at once; returns what it had. It can never be made smaller again.

    Raises:
        ValueError: that is not more than it has.
    """
    client = rds or connect("rds", region=region)
    before = int(looking.database(database, rds=client)["AllocatedStorage"])
    if gib <= before:
        raise ValueError(f"{database} has {before} GiB already; {gib} would not be more")
    client.modify_db_instance(DBInstanceIdentifier=database, AllocatedStorage=gib, ApplyImmediately=True)
    return before


def deactivate_keys(user: str, *, iam: Any = None) -> list[str]:
    """Make every active access key of a user inactive (it can be made active again); returns the keys' ids."""
    client = iam or connect("iam")
    pages = client.get_paginator("list_access_keys").paginate(UserName=user)
    active = [k["AccessKeyId"] for page in pages for k in page["AccessKeyMetadata"] if k["Status"] == "Active"]
    for key in active:
        client.update_access_key(UserName=user, AccessKeyId=key, Status="Inactive")
    return active
