"""Runs of Dagster: how soon a step begins, and what each one costs: ``python -m benchmarks.dagster_runs [--quick]``.

One Dagster home of ours, cold and warm; beside it plain ops in the same home: their workers start as cold, and they run in process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableRepository

from benchmarks.table import Row, show
from holdfast.client import Client
from holdfast.events.cloudevents import from_json
from holdfast.events.inbox import accept
from holdfast.model.execution import Execution, Status
from holdfast.testing.dagster_home import DagsterHome
from holdfast_dagster.warm import Warm

STEPS = 100
_PER = {"s": 1, "ms": 1000}
_DEFINITIONS = """\
import time
from pathlib import Path
import dagster as dg
from holdfast_dagster import build_definitions
HERE = Path(__file__).parent

def op(job, n):
    @dg.op(name=f"{job}_s{n}", ins={"after": dg.In(dg.Nothing)} if n else {}, out=dg.Out(dg.Nothing))
    def body(context):
        if n == 0:
            (HERE / "reached").write_text(str(time.time()))
    return body

def plain(name, count):
    def body():
        last = None
        for n in range(count):
            last = op(name, n)() if last is None else op(name, n)(last)
    return dg.job(name=name, executor_def=dg.in_process_executor)(body)

one = plain("plain_one", 1)

@dg.sensor(job=one, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def plain_sensor(context):
    (HERE / "looked").touch()
    event = HERE / "event"
    return dg.RunRequest(run_key=event.read_text()) if event.exists() else dg.SkipReason("nothing")

defs = dg.Definitions.merge(
    build_definitions(HERE / "runbooks"), dg.Definitions(jobs=[one, plain("plain_many", STEPS)], sensors=[plain_sensor])
)
""".replace("STEPS", str(STEPS))

#: Nobody listens there: the call is not made, and a person is asked.
_ASKS = "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1/order', data=b'one')"


class House:
    """A home whose launcher is warm or cold."""

    def __init__(self, folder: Path, *, warm: bool) -> None:
        folder.mkdir()
        self.home = DagsterHome(
            folder, warm=warm, environment={"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_RETRY_COUNT": "1", "HOLDFAST_RETRY_DELAY": "0"}
        )
        self.reached = folder / "reached"
        note = f"import time\nopen({str(self.reached)!r}, 'w').write(str(time.time()))"
        self.home.runbook("one", [("step:first", note)])
        self.home.runbook("many", [(f"step:s{n}", f"x = {n}") for n in range(STEPS)])
        self.home.runbook("waits", [("step:asks", _ASKS), ("step:next", note)])
        (self.home.runbooks / "rules.toml").write_text('[rules.bench]\nrunbook = "one"\nevent = "bench"\n')
        (folder / "defs.py").write_text(_DEFINITIONS)
        os.environ.update(self.home.environment)
        os.chdir(folder)
        self.instance = dg.DagsterInstance.from_config(str(self.home.home))
        self.repository = ReconstructableRepository.for_file(str(folder / "defs.py"), "defs", str(folder))

    def launch(self, job: str) -> tuple[str, float]:
        """The run's id, and when it was asked for."""
        self.reached.unlink(missing_ok=True)
        found = self.repository.get_reconstructable_job(job)
        definition = found.get_definition()
        began = time.time()
        run = self.instance.create_run_for_job(definition, job_code_origin=found.get_python_origin())
        self.instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
        return run.run_id, began

    def until(self, run_id: str, status: str) -> None:
        """Wait for the status."""

        def there() -> bool:
            run = self.instance.get_run_by_id(run_id)
            return run is not None and (run.status.value == status or run.is_finished)

        self.home.until(there, status, 300)
        run = self.instance.get_run_by_id(run_id)
        assert run is not None and run.status.value == status, (self.home.home / "holdfast" / f"{run_id}.log").read_text()[-3000:]

    def first_step(self, job: str) -> float:
        """Seconds from the launch to the body of the first step."""
        run_id, began = self.launch(job)
        self.until(run_id, "SUCCESS")
        return float(self.reached.read_text()) - began

    def per_step(self, job: str) -> float:
        """Seconds between two steps' ends, on average, over the run but its first few."""
        run_id, _ = self.launch(job)
        self.until(run_id, "SUCCESS")
        ends = [e.timestamp for e in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)]
        return (ends[-1] - ends[4]) / (len(ends) - 5)

    def after_answer(self) -> float:
        """Seconds from the answer to the body of the step after it."""
        from holdfast_dagster.resuming import resume_due

        run_id, _ = self.launch("waits")
        self.until(run_id, "SUSPENDED")
        with Client.open() as client:
            (prompt,) = client.prompts()
            began = time.time()
            client.answer(prompt.id, "skip")
            if self.home.warm_server() is None:
                resume_due(self.instance, client)
            self.until(run_id, "SUCCESS")
        return float(self.reached.read_text()) - began

    @contextmanager
    def daemon(self) -> Iterator[None]:
        """With Dagster's daemon, which dequeues runs and looks at sensors."""
        process = self.home.dagster("daemon")
        self.home.until((self.home.folder / "looked").exists, "the daemon's first look", 120)
        yield
        self.home.cut(process)

    def after_event(self) -> float:
        """Seconds from an event in the inbox to the body of the first step of the runbook that a rule starts for it."""
        self.reached.unlink(missing_ok=True)
        event = {"specversion": "1.0", "source": "/bench", "type": "bench", "id": str(uuid.uuid4())}
        began = time.time()
        with Client.open() as client:
            accept(client.store, [from_json(event)], via="bench")
        return self._reached_after(began)

    def after_plain_event(self) -> float:
        """The same with a file that a sensor of Dagster's looks for, and a plain op."""
        self.reached.unlink(missing_ok=True)
        began = time.time()
        (self.home.folder / "event").write_text(str(uuid.uuid4()))
        return self._reached_after(began)

    def _reached_after(self, began: float) -> float:
        self.home.until(lambda: self.reached.exists() and self.reached.read_text(), "the first step", 120)
        taken = float(self.reached.read_text()) - began
        self.home.until(lambda: all(run.is_finished for run in self.instance.get_runs(limit=1)), "the end of the run", 120)
        return taken


def suspended(house: House, count: int) -> None:
    """So many more suspended executions with their runs, none of them due; written in bulk."""
    from dagster._core.storage.dagster_run import DagsterRun
    from dagster._core.storage.runs.schema import RunsTable, RunTagsTable
    from dagster._serdes import serialize_value

    storage: Any = house.instance.run_storage
    runs, tags = [], []
    with Client.open() as client:
        for _ in range(count):
            run_id = str(uuid.uuid4())
            client.store.create(Execution(id=f"x-{run_id}", runbook="many", status=Status.SUSPENDED))
            given = {"holdfast/execution_id": f"x-{run_id}", ".dagster/holdfast_run": run_id, ".dagster/holdfast_worker": ""}
            run = DagsterRun(job_name="many", run_id=run_id, status=dg.DagsterRunStatus("SUSPENDED"), tags=given)
            runs.append({"run_id": run_id, "pipeline_name": "many", "status": "SUSPENDED", "run_body": serialize_value(run)})
            tags += [{"run_id": run_id, "key": key, "value": value} for key, value in given.items()]
    with storage.connect() as connection:
        connection.execute(RunsTable.insert(), runs)
        connection.execute(RunTagsTable.insert(), tags)


def tick(house: House) -> float:
    """Seconds that one look of the resume sensor takes, of the fastest of ten."""
    from holdfast_dagster.resuming import look

    taken = []
    with Client.open() as client:
        cursor: str | None = None
        for _ in range(10):
            began = time.perf_counter()
            cursor, _ = look(house.instance, client, cursor)
            taken.append(time.perf_counter() - began)
    return min(taken)


@contextmanager
def house(folder: Path, *, warm: bool) -> Iterator[House]:
    """One, ended with all it has started."""
    before, here = dict(os.environ), Path.cwd()
    made = House(folder, warm=warm)
    try:
        if warm:
            Warm(made.home.home).start(dict(os.environ))
            made.home.until(made.home.warm_server, "the warm server", 120)
            for _ in range(2):
                made.first_step("one")  # and the definitions are loaded
        yield made
    finally:
        made.home.stop()
        made.instance.dispose()
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about two minutes, or one when quick."""
    rounds = 3 if quick else 7

    def median(take: Callable[[], float]) -> float:
        return statistics.median(take() for _ in range(rounds))

    taken: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        with house(Path(folder) / "cold", warm=False) as cold:
            taken["plain launch"] = median(lambda: cold.first_step("plain_one"))
            taken["cold launch"] = median(lambda: cold.first_step("one"))
            taken["cold answer"] = median(cold.after_answer)
            with cold.daemon():
                taken["plain event"] = median(cold.after_plain_event)
            taken["plain step"] = median(lambda: cold.per_step("plain_many"))
            taken["step"] = median(lambda: cold.per_step("many"))
            suspended(cold, 10)
            taken["tick of 10"] = tick(cold)
            suspended(cold, 1_000 if quick else 10_000)
            taken["tick of many"] = tick(cold)
        with house(Path(folder) / "warm", warm=True) as warm:
            taken["warm launch"] = median(lambda: warm.first_step("one"))
            taken["warm answer"] = median(warm.after_answer)
            with warm.daemon():
                taken["warm event"] = median(warm.after_event)
    many = f"{1_000 if quick else 10_000:,}"
    told = [  # what, beside what, theirs, ours, unit, wanted
        ("launch -> first step, cold worker", "plain op, cold worker", "plain launch", "cold launch", "s", ""),
        ("launch -> first step, warm", "plain op, cold worker", "plain launch", "warm launch", "s", "<= 1.5 s"),
        ("event -> first step, warm", "plain sensor every second, cold worker", "plain event", "warm event", "s", "<= 1.5 s"),
        ("answer -> next step, cold worker", "plain launch", "plain launch", "cold answer", "s", "<= 5 s"),
        ("answer -> next step, warm", "plain launch", "plain launch", "warm answer", "s", "<= 1.5 s"),
        (f"a look of the resume sensor, {many} suspended", "10 suspended", "tick of 10", "tick of many", "ms", ""),
        (f"a step of {STEPS}, one kernel", "plain op in process", "plain step", "step", "ms", "<= 35 ms"),
    ]
    return [
        Row(
            what=what,
            reference=reference,
            theirs=taken[theirs] * _PER[unit],
            ours=taken[ours] * _PER[unit],
            unit=unit,
            wanted=wanted,
        )
        for what, reference, theirs, ours, unit, wanted in told
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    show(measure(quick=parser.parse_args().quick), title="Dagster runs of runbooks beside plain Dagster")


if __name__ == "__main__":
    main()
