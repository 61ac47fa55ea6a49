"""Checks: each finds what it is for, and leaves well-written cells alone."""
# ruff: noqa: E501 - a cell in one line is easier to read than one cut into pieces

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.notebook.book import Book
from holdfast.notebook.check import all_codes, check
from holdfast.notebook.finding import Finding
from holdfast.notebook.reader import read

ROOT = Path(__file__).parents[3]
SETUP = (
    "setup",
    "import boto3, time, subprocess, requests\nec2 = boto3.client('ec2')\nfrom holdfast import confirm, ask, approve, for_each, call, wait",
)

#: code -> (cells that must give it, cells that must not)
CASES: dict[str, tuple[list[Any], list[Any]]] = {
    "NB001": (
        [["x = = 1"], ["if x\n    pass"], ["!ls\nx = ("], ["%%time\nx = = 1"]],
        [["await f()\ndef f(): pass"], ["!ls | grep x"], ["%%bash\nif [ x ]; then y; fi"], ["x = !ls\nx?"], [""], ["%%capture c\nx = 1"]],
    ),
    "NB104": (
        [["raise ValueError('stop')", "print(1)"], [("step:a", "x = 1", {"when": "False"})], ["import sys\nsys.exit(1)", "print(1)"]],
        [
            ["x = 1\nif x:\n    raise ValueError('stop')", "print(1)"],
            [("step:a", "raise ValueError(1)", {"on_failure": "b"}), ("step:b", "1")],
        ],
    ),
    "NB112": (
        [[("step:a", "x", {"when": "x >"})], [("step:a", "1", {"when": "'x > 1'"})]],
        [["x = 2", ("step:a", "1"), ("step:b", "1", {"when": "len([x]) > 1"})]],
    ),
    "NB113": (
        [[("step:a", "x = 1"), ("step:b", "x = 2", {"after": []})]],
        [[("step:a", "x = 1"), ("step:b", "y = 2", {"after": []})], [("step:a", "x = 1"), ("step:b", "x = 2")]],
    ),
    "NB201": (
        [
            ["print(totl)", "total = 1"],
            ["for v in volumes:\n    print(v)"],
            [("step:a", "1", {"when": "nope"})],
            ["!echo {who}"],
            ["def f():\n    return nope\nf()"],
        ],
        [
            ["import os\nprint(os, __name__, get_ipython(), _)"],
            ["from os.path import *\nprint(join)"],
            ["!echo $HOME $who"],
            ["exec('q = 1')\nprint(q)"],
            [("parameters", "n: int"), ("step:a", "print(n)")],
            ["x = [y for y in range(3)]\nprint({k: v for k, v in enumerate(x)})"],
            ["try:\n    z\nexcept NameError:\n    z = 1"],
            ["%%capture out\nq = 1", "print(out, q)"],
            ["def f(a, *b, c=1, **d):\n    e = a\n    def g():\n        nonlocal e\n        e = 2\n    return b, c, d, e, g"],
            ["class A:\n    n = 1\n    m = n\n    def f(self): return __class__"],
            ["%run other.ipynb", "print(anything)"],
        ],
    ),
    "NB202": (
        [
            ["print(x)", "x = 1"],
            ["for i in range(3):\n    print(total)\n    total = i"],
            ["def f():\n    return x\nf()", "x = 1"],
            ["print(y); y = 1"],
        ],
        [
            ["def f():\n    return x", "x = 1\nf()"],
            ["first = None\nfor i in range(3):\n    if first is None:\n        first = i"],
            ["for i in range(3):\n    if i:\n        print(prev)\n    prev = i"],
            ["x = 1", "x += 1"],
            ["def a(): return b()\ndef b(): return 1\na()"],
        ],
    ),
    "NB203": (
        [[("step:a", "1"), ("step:b", "y = 1", {"after": ["a"]}), ("step:c", "print(y)", {"after": ["a"]})]],
        [[("step:a", "1"), ("step:b", "y = 1", {"after": ["a"]}), ("step:c", "print(y)", {"after": ["b"]})]],
    ),
    "NB301": (
        [
            ["try:\n    print(open('x'))\nexcept:\n    pass"],
            ["try:\n    print(open('x'))\nexcept Exception as e:\n    print(e)"],
            ["for i in []:\n    try:\n        int(i)\n    except (ValueError, Exception):\n        continue"],
            ["import contextlib\nwith contextlib.suppress(Exception):\n    open('x')"],
        ],
        [
            ["try:\n    import rich\nexcept Exception:\n    rich = None"],
            ["try:\n    print(open('x'))\nexcept FileNotFoundError:\n    pass"],
            ["try:\n    print(open('x'))\nexcept Exception:\n    print('no')\n    raise"],
            ["def undo(): pass\ntry:\n    print(open('x'))\nexcept Exception:\n    undo()"],
            ["import contextlib\nwith contextlib.suppress(KeyError):\n    {}['x']"],
        ],
    ),
    "NB302": (
        [
            ["def f():\n    try:\n        return open('x')\n    except Exception as e:\n        return {'error': str(e)}"],
            ["def f():\n    try:\n        return open('x')\n    except Exception:\n        return None"],
        ],
        [
            ["def f():\n    try:\n        return open('x')\n    except FileNotFoundError:\n        return None"],
            ["def f():\n    try:\n        return open('x')\n    except Exception:\n        raise RuntimeError('x')"],
        ],
    ),
    "NB303": (
        [["!kubectl -n a scale deploy/x --replicas 3"], ["out = !helm -n a upgrade x y"]],
        [
            ["!kubectl -n a get pods"],
            ["!kubectl -n a scale deploy/x --replicas 3\nassert _exit_code == 0"],
            ["%%bash\nset -e\nkubectl -n a scale x"],
        ],
    ),
    "NB304": (
        [[SETUP, "subprocess.run(['systemctl', 'restart', 'x'])"], ["import os\nos.system('systemctl restart x')"]],
        [
            [SETUP, "subprocess.run(['systemctl', 'restart', 'x'], check=True)"],
            [SETUP, "subprocess.run(['ls'])"],
            [SETUP, "r = subprocess.run(['x'])\nprint(r.returncode)"],
        ],
    ),
    "NB305": (
        [["%%bash\nsystemctl stop x\nsystemctl start x"]],
        [
            ["%%bash\nset -euo pipefail\nsystemctl stop x\nsystemctl start x"],
            ["%%bash\nls\ndf -h"],
            ["%%bash\n# restart it\nsystemctl restart x"],
        ],
    ),
    "NB401": (
        [
            ["import socket\ns = socket.create_connection(('a', 1))"],
            ["import pymongo"],
            ["import ctypes\nctypes.CDLL('libc.so.6')"],
            ["from redis import Redis"],
            ["import os\nos.fork()"],
        ],
        [
            ["import socket\nprint(socket.gethostname())"],
            ["from holdfast import call\nimport pymongo\n@call\ndef find(): return pymongo.MongoClient()"],
            [SETUP, "requests.get('http://x')"],
        ],
    ),
    "NB402": (
        [
            ["import threading\nt = threading.Thread(target=print)\nt.start()"],
            ["from concurrent.futures import ThreadPoolExecutor\np = ThreadPoolExecutor()\np.submit(print)"],
            ["import asyncio\nasync def f(): pass\nasyncio.create_task(f())"],
            [SETUP, "p = subprocess.Popen(['tail', '-f', 'x'])"],
        ],
        [
            ["import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()"],
            ["from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as p:\n    p.submit(print)"],
            [SETUP, "p = subprocess.Popen(['ls'])\np.wait()"],
        ],
    ),
    "NB403": (
        [
            [SETUP, "time.sleep(600)"],
            ["from time import sleep\nsleep(60 * 5)"],
            [("parameters", "pause: int = 120"), SETUP, "time.sleep(pause)"],
        ],
        [[SETUP, "time.sleep(30)"], [SETUP, "wait(600)"], [SETUP, "n = 5\ntime.sleep(n)"]],
    ),
    "NB404": (
        [[SETUP, "end = 5\nwhile time.time() < end:\n    time.sleep(5)"]],
        [[SETUP, "while True:\n    time.sleep(5)\n    break"], [SETUP, "if time.time() > 5:\n    print('late')"]],
    ),
    "NB405": (
        [[("step:a", "f = open('x')"), ("step:b", "print(f.read())")], [("step:a", "g = (i for i in [1])"), ("step:b", "print(next(g))")]],
        [[("step:a", "f = open('x')\nprint(f.read())"), ("step:b", "1")], [("step:a", "g = [i for i in [1]]"), ("step:b", "print(g)")]],
    ),
    "NB501": (
        [
            [SETUP, "v = 1\nif not confirm('delete?'):\n    ec2.delete_volume(VolumeId=v)"],
            [SETUP, "v = 1\nanswer = ask('delete?')\nif answer == 'no':\n    ec2.delete_volume(VolumeId=v)"],
            [SETUP, "v = 1\nanswer = ask('delete?')", "if answer.lower() != 'yes':\n    !kubectl -n a delete pod x"],
            [
                SETUP,
                "v = 1\nok = confirm('go?')\nif ok:\n    raise SystemExit('aborted')\nelse:\n    ec2.terminate_instances(InstanceIds=[v])",
            ],
            [SETUP, "v = 1\nok = confirm('go?')\nif ok:\n    raise SystemExit('aborted')\nec2.terminate_instances(InstanceIds=[v])"],
            [SETUP, "ok = approve('scale?')\nif not ok:\n    !kubectl -n a scale deploy/x --replicas 0\nelse:\n    print('declined')"],
        ],
        [
            [SETUP, "v = 1\nif confirm('delete?'):\n    ec2.delete_volume(VolumeId=v)"],
            [SETUP, "v = 1\nif not confirm('delete?'):\n    raise SystemExit('declined')\nec2.delete_volume(VolumeId=v)"],
            [SETUP, "v = 1\nanswer = ask('what?')\nif answer == 'disable':\n    ec2.delete_volume(VolumeId=v)"],
            [SETUP, "answer = ask('go?')\nif answer == 'no':\n    !slack send declined"],
            [SETUP, "v = 1\nanswer = ask('keep?')\nif answer in ('yes', 'ok'):\n    ec2.delete_volume(VolumeId=v)"],
        ],
    ),
    "NB502": (
        [[SETUP, "ask('which?')"], [SETUP, "ok = confirm('go?')\nprint('going')"]],
        [
            [SETUP, "confirm('go?')"],
            [SETUP, "ok = confirm('go?')\nprint(ok)"],
            [SETUP, ("step:a", "which = ask('?')"), ("step:b", "!echo {which}")],
            [SETUP, ("step:a", "go = ask('?')"), ("step:b", "1", {"when": "go == 'yes'"})],
        ],
    ),
    "NB503": (
        [
            [
                SETUP,
                "vols = [1]\nold = [v for v in vols if v > 1]\nconfirm(f'{len(old)}?')",
                "for v in vols:\n    ec2.delete_volume(VolumeId=v)",
            ],
            [
                SETUP,
                "vols = [1]\nold = list(filter(None, vols))\nconfirm(f'{len(old)}?')\ndef gone(v):\n    ec2.delete_volume(VolumeId=v)\nfor_each(vols, gone)",
            ],
            [SETUP, "pods = [1]\nbad = [p for p in pods if p]\nconfirm('?')\nfor p in pods:\n    !kubectl -n a delete pod {p}"],
        ],
        [
            [
                SETUP,
                "vols = [1]\nold = [v for v in vols if v > 1]\nconfirm(f'{len(old)}?')",
                "for v in old:\n    ec2.delete_volume(VolumeId=v)",
            ],
            [SETUP, "vols = [1]\nold = [v for v in vols if v > 1]\nfor v in vols:\n    print(v)"],
            [
                SETUP,
                "vols = [1]\nold = [v for v in vols if v > 1]\nconfirm('?')\nfor v in vols:\n    if v not in old:\n        continue\n    ec2.delete_volume(VolumeId=v)",
            ],
        ],
    ),
    "NB505": (
        [
            [SETUP, "confirm('go?', timeout=60, on_timeout='yes')"],
            [SETUP, "x = form('go?', {}, timeout=60, on_timeout={'approved': True})\nprint(x)"],
            [SETUP, "x = ask('go?', ['go on', 'wait'], timeout=60, on_timeout='go on')\nprint(x)"],
        ],
        [
            [SETUP, "confirm('go?', timeout=60, on_timeout='no')"],
            [SETUP, "x = ask('which?', ['a', 'wait'], timeout=60, on_timeout='wait')\nprint(x)"],
        ],
    ),
    "NB506": (
        [
            [SETUP, "for n in (1, 2):\n    confirm('go on?')"],
            [SETUP, "n = 0\nwhile n < 3:\n    n += 1\n    if approve('again?'):\n        print(n)"],
            [SETUP, "for n in (1, 2):\n    %confirm go on?"],
        ],
        [
            [SETUP, "for n in (1, 2):\n    confirm(f'go on with {n}?')"],
            [SETUP, "for n in (1, 2):\n    confirm('go on?', target=n)"],
            [SETUP, "confirm('go on?')\nfor n in (1, 2):\n    print(n)"],
            [SETUP, "for n in (1, 2):\n    %confirm go on with {n}?"],
        ],
    ),
    "NB504": (
        [
            [SETUP, "v = 1\nec2.delete_volume(VolumeId=v)"],
            ["!kubectl -n a delete pod x"],
            ["!rm -rf /var/tmp/x"],
            ["%%bash\nset -e\naws ec2 terminate-instances --instance-ids i-1"],
            [SETUP, "subprocess.run(['terraform', 'destroy'], check=True)"],
            [SETUP, "def gone(v):\n    ec2.delete_volume(VolumeId=v)", "for_each([1], gone)"],
            [SETUP, "requests.delete('http://x/1')"],
            [SETUP, ("step:a", "confirm('?')"), ("step:b", "!kubectl -n a drain n", {"after": []})],
            [SETUP, "v = 1\nec2.delete_volume(VolumeId=v)\nconfirm('was that right?')"],
        ],
        [
            [SETUP, "v = 1\nconfirm('delete?')\nec2.delete_volume(VolumeId=v)"],
            [SETUP, ("step:a", "confirm('?')"), ("step:b", "!kubectl -n a delete pod x")],
            [SETUP, ("step:a", "ec2.delete_volume(VolumeId=1)", {"max_effects": 3})],
            [SETUP, ("step:a", "ec2.delete_volume(VolumeId=1)", {"max_targets": 3})],
            [SETUP, ("step:a", "ec2.delete_volume(VolumeId=1)", {"approval": True})],
            [SETUP, ("step:a", "1"), ("teardown:a", "ec2.delete_volume(VolumeId=1)")],
            [SETUP, "def gone(v):\n    ec2.delete_volume(VolumeId=v)"],
            [SETUP, "ec2.delete_volume(VolumeId=1, DryRun=True)"],
            ["!kubectl -n a delete pod x --dry-run=server"],
            ["!kubectl -n a get pods --field-selector status=delete"],
            ["!echo kubectl delete pod x"],
            [("parameters", "dry_run: bool = True"), SETUP, "if not dry_run:\n    ec2.delete_volume(VolumeId=1)"],
            ["rows = {}\nrows.pop(1, None)\ndel rows"],
            ["!rm notes.txt"],
        ],
    ),
    "NB508": (
        [
            [SETUP, ("step:a", "ec2.delete_volume(VolumeId=1)", {"effects": "read"})],
            [("step:a", "!kubectl -n a delete pod x", {"effects": "read"})],
        ],
        [
            [SETUP, ("step:a", "ec2.delete_volume(VolumeId=1)", {"effects": "destructive"})],
            [SETUP, ("step:a", "ec2.describe_volumes()", {"effects": "read"})],
        ],
    ),
    "NB509": (
        [[SETUP, ("step:a", "for v in [1]:\n    ec2.delete_volume(VolumeId=v)", {"max_percent": 10})]],
        [
            [
                SETUP,
                "from holdfast import targets",
                ("step:a", "for v in targets(lambda: [1]):\n    ec2.delete_volume(VolumeId=v)", {"max_percent": 10}),
            ]
        ],
    ),
    "NB601": (
        [
            ["!kubectl get pods"],
            ["!kubectl delete pod x"],
            ["%%bash\nset -e\necho a\nkubectl apply -f x.yaml"],
            [SETUP, "subprocess.run(['kubectl', 'scale', 'deploy/x', '--replicas=1'], check=True)"],
        ],
        [
            ["!kubectl -n a get pods"],
            ["!kubectl get pods -nprod"],
            ["!kubectl get pods --context=prod"],
            ["!kubectl get pods -A"],
            ["!kubectl get nodes,pv"],
            ["!kubectl cordon node-1"],
            ["!kubectl version; kubectl config current-context"],
            ["opts = '-n a'\n!kubectl get pods {opts}"],
            ["%%bash\nkubectl $OPTS get pods"],
            ["!echo kubectl get pods"],
        ],
    ),
    "NB602": (
        [
            ["ns = 'a'\n!kubectl get po -n {ns} -o jsonpath='{.items[*].metadata.name}'"],
            ["ns = 'a'\n!echo {ns} | awk '{print $1}'"],
            ["ns = 'a'\n!echo {ns} $UNKNOWN"],
            ["ns = 'a'\n!echo {ns} }"],
        ],
        [
            ["ns = 'a'\n!echo {ns}"],
            ["!ls | awk '{print $1}'"],
            ["ns = 'a'\n!echo {ns} | awk '{{print $$1}}'"],
            ["ns = 'a'\n!echo {ns} $$HOME"],
            ["!echo $HOME"],
            ["ns = 'a'\ndef look(pod):\n    !kubectl logs {pod} -n {ns}"],
        ],
    ),
    "NB603": (
        [["ns = 'a'", "%%bash\nkubectl -n $ns get pods"], ["ns = 'a'", "%%bash\nkubectl -n {ns} get pods"]],
        [
            ["ns = 'a'", '%%bash -s "$ns"\nkubectl -n "$1" get pods'],
            ["ns = 'a'", "%%bash\nns=b\nkubectl -n $ns get pods"],
            ["n = 'a'", "%%bash\nfor n in 1 2; do echo $n; done"],
            ["n = 'a'", "%%bash\nls | while read n; do echo $n; done"],
            ["ns = 'a'", "%%bash\necho '$ns' \\$ns"],
            ["PATH = 'a'", "%%bash\necho $PATH"],
        ],
    ),
    "NB604": (
        [
            ["!ec2 list-volums"],
            ["!ec2 list-volumes --stat available"],
            ["x = !slack ask --message"],
            ["!k8s scale prod web many"],
            ["!ec2 list-volumes | grep x"],
            ["%hf nothing here"],
        ],
        [
            ["!ec2 list-volumes --state available"],
            ["n = 2\n!k8s scale prod web n"],
            ["!k8s scale prod web {1 + 1}"],
            ["!command ec2 list-volums", "!!ec2 x", "!echo ec2 x"],
            ["!ec2", "!ec2 delete-volume --help"],
        ],
    ),
    "NB701": (
        [
            ["k = 'AKIAABCDEFGHIJKLMNOP'"],
            ["password = 'correct-horse'"],
            ["import os\nos.environ['DB_PASSWORD'] = 'correct-horse'"],
            ["dsn = 'postgresql://app:s3cretpw@db.internal/app'"],
            ["md:use token ghp_" + "a1" * 20],
            ["def f(**k): pass\nf(api_key='0123456789abcdef')"],
            ["%%bash\nexport SLACK=xoxb-123456789012-abcdefghijkl"],
        ],
        [
            ["k = 'AKIAIOSFODNN7EXAMPLE'"],
            ["password = secret('env:DB_PASSWORD')"],
            ["password = 'env:DB_PASSWORD'"],
            ["token = ''\ntokens = ['a']\nnext_token = None"],
            ["dsn = 'postgresql://app@db.internal/app'\nd = 'postgresql://u:{pw}@h/x'"],
            ["password_file = '/run/secrets/pw with space'"],
            ["secret_name = 'my placeholder'"],
        ],
    ),
}


def found(notebook: Any, cells: list[Any]) -> list[Finding]:
    return check(notebook(*cells))


@pytest.mark.parametrize(("code", "cells"), [(c, cells) for c, (bad, _) in CASES.items() for cells in bad])
def test_a_defect_is_found_with_place_and_cure(notebook: Any, code: str, cells: list[Any]) -> None:
    findings = [f for f in found(notebook, cells) if f.code == code]
    assert findings, found(notebook, cells)
    assert all(f.index is not None and f.cell and f.message and f.cure for f in findings)
    for f in findings:
        lines = notebook(*cells).cells[f.index or 0].source.split("\n")
        in_metadata = f.line is None and code in ("NB104", "NB112", "NB113", "NB201")  # said there, not in a line
        assert in_metadata or f.line is not None and 1 <= f.line <= len(lines)


@pytest.mark.parametrize(("code", "cells"), [(c, cells) for c, (_, good) in CASES.items() for cells in good])
def test_what_is_well_written_is_left_alone(notebook: Any, code: str, cells: list[Any]) -> None:
    assert [f for f in found(notebook, cells) if f.code == code] == []


def test_every_code_has_cases_or_is_proven_by_the_compiler() -> None:
    compiled = {"NB101", "NB102", "NB103", "NB105", "NB106", "NB107", "NB108", "NB109", "NB110", "NB111"}
    here = {"NB002", "NB003", "NB004", "NB507", "NB702"}
    assert set(all_codes()) == set(CASES) | compiled | here


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["!kubectl -n a delete pod x"], ["NB507"]),
        ([("step:a", "!kubectl -n a delete pod x", {"max_effects": 1})], ["NB507"]),  # a cap is no consent
        ([SETUP, "ask('which?', options=['a', 'b'])", "!kubectl -n a delete pod x"], ["NB507"]),
        ([SETUP, ("step:a", "confirm('delete x?')"), ("step:b", "!kubectl -n a delete pod x")], []),
        ([SETUP, "1", ("step:a", "1"), ("teardown:a", "!kubectl -n a delete pod x")], []),
        (["!kubectl -n a get pods"], []),
    ],
)
def test_what_a_schedule_starts_asks_before_it_destroys(notebook: Any, cells: list[Any], found: list[str]) -> None:
    assert [f.code for f in check(notebook(*cells, metadata={"holdfast": {"schedule": {"cron": "@daily"}}})) if f.code == "NB507"] == found
    assert [f.code for f in check(notebook(*cells)) if f.code == "NB507"] == []


def test_every_code_has_its_page_and_every_page_its_code() -> None:
    pages = ROOT / "docs" / "reference" / "checks"
    assert {p.stem for p in pages.glob("NB*.md")} == set(all_codes())
    for code, title in all_codes().items():
        assert (pages / f"{code}.md").read_text().startswith(f"# {code}: {title}\n")
        assert f"[{code}]({code}.md)" in (pages / "index.md").read_text()


def test_a_verb_of_holdfast_that_was_not_imported_is_told_with_its_import(notebook: Any) -> None:
    assert [(f.code, f.cure) for f in check(notebook("for_each([], print)"))] == [("NB201", "from holdfast import for_each")]


def test_type_parameters_are_names_of_their_own(notebook: Any) -> None:
    source = "def f[T](x: T) -> T:\n    return x\n\n\nclass A[K](dict[K, K]):\n    k: K\n\n\ntype B = int"
    assert [f.code for f in check(notebook(source))] == ([] if sys.version_info >= (3, 12) else ["NB001"])


def test_outputs_in_the_file_are_mentioned_once(notebook: Any) -> None:
    book = notebook("x", "y").content
    for cell in book["cells"]:
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "hi"}]
    assert [f.code for f in check(read(book)) if f.code == "NB702"] == ["NB702"]


def test_a_finding_can_be_ignored_with_a_reason(notebook: Any) -> None:
    def codes(*cells: Any) -> list[str]:
        return [f.code for f in found(notebook, list(cells))]

    assert codes("!kubectl -n a delete pod x  # holdfast: ignore[NB504, NB303] runs in a sandbox") == []
    assert codes("# holdfast: ignore[NB504,NB303] a sandbox\nx = 1\n!kubectl -n a delete pod x") == []
    assert codes("x = 1\n# holdfast: ignore[NB504,NB303] a sandbox\n!kubectl -n a delete pod x") == []
    assert codes("x = 1\n# holdfast: ignore[NB504,NB303] a sandbox\n\n!kubectl -n a delete pod x") == ["NB504", "NB303"]
    assert codes("x = 1\ny = 2  # holdfast: ignore[NB504] sandbox\nz = 1\n!kubectl -n a delete pod x") == ["NB504", "NB303"]
    assert codes("x = 1  # holdfast: ignore[NB504]") == ["NB003"]
    assert codes("x = 1  # holdfast: ignore[NB999] because") == ["NB003"]


def test_a_table_of_commands_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    document = {"cells": [], "metadata": {"holdfast": {"commands": "none.toml"}}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "nb.ipynb").write_text(json.dumps(document))
    (finding,) = [f for f in check(read(tmp_path / "nb.ipynb")) if f.code == "NB004"]
    assert finding.severity == "error"
    assert "none.toml" in finding.message


class _Stranger:
    codes = {"XX001": "a cell that is too long"}

    def run(self, book: Book) -> list[Finding]:
        return [p.finding("XX001", "info", 1, "too long", "split it") for p in book.pages if len(p.cell.source) > 5]


class _Failing:
    codes = {"XX002": "never"}

    def run(self, book: Book) -> list[Finding]:
        raise RuntimeError("oops")


def test_a_strangers_check_runs_and_a_failing_one_hides_nothing(notebook: Any) -> None:
    findings = check(notebook("x = 12345"), [_Failing(), _Stranger()])
    assert [(f.code, f.severity) for f in findings] == [("NB002", "warning"), ("XX001", "info")]
    assert "oops" in findings[0].message


def test_installed_packages_offer_checks_by_entry_point(tmp_path: Path) -> None:
    (tmp_path / "acme_checks.py").write_text(
        "class Long:\n    codes = {'AC001': 'long'}\n    def run(self, book):\n        return [p.finding('AC001', 'info', 1, 'long') for p in book.pages]\n"
    )
    info = tmp_path / "acme_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-checks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[holdfast.checks]\nlong = acme_checks:Long\ngone = acme_checks:Gone\n")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from holdfast.notebook.reader import read\nfrom holdfast.notebook.check import check\n"
        "book = read({'nbformat': 4, 'cells': [{'cell_type': 'code', 'source': 'x = 1', 'metadata': {}}]})\n"
        "print(sorted((f.code, f.message) for f in check(book)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "('AC001', 'long')" in done.stdout
    assert "the check gone cannot be loaded" in done.stdout


def test_the_room_is_light_to_import() -> None:
    program = (
        "import sys\nimport holdfast.notebook.check, holdfast.notebook.compile, holdfast.notebook.parameters, holdfast.notebook.commands\n"
        "import holdfast.notebook.graph, holdfast.notebook.checks\n"
        "print([m for m in ('IPython', 'papermill', 'nbformat', 'jsonschema', 'pydantic', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
