"""Every shipped runbook on its stage in Dagster: it waits as a suspended run, and each effect is made once.

Each is launched, its worker and kernel killed; and all together are started by their schedules' ticks, by events, and from Dagster's page.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

dg = pytest.importorskip("dagster")

from dagster._core.scheduler.instigation import InstigatorStatus  # noqa: E402

from holdfast.client import Client  # noqa: E402
from holdfast.foundation import clock  # noqa: E402
from holdfast.testing import dagster_pages  # noqa: E402
from holdfast.testing.dagster_home import DagsterHome  # noqa: E402
from holdfast.testing.performing import Performance  # noqa: E402
from holdfast.testing.rehearsal import Answer, Rehearsal, Stage, rehearsals  # noqa: E402
from holdfast.testing.stack import Stack  # noqa: E402
from holdfast_dagster.instance import set_up  # noqa: E402
from holdfast_dagster.runbook import dagster_name  # noqa: E402

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
REHEARSALS = {f"{pack.name}/{name}": one for pack in sorted(RUNBOOKS.iterdir()) if pack.is_dir() for name, one in rehearsals(pack).items()}
ENDED = ("succeeded", "failed", "cancelled")
DEFINITIONS = """\
from pathlib import Path
from holdfast_dagster import build_definitions

defs = build_definitions({pack!r})
"""


class ByDagster(Performance):
    """The same with Dagster's daemon between person and execution."""

    home: DagsterHome
    waits = 0

    def stand(self, folder: Path, environment: dict[str, str]) -> DagsterHome:
        (folder / "dagster").mkdir()
        self.home = DagsterHome(folder / "dagster", environment=environment)
        (self.home.folder / "defs.py").write_text(DEFINITIONS.format(pack=str(self.book.parent)))
        return self.home

    @contextmanager
    def served(self, faults: str) -> Iterator[None]:
        """Within: a daemon, whose runs are killed at ``faults``."""
        with dg.DagsterInstance.from_config(str(self.home.home)):
            pass  # the tables, before anybody else wants them
        self.home.environment["HOLDFAST_FAULTS"] = faults
        self.home.dagster("daemon")
        try:
            yield
        finally:
            self.home.stop()

    def launched(self, seconds: float = 600.0) -> tuple[str, Any]:
        """Launch the runbook; when it has ended: its status, and the run."""
        done = self.home.holdfast("launch", self.book, *self.given(), "--json")
        assert done.status == 0, done.err
        self.execution = done.json["execution"]
        deadline = clock.monotonic() + seconds
        while (status := self.further()) not in ENDED:
            assert clock.monotonic() < deadline, (status, (self.home.folder / "daemon.log").read_text()[-4000:])
            clock.sleep(0.5)
        with dg.DagsterInstance.from_config(str(self.home.home)) as instance:
            self.home.until(lambda: instance.get_run_by_id(done.json["run"]).is_finished, "the end of the run", 120)
            return status, instance.get_run_by_id(done.json["run"])

    def further(self) -> str:
        """The execution's status; when it has come to wait anew, people have said something."""
        status = self.home.status(self.execution)
        waits = sum(e.kind == "execution.suspended" for e in self.home.entries(self.execution))
        if status == "suspended" and waits > self.waits:
            self.waits = waits
            self.while_it_waits()
        return status


@pytest.mark.slow
@pytest.mark.timeout(900)  # one that waits again and again is resumed as often, each time by another worker
@pytest.mark.parametrize("name", REHEARSALS)
def test_launched_in_dagster_killed_and_answered(tmp_path: Path, name: str) -> None:
    rehearsal = REHEARSALS[name]
    if rehearsal.needs is not None and not rehearsal.needs():
        pytest.skip(f"what {name} is rehearsed against is not installed")
    with rehearsal.stage(tmp_path) as stage:
        assert isinstance(stage, Stage)
        performance = ByDagster(RUNBOOKS / f"{name}.ipynb", stage, tmp_path)
        with performance.served("call.after_effect@3=kill-both-once"):
            status, run = performance.launched()
        effects = stage.effects()
    performance.home.assert_laws(performance.execution)
    assert (status, run.status.value) == (stage.ends, "SUCCESS" if stage.ends == "succeeded" else "FAILURE"), json.dumps(run.tags)
    assert len(performance.home.struck()) == 1
    assert effects
    assert {effect: n for effect, n in effects.items() if n != 1 and effect not in rehearsal.repeated} == {}, "each effect once"


DAY = f"{datetime.now(UTC).date() - timedelta(days=1)}"
#: The examples have no rehearsal: their parameters, and the calls that change something.
EXAMPLES: dict[str, tuple[dict[str, Any], int]] = {
    "check-host": ({"min_free_percent": 0, "max_load": 1000.0}, 0),
    "restart-workers": ({}, 3),
    "count-requests": ({"day": DAY}, 1),
    "report-errors": ({"day": DAY}, 0),
}


class Together(ByDagster):
    """One of several runbooks in one home: a copy, so that it can be given a schedule, and its stage's environment."""

    def __init__(self, home: DagsterHome, name: str, stage: Stage) -> None:
        self.home, self.name = home, name
        document = json.loads((RUNBOOKS / f"{name}.ipynb").read_text())
        source = f"import os\nos.environ.update({dict(stage.environment)!r})"
        cell = {"cell_type": "code", "id": "stage", "metadata": {"tags": ["setup"]}, "source": source, "outputs": []}
        document["cells"].insert(0, {**cell, "execution_count": None})
        self.document, book = document, home.runbooks / f"{name}.ipynb"
        super().__init__(book, stage, home.folder)
        self.write()

    def stand(self, folder: Path, environment: dict[str, str]) -> DagsterHome:
        return self.home

    def write(self, **metadata: Any) -> None:
        """The copy."""
        self.document["metadata"]["holdfast"] |= metadata
        self.book.parent.mkdir(exist_ok=True)
        self.book.write_text(json.dumps(self.document))

    def _until_due(self, store: Any) -> None:
        """The others do not wait for it."""


def by_schedule(all: list[Together], page: Callable[[], Any]) -> AbstractContextManager[Any]:
    """Each has a schedule that ticks at the next full minute."""
    for one in all:
        given = {k: v for k, v in one.stage.parameters.items() if (one.name.rpartition("/")[2], k) not in PARTITIONED}
        one.write(schedule={"cron": "* * * * *", "overlap": "skip", "parameters": given})
    return daemon(all[0].home)


def by_event(all: list[Together], page: Callable[[], Any]) -> AbstractContextManager[Any]:
    """Each has a rule, and the inbox an event for it."""
    home, events, rules = all[0].home, [], ""
    for one in all:
        kind = f"io.example.{one.book.stem}"
        events.append({"specversion": "1.0", "source": "/s", "id": kind, "type": kind, "data": one.stage.parameters})
        rules += f'[rules.{one.book.stem}]\nrunbook = "{one.book.stem}"\nevent = "{kind}"\n[rules.{one.book.stem}.parameters]\n'
        rules += "".join(f'{name} = "{{{{ data.{name} }}}}"\n' for name in one.stage.parameters)
    (home.runbooks / "rules.toml").write_text(rules)
    (home.folder / "events.json").write_text(json.dumps(events))
    sent = home.holdfast("events", "send", home.folder / "events.json")
    assert sent.status == 0, sent
    return daemon(home)


@contextmanager
def by_page(all: list[Together], page: Callable[[], Any]) -> Iterator[dict[str, str]]:
    """``holdfast up``; each is launched from Dagster's page, in Chromium. At the end each run's page says how it ended."""
    with Stack(all[0].home.folder, all[0].home.environment) as stack:
        runs, tab = {}, page()
        for one in all:
            name = dagster_name(one.name.replace("/", "__"))
            given = {k: v for k, v in one.stage.parameters.items() if (one.book.stem, k) not in PARTITIONED}
            if given == dict(one.stage.parameters):
                runs[one.name] = dagster_pages.launch_with(tab, stack.url, name, given)
            else:
                runs[one.name] = dagster_pages.materialize_latest(tab, stack.url, name, f"{name}__steps", given)
        yield runs
        for one in all:
            tab.goto(f"{stack.url}/runs/{runs[one.name]}")
            dagster_pages.status(tab, "Success" if one.stage.ends == "succeeded" else "Failure")


@contextmanager
def daemon(home: DagsterHome) -> Iterator[None]:
    """Dagster's, within."""
    home.dagster("daemon")
    yield


#: Parameters that a schedule's tick gives by itself.
PARTITIONED = {("count-requests", "day"), ("report-errors", "day")}


def stop_ticking(instance: Any, book: Path) -> None:
    """No second tick of a schedule that has started what it should."""
    name = f"__{book.stem.replace('-', '_')}__schedule"
    for state in instance.all_instigator_state():
        if state.instigator_name.endswith(name) and state.is_running:
            instance.update_instigator_state(state.with_status(InstigatorStatus.STOPPED))


@contextmanager
def staged(home: DagsterHome) -> Iterator[dict[str, tuple[Rehearsal | None, Together]]]:
    """All shipped runbooks in one home, each on its stage."""
    shop = home.folder / "shop-data"
    shop.mkdir()
    (shop / f"requests-{DAY}.json").write_text(json.dumps([{"hour": "00:00", "requests": 10, "errors": 0}]))
    there: dict[str, tuple[Rehearsal | None, Together]] = {}
    with ExitStack() as stages:
        for name, rehearsal in REHEARSALS.items():
            if rehearsal.needs is not None and not rehearsal.needs():
                continue
            # the hand-over's two executions wait in the journal that it looks at
            folder = home.folder if name == "on-call/hand-over" else home.folder / "stages" / name
            folder.mkdir(parents=True, exist_ok=True)
            there[name] = rehearsal, Together(home, name, stages.enter_context(rehearsal.stage(folder)))
        for name, (parameters, _) in EXAMPLES.items():
            place = {} if name == "check-host" else {"folder": str(shop)}
            stage = Stage(effects=Counter, state=dict, parameters={**parameters, **place}, answers={"": Answer("skip")})
            there[f"examples/{name}"] = None, Together(home, f"examples/{name}", stage)
        assert {one.book.stem for _, one in there.values()} >= {b.stem for b in RUNBOOKS.rglob("*.ipynb")} - {"long-queries"}
        yield there


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("start", [by_schedule, by_event, by_page])
def test_all_started_by_dagster_and_answered(
    tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    quick = {"HOLDFAST_HOLD_FOR": "0", "HOLDFAST_STATE_DIR": str(tmp_path / ".holdfast"), "HOLDFAST_USER": "starter"}
    home = DagsterHome(tmp_path, warm=True, environment=quick)
    for name in ("HOLDFAST_JOURNAL", "HOLDFAST_KEY_FILE", *quick):
        monkeypatch.setenv(name, home.environment[name])
    (home.folder / "defs.py").write_text(DEFINITIONS.format(pack=str(home.runbooks)))
    if start is by_page:
        (home.home / "dagster.yaml").unlink()  # `holdfast up` has its own
    set_up(home.home)
    with staged(home) as there, dg.DagsterInstance.from_config(str(home.home)) as instance, Client.open() as client:
        try:
            with start([one for _, one in there.values()], lambda: request.getfixturevalue("page")) as runs:
                ended = to_their_ends(there, instance, client)
        finally:
            home.stop()
        assert not runs or runs == {name: run.run_id for name, run in ended.items()}, "one run each, from launch to end"
        for name, (rehearsal, one) in there.items():
            home.assert_laws(one.execution)
            run, stage = ended[name], one.stage
            assert home.status(one.execution) == stage.ends, name
            assert run.status.value == ("SUCCESS" if stage.ends == "succeeded" else "FAILURE"), (name, run.tags)
            assert ("holdfast/schedule" in run.tags) == (start is by_schedule), run.tags
            if rehearsal is None:
                calls = Counter(str(e.data["operation"]) for e in home.entries(one.execution) if e.kind == "call.intent")
                assert list(calls.values()) == [1] * EXAMPLES[one.book.stem][1], (name, calls)
                continue
            effects = stage.effects()
            assert effects, name
            assert {effect: n for effect, n in effects.items() if n != 1 and effect not in rehearsal.repeated} == {}, name
        assert len([r for r in client.list() if (r.path or "").startswith(str(home.runbooks))]) == len(there), "each started once"


def to_their_ends(there: dict[str, tuple[Rehearsal | None, Together]], instance: Any, client: Client) -> dict[str, Any]:
    """Answer all there is to answer until all have ended; their runs. Who hands the shift over is answered when nobody else waits."""
    ended: dict[str, Any] = {}
    deadline, begun, home = clock.monotonic() + 1200, set[str](), next(iter(there.values()))[1].home
    while len(ended) < len(there):
        told = {name: home.status(one.execution) for name, (_, one) in there.items() if name in begun and name not in ended}
        log = (home.folder / "daemon.log").read_text()[-3000:] if (home.folder / "daemon.log").exists() else ""
        assert clock.monotonic() < deadline, (told, sorted(there.keys() - begun), log)
        for name, (_, one) in there.items():
            if name not in begun:
                if found := client.store.headers(path=str(one.book)):
                    begun.add(name)
                    one.execution = found[0].id
                    stop_ticking(instance, one.book)
            elif name not in ended and (name != "on-call/hand-over" or len(ended) == len(there) - 1) and one.further() in ENDED:
                # the last: on a machine under great strain Dagster's SQLite may fail a run, which another one then continues
                run = next(r for r in instance.get_runs() if one.execution == r.tags.get("holdfast/execution_id"))
                if run.is_finished:
                    ended[name] = run
        clock.sleep(0.5)
    return ended
