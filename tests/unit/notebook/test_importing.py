"""Markdown runbooks and plain notebooks as skeletons."""

from __future__ import annotations

from typing import Any

from holdfast.notebook.check import check
from holdfast.notebook.compile import examine
from holdfast.notebook.importing import from_markdown, from_notebook
from holdfast.notebook.reader import read

ALERT = """# KubePodCrashLooping

A pod restarts over and over.

## Look

```bash
$ kubectl -n <namespace> get pods
$ kubectl -n <namespace> logs ${pod} --previous
```

## Delete the pod

```console
kubectl -n <namespace> delete pod ${pod}
```

## Query

```promql
rate(restarts[5m])
```

Call the owner when that does not help.
"""


def sources(book: dict[str, Any]) -> list[tuple[list[str], str]]:
    return [(c["metadata"].get("tags", []), c["source"]) for c in book["cells"] if c["cell_type"] == "code"]


def test_an_alert_runbook_becomes_steps_with_parameters_and_a_gate() -> None:
    book = from_markdown(ALERT)
    manifest = examine(read(book, name="crash")).manifest
    assert [s.name for s in manifest.steps] == ["look", "delete-the-pod", "query"]
    assert [p.name for p in manifest.parameters] == ["namespace", "pod", "prometheus_url"]
    found = {tags[0]: source for tags, source in sources(book)}
    assert found["step:look"] == "!kubectl -n {namespace} get pods\n!kubectl -n {namespace} logs {pod} --previous"
    assert found["step:delete-the-pod"].index("confirm(") < found["step:delete-the-pod"].index("!kubectl")
    assert found["step:query"] == "# TODO: parameter prometheus_url\ndisplay(metrics.query('rate(restarts[5m])'))"
    assert [f for f in check(read(book, name="crash")) if f.severity == "error" or f.code == "NB504"] == []
    prose = [c["source"] for c in book["cells"] if c["cell_type"] == "markdown"]
    assert "Call the owner" in prose[-2]
    assert "TODO" in prose[-1]


def test_a_plain_notebook_keeps_its_code_and_loses_its_outputs() -> None:
    plain = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {},
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": "# Volumes\n## Find them"},
            {"cell_type": "code", "metadata": {}, "source": ["import os\n", "import json"], "outputs": [{"x": 1}], "execution_count": 3},
            {"cell_type": "code", "metadata": {}, "source": "found = os.listdir('.')", "outputs": [], "execution_count": 4},
            {"cell_type": "code", "metadata": {}, "source": "print(found)", "outputs": [], "execution_count": 5},
            {"cell_type": "code", "metadata": {}, "source": " ", "outputs": [], "execution_count": None},
        ],
    }
    book = from_notebook(plain)
    assert [tags for tags, _ in sources(book)] == [["parameters"], ["setup"], ["step:find-them"], ["step:find-them-2"]]
    assert all(c.get("outputs", []) == [] for c in book["cells"])
    assert [f for f in check(read(book, name="volumes")) if f.severity == "error"] == []
