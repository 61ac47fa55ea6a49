"""What the command line says: durations, requests, ends with the next command."""

from __future__ import annotations

import pytest

from holdfast.cli.texts import duration, result_lines
from holdfast.engine.watcher import Failure, Result
from holdfast.model.call import request_line
from holdfast.model.execution import Status
from holdfast.model.prompt import Prompt, PromptKind


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-0.0001, "0.00 s"),
        (0.0421, "0.04 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_requests_as_made() -> None:
    assert request_line({"kind": "shell", "operation": "kubectl delete pod x", "arguments": {"a": 1}}) == "kubectl delete pod x"
    aws = {"kind": "aws", "operation": "ec2.DeleteVolume", "arguments": {"VolumeId": "vol-1", "DryRun": None}}
    assert request_line(aws) == "ec2.DeleteVolume VolumeId='vol-1'"


def test_ends_name_the_next_command() -> None:
    failed = Result(
        execution="a b", status=Status.FAILED, reason="step x", failure=Failure(step="x", type="E", what="w", teardown=("undo",))
    )
    text = "\n".join(result_lines(failed, []))
    assert "holdfast resume 'a b'" in text
    assert "undo" in text
    prompt = Prompt(id="p.1", execution="p", step="s", kind=PromptKind.UNKNOWN_OUTCOME, text="Did [it]?", verdicts=("run", "skip"))
    asked = "\n".join(result_lines(Result(execution="p", status=Status.SUSPENDED, reason="Did [it]?", prompts=("p.1",)), [prompt]))
    assert "holdfast answer p.1 run|skip" in asked
    assert "Did \\[it]?" in asked, "what a runbook says is no markup"
    assert asked.count("Did") == 1


def test_a_code_is_said_once() -> None:
    assert Failure(step="s", type="AuthorError", code="HF134", what="HF134: two branches").headline == "HF134: two branches"
    assert Failure(step="s", type="ValueError", what="bad\nmore").headline == "ValueError: bad"
