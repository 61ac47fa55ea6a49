"""A real kernel: what a cell publishes is recorded and published again, exactly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from holdfast.testing.kernels import VANILLA, Front, Ran


def write_notebook(path: Path, cells: Iterable[tuple[str, str]], tags: Mapping[str, list[str]] | None = None) -> Path:
    """A notebook file of code cells (id, source)."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code", "id": i, "source": s, "metadata": {"tags": (tags or {}).get(i, [])},
            "outputs": [], "execution_count": None,
        }
        for i, s in cells
    ]  # fmt: skip
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def published(ran: Ran) -> list[dict[str, Any]]:
    """What a front-end is left with: streams joined, nothing that names the request, no banner."""
    seen: list[dict[str, Any]] = []
    for message in ran.messages:
        if "holdfast-notice" in str(message["content"]):
            continue
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream" and seen and seen[-1]["type"] == "stream" and seen[-1]["name"] == content["name"]:
            seen[-1]["text"] += content["text"]
        else:
            seen.append({"type": kind, **content})
    return seen


SOURCES = {
    "streams": "import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint('more')",
    "result": "{'a': [1, 2, 3]}",
    "html": "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'), metadata={'isolated': True})",
    "markdown": "from IPython.display import Markdown\nMarkdown('*x*')",
    "display id": "from IPython.display import display\nh = display('first', display_id='here')",
    "mixed": "from IPython.display import display\nfor i in range(3):\n    print(i)\n    display(i)\n'end'",
    "image": "from IPython.display import Image, display\nimport base64\n"
    "display(Image(base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==')))",
    "large": "print('x' * 300_000)",
    "json": "from IPython.display import JSON, display\ndisplay(JSON({'k': [1, None, {'n': 1.5}]}))",
    "nothing": "pass",
    "unicode": "print('grüße 🎉 \\u2028')",
    "await": "import asyncio\nawait asyncio.sleep(0)\nprint('awaited')\n7",
    "descriptor": "import os, sys\nprint('before')\nsys.stdout.flush()\n_ = os.write(1, 'tail é\\n'.encode())",
    "child": "import subprocess\n_ = subprocess.run(['sh', '-c', 'echo from the child; echo its error >&2'])",
    "thread": "import threading\nt = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()",
}


def test_recorded_cells_are_published_again_as_they_were(tmp_path: Path) -> None:
    """Also as the plain kernel publishes them, and with the same counts."""
    cells = [*SOURCES.items(), ("stop", "raise SystemError('so that the execution does not end')")]
    notebook = write_notebook(tmp_path / "n.ipynb", [(f"c{n}", s) for n, (_, s) in enumerate(cells)])
    numbered = [(f"c{n}", source) for n, (_, source) in enumerate(cells)]
    with Front(tmp_path, notebook=notebook) as front:
        first = front.run_all(numbered)
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        again = front.run_all(numbered)
    with Front(tmp_path, command=VANILLA) as plain:
        vanilla = plain.run_all(numbered)
    for key, what in zip(numbered[:-1], SOURCES, strict=True):
        one, two, bare = first[key[0]], again[key[0]], vanilla[key[0]]
        assert (one.state, two.state) == ("ran", "skipped"), what
        assert one.reply["execution_count"] == two.reply["execution_count"] == bare.reply["execution_count"], what
        assert stream(one, "stdout") == stream(two, "stdout"), what
        assert stream(one, "stderr") == stream(two, "stderr"), what
        if what not in RACING:
            assert published(one) == published(two), what
        if what not in (*RACING, "descriptor"):  # a plain kernel does not wait for what comes over the descriptors
            assert published(one) == published(bare), what


RACING = ("streams", "child")  # standard output and error race in any kernel: compared one by one


def stream(ran: Ran, name: str) -> str:
    return "".join(m["content"]["text"] for m in ran.of("stream") if m["content"]["name"] == name)


def test_updates_of_a_display_are_folded_into_it(tmp_path: Path) -> None:
    cells = [
        ("show", "from IPython.display import display\nh = display('one', display_id='d')\nh.update('two')\nh.update('three')"),
        ("update", "from IPython.display import update_display\nupdate_display('four', display_id='d')"),
        ("stop", "1/0"),
    ]
    notebook = write_notebook(tmp_path / "n.ipynb", cells)
    with Front(tmp_path, notebook=notebook) as front:
        front.run_all(cells)
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        again = front.run_all(cells)
        later = front.run("from IPython.display import update_display\nupdate_display('five', display_id='d')", "later")
    assert again["show"].shown == ["'three'"]
    assert not again["show"].of("update_display_data")
    assert [m["content"]["data"]["text/plain"] for m in again["update"].of("update_display_data")] == ["'four'"]
    assert [m["content"]["transient"]["display_id"] for m in later.of("update_display_data")] == ["d"]


def test_cleared_outputs_stay_cleared(tmp_path: Path) -> None:
    source = "from IPython.display import clear_output\nfor i in range(3):\n    print(i)\n    clear_output(wait=True)\nprint('last')"
    cells = [("clear", source), ("stop", "1/0")]
    notebook = write_notebook(tmp_path / "n.ipynb", cells)
    with Front(tmp_path, notebook=notebook) as front:
        front.run_all(cells)
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        again = front.run_all(cells)["clear"]
    assert [(m["header"]["msg_type"], m["content"]) for m in again.messages if m["header"]["msg_type"] == "stream"] == [
        ("stream", {"name": "stdout", "text": "last\n"})
    ]


def test_widgets_come_back_with_their_last_state(tmp_path: Path) -> None:
    moves = "import ipywidgets as w\ns = w.IntSlider(1)\nfor i in range(50):\n    s.value = i\n"
    source = moves + "b = w.VBox([s]); display(b)\nb.children = [s, w.Label('x')]"
    cells = [("widget", source), ("stop", "1/0")]
    notebook = write_notebook(tmp_path / "n.ipynb", cells)
    with Front(tmp_path, notebook=notebook) as front:
        first = front.run_all(cells)["widget"]
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        again = front.run_all(cells)["widget"]
    assert widget_states(again) == widget_states(first)
    assert len(again.messages) < len(first.messages) - 40
    opened: set[str] = set()
    for message in again.messages:  # no model is named before it is opened
        named = json.dumps(message["content"])
        assert all(part.split('"')[0] in opened for part in named.split("IPY_MODEL_")[1:])
        if message["header"]["msg_type"] == "comm_open":
            opened.add(message["content"]["comm_id"])


def widget_states(ran: Ran) -> dict[str, dict[str, Any]]:
    """What a front-end holds of each widget at the end."""
    states: dict[str, dict[str, Any]] = {}
    for message in ran.messages:
        content = message["content"]
        if message["header"]["msg_type"] == "comm_open":
            states[content["comm_id"]] = dict(content["data"]["state"])
        elif message["header"]["msg_type"] == "comm_msg" and content["data"]["method"] == "update":
            states[content["comm_id"]].update(content["data"]["state"])
    return states


def test_outputs_in_an_output_widget_come_back_inside_it(tmp_path: Path) -> None:
    cells = [
        ("make", "import ipywidgets as w\no = w.Output()\ndisplay(o)\nwith o:\n    print('inside')\nprint('outside')"),
        ("more", "with o:\n    print('again inside')"),
        ("stop", "1/0"),
    ]
    notebook = write_notebook(tmp_path / "n.ipynb", cells)
    with Front(tmp_path, notebook=notebook) as front:
        front.run_all(cells)
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        again = front.run_all(cells)
    assert again["make"].stdout == "outside\n"
    outputs = [s["outputs"] for s in widget_states(again["make"]).values() if s.get("_model_name") == "OutputModel"]
    assert outputs == [[{"output_type": "stream", "name": "stdout", "text": "inside\n"}]]
    last = [m["content"]["data"]["state"]["outputs"] for m in again["more"].of("comm_msg") if m["content"]["data"]["state"].get("outputs")]
    assert [o["text"] for o in last[-1]] == ["inside\nagain inside\n"]
    assert again["more"].stdout == ""


def test_descriptor_output_of_a_busy_cell_stays_in_its_cell(tmp_path: Path) -> None:
    """What C code and children write arrives before the cell ends, however much it is, and marks never show."""
    with Front(tmp_path) as front:
        for n in range(8):
            ran = front.run(f"import os\nfor _ in range(50):\n    os.write(1, b'{n}' * 99 + b'\\n')\nNone")
            assert ran.stdout == (str(n) * 99 + "\n") * 50
        ran = front.run("import os\nr, w = os.pipe()\nsaved = os.dup(1)\nos.dup2(w, 1)\nos.write(1, b'mine')\nNone")
        assert ran.stdout == ""
        ran = front.run("os.dup2(saved, 1)\nos.read(r, 1000)")
        assert ran.result == "b'mine'"  # a mark in a pipe of the author's own would show here


def test_history_and_counts_of_a_resumed_kernel_are_those_of_the_first(tmp_path: Path) -> None:
    cells = [("a", "x = 1"), ("b", "x + 1"), ("c", "1/0")]
    notebook = write_notebook(tmp_path / "n.ipynb", cells)
    with Front(tmp_path, notebook=notebook) as front:
        front.run_all(cells)
        front.run("1/0  # once more", "c")
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        front.run_all(cells)
        ran = front.run("In[1:3], get_ipython().execution_count", "look")
    assert ran.result == "(['x = 1', 'x + 1'], 5)"


def test_user_expressions_are_evaluated_when_a_cell_is_skipped(tmp_path: Path) -> None:
    cells = [("a", "x = 20"), ("b", "1/0")]
    notebook = write_notebook(tmp_path / "n.ipynb", cells)
    with Front(tmp_path, notebook=notebook) as front:
        front.run_all(cells)
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        ran = front.run("x = 20", "a", user_expressions={"v": "x + 1"})
    assert ran.reply["user_expressions"]["v"]["data"]["text/plain"] == "21"


def test_an_error_that_the_author_expects_is_recorded_like_a_success(tmp_path: Path) -> None:
    tagged = {"tags": ["raises-exception"]}
    cells = [("a", "print('x')\n1/0"), ("b", "1/0")]
    notebook = write_notebook(tmp_path / "n.ipynb", cells, {"a": ["raises-exception"]})
    with Front(tmp_path, notebook=notebook) as front:
        first = front.run(cells[0][1], "a", stop_on_error=False, **tagged)
        assert first.state == "ran"
        front.kill()
    with Front(tmp_path, notebook=notebook) as front:
        again = front.run(cells[0][1], "a", stop_on_error=False, **tagged)
    assert again.state == "skipped"
    assert again.reply["status"] == "error"
    assert again.reply["ename"] == "ZeroDivisionError"
    assert again.errors == first.errors
