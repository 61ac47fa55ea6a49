"""AWS operations without a token whose having happened can be seen, and what they touch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from holdfast.foundation import clock

#: The tag that goes with what is created without a token, so that a probe recognises it.
TAG = "holdfast:call"

#: Makes one operation (service, name, parameters) with the same credentials; it is not recorded.
Ask = Callable[[str, dict[str, Any]], dict[str, Any]]
Found = dict[str, Any] | Literal[False] | None
_LOOKS, _APART = 3, 2.0  # a description may lag behind what it describes (seconds)


def tagged(service: str, operation: str, parameters: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Parameters with our tag, for what is recognised by it afterwards."""
    kind = _TAGGED.get((service, operation))
    if kind is None:
        return {}
    given = [dict(one) for one in parameters.get("TagSpecifications") or ()]
    mine = next((one for one in given if one.get("ResourceType") == kind), None)
    if mine is None:
        given.append({"ResourceType": kind, "Tags": [{"Key": TAG, "Value": key}]})
    else:
        mine["Tags"] = [*mine.get("Tags", ()), {"Key": TAG, "Value": key}]
    return {"TagSpecifications": given}


def probe_for(service: str, operation: str) -> Callable[[Mapping[str, Any], str, Ask], Found] | None:
    """How to see whether the operation happened: its answer; False, it did not; None, that cannot be told."""
    return _PROBES.get((service, operation))


def _snapshot(parameters: Mapping[str, Any], key: str, ask: Ask) -> Found:
    for look in range(_LOOKS):
        if look:
            clock.sleep(_APART)
        found = ask("DescribeSnapshots", {"OwnerIds": ["self"], "Filters": [{"Name": f"tag:{TAG}", "Values": [key]}]})["Snapshots"]
        if found:
            return dict(found[0])
    return False


def _modified_database(parameters: Mapping[str, Any], key: str, ask: Ask) -> Found:
    wanted = {k: parameters[k] for k in ("AllocatedStorage", "DBInstanceClass", "Iops", "EngineVersion") if k in parameters}
    if not wanted:
        return None
    (there,) = ask("DescribeDBInstances", {"DBInstanceIdentifier": parameters["DBInstanceIdentifier"]})["DBInstances"]
    now = {**there, **(there.get("PendingModifiedValues") or {})}
    return {"DBInstance": there} if all(now.get(name) == value for name, value in wanted.items()) else False


def _deleted_volume(parameters: Mapping[str, Any], key: str, ask: Ask) -> Found:
    found = _described(ask, "DescribeVolumes", {"VolumeIds": [parameters["VolumeId"]]}, "InvalidVolume.NotFound").get("Volumes", [])
    return {} if all(volume["State"] in ("deleting", "deleted") for volume in found) else False


def _database_snapshot(parameters: Mapping[str, Any], key: str, ask: Ask) -> Found:
    name = parameters["DBSnapshotIdentifier"]
    found = _described(ask, "DescribeDBSnapshots", {"DBSnapshotIdentifier": name}, "DBSnapshotNotFound", "DBSnapshotNotFoundFault")
    return {"DBSnapshot": found["DBSnapshots"][0]} if found.get("DBSnapshots") else False


def _described(ask: Ask, operation: str, parameters: dict[str, Any], *absent: str) -> dict[str, Any]:
    """What is described; nothing when AWS answers that it is not there, by one of these codes."""
    try:
        return ask(operation, parameters)
    except Exception as error:  # botocore's ClientError; it is not imported for this
        if getattr(error, "response", {}).get("Error", {}).get("Code") in absent:
            return {}
        raise


_TAGGED = {("ec2", "CreateSnapshot"): "snapshot"}
_PROBES = {
    ("ec2", "CreateSnapshot"): _snapshot,
    ("ec2", "DeleteVolume"): _deleted_volume,
    ("rds", "CreateDBSnapshot"): _database_snapshot,
    ("rds", "ModifyDBInstance"): _modified_database,
}

_NAMING = re.compile(r".*(Id|Ids|Identifier|Name|Names|Arn|Arns|Bucket|Key|QueueUrl|FunctionName)$")


def target_of(service: str, region: str, parameters: Mapping[str, Any]) -> str:
    """``aws://REGION/SERVICE/NAME``: by the first parameters that name something."""
    named = [str(value) for name, value in parameters.items() if _NAMING.fullmatch(name) and isinstance(value, str)]
    if not named:
        lists = [value for name, value in parameters.items() if _NAMING.fullmatch(name) and isinstance(value, list | tuple)]
        named = [",".join(map(str, value)) for value in lists if all(isinstance(v, str) for v in value)]
    return "/".join([f"aws://{region}", service, *named[:2]])
