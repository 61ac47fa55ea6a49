"""Dataflow: what steps read and write, what an edit makes stale, what branches both write."""

from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from holdfast.notebook.compile import compile
from holdfast.notebook.dataflow import races, readers_of, stale_after
from holdfast.notebook.magics import expansions
from holdfast.notebook.names import names_of
from holdfast.notebook.python import parse, to_python


def flow(source: str) -> tuple[set[str], set[str]]:
    """Reads of names not surely bound before, and writes, of one cell."""
    names = names_of(source)
    reads = {e.name for e in names.events if e.kind == "read" and not e.bound and not e.deferred}
    return reads, set(names.of("bind", "mutate", "delete"))


@pytest.mark.parametrize(
    ("source", "reads", "writes"),
    [
        ("x = y\nz = x", "y", "x z"),
        ("x += 1", "x", "x"),
        ("a.b.c = 1; d[k] = v; del e[0], f", "a d k v e", "a d e f"),
        ("x.append(1); y.get(k); n = q.pop()", "x y k q", "x n q"),
        ("client.delete_volume(v)", "client v", "client"),
        ("import os.path, json as j\nj.dumps(os)\nos.x = 1", "", "os j"),
        ("for v in vols:\n    v['x'] = 1\n    w = v", "vols", "v vols w"),
        ("b = a\nb.append(1)", "a", "b a"),
        ("if c:\n    m = 1\nelse:\n    m = 2\nn = m", "c", "m n"),
        ("if c:\n    m = 1\nn = m", "c m", "m n"),
        ("try:\n    a = f()\nexcept KeyError as e:\n    raise\nb = a", "f KeyError", "a b e"),
        ("with open(p) as g:\n    t = g.read()", "open p", "g t"),
        ("[x for y in z for x in y if (t := x)]", "z", "t"),
        ("s = {k: v for k, v in d.items()}", "d", "s"),
        ("match a:\n    case {'x': b, **r}:\n        print(b)\n    case _:\n        c = 1", "a print", "b r c"),
        ("def f(a, b=c):\n    k = a\n    return k + h", "c", "f"),
        ("@deco\nclass A(B):\n    y = z\n    def m(self): return q", "deco B z", "A"),
        ("r = !kubectl get {pod} -o $fmt", "pod fmt", "r"),
        ("!echo {d['k']} $$HOME", "d", ""),
        ("%%bash --out o\necho {x}", "", "o"),
        ("%%capture cc\nu = v", "v", "cc u"),
        ("%timeit f(x)", "f x", ""),
        ("x = await fetch(u)", "fetch u", "x"),
        ("a, *b = c", "c", "a b"),
        ("while True:\n    line = read()\n    if line: break\nprint(line)", "read print", "line"),
        ("f = lambda v: v + off", "", "f"),
        ("del x", "", "x"),
    ],
)
def test_reads_and_writes_of_a_cell(source: str, reads: str, writes: str) -> None:
    assert flow(source) == (set(reads.split()), set(writes.split()))


@pytest.mark.parametrize(
    "source",
    ["!a \\\n  b\nx = 1", "\n\n!ls\nx = 1", "%time y = 2\n\n!c \\\n d \\\n e\nx = 1", "y = !ls \\\n -l\nx = 1", "\nx = 1", "z?\nx = 1"],
)
def test_lines_keep_their_numbers(source: str) -> None:
    wanted = source.split("\n").index("x = 1") + 1
    last: Any = parse(source).body[-1]
    assert (last.targets[0].id, last.lineno) == ("x", wanted), to_python(source)


def test_expansion_is_predicted_as_ipython_does_it() -> None:
    shell = InteractiveShell.instance()
    shell.user_ns.update(ns="prod", pod="web")
    for line in (
        "kubectl -n {ns} get $pod",
        "kubectl -n {ns} get po -o jsonpath='{.items[*].metadata.name}'",
        "echo {ns} $1",
        "awk '{print $1}' {pod}",
        "echo {ns} ${HOME}",
        "echo {ns} $$HOME",
        "echo {ns} $HOME_x",
        "echo {ns",
        "echo {{x}} {ns}",
        "echo {ns} $? $@",
    ):
        found = expansions(line)
        known = {"ns", "pod"}
        predicted = found is not None and all(e.valid and set(e.names) <= known for e in found)
        expanded = shell.var_expand(line)
        assert ("prod" in expanded or "web" in expanded) == predicted, (line, expanded)


def test_functions_count_where_they_are_used(notebook: Any) -> None:
    book = notebook(
        ("step:a", "limit = 3\nrows = []"),
        ("step:b", "def keep(r):\n    rows.append(r)\n    return r < limit"),
        ("step:c", "keep(1)"),
        ("step:d", "x = 1"),
    )
    steps = {s.name: s for s in compile(book).steps}
    assert (steps["b"].reads, steps["b"].writes) == ((), ("keep",))
    assert steps["c"].reads == ("keep", "limit", "rows")
    assert steps["c"].writes == ("rows",)


def test_names_of_setup_parameters_and_conditions(notebook: Any) -> None:
    book = notebook(
        ("parameters", "n: int = 1"),
        ("setup", "import boto3\nclient = boto3.client('ec2')"),
        ("step:a", "x = n\nclient.delete_volume(x)"),
        ("step:b", "print('hi')", {"when": "x > 1"}),
    )
    steps = {s.name: s for s in compile(book).steps}
    assert steps["a"].reads == ("client", "n")
    assert steps["a"].writes == ("x",)
    assert steps["b"].reads == ("x",)


def test_an_edited_setup_cell_concerns_its_readers_and_their_readers(notebook: Any) -> None:
    book = notebook(
        ("setup", "limit = 3\ndef big(n): return n > limit"),
        ("setup", "import json\ndef shown(n): return json.dumps(big(n))"),
        ("step:a", "x = shown(1)"),
        ("step:b", "y = 2"),
        ("step:c", "print(x)"),
    )
    manifest = compile(book)
    assert readers_of(manifest, "limit = 4\ndef big(n): return n > limit") == {"a", "c"}
    assert readers_of(manifest, "import os") == frozenset()


def test_an_edit_makes_the_readers_stale_and_their_readers(notebook: Any) -> None:
    book = notebook(
        ("step:load", "rows = [1]"),
        ("step:clock", "t = 5"),
        ("step:filter", "old = [r for r in rows]"),
        ("step:report", "print(len(old))"),
        ("step:again", "rows = [2]"),
        ("step:tail", "print(t)"),
    )
    manifest = compile(book)
    assert stale_after(manifest, "load") == ("filter", "report")
    assert stale_after(manifest, "clock") == ("tail",)
    assert stale_after(manifest, "report") == ()
    assert stale_after(manifest, "again") == ()
    assert stale_after(manifest, "no such step") == ()


def test_a_change_in_place_makes_later_readers_stale(notebook: Any) -> None:
    book = notebook(("step:a", "rows = []"), ("step:b", "rows.append(1)"), ("step:c", "print(rows)"))
    assert stale_after(compile(book), "b") == ("c",)
    assert stale_after(compile(book), "a") == ("b", "c")


def test_loop_variables_of_their_own_do_not_bind_steps_together(notebook: Any) -> None:
    book = notebook(("step:a", "for i in [1]:\n    print(i)"), ("step:b", "for i in [2]:\n    print(i)"))
    assert stale_after(compile(book), "a") == ()


def test_branches_that_write_one_name_are_found(notebook: Any) -> None:
    book = notebook(
        ("step:a", "r = {}"),
        ("step:b", "r['b'] = 1\nx = 1", {"after": ["a"]}),
        ("step:c", "r['c'] = 1\ny = 1", {"after": ["a"]}),
        ("step:d", "x = 2", {"after": ["b", "c"]}),
    )
    assert races(compile(book)) == [("b", "c", ("r",))]


def test_reading_a_cell_warns_of_nothing(recwarn: pytest.WarningsRecorder) -> None:
    names_of("import re\nx = re.compile('\\d')\ny = x is 1\n!ls")
    assert [str(w.message) for w in recwarn] == []


def test_a_cell_nested_beyond_the_stack_is_borne(notebook: Any) -> None:
    for source in ("x = " + "1+" * 1500 + "1", "a" + ".b" * 2000, "(" * 5000):
        assert compile(notebook(source)).steps
