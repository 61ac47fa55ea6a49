"""The order of the steps: resolves ``after``, ``on_failure`` and ``teardown``, and finds what cannot be resolved."""

from __future__ import annotations

import msgspec

from holdfast.model.manifest import Cell, Step
from holdfast.notebook.finding import Finding, Severity
from holdfast.notebook.marks import RESERVED
from holdfast.notebook.metadata import near


def resolve(steps: list[Step]) -> tuple[list[Step], list[Finding]]:
    """Give every step its predecessors.

    Without ``after`` a step waits for the step above it in the notebook; ``after: []`` waits for nothing. A teardown stands outside the
    order: its ``after`` is the step it undoes, and no step waits for it. An ``always`` step keeps its place in the order.

    Returns:
        the steps, and the findings NB102 (unknown name), NB103 (cycle), NB104 (unreachable).
    """
    findings: list[Finding] = []
    names = {s.name for s in steps}
    teardowns = {s.name for s in steps if s.teardown_of is not None}
    resolved: list[Step] = []
    above: str | None = None
    for step in steps:
        after: tuple[str, ...]
        if step.teardown_of is not None:
            after = (step.teardown_of,) if _known(step, step.teardown_of, "teardown", names - teardowns, teardowns, findings) else ()
        elif step.policy.after is None:
            after = (above,) if above is not None else ()
        else:
            wanted = dict.fromkeys(step.policy.after)
            after = tuple(n for n in wanted if _known(step, n, "after", names - teardowns, teardowns, findings))
        if step.teardown_of is None:
            above = step.name
        if step.policy.on_failure not in RESERVED:
            _known(step, step.policy.on_failure, "on_failure", names | RESERVED, set(), findings)
        resolved.append(msgspec.structs.replace(step, after=after))
    return resolved, findings + _cycles(resolved) + _backward(resolved)


def finding(code: str, severity: Severity, message: str, cure: str, cell: Cell | None) -> Finding:
    """A finding at the head of a step."""
    return Finding(
        code=code, severity=severity, message=message, cure=cure, cell=cell.id if cell else None, index=cell.index if cell else None
    )


def _head(step: Step) -> Cell | None:
    return step.cells[0] if step.cells else None


def _known(step: Step, name: str, key: str, known: set[str], teardowns: set[str], findings: list[Finding]) -> bool:
    if name in known:
        return True
    if name in teardowns:
        message = f"step {step.name!r}: {key!r} names {name!r}, a teardown, which the ordinary order never runs"
        findings.append(finding("NB104", "error", message, "name an ordinary step", _head(step)))
    else:
        message = f"step {step.name!r}: {key!r} names {name!r}, which is no step"
        findings.append(finding("NB102", "error", message, near(name, known), _head(step)))
    return False


def _cycles(steps: list[Step]) -> list[Finding]:
    """One finding per circle, told as the way round; and one for each step that can only be reached through a circle."""
    by_name = {s.name: s for s in steps}
    done: set[str] = set()
    found: list[Finding] = []
    ready = True
    while ready:
        ready = False
        for s in steps:
            if s.name not in done and all(a in done for a in s.after):
                done.add(s.name)
                ready = True
    stuck = [s.name for s in steps if s.name not in done]
    on_circle: set[str] = set()
    for name in stuck:
        way = [] if name in on_circle else _way_round(by_name, name)
        if way and not on_circle & set(way):
            on_circle.update(way)
            circle = " → ".join([*reversed(way), way[-1]])
            message = f"the steps wait for each other: {circle}"
            found.append(finding("NB103", "error", message, "take one name out of 'after'", _head(by_name[name])))
    for name in stuck:
        if name not in on_circle:
            message = f"step {name!r} can never run: it waits for a circle of steps"
            found.append(finding("NB104", "error", message, "mend the circle, or change its 'after'", _head(by_name[name])))
    return found


def _way_round(by_name: dict[str, Step], start: str) -> list[str]:
    """The shortest way from ``start`` along ``after`` back to itself, or nothing."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for above in by_name[way[-1]].after:
            if above == start:
                return way
            if above not in seen and above in by_name:
                seen.add(above)
                ways.append([*way, above])
    return []


def _backward(steps: list[Step]) -> list[Finding]:
    """``on_failure`` that leads to the step itself or to one that had to be complete before it."""
    by_name = {s.name: s for s in steps}
    found: list[Finding] = []
    for step in steps:
        target = step.policy.on_failure
        if target in RESERVED or target not in by_name:
            continue
        above, todo = {step.name}, [step.name]
        while todo:
            for a in by_name[todo.pop()].after:
                if a in by_name and a not in above:
                    above.add(a)
                    todo.append(a)
        if target in above:
            message = f"step {step.name!r}: 'on_failure' leads back to {target!r}"
            found.append(finding("NB103", "error", message, "use 'retry' to try again, or name a later step", _head(step)))
    return found
