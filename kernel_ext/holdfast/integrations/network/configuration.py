"""Whether lines of configuration are in effect, read off the device's running configuration. In doubt: nobody knows."""

from __future__ import annotations

import re

from holdfast.durable.canonical import digest

#: What a device writes into its configuration by itself: times, sizes, comments.
_NOISE = re.compile(r"\s*(!|#|Building configuration|Current configuration|ntp clock-period|Last (configuration|commit))")
_OPENS = re.compile(r"(interface|router|line|vrf|route-map|policy-map|class-map|key chain|ip access-list|vlan|address-family|bgp)\b", re.I)
_TOP = re.compile(r"(interface|router|line|route-map|policy-map|class-map|key chain|ip access-list|vlan)\b", re.I)
_LEAVES = frozenset({"exit", "end", "quit", "!"})

Path = tuple[str, ...]


def known(text: str) -> frozenset[Path]:
    """The lines of a configuration, each with those it stands under."""
    found: set[Path] = set()
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        if not line.strip() or _NOISE.match(line):
            continue
        depth, word = len(line) - len(line.lstrip()), " ".join(line.split())
        if word in _LEAVES or word.startswith("exit-"):
            continue
        while above and above[-1][0] >= depth:
            above.pop()
        found.add((*(one for _, one in above), word))
        above.append((depth, word))
    return frozenset(found)


def fingerprint(text: str) -> str:
    """Equal for two configurations that say the same."""
    return digest(sorted(map(list, known(text)))).hex()


def missing(lines: list[str], text: str) -> tuple[list[str], int]:
    """Those of ``lines`` that a running configuration does not have as they ask for, and how many there are to have."""
    there = known(text)
    wanted = _paths(lines, there)
    return [path[-1] for path in wanted if not _holds(path, there)], len(wanted)


def in_effect(lines: list[str], text: str) -> bool:
    """Whether a running configuration has all that ``lines`` ask for."""
    lacking, wanted = missing(lines, text)
    return wanted > 0 and not lacking


def _holds(path: Path, there: frozenset[Path]) -> bool:
    *above, line = path
    for no, plain in (("no ", ""), ("delete ", "set "), ("activate ", "deactivate ")):
        if line.startswith(no):
            undone = plain + line.removeprefix(no)
            return not any(p[:-1] == tuple(above) and (p[-1] == undone or p[-1].startswith(f"{undone} ")) for p in there)
    return path in there


def _paths(lines: list[str], there: frozenset[Path]) -> list[Path]:
    """Each line under those that were typed before it to get there; what only leads somewhere is left out."""
    headers = {p[:n] for p in there for n in range(1, len(p))}
    above: list[str] = []
    found: list[Path] = []
    for raw in lines:
        line = " ".join(raw.split())
        if line in _LEAVES or line.startswith("exit-"):
            above = [] if line == "end" else above[:-1]
        elif _OPENS.match(line):
            if _TOP.match(line) or (line,) in headers:
                above = []
            above.append(line)
        elif line:
            found.append((*above, line))
    return found
