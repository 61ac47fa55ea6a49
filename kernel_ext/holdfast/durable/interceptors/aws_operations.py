"""What AWS operations do when they are repeated, and what their errors mean then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from holdfast.model.call import Effect

_READ = re.compile(
    r"(Describe|List|Get|Head|Search|Query|Scan|BatchGet|Lookup|Filter|Estimate|Preview|Validate|Simulate|TransactGet|Select|View|Check|Count|"
    r"Decode|Discover|Resolve|Verify|Explain|Can|Is)(?=[A-Z]|$)"
)
_READ_OPERATIONS = frozenset(
    {
        ("logs", "StartQuery"),
        ("logs", "TestMetricFilter"),
        ("logs", "StopQuery"),
        ("events", "TestEventPattern"),
        ("kms", "Encrypt"),
        ("kms", "Decrypt"),
        ("kms", "Sign"),
        ("kms", "GenerateDataKey"),
        ("kms", "GenerateDataKeyWithoutPlaintext"),
        ("kms", "GenerateRandom"),
        ("iam", "GenerateCredentialReport"),
        ("iam", "GenerateServiceLastAccessedDetails"),
    }
)
_NOT_READ = frozenset({("cognito-identity", "GetId")})

# Naming the state they end in, by id: made twice they are as made once.
_IDEMPOTENT = re.compile(
    r"(Put|Delete|BatchDelete|Remove|Terminate|Deregister|Detach|Disassociate|Untag|Tag|AddTags|RemoveTags|Set|Enable|Disable|Release|Abort)"
    r"(?=[A-Z]|$)"
)
_IDEMPOTENT_OPERATIONS = frozenset(
    {
        ("ec2", "CreateTags"),
        ("ec2", "StartInstances"),
        ("ec2", "StopInstances"),
        ("rds", "StartDBInstance"),
        ("rds", "StopDBInstance"),
        ("rds", "CreateDBSnapshot"),  # named by its caller: a second one of the name is refused
        ("iam", "AttachRolePolicy"),
        ("iam", "AttachUserPolicy"),
        ("iam", "AttachGroupPolicy"),
        ("s3", "CreateBucket"),
        ("s3", "CreateMultipartUpload"),
        ("s3", "UploadPart"),
        ("s3", "UploadPartCopy"),
        ("s3", "CompleteMultipartUpload"),
        ("s3", "CopyObject"),
        ("elbv2", "RegisterTargets"),
        ("iam", "UpdateAccessKey"),
    }
)
# Named like those, but each time adds something.
_ADDING = re.compile(
    r"Put(MetricData|Record|Records|RecordBatch|Events|PartnerEvents|LogEvents|TraceSegments|TelemetryRecords|File|Media|Feedback)$"
)

#: Operations that hand out credentials: made anew every time and never recorded, for a recorded credential is a leak and soon expired.
CREDENTIALS = frozenset(
    {
        ("sts", "AssumeRole"),
        ("sts", "AssumeRoleWithSAML"),
        ("sts", "AssumeRoleWithWebIdentity"),
        ("sts", "AssumeRoot"),
        ("sts", "GetSessionToken"),
        ("sts", "GetFederationToken"),
        ("sso", "GetRoleCredentials"),
        ("sso-oidc", "CreateToken"),
        ("ecr", "GetAuthorizationToken"),
        ("ecr-public", "GetAuthorizationToken"),
        ("codeartifact", "GetAuthorizationToken"),
        ("cognito-identity", "GetCredentialsForIdentity"),
        ("redshift", "GetClusterCredentials"),
        ("redshift-serverless", "GetCredentials"),
    }
)

_THROTTLED = frozenset(
    "Throttling ThrottlingException ThrottledException RequestThrottledException RequestThrottled TooManyRequestsException "
    "ProvisionedThroughputExceededException TransactionInProgressException RequestLimitExceeded BandwidthLimitExceeded SlowDown "
    "PriorRequestNotComplete EC2ThrottledException ServiceUnavailable ServiceUnavailableException RequestTimeout "
    "RequestTimeoutException".split()
)
_GONE = re.compile(r"(.*\.)?(NotFound|NoSuch\w*|\w*NotFound(Exception|Fault)?|ResourceNotFoundException|404|410|UnknownResourceFault)$")
_GOING = re.compile(r"already (being |been )?(deleted|terminated|detached)", re.IGNORECASE)
_THERE = re.compile(r"\w*(AlreadyExists|AlreadyExist|AlreadyOwnedByYou|AlreadyAttached|AlreadyAssociated)\w*(\.Duplicate)?$")
_UNDOING = re.compile(r"(Delete|BatchDelete|Remove|Terminate|Deregister|Detach|Disassociate|Untag|Release|Abort|Complete)(?=[A-Z]|$)")


def effect_of(service: str, operation: str, parameters: Mapping[str, Any], tokens: bool) -> Effect:
    """What making the operation again would do.

    Args:
        tokens: the operation takes an idempotency token (ours goes with it where the author gave none).
    """
    key = (service, operation)
    if parameters.get("DryRun") is True or (operation == "Invoke" and parameters.get("InvocationType") == "DryRun"):
        return Effect.READ
    if key in _READ_OPERATIONS or (_READ.match(operation) and key not in _NOT_READ):
        return Effect.READ
    if tokens:
        return Effect.IDEMPOTENT
    if _conditional(service, parameters) or _ADDING.match(operation):
        return Effect.WRITE
    if key in _IDEMPOTENT_OPERATIONS or _IDEMPOTENT.match(operation):
        return Effect.IDEMPOTENT
    return Effect.WRITE


def _conditional(service: str, parameters: Mapping[str, Any]) -> bool:
    """Whether the second time would be answered otherwise than the first because of the first."""
    if service == "s3":
        return "IfNoneMatch" in parameters or "IfMatch" in parameters
    if service == "dynamodb":
        return "ConditionExpression" in parameters or "Expected" in parameters or parameters.get("ReturnValues", "NONE") != "NONE"
    return False


def throttled(error: Mapping[str, Any]) -> bool:
    """Whether the answer (an error's ``response``) says: not now."""
    code = str(error.get("Error", {}).get("Code", ""))
    return code in _THROTTLED or error.get("ResponseMetadata", {}).get("HTTPStatusCode") in {429, 502, 503, 504}


def done_already(operation: str, error: Mapping[str, Any]) -> str | None:
    """On a repetition: the error code that says that the first time succeeded, else None."""
    details = error.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    if _UNDOING.match(operation) and (_GONE.fullmatch(code) or _GOING.search(message)):
        return code
    return code if _THERE.fullmatch(code) else None
