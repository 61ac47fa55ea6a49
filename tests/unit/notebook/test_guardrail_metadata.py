"""What a notebook may say of its guardrails, and what is refused of it."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.notebook.compile import examine
from holdfast.notebook.destroying import request_destroys


def problems(notebook: Any, *cells: Any, **about: Any) -> list[str]:
    return [f.message for f in examine(notebook(*cells, metadata={"holdfast": about})).findings if f.code == "NB105"]


def test_directives_and_metadata_say_the_same(notebook: Any) -> None:
    source = "#| step: a\n#| effects: destructive\n#| max_percent: 25%\n#| max_targets: 3\n#| approval: true\n1"
    by_line = examine(notebook(source)).manifest.steps[0].policy
    policy = {"effects": "destructive", "max_percent": 25, "max_targets": 3, "approval": True}
    by_metadata = examine(notebook(("step:a", "1", policy))).manifest.steps[0].policy
    assert by_line == by_metadata
    assert (by_line.effects, by_line.max_percent, by_line.max_targets, by_line.approval) == ("destructive", 25.0, 3, True)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"limits": {"max_efects": 3}}, "unknown key 'limits.max_efects'"),
        ({"limits": {"max_effects": -1}}, "'limits.max_effects' must not be negative"),
        ({"limits": {"max_percent": 0}}, "'limits.max_percent' must be more than 0"),
        ({"limits": {"effects_per_hour": 0}}, "'limits.effects_per_hour' must be 1 or more"),
        ({"limits": {"cooldown": "soon"}}, "'limits.cooldown'"),
        ({"limits": {"target": "{cluster}"}}, "'limits.target' names 'cluster', which is no parameter"),
        ({"concurrency": {"key": "{clutser}"}}, "'concurrency.key' names 'clutser', which is no parameter"),
        ({"concurrency": {"key": "{a b}"}}, "{a b} is no parameter's name"),
        ({"concurrency": {"key": "k", "overlap": "sometimes"}}, "'concurrency'"),
        ({"concurrency": {"key": " "}}, "'concurrency.key' is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(notebook: Any, about: dict[str, Any], said: str) -> None:
    found = problems(notebook, ("parameters", "cluster_name = 'eu'"), ("step:a", "1"), **about)
    assert len(found) == 1
    assert said in found[0]


def test_what_can_be_meant_is_taken(notebook: Any) -> None:
    about = {
        "concurrency": {"key": "c/{cluster}", "overlap": "skip"},
        "limits": {"max_effects": 0, "max_percent": 12.5, "cooldown": "30 min", "max_age": 60, "target": "{cluster}", "pools": {"p": 2}},
    }
    assert problems(notebook, ("parameters", "cluster = 'eu'"), ("step:a", "1"), **about) == []


@pytest.mark.parametrize(
    ("kind", "operation", "destroys"),
    [
        ("http", "DELETE http://x/volumes/1", True),
        ("http", "POST http://x/delete", False),
        ("aws", "ec2.DeleteVolume", True),
        ("aws", "ec2.TerminateInstances", True),
        ("aws", "ec2.DeleteTags", False),
        ("aws", "kms.ScheduleKeyDeletion", True),
        ("aws", "sqs.DeleteMessage", False),
        ("aws", "ec2.CreateSnapshot", False),
        ("shell", "kubectl -n a delete pod x", True),
        ("shell", "kubectl -n a delete pod x --dry-run=server", False),
        ("shell", "kubectl -n a rollout restart deploy/x", False),
        ("shell", "echo kubectl delete", False),
        ("shell", "echo a\nrm -rf /var/tmp/x", True),
        ("call", "delete_volume(id='v')", True),
        ("call", "ops.terminate_instance(id='i')", True),
        ("call", "restart(pod='p')", False),
        ("sql", "DROP TABLE t", True),
        ("sql", "UPDATE t SET a = 1", False),
    ],
)
def test_what_destroys_is_known_by_its_request(kind: str, operation: str, destroys: bool) -> None:
    assert request_destroys(kind, operation) is destroys
