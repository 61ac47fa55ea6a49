"""Process state beside the namespace: each kind says how it is read, what is its baseline, and how it is set again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: What a kind reads as when nothing differs from before the first cell.
UNCHANGED: Any = type("Unchanged", (), {"__repr__": lambda self: "UNCHANGED"})()


@dataclass(frozen=True)
class Kind:
    """One piece of process state.

    Args:
        name: unique; stored in checkpoints.
        read: the value to keep, given the baseline; ``UNCHANGED`` when there is nothing to keep. Cheap: called after every cell.
        write: bring a kept value back, given the baseline.
        baseline: taken before any cell.
        order: kinds are written in ascending order, those below 0 before any variable is loaded.
        linked: the value holds objects that variables may share.
    """

    name: str
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], None]
    baseline: Callable[[], Any] = lambda: None
    order: int = 10
    linked: bool = False


def simple(name: str, read: Callable[[], Any], write: Callable[[Any], Any]) -> Kind:
    """A setting that is one value."""

    def changed(baseline: Any) -> Any:
        now = read()
        return UNCHANGED if now == baseline else now

    return Kind(name, changed, lambda value, baseline: write(baseline if value is UNCHANGED else value), read)


class ProcessState:
    """All kinds, with their baselines and the values last seen."""

    def __init__(self, kinds: list[Kind]) -> None:
        self.kinds = {k.name: k for k in kinds}
        self._baselines: dict[str, Any] = {}
        self._values: dict[str, Any] = {}

    def start(self) -> None:
        """Take the baselines."""
        for kind in self.kinds.values():
            self._baselines[kind.name] = kind.baseline()

    def read(self) -> dict[str, Any]:
        """The value of each kind that differs from its baseline."""
        self._values = {}
        for kind in self.kinds.values():
            value = kind.read(self._baselines.get(kind.name))
            if value is not UNCHANGED:
                self._values[kind.name] = value
        return self._values

    def changes(self) -> tuple[list[str], list[str]]:
        """Kinds that differ from their baseline and from when last asked, and kinds that are as their baseline."""
        before = self._values
        now = self.read()
        changed = [k for k, v in now.items() if self.kinds[k].linked or k not in before or not _same(before[k], v)]
        return changed, [k for k in self.kinds if k not in now]

    def seen(self) -> dict[str, Any]:
        """The values last read."""
        return self._values

    def forget(self, seen: dict[str, Any]) -> None:
        """Compare with ``seen`` the next time."""
        self._values = seen

    def value(self, name: str) -> Any:
        """As last read."""
        return self._values[name]

    def write(self, name: str, value: Any) -> None:
        """Bring a kept value back."""
        self.kinds[name].write(value, self._baselines.get(name))

    def reset(self, name: str) -> None:
        """Back to the baseline, where the kind can."""
        kind = self.kinds[name]
        kind.write(UNCHANGED, self._baselines.get(name))

    def order(self, name: str) -> int:
        return self.kinds[name].order if name in self.kinds else 0


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(a == b)
    except Exception:  # arrays in a state compare element by element
        return False
