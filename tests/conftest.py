"""Fixtures that every suite may use."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from holdfast.notebook.grammars import skip_grammars
from holdfast.testing.clocks import StillClock, still_clock
from holdfast.testing.postgres import PostgresServer, find_binaries


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole session. A test that stops or kills it takes a server of its own instead."""
    if find_binaries() is None:
        pytest.skip("PostgreSQL 15 or newer is not installed")
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a fresh, empty database."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a fresh journal, of both kinds."""
    return f"sqlite:///{tmp_path}/journal.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def still() -> Iterator[StillClock]:
    """A clock that stands still in this process."""
    with still_clock() as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Real Chromium, headless. Playwright's event loop counts as running until it is closed, so it ends with a module's tests."""
    from playwright.sync_api import sync_playwright

    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("Chromium is not installed")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-quic"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page whose last look is kept as a picture beside the test's files."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 1400})
    yield tab
    tab.screenshot(path=str(tmp_path / f"{request.node.name}.png"))
    tab.close()


# ---- the same everywhere: no settings of the person who runs the tests, no slow imports, and marks by folder ----

for _name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
    del os.environ[_name]

skip_grammars()

hypothesis.settings.register_profile("any machine", deadline=None)  # how long an example takes tells of the machine, not of the code
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    """A build in the background ignores SIGINT, SIGQUIT or SIGHUP, and hands that down to every process the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    folders = {"crash": pytest.mark.crash, "browser": pytest.mark.browser}
    for item in items:
        for folder, mark in folders.items():
            if item.path.is_relative_to(Path(__file__).parent / folder):
                item.add_marker(mark)


# ---- skips: a test that did not run proves nothing ----

_ALLOWED = Path(__file__).parent / "skips.txt"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test was skipped that tests/skips.txt does not allow")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("--no-skips"):
        for one in _unexpected_skips(terminalreporter):
            terminalreporter.write_line(f"SKIPPED WITHOUT LEAVE {one}", red=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus == pytest.ExitCode.OK and session.config.getoption("--no-skips"):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if _unexpected_skips(reporter):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _unexpected_skips(reporter: Any) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in _ALLOWED.read_text().splitlines()]
    allowed = [line for line in lines if line]
    skipped = [report.nodeid for report in reporter.stats.get("skipped", [])]
    return sorted({node for node in skipped if not any(fnmatch(node, pattern) for pattern in allowed)})
