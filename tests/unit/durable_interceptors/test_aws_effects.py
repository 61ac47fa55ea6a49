"""What repeating an AWS operation would do."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.durable.interceptors.aws_operations import CREDENTIALS, done_already, effect_of, throttled
from holdfast.model.call import Effect

READ, IDEMPOTENT, WRITE = Effect.READ, Effect.IDEMPOTENT, Effect.WRITE


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "tokens", "effect"),
    [
        ("ec2", "DescribeVolumes", {}, False, READ),
        ("ec2", "DeleteVolume", {"VolumeId": "v"}, False, IDEMPOTENT),
        ("ec2", "DeleteVolume", {"VolumeId": "v", "DryRun": True}, False, READ),
        ("ec2", "CreateVolume", {}, True, IDEMPOTENT),
        ("ec2", "CreateSnapshot", {}, False, WRITE),
        ("ec2", "RebootInstances", {}, False, WRITE),
        ("ec2", "TerminateInstances", {}, False, IDEMPOTENT),
        ("ec2", "StopInstances", {}, False, IDEMPOTENT),
        ("ec2", "ModifyVolume", {}, False, WRITE),
        ("ec2", "CreateTags", {}, False, IDEMPOTENT),
        ("s3", "PutObject", {}, False, IDEMPOTENT),
        ("s3", "PutObject", {"IfNoneMatch": "*"}, False, WRITE),
        ("s3", "GetObject", {}, False, READ),
        ("s3", "SelectObjectContent", {}, False, READ),
        ("s3", "RestoreObject", {}, False, WRITE),
        ("dynamodb", "PutItem", {}, False, IDEMPOTENT),
        ("dynamodb", "PutItem", {"ConditionExpression": "x"}, False, WRITE),
        ("dynamodb", "DeleteItem", {"ReturnValues": "ALL_OLD"}, False, WRITE),
        ("dynamodb", "UpdateItem", {}, False, WRITE),
        ("dynamodb", "BatchGetItem", {}, False, READ),
        ("dynamodb", "TransactWriteItems", {}, True, IDEMPOTENT),
        ("cloudwatch", "PutMetricData", {}, False, WRITE),
        ("cloudwatch", "PutMetricAlarm", {}, False, IDEMPOTENT),
        ("kinesis", "PutRecord", {}, False, WRITE),
        ("events", "PutEvents", {}, False, WRITE),
        ("events", "PutRule", {}, False, IDEMPOTENT),
        ("logs", "StartQuery", {}, False, READ),
        ("sqs", "SendMessage", {}, False, WRITE),
        ("sqs", "ReceiveMessage", {}, False, WRITE),
        ("sns", "Publish", {}, False, WRITE),
        ("lambda", "Invoke", {}, False, WRITE),
        ("lambda", "Invoke", {"InvocationType": "DryRun"}, False, READ),
        ("cognito-identity", "GetId", {}, False, WRITE),
        ("iam", "AttachRolePolicy", {}, False, IDEMPOTENT),
        ("ecs", "UpdateService", {}, False, WRITE),
        ("ssm", "SendCommand", {}, False, WRITE),
        ("x", "Listen", {}, False, WRITE),
        ("x", "Settle", {}, False, WRITE),
        ("x", "SomethingNobodyKnows", {}, False, WRITE),
    ],
)
def test_effect(service: str, operation: str, parameters: dict[str, Any], tokens: bool, effect: Effect) -> None:
    assert effect_of(service, operation, parameters, tokens) == effect


@pytest.mark.parametrize(
    ("operation", "code", "message", "done"),
    [
        ("DeleteVolume", "InvalidVolume.NotFound", "", True),
        ("DeleteSnapshot", "InvalidSnapshot.NotFound", "", True),
        ("DeleteRole", "NoSuchEntity", "", True),
        ("DeleteFunction", "ResourceNotFoundException", "", True),
        ("DeleteDBInstance", "DBInstanceNotFound", "", True),
        ("DeleteDBInstance", "InvalidDBInstanceState", "Instance x is already being deleted.", True),
        ("CompleteMultipartUpload", "NoSuchUpload", "", True),
        ("DeleteVolume", "VolumeInUse", "", False),
        ("DeleteVolume", "UnauthorizedOperation", "", False),
        ("PutItem", "ResourceNotFoundException", "", False),
        ("CreateBucket", "BucketAlreadyOwnedByYou", "", True),
        ("PutImage", "ImageAlreadyExistsException", "", True),
        ("PutImage", "ValidationException", "", False),
    ],
)
def test_done_already(operation: str, code: str, message: str, done: bool) -> None:
    assert done_already(operation, {"Error": {"Code": code, "Message": message}}) == (code if done else None)


@pytest.mark.parametrize(
    ("code", "status", "later"),
    [
        ("Throttling", 400, True),
        ("RequestLimitExceeded", 503, True),
        ("X", 502, True),
        ("InternalError", 500, False),
        ("AccessDenied", 403, False),
    ],
)
def test_throttled(code: str, status: int, later: bool) -> None:
    assert throttled({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}) is later


def test_the_names_are_botocores() -> None:
    """A name that no service has would never match."""
    import botocore.session

    from holdfast.durable.interceptors import aws_operations as module

    session = botocore.session.get_session()
    named = CREDENTIALS | module._READ_OPERATIONS | module._IDEMPOTENT_OPERATIONS | module._NOT_READ
    for service in {service for service, _ in named}:
        known = set(session.get_service_model(service).operation_names)
        assert {operation for s, operation in named if s == service} <= known, service
