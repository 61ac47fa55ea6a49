"""A folder with runbooks, a journal and a Dagster home of its own, in which a test runs real Dagster processes and kills them.

It only writes files and starts processes; what imports Dagster is the test, and the processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from holdfast.engine import identity
from holdfast.foundation import clock
from holdfast.testing.sandbox import Sandbox

_YAML = """\
telemetry: {enabled: false}
run_launcher: {module: holdfast_dagster.launcher, class: HoldfastRunLauncher, config: {warm: WARM}}
run_monitoring: {enabled: true, poll_interval_seconds: 1, max_resume_run_attempts: 100000, free_slots_after_run_end_seconds: 60}
run_coordinator: {module: holdfast_dagster.coordinator, class: HoldfastRunCoordinator}
"""

_STOCK = """\
telemetry: {enabled: false}
"""

#: One op per step, in the runbook's order, as plainly as can be: what is tested with it is the execution, not the compilation.
_DEFINITIONS = """\
from pathlib import Path
import dagster as dg
from holdfast.notebook.compile import compile as compile_notebook
from holdfast.notebook.reader import read
from holdfast_dagster import names
from holdfast_dagster.driving import holdfast_resource, run_step
from holdfast_dagster.executor import holdfast_executor
from holdfast_dagster.resuming import build_resume_sensor

def op_of(path, step):
    @dg.op(
        name=f"{path.stem}__{step.name}",
        ins={f"after_{a}": dg.In(dg.Nothing) for a in step.after},
        out=dg.Out(dg.Nothing, is_required=False),
        required_resource_keys={names.RESOURCE},
    )
    def body(context):
        result = run_step(context, path, step.name, context.run.run_config.get("execution", {}).get("config", {}).get("parameters"))
        if result.done:
            yield dg.Output(None, metadata=result.metadata)
    return body

def job_of(path):
    steps = [s for s in compile_notebook(read(path)).steps if s.teardown_of is None]
    wiring = {
        dg.NodeInvocation(f"{path.stem}__{s.name}", alias=s.name): {f"after_{a}": dg.DependencyDefinition(a) for a in s.after}
        for s in steps
    }
    graph = dg.GraphDefinition(name=path.stem, node_defs=[op_of(path, s) for s in steps], dependencies=wiring)
    return graph.to_job(resource_defs={names.RESOURCE: holdfast_resource}, executor_def=EXECUTOR)

EXECUTOR = holdfast_executor
HERE = Path(__file__).parent
defs = dg.Definitions(
    jobs=[job_of(p) for p in sorted((HERE / "runbooks").glob("*.ipynb"))],
    sensors=[build_resume_sensor(interval=1)],
)
"""


class DagsterHome(Sandbox):
    """A :class:`Sandbox` whose runbooks lie in ``runbooks`` and whose Dagster instance lies in ``home``.

    Args:
        folder: an empty one.
        native: with Holdfast's launcher and run monitoring; else the instance is as Dagster makes it.
        warm: that launcher forks its workers from a warm server.
        environment: further environment variables.
    """

    def __init__(self, folder: Path, *, native: bool = True, warm: bool = False, environment: Mapping[str, str] | None = None) -> None:
        self.home, self.runbooks = folder / "home", folder / "runbooks"
        self.home.mkdir()
        self.runbooks.mkdir()
        (self.home / "dagster.yaml").write_text(_YAML.replace("WARM", str(warm).lower()) if native else _STOCK)
        (folder / "defs.py").write_text(_DEFINITIONS)
        super().__init__(folder, environment={"DAGSTER_HOME": str(self.home), **(environment or {})})
        self._processes: list[subprocess.Popen[bytes]] = []
        self._latest: dict[str, subprocess.Popen[bytes]] = {}

    def runbook(self, name: str, cells: Sequence[tuple[str, str] | tuple[str, str, dict[str, Any]]], **metadata: Any) -> Path:
        """Write one; see :meth:`Sandbox.notebook`."""
        made = self.notebook(name, cells, **metadata)
        return made.rename(self.runbooks / made.name)

    def dagster(self, program: str, *arguments: str, workspace: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a Dagster program (``daemon``, ``webserver``, ``code``) in a process group of its own, on this folder's definitions.

        Args:
            workspace: a file that says what is loaded instead.
        """
        module, *words = {
            "daemon": ["dagster._daemon", "run"],
            "webserver": ["dagster_webserver"],
            "code": ["dagster", "api", "grpc"],
        }[program]
        code = ["-f", str(self.folder / "defs.py"), "-d", str(self.folder)] if workspace is None else ["-w", str(workspace)]
        given = [*words, *code, *arguments]
        with open(self.folder / f"{program}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *given],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        self._latest[program] = process
        return process

    def running(self, program: str) -> subprocess.Popen[bytes]:
        """The last one that :meth:`dagster` started of that kind."""
        return self._latest[program]

    def cut(self, process: subprocess.Popen[bytes]) -> None:
        """SIGKILL to it and to what it has started in its own group."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def stop(self) -> None:
        """End all that was started with :meth:`dagster`, and the warm server."""
        for process in self._processes:
            if process.poll() is None:
                self.cut(process)
        server = self.warm_server()
        if server is not None:
            identity.end(server)
        (self.home / "holdfast" / "warm.json").unlink(missing_ok=True)

    def warm_server(self) -> str | None:
        """Which process the warm server is, once it takes requests; None while there is none."""
        try:
            state = json.loads((self.home / "holdfast" / "warm.json").read_text())
        except (OSError, ValueError):
            return None
        return str(state["owner"]) if state["socket"] and not identity.gone(state["owner"]) else None

    @staticmethod
    def pause(seconds: float) -> None:
        """Wait."""
        clock.sleep(seconds)
