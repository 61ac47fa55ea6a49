"""``secret("aws-sm:NAME")`` or ``secret("aws-sm:NAME#FIELD")``: AWS Secrets Manager, with boto3's own credentials."""

from __future__ import annotations

import json


def read(place: str) -> str:
    """The text of the secret, or one field of it where it is JSON.

    Raises:
        ValueError: not there, not readable, or without that field.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    name, _, field = place.partition("#")
    try:
        answer = boto3.client("secretsmanager").get_secret_value(SecretId=name)
        text = answer["SecretString"] if "SecretString" in answer else answer.get("SecretBinary", b"").decode()
    except ClientError as error:
        raise ValueError(f"AWS answers {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise ValueError(str(error)) from None
    if not field:
        return str(text)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or field not in found:
        raise ValueError(f"{name} has no field {field}")
    return str(found[field])
