"""One-line commands in a real kernel and through kills, on moto's AWS, whose own record counts the effects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from holdfast.testing.cells import CellRunner, Nest
from holdfast.testing.kernels import Front
from holdfast.testing.servers.aws import AwsServer

MODULES = ("boto3", "holdfast.integrations.aws.commands")
CLEAN_UP = "vols = !ec2 list-volumes --state available\nfor vol in vols.select('volumes[].volume_id'):\n    !ec2 delete-volume vol\n"


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture
def volumes(server: AwsServer) -> list[str]:
    """Three volumes, and nothing else."""
    server.reset()
    ec2: Any = boto3.client("ec2", endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    return [ec2.create_volume(Size=size, AvailabilityZone="us-east-1a")["VolumeId"] for size in (1, 2, 3)]


def test_the_seeds_two_lines_are_carried_out_once_whatever_is_killed(server: AwsServer, volumes: list[str], tmp_path: Path) -> None:
    with Nest(MODULES) as nest:
        runner = CellRunner(tmp_path, CLEAN_UP, server.environment, nest=nest)
        for cut in ("call.after_intent=kill", "call.after_effect@2=kill", "call.after_effect=kill"):
            assert runner.run(cut).killed
        done = runner.run()
        assert done.status == 0, done
        again = runner.run()
        assert (again.status, again.out) == (0, done.out)
    deleted = [one["VolumeId"] for one in server.actions("DeleteVolume") if one.get("DryRun") not in ("true", "True")]
    assert set(deleted) == set(volumes)
    assert len(deleted) <= 5  # AWS is asked again after a kill, and says that it is gone: it is deleted once


def test_a_dry_run_lists_what_the_lines_would_do(server: AwsServer, volumes: list[str], tmp_path: Path) -> None:
    runner = CellRunner(tmp_path, CLEAN_UP, server.environment)
    runner.dry_run = True
    assert runner.run().status == 0
    assert [one["operation"] for one in runner.planned()] == ["ec2.DeleteVolume"] * 3
    assert [one for one in server.actions("DeleteVolume") if one.get("DryRun") not in ("true", "True")] == []


AT_ONCE = {"HOLDFAST_HOLD_FOR": "0"}  # what waits is suspended at once


def test_a_question_in_one_line_waits_for_its_answer(tmp_path: Path) -> None:
    cell = "msg = 'bad login'\nchoices = ['disable', 'reset password']\nanswer = !hf ask --message msg --options choices\nprint(answer)\n"
    with Nest() as nest:
        runner = CellRunner(tmp_path, cell, AT_ONCE, nest=nest)
        assert runner.run().status == 3
        (prompt,) = runner.prompts()
        assert (prompt.text, list(prompt.verdicts)[:2]) == ("bad login", ["disable", "reset password"])
        runner.answer("reset password")
        assert runner.run().out == "reset password\n"
        (tmp_path / "slack").mkdir()
        asks = CellRunner(tmp_path / "slack", "x = !slack ask --message hi --name @alice --timeout 15m", AT_ONCE, nest=nest)
        assert asks.run().status == 3
        (prompt,) = asks.prompts()
        assert prompt.question is not None
        assert (list(prompt.question.via), list(prompt.question.who), prompt.due_at is None) == (["slack"], ["alice"], False)


@pytest.fixture(scope="module")
def front(server: AwsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "bin").mkdir()
    program = folder / "bin" / "slack"
    program.write_text('#!/bin/sh\necho "the program: $*"\n')
    program.chmod(0o755)
    path = f"{folder / 'bin'}:{server.environment.get('PATH', '/usr/bin:/bin')}"
    with Front(folder, environment={**server.environment, "PATH": path}) as front:
        yield front


def test_words_are_variables_of_the_cell_or_of_the_function(front: Front, volumes: list[str]) -> None:
    ran = front.run("vols = !ec2 list-volumes --state available\nprint([v.size for v in vols.volumes], vols.volumes[0].volume_id)")
    assert ran.stdout.startswith("[1, 2, 3] vol-"), ran
    ran = front.run("def end(one):\n    how = !ec2 delete-volume one.volume_id\n    return how\nprint(end(vols.volumes[0]))")
    assert ran.stdout == "deleted\n", ran
    ran = front.run('gone = vols.volumes[0].volume_id\nx = !ec2 delete-volume "{gone}"\ny = %hf ec2 delete-volume gone\nprint(x, y)')
    assert ran.stdout == "gone gone\n", ran
    outer = "def outer(one):\n    def inner():\n        how = !ec2 delete-volume one\n        return how\n    return inner\n"
    ran = front.run(f"{outer}print(outer(vols.volumes[1].volume_id)())")
    assert ran.stdout == "deleted\n", ran
    ran = front.run("print(vols.select('length(volumes)'), vols.select('volumes[?size > `2`].size'))")
    assert ran.stdout == "3 [3]\n", ran


def test_a_line_on_its_own_shows_what_came_of_it(front: Front, volumes: list[str]) -> None:
    ran = front.run("!ec2 list-volumes\nx = 1")
    (shown,) = ran.shown
    assert volumes[0] in shown and "volume_id" in shown
    assert volumes[0] in str(front.run("!ec2 list-volumes").result)
    assert front.run("!ec2 list-volumes --state available\nNone").errors == []
    assert "destroys" in str(front.run("%hf ec2").result)
    assert "--state" in str(front.run("!ec2 list-volumes --help").result)
    assert "!slack" in str(front.run("%hf").result)


def test_the_program_of_that_name_is_still_there(front: Front) -> None:
    assert "the program: ask a" in front.run("!command slack ask a").stdout
    assert "the program: ask c" in str(front.run("!!slack ask c").result)
    assert "the program: ask d" in front.run(f"!{front.folder}/bin/slack ask d").stdout


def test_a_line_that_does_not_fit_asks_nothing_of_the_outside(front: Front, server: AwsServer, volumes: list[str]) -> None:
    before = len(server.actions("DescribeVolumes"))
    for line, what in (
        ("!ec2 list-volumes --stat x", "did you mean 'state'"),
        ("!ec2 list-volumes | grep x", "no shell runs it"),
        ("!ec2 delete-volume {nobody}", "has no value"),
    ):
        (error,) = front.run(line).errors
        assert "HF168" in " ".join(error["traceback"]) or "HF168" in error["evalue"], error
        assert what in f"{error['evalue']} {error['traceback']}", error
    assert len(server.actions("DescribeVolumes")) == before


def test_waits_and_questions_take_variables(front: Front) -> None:
    ran = front.run("period = 0.01\nw = %wait period\nv = %hf wait period\nprint(w.seconds, v.seconds)")
    assert ran.stdout == "0.01 0.01\n", ran


def test_the_tab_key_completes_commands_and_options(front: Front) -> None:
    def matches(line: str) -> list[str]:
        front.client.complete(line, len(line))
        while True:
            reply = front.client.get_shell_msg(timeout=60)
            if reply["header"]["msg_type"] == "complete_reply":
                return [str(m) for m in reply["content"]["matches"]]

    assert "ec2" in matches("!ec")
    assert "delete-volume" in matches("!ec2 del")
    assert "delete-volume" in matches("x = !ec2 del")
    assert "--region" in matches("%hf ec2 list-volumes --r")
