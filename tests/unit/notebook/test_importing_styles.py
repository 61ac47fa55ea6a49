"""Runbooks as they are written elsewhere: what comes out passes the checks, has its TODO marks, and nothing of the text is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest

from holdfast.notebook.check import check
from holdfast.notebook.compile import examine
from holdfast.notebook.importing import from_bytes, from_markdown, from_notebook
from holdfast.notebook.reader import read

KUBE_PROMETHEUS = """---
title: Kube Node Not Ready
weight: 20
---

# KubeNodeNotReady

## Meaning

KubeNodeNotReady alert is fired when a Kubernetes node is not in `Ready`
state for a certain period. {{< hint info >}} See `kubectl explain node`. {{< /hint >}}

## Diagnosis

The notification details should list the node that's not ready. For Example:

```txt
 - alertname = KubeNodeNotReady
 - node = node1.example.com
```

Login to the cluster. Check the status of that node:

```shell
$ kubectl get node $NODE -o yaml
$ kubectl get pods -A --field-selector spec.nodeName=$NODE \\
    -o jsonpath='{.items[*].metadata.name}'
NAME     READY
web-1    1/1
```

## Mitigation

Once, the problem was resolved that prevented node from being replaced,
the instance should be terminated: `kubectl drain <node-name> --ignore-daemonsets`.
"""

GITLAB = """# Postgresql: too many long transactions

**Table of Contents**

[[_TOC_]]

1. Find who it is. On `patroni-main-01`:

   ```sql
   SELECT pid, state, query FROM pg_stat_activity WHERE state <> 'idle';
   ```

2. When it is a migration:

   - look at the job

     ```bash
     # this is a comment
     gitlab-rails runner 'puts Gitlab::Database.main.version'
     ```

   - then end it:

     ```sh
     for pid in $(sudo gitlab-psql -t -c "select pid from pg_stat_activity where usename = '${DB_USER}'"); do
       sudo kill -9 "$pid"
     done
     ```

3. Query in Thanos:

```promql
sum by (fqdn) (rate(pg_stat_database_xact_commit[5m]))

# replicas only
max(pg_replication_lag{env="gprd"})
```

> ```console
> root@web-1:~$ systemctl status puma
> active (running)
> ```
"""

MORE = """Disk
====

```
df -h <mount point>
find <mount point> -name '*.log' -mtime +7 -delete
```

```
2026-11-21 ERROR no space left on device
```

~~~yaml
apiVersion: v1
kind: Pod  # ```
~~~

```ruby
puts 1
```

```{.bash caption="a here document"}
cat <<EOF > /etc/logrotate.d/app
/var/log/{{ $labels.app }}/*.log { daily }
EOF
export REGION=eu-west-1
aws --region $REGION ec2 terminate-instances --instance-ids <class>
```

```python
print "old"
```

```bash
never closed
"""

NO_CODE = """# What to do

1. Call the data centre.
2. Wait.
   * Ask for *remote hands*
     * at night, too
"""

MARKDOWN = {
    "kube-prometheus": KUBE_PROMETHEUS.encode(),
    "gitlab": GITLAB.encode(),
    "more": MORE.encode(),
    "no-code": NO_CODE.encode(),
    "crlf": GITLAB.replace("\n", "\r\n").encode(),
    "bom": b"\xef\xbb\xbf" + KUBE_PROMETHEUS.encode(),
    "broken": GITLAB.replace("migration", "mïgration").encode("latin-1"),
    "utf-16": MORE.encode("utf-16"),
    "empty": b"",
}


def book_of(raw: bytes) -> dict[str, Any]:
    return from_markdown(*from_bytes(raw))


def sources(book: dict[str, Any]) -> dict[str, str]:
    return {c["metadata"]["tags"][0]: c["source"] for c in book["cells"] if c["cell_type"] == "code"}


def words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9]{3,}", text)


@pytest.mark.parametrize("style", MARKDOWN)
def test_it_passes_the_checks_is_marked_and_loses_nothing(style: str) -> None:
    text, _ = from_bytes(MARKDOWN[style])
    book = book_of(MARKDOWN[style])
    notebook = read(book, name=style)
    manifest = examine(notebook).manifest
    assert [f for f in check(notebook) if f.severity == "error" or f.code in ("NB504", "NB602", "NB603")] == []
    assert manifest.steps
    everything = "\n".join(c["source"] for c in book["cells"])
    assert everything.count("TODO") > 1
    kept = {w.lower() for w in words(everything)}
    fences = ("bash", "console", "caption", "promql", "shell", "sql", "ruby", "python", "labels")
    assert [w for w in words(text) if w.lower() not in kept and w.lower() not in fences] == []


def test_prompts_output_and_continued_lines() -> None:
    made = sources(book_of(KUBE_PROMETHEUS.encode()))
    assert made["parameters"].splitlines()[0].startswith('node: str = ""')
    assert made["step:diagnosis"].splitlines() == [
        "!kubectl get node {node} -o yaml",
        "!kubectl get pods -A --field-selector spec.nodeName={node} -o jsonpath='{{.items[*].metadata.name}}'",
        "# shows: NAME     READY",
        "# shows: web-1    1/1",
    ]
    assert made["step:also-mitigation"].splitlines()[1] == "# !kubectl drain <node-name> --ignore-daemonsets", "a phrase is not run unasked"


def test_nested_lists_scripts_queries_and_quotations() -> None:
    made = sources(book_of(GITLAB.encode()))
    script = next(s for s in made.values() if s.startswith("%%bash"))
    assert script.splitlines()[:3] == ['%%bash -s "{db_user}"', "set -euo pipefail", 'db_user="$1"']
    assert "'${db_user}'" in script
    assert '"$pid"' in script
    assert sum("confirm(" in s for s in made.values()) == 1, "before the script that kills"
    assert any("# this is a comment\n!gitlab-rails runner" in s for s in made.values())
    query = next(s for s in made.values() if "metrics.query" in s and "display" in s)
    assert query.count("display(metrics.query(") == 2
    assert "# at root@web-1:~\n!systemctl status puma\n# shows: active (running)" in made.values()
    assert any(s.startswith("# TODO: this is sql") for s in made.values())


def test_blocks_without_a_language_old_python_and_fences_in_fences() -> None:
    book = book_of(MORE.encode())
    made = sources(book)
    assert made["step:disk"].startswith("!df -h {mount_point}\n# TODO: this destroys")
    assert "find {mount_point} -name '*.log' -mtime +7 -delete" in made["step:disk"]
    prose = "\n".join(c["source"] for c in book["cells"] if c["cell_type"] == "markdown")
    assert "no space left on device" in prose
    assert "kind: Pod  # ```\n~~~" in prose
    assert "never closed" in prose
    script = next(s for s in made.values() if s.startswith("%%bash"))
    assert script.splitlines()[0] == '%%bash -s "{app}" "{class_}"'
    assert "--region $REGION" in script
    assert script.endswith('# caption="a here document"')
    assert any(s.startswith("# TODO: this is Python 2") for s in made.values())


def test_bytes_that_are_no_text_are_shown_and_told() -> None:
    text, wrong = from_bytes("café".encode("latin-1"))
    assert (text, wrong) == ("caf\\xe9", 1)
    assert from_bytes("café\r\n".encode()) == ("café\n", 0)
    assert "1 bytes of the file were no UTF-8" in book_of(MARKDOWN["broken"])["cells"][0]["source"]


def plain(*cells: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    made = [{"metadata": {}, **({"outputs": [], "execution_count": 1} if c["cell_type"] == "code" else {}), **c} for c in cells]
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": made}


def code(source: str, **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": metadata}


NOTEBOOKS = {
    "magics": plain(
        {"cell_type": "markdown", "source": "# Clean up\n![](attachment:a.png)", "attachments": {"a.png": {"image/png": "AAAA"}}},
        code("%matplotlib inline\nimport boto3"),
        code("%%time\nec2 = boto3.client('ec2')\nvols = ec2.describe_volumes()['Volumes']"),
        code("%%bash\nset -e\nkubectl -n shop delete pod web-1"),
        code("!ls -l\nfiles = !ls"),
        code("for v in vols:\n    ec2.delete_volume(VolumeId=v['VolumeId'])"),
        {"cell_type": "raw", "source": "raw text"},
    ),
    "python-2": plain(code("print 'old'"), code("x = 1", name="kept")),
    "bash": plain(code("kubectl -n a get pods\nfor i in 1 2; do echo $i; done"), kernelspec={"name": "bash", "language": "bash"}),
    "r": plain(code("x <- c(1, 2)"), kernelspec={"name": "ir", "language": "R"}),
}


@pytest.mark.parametrize("kind", NOTEBOOKS)
def test_a_plain_notebook_passes_the_checks_and_loses_nothing(kind: str) -> None:
    book = from_notebook(NOTEBOOKS[kind])
    found = [f for f in check(read(book, name=kind)) if f.severity == "error" or f.code == "NB504"]
    assert found == []
    everything = "\n".join(c["source"] for c in book["cells"])
    assert "TODO" in everything
    assert [w for c in NOTEBOOKS[kind]["cells"] for w in words(c["source"]) if w not in words(everything)] == []
    if kind == "magics":
        assert book["cells"][0]["attachments"] == {"a.png": {"image/png": "AAAA"}}
        asks = [t for t in sources(book) if t.startswith("step:ask-")]
        assert len(asks) == 2, "before the script, and before the loop"
