"""The AWS integration on moto's server, whose own record of requests counts the effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from holdfast.testing.cells import CellRunner
from holdfast.testing.contracts.integration import IntegrationContract, Read, Subject, Write
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.standing_in import Came, Said, StandIn

KEY = "s3cret-key-of-aws"
SETUP = """from holdfast.integrations import aws
ec2 = aws.connect("ec2", key="env:MY_KEY", secret_key="env:MY_SECRET", region="us-east-1")
rds = aws.connect("rds", key="env:MY_KEY", secret_key="env:MY_SECRET", region="us-east-1")
iam = aws.connect("iam", key="env:MY_KEY", secret_key="env:MY_SECRET", region="us-east-1")
volume = ec2.describe_volumes()["Volumes"][0]["VolumeId"]
"""


class Busy(StandIn):
    """Systems Manager, which refuses what comes too fast as AWS documents it; moto never does."""

    kind = "application/x-amz-json-1.1"

    def refusal(self) -> Said:
        return Said(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})

    def answer(self, came: Came) -> Said:
        return Said(document={"Command": {"CommandId": f"c-{len(self.requests)}", "Status": "Pending"}})


class TestAws(IntegrationContract):
    """On moto."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls) -> Iterator[AwsServer]:
        with AwsServer() as server:
            yield server

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, server: AwsServer) -> Subject:
        def client(name: str) -> Any:
            make: Any = boto3.client
            return make(name, endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")

        def reset() -> None:
            server.reset()
            client("ec2").create_volume(Size=1, AvailabilityZone="us-east-1a")
            client("iam").create_user(UserName="alice")
            client("iam").create_access_key(UserName="alice")
            client("rds").create_db_instance(
                DBInstanceIdentifier="db", DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20
            )

        def asked(name: str) -> Callable[[], int]:
            return lambda: sum(1 for a in server.actions(name) if a.get("DryRun") not in ("true", "True"))

        def inactive() -> int:
            keys = client("iam").list_access_keys(UserName="alice")["AccessKeyMetadata"]
            return [key["Status"] for key in keys].count("Inactive")

        return Subject(
            setup=SETUP,
            reset=reset,
            environment={
                **{k: v for k, v in server.environment.items() if "KEY" not in k},
                "MY_KEY": "AKIAMYKEY",
                "MY_SECRET": KEY,
            },
            modules=("boto3", "holdfast.integrations.aws"),
            secret=KEY,
            reads=(
                Read(name="volumes", cell="print(len(aws.volumes(ec2=ec2)))", count=asked("DescribeVolumes")),
                Read(name="keys", cell="print(len(iam.list_access_keys(UserName='alice')))", count=asked("ListAccessKeys")),
            ),
            writes=(
                Write(
                    name="snapshot",
                    cell="print(aws.snapshot_volume(volume, ec2=ec2)[:4])",
                    count=asked("CreateSnapshot"),
                    effect="write",
                    target="aws://us-east-1/ec2/vol-*",
                ),
                Write(
                    name="snapshot of a database",
                    cell="print(aws.snapshot_database('db', 'before', rds=rds))",
                    count=asked("CreateDBSnapshot"),
                    effect="idempotent",
                    target="aws://us-east-1/rds/db/before",
                ),
                Write(
                    name="deactivate",
                    cell="print(len(aws.deactivate_keys('alice', iam=iam)))",
                    count=lambda: [k["Status"] for k in client("iam").list_access_keys(UserName="alice")["AccessKeyMetadata"]].count(
                        "Inactive"
                    ),
                    effect="idempotent",
                    target="aws://us-east-1/iam/alice/*",
                ),
                Write(
                    name="grow",
                    cell="print(aws.grow_database('db', 30, rds=rds))",
                    count=asked("ModifyDBInstance"),
                    effect="write",
                    target="aws://us-east-1/rds/db",
                ),
                Write(
                    name="delete",
                    cell="print(aws.delete_volume(volume, ec2=ec2))",
                    count=lambda: 1 - len(client("ec2").describe_volumes()["Volumes"]),
                    effect="idempotent",
                    target="aws://us-east-1/ec2/vol-*",
                ),
            ),
        )

    def test_the_dry_run_asks_ec2(self, cell: Callable[[str], CellRunner]) -> None:
        runner = cell("print(aws.delete_volume(volume, ec2=ec2))\naws.delete_volume('vol-00000000000000000', ec2=ec2)")
        runner.dry_run = True
        assert runner.run().status == 0
        assert runner.planned()[0]["said"] == "would be accepted"

    def test_checks_say_what_fails(self, cell: Callable[[str], CellRunner]) -> None:
        runner = cell(
            "print(aws.check_unattached_volumes(ec2=ec2).failing.column('why'))\n"
            "print(bool(aws.check_unattached_volumes(min_age_days=1, ec2=ec2)))"
        )
        passed = runner.run()
        assert passed.out.splitlines() == ["['attached to nothing, 0 days old']", "True"], passed

    def test_throttling_beyond_botos_own_retries_is_waited_out(self, cell: Callable[[str], CellRunner]) -> None:
        with Busy() as busy:
            runner = cell(
                "import boto3\nfrom botocore.config import Config\n"
                f"ssm = boto3.client('ssm', 'us-east-1', endpoint_url={busy.url!r}, aws_access_key_id='a', aws_secret_access_key='b',\n"
                "    config=Config(retries={'total_max_attempts': 1}))\n"
                "said = ssm.send_command(DocumentName='AWS-RunShellScript', InstanceIds=['i-1'])\nprint(said['Command']['CommandId'])"
            )
            busy.refuse = 2
            assert (runner.run().out, len(busy.requests)) == ("c-3\n", 3), "two were refused, one was taken"
            assert (runner.run().out, len(busy.requests)) == ("c-3\n", 3)
