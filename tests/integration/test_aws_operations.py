"""boto3 against a real (local) AWS: as without Holdfast, replayed without a request, and safe when the kernel is killed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from holdfast.durable.interceptors.botocore import BotocoreInterceptor
from holdfast.durable.interceptors.installing import Installation
from holdfast.durable.interceptors.urllib3 import Urllib3Interceptor
from holdfast.testing.cells import CellRunner
from holdfast.testing.recorders import MemoryRecorder, UnknownOutcome
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.counting import CountingServer


@pytest.fixture(scope="module")
def shared() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture
def aws(shared: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    shared.reset()
    return shared


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[MemoryRecorder]:
    recorder = MemoryRecorder(tmp_path)
    installation = Installation(recorder, lambda name: True, [BotocoreInterceptor(), Urllib3Interceptor()])
    installation.install()
    yield recorder
    installation.uninstall()


def everything(tmp: Path) -> list[Any]:
    """Clients, waiters, paginators, resources, streams, transfers, errors."""
    seen: list[Any] = []
    ec2, s3 = boto3.client("ec2"), boto3.client("s3")
    volume = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
    name = volume["VolumeId"]
    seen += [volume["Size"], volume["CreateTime"].tzinfo is not None, volume["ResponseMetadata"]["HTTPStatusCode"]]
    ec2.get_waiter("volume_available").wait(VolumeIds=[name])
    seen.append([v["VolumeId"] == name for page in ec2.get_paginator("describe_volumes").paginate() for v in page["Volumes"]])
    try:
        ec2.delete_volume(VolumeId=name, DryRun=True)
    except ClientError as e:
        seen.append(e.response["Error"]["Code"])
    seen.append(ec2.create_snapshot(VolumeId=name)["VolumeId"] == name)
    ec2.create_tags(Resources=[name], Tags=[{"Key": "a", "Value": "b"}])
    seen.append([v.tags for v in boto3.resource("ec2").volumes.all()])
    ec2.delete_volume(VolumeId=name)
    try:
        ec2.delete_volume(VolumeId="vol-00000000000000000")
    except ClientError as e:
        seen += [str(e), e.operation_name, type(e).__name__]
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=io.BytesIO(b"hello\nworld\n"), Metadata={"m": "1"})
    got = s3.get_object(Bucket="bucket", Key="k")
    seen += [got["Body"].read(5), got["Body"].read(), got["ContentLength"], got["Metadata"]]
    seen.append(list(s3.get_object(Bucket="bucket", Key="k")["Body"].iter_lines()))
    seen.append(list(s3.get_object(Bucket="bucket", Key="k")["Body"].iter_chunks(4)))
    try:
        s3.get_object(Bucket="bucket", Key="none")
    except s3.exceptions.NoSuchKey as e:
        seen.append(e.response["Error"]["Code"])
    try:
        s3.head_object(Bucket="bucket", Key="none")
    except ClientError as e:
        seen.append(e.response["Error"]["Code"])
    (tmp / "up").write_bytes(b"x" * 9_000_000)
    s3.upload_file(str(tmp / "up"), "bucket", "big")
    s3.download_file("bucket", "big", str(tmp / "down"))
    seen.append((tmp / "down").read_bytes() == (tmp / "up").read_bytes())
    s3.delete_object(Bucket="bucket", Key="k")
    seen.append([o["Key"] for o in s3.list_objects_v2(Bucket="bucket")["Contents"]])
    table = boto3.resource("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    table.put_item(Item={"id": "a", "data": b"bytes", "set": {"x", "y"}})
    seen.append(table.get_item(Key={"id": "a"})["Item"]["set"])
    seen.append(boto3.client("sts").get_caller_identity()["Account"])
    return seen


def test_same_as_without_holdfast_and_on_a_replay(aws: AwsServer, recorder: MemoryRecorder, tmp_path: Path) -> None:
    with recorder.off():
        vanilla = everything(tmp_path)
    aws.reset()
    first = everything(tmp_path)
    made = len(aws.requests())
    recorder.rewind()
    (tmp_path / "down").unlink()
    replayed = everything(tmp_path)
    assert first == vanilla
    assert replayed == first
    assert len(aws.requests()) == made
    assert {r.request.kind for r in recorder.records.values()} == {"aws"}, "the innermost library records nothing"


def test_our_token_goes_where_the_author_gave_none(aws: AwsServer, recorder: MemoryRecorder) -> None:
    ec2 = boto3.client("ec2")
    ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
    ec2.create_volume(Size=1, AvailabilityZone="us-east-1a", ClientToken="mine")
    ours, mine = (r["ClientToken"] for r in aws.actions("CreateVolume"))
    assert len(ours) == 36
    assert mine == "mine"
    recorder.forget_outcome(0)
    ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
    assert aws.actions("CreateVolume")[-1]["ClientToken"] == ours


def test_credentials_are_made_anew_and_never_recorded(aws: AwsServer, recorder: MemoryRecorder) -> None:
    for _ in range(2):
        role = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::123456789012:role/r", RoleSessionName="session")
        assert role["Credentials"]["SecretAccessKey"]
        recorder.rewind()
    assert recorder.records == {}
    assert len(aws.actions("AssumeRole")) == 2


def test_presigned_addresses_are_made_here(aws: AwsServer, recorder: MemoryRecorder) -> None:
    assert "Signature" in boto3.client("s3").generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
    assert recorder.records == {}


@pytest.mark.parametrize("fault", ["close=1&n=1", "delay=3&n=1"])
def test_boto3_does_not_repeat_a_write_by_itself(fault: str, recorder: MemoryRecorder, aws: AwsServer, tmp_path: Path) -> None:
    with CountingServer(tmp_path) as server:
        client = boto3.client("lambda", endpoint_url=server.url, config=Config(read_timeout=0.5, retries={"max_attempts": 4}))
        client.meta.events.register("before-send.lambda.*", lambda request, **_: setattr(request, "url", f"{request.url}?{fault}"))
        with pytest.raises(UnknownOutcome):
            client.invoke(FunctionName="f")
        assert len(server.requests()) == 1
        client.get_function(FunctionName="g")
        assert len(server.requests("GET")) == 2, "a read it may repeat"


def test_throttled_operations_are_tried_again(recorder: MemoryRecorder, aws: AwsServer, tmp_path: Path) -> None:
    with CountingServer(tmp_path) as server:
        client = boto3.client("lambda", endpoint_url=server.url, config=Config(retries={"max_attempts": 0}))
        client.meta.events.register("before-send.lambda.*", lambda request, **_: setattr(request, "url", f"{request.url}?status=429&n=2"))
        client.get_function(FunctionName="g")
        assert len(server.requests()) == 3
        assert len(recorder.records) == 1


def test_nobody_listens(recorder: MemoryRecorder, aws: AwsServer) -> None:
    client = boto3.client("lambda", endpoint_url="http://127.0.0.1:9", config=Config(retries={"max_attempts": 0}))
    with pytest.raises(EndpointConnectionError):
        client.invoke(FunctionName="f")
    (record,) = recorder.records.values()
    assert record.attempts == 4


# ---- killed ----

CREATE = "v = ec2.create_volume(Size=1, AvailabilityZone='us-east-1a')\nprint(v['VolumeId'])"
HEAD = "import boto3\nec2 = boto3.client('ec2')\n"


@pytest.mark.parametrize("point", ["call.after_intent", "call.after_effect", "call.after_outcome"])
def test_a_volume_is_created_once(point: str, aws: AwsServer, tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, HEAD + CREATE)
    assert runner.run(f"{point}=kill").killed
    done = runner.run()
    assert (done.status, runner.prompts()) == (0, []), done.err
    tokens = [r["ClientToken"] for r in aws.actions("CreateVolume")]
    assert len(set(tokens)) == 1, "the same token is AWS's promise of the same volume"
    assert len(tokens) == (2 if point == "call.after_effect" else 1)


@pytest.mark.parametrize("point", ["call.after_intent", "call.after_effect", "call.after_outcome"])
def test_a_volume_is_deleted_once(point: str, aws: AwsServer, tmp_path: Path) -> None:
    ec2 = boto3.client("ec2")
    name = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    runner = CellRunner(tmp_path, HEAD + f"print(ec2.delete_volume(VolumeId='{name}')['ResponseMetadata']['HTTPStatusCode'])")
    assert runner.run(f"{point}=kill").killed
    done = runner.run()
    assert (done.status, done.out.strip(), runner.prompts()) == (0, "200", []), done.err
    assert ec2.describe_volumes()["Volumes"] == []
    assert len(aws.actions("DeleteVolume")) == 1, "it is looked for before it is asked for again"


@pytest.mark.parametrize("point", ["call.after_intent", "call.after_effect", "call.after_outcome"])
def test_a_snapshot_is_made_once_and_known_by_its_tag(point: str, aws: AwsServer, tmp_path: Path) -> None:
    ec2 = boto3.client("ec2")
    name = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    runner = CellRunner(tmp_path, HEAD + f"print(ec2.create_snapshot(VolumeId='{name}')['SnapshotId'])")
    assert runner.run(f"{point}=kill").killed
    done = runner.run()
    assert (done.status, runner.prompts()) == (0, []), done.err
    assert len(aws.actions("CreateSnapshot")) == 1
    assert done.out.strip() == _snapshot_of(ec2, name)


def _snapshot_of(ec2: Any, volume: str) -> str:
    (one,) = ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume]}])["Snapshots"]
    return str(one["SnapshotId"])


def test_a_loop_of_deletes_killed_twice_deletes_each_once(aws: AwsServer, tmp_path: Path) -> None:
    ec2 = boto3.client("ec2")
    for _ in range(4):
        ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")
    cell = HEAD + (
        "for v in ec2.describe_volumes()['Volumes']:\n"
        "    ec2.delete_volume(VolumeId=v['VolumeId'])\n"
        "print(len(ec2.describe_volumes()['Volumes']))"
    )
    runner = CellRunner(tmp_path, cell)
    assert runner.run("call.after_outcome@3=kill").killed  # the reading, and two deletes
    assert runner.run("call.after_intent=kill").killed
    done = runner.run()
    assert (done.status, done.out.strip()) == (0, "0"), done.err
    deleted = [r["VolumeId"] for r in aws.actions("DeleteVolume")]
    assert len(deleted) == len(set(deleted)) == 4


def test_a_look_of_wait_for_gets_what_a_call_gets(aws: AwsServer, tmp_path: Path) -> None:
    code = (
        "import boto3\nfrom holdfast import wait_for\nec2 = boto3.client('ec2')\n"
        "wait_for(lambda: ec2.describe_volumes()['Volumes'] == [], every=1, timeout=30)\n"
        "try:\n    wait_for(lambda: ec2.describe_volumes(VolumeIds=['vol-none']), every=1, timeout=30)\n"
        "except ec2.exceptions.ClientError as e:\n    print('seen', e.response['Error']['Code'])"
    )
    done = CellRunner(tmp_path, code).run()
    assert "seen InvalidVolume" in done.out, (done.out, done.err)
