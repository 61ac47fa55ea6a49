"""What waits: how soon it goes on, and what ten thousand of them cost: ``python -m benchmarks.waiting [--quick]``.

*Signal to next step*: a suspended execution is sent a signal; the time until the line behind its ``signal()`` runs, in the kernel that a
``holdfast worker`` forks. Beside it, in turns: the same by ``holdfast resume`` at that moment, a process and a kernel started afresh.

*Look*: what a worker asks the journal four times a second, with 10,000 suspended executions and with ten.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.table import Row, main
from holdfast.config import Config
from holdfast.executions.signals import send
from holdfast.executions.waking import due
from holdfast.foundation import clock
from holdfast.journal.opening import open_store
from holdfast.journal.store import Store
from holdfast.model.entry import Draft, Pending
from holdfast.model.execution import Change, Execution, Status
from holdfast.testing.sandbox import Sandbox

MANY = 10_000
_CELL = """\
from holdfast import signal
import time
for n in range({rounds}):
    signal('go')
    with open(f'went-on-{{n}}', 'w') as file:
        file.write(str(time.time()))
"""


def measure(*, quick: bool = False) -> list[Row]:
    """All rows; about a minute and a half, or half of that when quick."""
    with tempfile.TemporaryDirectory() as folder:
        return [goes_on(Path(folder), 4 if quick else 10), look(Path(folder))]


def goes_on(folder: Path, rounds: int) -> Row:
    """From the signal to the next line of the cell."""
    sandbox = Sandbox(folder, environment={"HOLDFAST_HOLD_FOR": "0"})
    book = sandbox.notebook("turns", [("step:a", _CELL.format(rounds=2 * rounds))])
    assert sandbox.holdfast("run", book, "--id", "turns").status == 3
    times: dict[str, list[float]] = {"resume": [], "worker": []}
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    for n in range(rounds):
        times["resume"].append(_turn(sandbox, store, n, resume=True))
    worker = sandbox.start("worker", stdout=None, stderr=None)
    clock.sleep(5)  # it warms up once
    for n in range(rounds, 2 * rounds):
        times["worker"].append(_turn(sandbox, store, n, resume=False))
    worker.terminate()
    worker.wait(60)
    store.close()
    theirs, ours = (statistics.median(t) for t in times.values())
    return Row(what="signal to next step", reference="holdfast resume", theirs=theirs, ours=ours, unit="s", wanted="<= 1.5 s")


def _turn(sandbox: Sandbox, store: Store, n: int, *, resume: bool) -> float:
    sandbox.until(lambda: _header(store).status == Status.SUSPENDED, "the wait", 120)
    sent = clock.now()
    send(store, _header(store), "go", n, key=None, who="bench", via="bench")
    engine = sandbox.start("resume", "turns") if resume else None
    place = sandbox.folder / f"went-on-{n}"
    sandbox.until(lambda: place.exists() and place.read_text(), "the next step", 120)
    if engine is not None:
        engine.communicate()
    return float(place.read_text()) - sent


def _header(store: Store) -> Execution:
    found = store.header("turns")
    assert found is not None
    return found


def look(folder: Path) -> Row:
    """A worker's look for what is due, with many that wait and with few."""
    medians = []
    for count in (10, MANY):
        config = Config.load(folder=folder, environment={"HOLDFAST_JOURNAL": f"sqlite:///{folder}/{count}.db"})
        store = open_store(config.journal, key_file=config.key_file)
        fill(store, count)
        times = []
        for _ in range(200):
            begun = clock.monotonic()
            assert [h.id for h in due(store, queued=True, leave=("one", "two"), limit=8)] == ["due"]
            times.append(1000 * (clock.monotonic() - begun))
        medians.append(statistics.median(times))
        store.close()
    return Row(
        what=f"look of a worker, {MANY:,} wait", reference="10 wait", theirs=medians[0], ours=medians[1], unit="ms", wanted="<= 50 ms"
    )


def fill(store: Store, count: int) -> None:
    """So many suspended executions, each with a timer that ends in a year, and one that is due."""
    later = store.now() + 365 * 86400
    for n in range(count):
        store.create(Execution(id=f"e{n}", runbook="waits", status=Status.RUNNING), [Draft(kind="execution.created")])
        timer = Pending(execution=f"e{n}", kind="timer", key="t", due_at=later + n)
        store.append(f"e{n}", [], fence=None, change=Change(status=Status.SUSPENDED, due_at=later + n), opens=[timer])
    store.create(Execution(id="due", runbook="waits", status=Status.SUSPENDED, due_at=store.now() - 1))


if __name__ == "__main__":
    main(measure, __doc__)
