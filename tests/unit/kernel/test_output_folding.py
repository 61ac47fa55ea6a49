"""Messages folded to the shortest list that leaves a front-end in the same state."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.kernel.outputs import OutputLog, to_nbformat


def stream(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def shown(text: str, display_id: str | None = None) -> tuple[str, dict[str, Any]]:
    return "display_data", {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": display_id} if display_id else {}}


def update(text: str, display_id: str) -> tuple[str, dict[str, Any]]:
    return "update_display_data", {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": display_id}}


def opened(comm: str, **state: Any) -> tuple[str, dict[str, Any]]:
    return "comm_open", {"comm_id": comm, "target_name": "jupyter.widget", "data": {"state": state, "buffer_paths": []}}


def changed(comm: str, **state: Any) -> tuple[str, dict[str, Any]]:
    return "comm_msg", {"comm_id": comm, "data": {"method": "update", "state": state, "buffer_paths": []}}


def clear(wait: bool = False) -> tuple[str, dict[str, Any]]:
    return "clear_output", {"wait": wait}


def folded(*messages: tuple[str, dict[str, Any]], known: set[str] | None = None) -> list[tuple[str, dict[str, Any]]]:
    log = OutputLog("request", set() if known is None else known, {})
    for kind, content in messages:
        log.add(kind, content, {}, ())
    return [(e["type"], e["content"]) for e in log.events()]


def test_streams_join_only_with_their_like() -> None:
    assert folded(stream("a"), stream("b"), stream("c", "stderr"), stream("d")) == [stream("ab"), stream("c", "stderr"), stream("d")]


def test_clearing_forgets_outputs_and_keeps_widgets() -> None:
    assert folded(stream("a"), opened("w"), clear(), stream("b")) == [opened("w"), stream("b")]


def test_clearing_that_waits_clears_with_the_next_output_or_never() -> None:
    assert folded(stream("a"), clear(wait=True)) == [stream("a")]
    assert folded(stream("a"), clear(wait=True), opened("w"), stream("b"), stream("c")) == [opened("w"), stream("bc")]


def test_an_update_goes_into_every_display_of_its_id() -> None:
    assert folded(shown("1", "d"), shown("2", "d"), shown("3"), update("x", "d")) == [shown("x", "d"), shown("x", "d"), shown("3")]


def test_an_update_of_an_earlier_cell_s_display_is_kept_once() -> None:
    assert folded(update("1", "old"), stream("a"), update("2", "old"), known={"old"}) == [stream("a"), update("2", "old")]
    assert folded(shown("1", "old"), update("2", "old"), known={"old"}) == [shown("2", "old"), update("2", "old")]


def test_what_is_logged_does_not_change_with_what_the_cell_does_later() -> None:
    state = {"value": [1]}
    log = OutputLog("request", set(), {})
    log.add("comm_open", {"comm_id": "w", "data": {"state": state, "buffer_paths": []}}, {}, ())
    state["value"].append(2)
    assert log.events()[0]["content"]["data"]["state"] == {"value": [1]}


def test_a_widget_s_state_is_folded_into_its_opening() -> None:
    assert folded(opened("w", value=0, step=1), *(changed("w", value=n) for n in range(100))) == [opened("w", value=99, step=1)]


def test_a_state_that_names_other_models_comes_after_their_opening() -> None:
    children = {"children": ["IPY_MODEL_b"]}
    assert folded(opened("a"), opened("b"), changed("a", **children), changed("a", x=1)) == [
        opened("a"),
        opened("b"),
        changed("a", children=["IPY_MODEL_b"], x=1),
    ]


def test_buffers_follow_their_state() -> None:
    log = OutputLog("request", set(), {})
    log.add("comm_open", {"comm_id": "w", "data": {"state": {"a": 1}, "buffer_paths": [["x"], ["y"]]}}, {}, (b"x1", memoryview(b"y1")))
    log.add("comm_msg", {"comm_id": "w", "data": {"method": "update", "state": {"x": None}, "buffer_paths": [["x"]]}}, {}, (b"x2",))
    [event] = log.events()
    assert event["content"]["data"]["buffer_paths"] == [["y"], ["x"]]
    assert event["buffers"] == [b"y1", b"x2"]


def test_outputs_captured_by_an_output_widget_become_its_state() -> None:
    held: dict[str, list[dict[str, Any]]] = {}
    log = OutputLog("request", set(), held)
    sent = [opened("o", outputs=[]), changed("o", msg_id="request"), stream("in"), stream("side"), changed("o", msg_id=""), stream("out")]
    for kind, content in sent:
        log.add(kind, content, {}, ())
    made = [(e["type"], e["content"]) for e in log.events()]
    inside = [{"output_type": "stream", "name": "stdout", "text": "inside"}]
    assert made == [opened("o", outputs=inside, msg_id=""), stream("out")]
    assert held == {"o": inside}


def test_custom_messages_keep_their_order() -> None:
    custom = ("comm_msg", {"comm_id": "w", "data": {"method": "custom", "content": 1}})
    assert folded(opened("w"), custom, custom) == [opened("w"), custom, custom]


def test_a_notebook_holds_outputs_without_widgets_messages() -> None:
    log = OutputLog("request", set(), {})
    for kind, content in (opened("w"), stream("a"), shown("b"), ("execute_result", {"data": {}, "metadata": {}, "execution_count": 3})):
        log.add(kind, content, {}, ())
    assert [o["output_type"] for o in to_nbformat(log.events())] == ["stream", "display_data", "execute_result"]


@pytest.mark.parametrize("value", [{1, 2}, (1, 2), {"k": (1,)}, 1.5, None, object])
def test_anything_a_cell_puts_into_a_display_can_be_logged(value: Any) -> None:
    log = OutputLog("request", set(), {})
    log.add("display_data", {"data": {"application/json": value}, "metadata": {}}, {}, ())
    assert len(log.events()) == 1
