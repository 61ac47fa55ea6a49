"""A pytest plugin for the upstream suites: one of them asks whether coverage is measured."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cov", default=None)
