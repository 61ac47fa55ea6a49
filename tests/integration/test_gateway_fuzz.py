"""The API under schemathesis: whatever is sent, the answer is one that the OpenAPI document describes, and never a fault of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.testing.gateways import Gateway, ask
from holdfast.testing.sandbox import Sandbox


@pytest.mark.parametrize("examples", [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3300)])])
def test_no_request_brings_it_down(tmp_path: Path, examples: int) -> None:
    sandbox = Sandbox(tmp_path, environment={"HOLDFAST_WORKERS": "queue"})
    sandbox.notebook("simple", [("parameters", "n: int = 1"), ("step:one", "1")])
    ask(sandbox, id="one")
    if examples > 10:
        assert sandbox.holdfast("run", sandbox.folder / "simple.ipynb", "--id", "two").status == 0
    with Gateway(sandbox) as gateway:
        command = [
            *(Path(sys.executable).with_name("schemathesis"), "run", f"{gateway.address}/api/v1/openapi.json"),
            *(
                "-H",
                f"Authorization: Bearer {gateway.token}",
                "--exclude-path-regex",
                "/live$",
                "--phases",
                "fuzzing" if examples < 10 else "examples,coverage,fuzzing",
            ),
            *("--checks", "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance"),
            *("--max-examples", str(examples), "--generation-database", "none", "--seed", "1", "--no-color", "--continue-on-failure"),
        ]
        done = subprocess.run(list(map(str, command)), cwd=tmp_path, capture_output=True, text=True, timeout=280 if examples < 10 else 3000)
        assert done.returncode == 0, done.stdout[-6000:] + gateway.log()[-3000:]
        assert "Traceback" not in gateway.log()
