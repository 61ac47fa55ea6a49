"""An alert that is over before somebody has said what to do: the crash-loop runbook does nothing, and says so."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from holdfast.testing.performing import EXECUTION, Performance
from holdfast.testing.rehearsal import Answer, Stage
from holdfast.testing.servers.kubernetes import KubernetesServer

PACK = Path(__file__).parents[2] / "runbooks" / "kubernetes"
OVER = '{"data": {"endsAt": "2026-11-21T04:20:00Z"}}'


def rehearsed() -> Any:
    """The pack's description of its world."""
    spec = importlib.util.spec_from_file_location("world_of_the_cluster", PACK / "rehearsals.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("well", [True, False], ids=["well", "still-ill"])
def test_nothing_is_done_when_it_is_over_and_all_is_well(tmp_path: Path, well: bool) -> None:
    world = rehearsed()
    healed: list[str] = []
    templates = [world.pod_template("web:1"), world.pod_template("web:2")]

    def why(template: Any) -> str:
        return "" if healed or int(world.container_of(template)["resources"]["limits"]["memory"].removesuffix("Mi")) > 90 else "OOMKilled"

    def meanwhile(times: int) -> bool:
        if times == 1:  # while somebody thinks about the plan
            healed.extend(["by itself"] if well else [])
            assert performance.sandbox.holdfast("signal", EXECUTION, "resolved", "--value", OVER).status == 0
        elif times > 1 and not well:  # the alert fired again, and is over for good
            performance.sandbox.holdfast("signal", EXECUTION, "resolved", "--value", OVER, "--key", "again")
            return True
        return False

    with KubernetesServer() as server, world.Deployment(server, templates, why):
        stage = Stage(
            environment=world.environment(server, tmp_path),
            parameters={"namespace": "shop", "workload": "web", "alert": "25b8bf0e59554334"},
            answers={"What now?": Answer("more memory"), "In shop, give web 96 MiB": Answer("yes")},
            meanwhile=meanwhile,
            effects=lambda: world.changes(server),
            state=lambda: None,
        )
        performance = Performance(PACK / "crash-loop.ipynb", stage, tmp_path)
        assert performance.play() == "succeeded"
        assert sum(stage.effects().values()) == (0 if well else 1)
    text = performance.sandbox.holdfast("export", EXECUTION).out
    assert ("done: nothing was done, the alert was over before" in text) is well
    assert "The alert is over" in text
