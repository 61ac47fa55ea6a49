"""What a cell published, folded to the shortest list of messages that leaves a front-end in the same state.

An output is a plain map ``{"type", "content", "metadata", "buffers"}``: JSON types and bytes, so that it can be journaled. ``type`` is
the message type of the Jupyter protocol.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

Output = dict[str, Any]

#: The messages that belong to a cell's outputs; the rest (status, execute_input, debug events) belongs to the kernel.
OUTPUT_TYPES: Final = frozenset(
    {
        "stream",
        "display_data",
        "execute_result",
        "update_display_data",
        "clear_output",
        "error",
        "comm_open",
        "comm_msg",
        "comm_close",
    }
)
SHOWN: Final = frozenset({"stream", "display_data", "execute_result", "error"})
_REFERENCE: Final = "IPY_MODEL_"


class OutputLog:
    """Folds messages as they come. Any thread may add.

    Args:
        message_id: of the execute_request whose outputs these are.
        known_displays: display ids that earlier cells of this kernel published; an update of one of those must be sent again
            even when this cell shows the same id. Grows with this cell's.
        known_widgets: what ``Output`` widgets of earlier cells hold, by comm id; grows likewise.
    """

    def __init__(self, message_id: str, known_displays: set[str], known_widgets: dict[str, list[dict[str, Any]]]) -> None:
        self.message_id = message_id
        self._before = frozenset(known_displays)
        self._displays, self._widgets = known_displays, known_widgets
        self._events: list[Output] = []
        self._clear_on_next = False
        self._redirect: str | None = None  # the Output widget that takes what is published now
        self._private: set[str] = set()  # comms of which nothing is logged
        self._opening_private = False
        self._lock = threading.Lock()
        self.changes = 0  # how often something was added
        self.on_change: Callable[[], object] | None = None  # called after each, by whatever thread added it

    @contextmanager
    def private(self) -> Iterator[None]:
        """Comms opened within are left out, with all that is ever said on them."""
        self._opening_private = True
        try:
            yield
        finally:
            self._opening_private = False

    def add(self, kind: str, content: Mapping[str, Any], metadata: Mapping[str, Any], buffers: Sequence[Any]) -> None:
        """Take one message; what it holds is copied."""
        with self._lock:
            if kind == "comm_open" and self._opening_private:
                self._private.add(content.get("comm_id", ""))
            if content.get("comm_id") in self._private:
                return
            if kind in ("comm_open", "comm_msg"):
                self._take_comm(_event(kind, content, metadata, buffers))
            elif self._redirect is not None and kind != "comm_close":
                self._into_widget(self._redirect, _event(kind, content, metadata, buffers))
            else:
                self._clear_on_next = _fold(self._events, kind, content, metadata, buffers, self._clear_on_next, self._before)
                self._note_display(kind, content)
            self.changes += 1
        if self.on_change is not None:
            self.on_change()

    def events(self) -> list[Output]:
        """The folded list so far."""
        with self._lock:
            return [_joined(e) for e in self._events]

    def _note_display(self, kind: str, content: Mapping[str, Any]) -> None:
        name = _display_id(content) if kind in ("display_data", "execute_result") else None
        if name is not None:
            self._displays.add(name)

    # -- widgets: a comm's state is folded into its opening, or into one update

    def _take_comm(self, event: Output) -> None:
        content = event["content"]
        data = content.get("data") or {}
        comm = content.get("comm_id", "")
        if event["type"] == "comm_open" or data.get("method") != "update":
            self._events.append(event)
            return
        state = data.get("state") or {}
        if "msg_id" in state:
            self._redirect = comm if state["msg_id"] == self.message_id else None
            state = data["state"] = {**state, "msg_id": ""}  # nothing is redirected by a replay: the outputs are part of the state
        self._merge(event)

    def _merge(self, event: Output) -> None:
        comm = event["content"]["comm_id"]
        for index in range(len(self._events) - 1, -1, -1):
            former = self._events[index]
            if former["content"].get("comm_id") != comm or not _holds_state(former):
                continue
            if not _mentions_models(event["content"]["data"]["state"]):
                _merge_state(former, event)
            elif former["type"] == "comm_msg":  # it may name a model opened since: keep the order
                del self._events[index]
                _merge_state(former, event)
                self._events.append(former)
            else:
                self._events.append(event)
            return
        self._events.append(event)

    def _into_widget(self, comm: str, event: Output) -> None:
        held = self._widgets.setdefault(comm, [])
        inner = [from_nbformat(o) for o in held]
        _fold(inner, event["type"], event["content"], event["metadata"], event["buffers"], False, frozenset())
        held[:] = to_nbformat(inner)
        content = {"comm_id": comm, "data": {"method": "update", "state": {"outputs": list(held)}, "buffer_paths": []}}
        self._merge(_event("comm_msg", content, {}, ()))


def _fold(
    events: list[Output],
    kind: str,
    content: Mapping[str, Any],
    metadata: Mapping[str, Any],
    buffers: Sequence[Any],
    clear_on_next: bool,
    before: frozenset[str],
) -> bool:
    """Fold one message of the cell's own area into ``events``; returns whether the next output clears it first."""
    if kind == "clear_output":
        if content.get("wait"):
            return True
        _clear(events)
        return False
    if clear_on_next and kind in SHOWN:
        _clear(events)
        clear_on_next = False
    last = events[-1] if events else None
    if kind == "stream" and last is not None and last["type"] == "stream" and last["content"]["name"] == content["name"]:
        last.setdefault("parts", []).append(content["text"])
    elif kind == "update_display_data":
        _update_display(events, _event(kind, content, metadata, buffers), before)
    else:
        events.append(_event(kind, content, metadata, buffers))
    return clear_on_next


def _clear(events: list[Output]) -> None:
    events[:] = [e for e in events if e["type"] not in SHOWN]


def _update_display(events: list[Output], update: Output, before: frozenset[str]) -> None:
    name = _display_id(update["content"])
    shown = False
    for e in events:
        if e["type"] in ("display_data", "execute_result") and _display_id(e["content"]) == name:
            e["content"] = {**e["content"], "data": update["content"]["data"], "metadata": update["content"].get("metadata") or {}}
            shown = True
    if not shown or name in before:
        events[:] = [e for e in events if not (e["type"] == "update_display_data" and _display_id(e["content"]) == name)]
        events.append(update)


def _display_id(content: Mapping[str, Any]) -> str | None:
    name = (content.get("transient") or {}).get("display_id")
    return name if isinstance(name, str) else None


def _holds_state(event: Output) -> bool:
    data = event["content"].get("data") or {}
    return event["type"] == "comm_open" or (event["type"] == "comm_msg" and data.get("method") == "update")


def _mentions_models(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(_REFERENCE)
    if isinstance(value, Mapping):
        return any(_mentions_models(v) for v in value.values())
    return isinstance(value, list | tuple) and any(_mentions_models(v) for v in value)


def _merge_state(target: Output, update: Output) -> None:
    """Overlay the state of ``update`` on that of ``target``, keys with their binary buffers."""
    data, new = target["content"]["data"], update["content"]["data"]
    kept = [
        (path, buffer)
        for path, buffer in zip(data.get("buffer_paths") or (), target["buffers"], strict=False)
        if path and path[0] not in new["state"]
    ]
    added = list(zip(new.get("buffer_paths") or (), update["buffers"], strict=False))
    data["state"] = {**(data.get("state") or {}), **new["state"]}
    data["buffer_paths"] = [path for path, _ in kept + added]
    target["buffers"] = [buffer for _, buffer in kept + added]


def _event(kind: str, content: Mapping[str, Any], metadata: Mapping[str, Any], buffers: Sequence[Any]) -> Output:
    return {"type": kind, "content": _frozen(content), "metadata": _frozen(metadata), "buffers": [bytes(b) for b in buffers]}


def _frozen(value: Any) -> Any:
    """A copy of JSON-like data: the kernel sends live dictionaries that the cell may change later."""
    if isinstance(value, Mapping):
        return {str(k): _frozen(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_frozen(v) for v in value]
    if value is None or isinstance(value, str | int | float | bool | bytes):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _joined(event: Output) -> Output:
    parts = event.pop("parts", None)
    if parts:
        event["content"]["text"] += "".join(parts)
    return event


def to_nbformat(events: Iterable[Output]) -> list[dict[str, Any]]:
    """The outputs as a notebook file holds them (nbformat 4); widgets' own messages have no place there."""
    made: list[dict[str, Any]] = []
    for event in events:
        kind, content = event["type"], _joined(event)["content"]
        if kind == "stream":
            made.append({"output_type": "stream", "name": content["name"], "text": content["text"]})
        elif kind == "error":
            made.append({"output_type": "error", **{k: content.get(k) for k in ("ename", "evalue", "traceback")}})
        elif kind in ("display_data", "execute_result"):
            output = {"output_type": kind, "data": content.get("data") or {}, "metadata": content.get("metadata") or {}}
            if kind == "execute_result":
                output["execution_count"] = content.get("execution_count")
            made.append(output)
    return made


def from_nbformat(output: Mapping[str, Any]) -> Output:
    """One output of a notebook file as a message."""
    content = {k: v for k, v in output.items() if k != "output_type"}
    return _event(str(output["output_type"]), content, {}, ())
