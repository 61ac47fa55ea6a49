"""Dry runs of whole runbooks, with what guardrails would refuse: from the command line, in a notebook, at the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from holdfast.testing.gateways import Gateway
from holdfast.testing.kernels import Front
from holdfast.testing.sandbox import Sandbox

CELLS: list[tuple[str, str] | tuple[str, str, dict[str, object]]] = [
    ("parameters", "n: int = 3\ntoken: str = ''"),
    (
        "setup",
        """from holdfast import approve, call, targets
@call
def delete_volume(name):
    open('deleted', 'a').write(name)
@call(effect='read')
def volumes(n):
    open('looked', 'a').write('.')
    return [f'vol-{i}' for i in range(n)]""",
    ),
    ("step:look", "found = targets(lambda: volumes(n))"),
    ("step:gate", "approve('delete?', target=found.labels, count=2)"),
    ("step:act", "for v in found:\n    delete_volume(v)", {"max_effects": 3}),
    ("step:after", "!touch far"),
]
LIMITS = {"max_effects": 3}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    made = Sandbox(tmp_path_factory.mktemp("plans"), environment={"HOLDFAST_HOLD_FOR": "0"})
    made.notebook("volumes", CELLS, limits=LIMITS)
    return made


@pytest.fixture(scope="module")
def gateway(sandbox: Sandbox) -> Iterator[Gateway]:
    with Gateway(sandbox) as running:
        yield running


def test_the_plan_goes_to_the_end_and_says_what_would_be_refused(sandbox: Sandbox) -> None:
    done = sandbox.holdfast("run", "volumes.ipynb", "--dry-run", "--unattended", "--json", "-p", "token", "hunter2secret")
    assert done.status == 1, done.err
    assert (done.json["complete"], done.json["refused"]) == (True, 2)
    refused = [(w["operation"], w["target"], [r["code"] for r in w["refused"]]) for w in done.json["writes"]]
    assert refused == [
        ("delete_volume(name='vol-0')", "vol-0", []),
        ("delete_volume(name='vol-1')", "vol-1", []),
        ("delete_volume(name='vol-2')", "vol-2", ["HF806"]),
        ("touch far", "touch far", ["HF801"]),
    ]
    assert not (sandbox.folder / "deleted").exists()
    assert not (sandbox.folder / "far").exists()
    assert "hunter2secret" not in done.out
    shown = sandbox.holdfast("run", "volumes.ipynb", "--dry-run").out
    assert "would ask in step gate: delete?" in shown
    assert "guardrails would refuse 1 of 4 changes" in shown
    assert "cap: the execution may make 3 changes at most" in " ".join(shown.split())


def test_the_plan_of_an_execution_at_the_gateway(sandbox: Sandbox, gateway: Gateway) -> None:
    assert sandbox.holdfast("run", "volumes.ipynb", "--id", "one", "--json", "-p", "n", "1", "-p", "token", "hunter2secret").status == 3
    api = gateway.client()
    found = api.post("/api/v1/executions/one/plan")
    assert found.status_code == 200, found.text
    assert [w["operation"] for w in found.json()["writes"]] == ["delete_volume(name='vol-0')", "touch far"]
    assert "hunter2secret" not in found.text
    assert found.json()["refused"] == 0
    more = api.post("/api/v1/runbooks/volumes/plan", json={"parameters": {"n": 4}})
    assert more.status_code == 200, more.text
    assert [len(w["refused"]) for w in more.json()["writes"]] == [0, 0, 0, 2, 1]
    wrong = api.post("/api/v1/runbooks/volumes/plan", json={"parameters": {"m": 4}})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "HF103")
    assert api.post("/api/v1/executions/nowhere/plan").status_code == 404
    stranger = gateway.client(token="")
    assert stranger.post("/api/v1/executions/one/plan").status_code == 401
    assert not (sandbox.folder / "deleted").exists()
    assert [h["id"] for h in sandbox.holdfast("list", "--json").json] == ["one"]


def test_the_plan_in_a_notebook(tmp_path: Path) -> None:
    with Front(tmp_path, notebook=Sandbox(tmp_path).notebook("volumes", CELLS, limits=LIMITS)) as front:
        ran = front.run("%holdfast plan n=4")
        [text] = ran.notices
        assert "guardrails would refuse 2 of 5 changes" in text
        assert "vol-3" in text
        assert "HF242" in front.run("%holdfast plan 4").notices[0]
        assert "HF103" in front.run("%holdfast plan m=4").notices[0]
    assert not (tmp_path / "deleted").exists()
