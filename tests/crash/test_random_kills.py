"""A long execution with shell, HTTP and AWS writes in loops, killed at random moments twenty times in a row."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tests.crash.conftest import World

from holdfast.testing.sandbox import Result, Sandbox
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.counting import CountingServer

KILLS = 20
ROUNDS = 60

RUNBOOK: list[Any] = [
    ("parameters", "url: str\nfar: str\norders: int = 120"),
    ("setup", "import uuid\nimport boto3, requests\nfrom holdfast import for_each\nec2 = boto3.client('ec2')"),
    ("step:prepare", "token = str(uuid.uuid4())\nlog = []\nvolumes = {}"),
    (
        "step:work",
        (
            "for i in range(orders // 2):\n"
            "    !printf 'line {i}\\n' >> {far}\n"
            "    log.append(requests.post(f'{url}/orders?delay=0.05', json={'order': i, 'token': token}).json()['body'])\n"
            "    volumes[i] = ec2.create_volume(Size=i + 1, AvailabilityZone='us-east-1a')['VolumeId']"
        ),
    ),
    (
        "step:items",
        (
            "def one(i):\n"
            "    done = !printf 'line {i}\\n' >> {far}\n"
            "    log.append(requests.post(f'{url}/orders?delay=0.05', json={'order': i, 'token': token}).json()['body'])\n"
            "    return ec2.create_volume(Size=i + 1, AvailabilityZone='us-east-1a')['VolumeId']\n\n"
            "for i, volume in zip(range(orders // 2, orders), for_each(range(orders // 2, orders), one)):\n"
            "    volumes[i] = volume"
        ),
    ),
    (
        "step:end",
        (
            "sizes = {v['VolumeId']: v['Size'] for page in ec2.get_paginator('describe_volumes').paginate() for v in page['Volumes']}\n"
            "assert len(set(volumes.values())) == orders\n"
            "assert all(sizes[volume] == i + 1 for i, volume in volumes.items())\n"
            "print('END', len(volumes), [json_line.replace(token, 'TOKEN') for json_line in sorted(log)])"
        ),
    ),
]
ORDERS = 120


class LongWorld(World):
    """The long runbook."""

    def __init__(self, sandbox: Sandbox, server: CountingServer, aws: AwsServer) -> None:
        super().__init__(sandbox, server)
        self.aws = aws
        self.kills = 0
        self.book = sandbox.notebook("long", RUNBOOK)

    def arguments(self) -> list[str | Path]:
        return ["run", self.book, "--id", "x", "-p", "url", self.server.url, "-p", "far", self.far, "--json"]

    def run_and_kill(self, dice: random.Random) -> Result:
        """Start or resume; kill kernel, engine or both after a while. The result when it ended by itself."""
        command = ["resume", "x", "--json"] if self.sandbox.status("x") else self.arguments()
        process = self.sandbox.start(*command)
        try:
            out, err = process.communicate(timeout=dice.uniform(0.2, 2.4))
        except BaseException:
            self.kills += 1
            kernel, engine = dice.choice([(True, False), (False, True), (True, True)])
            if not engine:
                self.sandbox.kill(process, kernels=kernel, engine=False)
                try:
                    out, err = process.communicate(timeout=dice.uniform(0.1, 3.0))
                    return Result(status=process.returncode, out=out, err=err)
                except BaseException:
                    kernel, engine = False, True
            self.sandbox.kill(process, kernels=kernel, engine=engine)
            process.communicate()
            return Result(status=-9, out="", err="")
        return Result(status=process.returncode, out=out, err=err)


def test_twenty_random_kills(tmp_path: Path, server: CountingServer) -> None:
    seed = int(os.environ.get("TEST_SEED", random.SystemRandom().randrange(1 << 30)))
    sys.stdout.write(f"TEST_SEED={seed}\n")
    dice = random.Random(seed)
    with AwsServer() as aws:
        world = LongWorld(Sandbox(tmp_path, environment=aws.environment), server, aws)
        result = Result(status=-9, out="", err="")
        for _ in range(ROUNDS):
            result = world.run_and_kill(dice) if world.kills < KILLS else world.sandbox.holdfast("resume", "x", "--json")
            if world.sandbox.status("x"):
                world.sandbox.assert_laws("x")
            if result.status == 3:
                world.answer()
            elif result.status != -9 and "HF181" not in result.out:  # three kills in one step: a person says "go on", as the error asks
                break
        assert result.status == 0, result
        assert world.kills >= KILLS, f"only {world.kills} kills before the end"
        assert_far_side(world)
        assert_same_end(world)


def assert_far_side(world: LongWorld) -> None:
    """Each effect once, by the record of the servers and of the file."""
    assert sorted(world.far.read_text().splitlines()) == sorted(f"line {i}" for i in range(ORDERS))
    orders = [json.loads(r["body"]) for r in world.server.requests("POST", "/orders")]
    assert Counter(order["order"] for order in orders) == dict.fromkeys(range(ORDERS), 1)
    assert len({order["token"] for order in orders}) == 1
    made = world.aws.actions("CreateVolume")
    tokens: dict[str, set[str]] = {}
    for request in made:
        tokens.setdefault(request["Size"], set()).add(request["ClientToken"])
    assert {size: len(found) for size, found in tokens.items()} == {str(i + 1): 1 for i in range(ORDERS)}


def assert_same_end(world: LongWorld) -> None:
    """What the last step printed is what an uninterrupted run prints."""
    output = json.loads((world.sandbox.folder / ".holdfast" / "outputs" / "x.ipynb").read_text())
    texts = "".join("".join(o["text"]) for cell in output["cells"] for o in cell.get("outputs", []) if o["output_type"] == "stream")
    log = sorted(json.dumps({"order": i, "token": "TOKEN"}) for i in range(ORDERS))
    assert f"END {ORDERS} {log}\n" in texts
