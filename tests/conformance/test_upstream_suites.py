"""The suites of ipykernel, nbclient and papermill, unchanged, with the kernel ``python3`` being Holdfast.

``make upstream-suites`` fetches them into ``out/upstream``. What a plain kernel fails here too is listed in ``known.txt``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITES = HERE.parents[1] / "out" / "upstream"

#: name of the run -> (distribution, modules, how many tests there are at least)
RUNS: dict[str, tuple[str, list[str], int]] = {
    "ipykernel-kernel": ("ipykernel", ["tests/test_kernel.py", "tests/test_message_spec.py"], 55),
    "ipykernel-parts": (
        "ipykernel",
        ["tests/test_comm.py", "tests/test_async.py", "tests/test_subshells.py", "tests/test_displayhook.py", "tests/test_io.py",
         "tests/test_jsonutil.py", "tests/test_connect.py", "tests/test_start_kernel.py", "tests/test_zmq_shell.py"],
        60,
    ),
    "ipykernel-debugger": ("ipykernel", ["tests/test_debugger.py"], 10),
    "nbclient": ("nbclient", ["tests/test_client.py", "tests/test_cli.py"], 100),
    "papermill": (
        "papermill",
        [f"papermill/tests/test_{m}.py" for m in ("engines", "execute", "clientwrap", "parameterize", "cli", "inspect")],
        100,
    ),
}  # fmt: skip


def known(run: str) -> set[str]:
    """Tests that fail on the plain kernel in the same way."""
    lines = [line.partition("#")[0].split() for line in (HERE / "known.txt").read_text().splitlines()]
    return {words[1] for words in lines if words and words[0] == run}


def execute(run: str, folder: Path, kernel: list[str] | None) -> tuple[set[str], int]:
    """Run a suite with ``kernel`` as python3 (None: the one installed); returns what failed and how many tests ran."""
    distribution, modules, _ = RUNS[run]
    [root] = [p for p in SUITES.glob(f"{distribution}-*") if p.is_dir()]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HOLDFAST_"))}
    if kernel is not None:
        spec = folder / "jupyter" / "kernels" / "python3"
        spec.mkdir(parents=True)
        (spec / "kernel.json").write_text(
            json.dumps({
                "argv": kernel, "display_name": "Python 3 (ipykernel)", "language": "python", "kernel_protocol_version": "5.5",
                "metadata": {"debugger": True, "supported_encryption": ["curve"]},
            })
        )  # fmt: skip
        environment["JUPYTER_PATH"] = str(folder / "jupyter")
    report = folder / "report.xml"
    environment |= {
        "HOLDFAST_JOURNAL": f"sqlite:///{folder}/journal.db",
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": os.pathsep.join(map(str, (SUITES / "site", HERE, root))),
        "JUPYTER_PLATFORM_DIRS": "1",
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    }
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_asyncio", "-p", "no_coverage"]
    options = ["-q", "-W", "ignore", "--timeout=120", "-o", "markers=flaky: may be repeated", f"--rootdir={root}", f"--junit-xml={report}"]
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "pytest", *plugins, *options, *modules]
        subprocess.run(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    cases = list(Xml.parse(report).iter("testcase"))
    failed = {f"{c.get('classname')}::{c.get('name')}" for c in cases if c.find("failure") is not None or c.find("error") is not None}
    return failed, sum(1 for c in cases if c.find("skipped") is None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SUITES.is_dir(), reason="make upstream-suites fetches them")
@pytest.mark.parametrize("run", RUNS)
def test_upstream_suite_passes_on_the_holdfast_kernel(run: str, tmp_path: Path) -> None:
    failed, count = execute(run, tmp_path, [sys.executable, "-m", "holdfast.kernel", "-f", "{connection_file}"])
    assert failed - known(run) == set(), (tmp_path / "log.txt").read_text()[-4000:]
    assert count >= RUNS[run][2]


if __name__ == "__main__":  # what fails on the plain kernel: python tests/conformance/test_upstream_suites.py RUN FOLDER [holdfast]
    kernel = [sys.executable, "-m", "holdfast.kernel", "-f", "{connection_file}"] if sys.argv[3:] else None
    Path(sys.argv[2]).mkdir(parents=True)
    failing, number = execute(sys.argv[1], Path(sys.argv[2]), kernel)
    print(number, *sorted(failing), sep="\n")
