"""AWS on boto3: what runbooks do to volumes, databases and access keys, and checks.

boto3's calls are durable by themselves (the interceptor ``boto3``); these functions are made of them::

    from holdfast.integrations import aws

    aws.check_unattached_volumes(region="eu-west-1")
    aws.deactivate_keys("alice")
"""

from __future__ import annotations

from holdfast.integrations.aws.actions import deactivate_keys, delete_volume, grow_database, snapshot_database, snapshot_volume
from holdfast.integrations.aws.checks import check_database_storage, check_unattached_volumes
from holdfast.integrations.aws.connecting import connect
from holdfast.integrations.aws.looking import database, instances, metric, volumes

__all__ = [
    "check_database_storage",
    "check_unattached_volumes",
    "connect",
    "database",
    "deactivate_keys",
    "delete_volume",
    "grow_database",
    "instances",
    "metric",
    "snapshot_database",
    "snapshot_volume",
    "volumes",
]
