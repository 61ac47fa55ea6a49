"""One-line commands: ``vols = !ec2 list-volumes --state available``, ``!ec2 delete-volume vol``."""

from __future__ import annotations

from typing import Any

from holdfast.integrations.aws import actions, checks, looking
from holdfast.integrations.aws.connecting import connect
from holdfast.model.oneliner import family


def list_volumes(*, state: str | None = None, region: str | None = None, ec2: Any = None) -> dict[str, Any]:
    """EBS volumes: ``.volumes[].volume_id``, ``size`` (GiB), ``state``, ``volume_type``, ``create_time``, ``attached``, ``name``."""
    rows = looking.volumes(region=region, status=state, ec2=ec2)
    names = {"object": "volume_id", "gib": "size", "status": "state", "type": "volume_type", "created": "create_time"}
    return {"volumes": [{names.get(key, key): value for key, value in row.items()} for row in rows]}


def list_instances(*, state: str | None = None, region: str | None = None, ec2: Any = None) -> dict[str, Any]:
    """EC2 instances: ``.instances[].instance_id``, ``state``, ``instance_type``, ``launch_time``, ``name``."""
    rows = looking.instances(region=region, state=state, ec2=ec2)
    names = {"object": "instance_id", "type": "instance_type", "launched": "launch_time"}
    return {"instances": [{names.get(key, key): value for key, value in row.items()} for row in rows]}


def list_active_keys(user: str, *, iam: Any = None) -> list[str]:
    """The active access keys of a user."""
    pages = (iam or connect("iam")).get_paginator("list_access_keys").paginate(UserName=user)
    return [k["AccessKeyId"] for page in pages for k in page["AccessKeyMetadata"] if k["Status"] == "Active"]


EC2 = family(
    "AWS EC2: volumes and instances",
    reads={"list-volumes": list_volumes, "list-instances": list_instances, "check-unattached-volumes": checks.check_unattached_volumes},
    writes={"snapshot-volume": actions.snapshot_volume},
    destroys={"delete-volume": actions.delete_volume},
)
RDS = family("AWS RDS: databases", reads={"check-storage": checks.check_database_storage}, writes={"grow": actions.grow_database})
IAM = family("AWS IAM: access keys", reads={"list-active-keys": list_active_keys}, writes={"deactivate-keys": actions.deactivate_keys})
