"""What a command typed at a network device does, by its words: a small table. What is not in it is a write."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from holdfast.model.call import Effect

_READS: Final = re.compile(
    r"(do\s+)?(sh(ow?)?|ping6?|trace(route6?)?|dir|more|who(ami)?|terminal|monitor\s+traffic|file\s+(show|list))(\s|$)", re.I
)
#: Where a reading's output goes on to.
_INTO: Final = re.compile(r"\|\s*(save|redirect|tee|append|file)\b|>", re.I)
_AGAIN: Final = re.compile(
    r"(wr(ite)?(\s+mem(ory)?)?|copy\s+run\S*\s+start\S*|clear\s+(counters|log|logging|arp)\b.*|commit(\s+comment\s.*)?|no\s+debug\b.*|undebug\b.*)\s*$",
    re.I,
)
_DESTROYS: Final = re.compile(
    r"(reload|reboot|request\s+system\s+(reboot|halt|power-off|zeroize)|(write\s+)?erase|format|factory-reset|del(ete)?"
    r"|no\s+(router|interface|vlan|vrf|route-map|username|ip\s+access-list|access-list|line)|clear\s+(ip\s+)?bgp\s+(\S+\s+)?\*)(\s|$)",
    re.I,
)


class Meaning(msgspec.Struct, frozen=True):
    """What typing something does."""

    effect: Effect
    destructive: bool = False


def meaning(command: str) -> Meaning:
    """Of a command typed outside of configuration."""
    text = command.strip()
    if _READS.match(text) and not _INTO.search(text):
        return Meaning(Effect.READ)
    if _AGAIN.match(text):
        return Meaning(Effect.IDEMPOTENT)
    return Meaning(Effect.WRITE, _DESTROYS.match(text) is not None)


def destroys(lines: list[str]) -> bool:
    """Whether one of these lines of configuration takes away more than can be typed back."""
    return any(_DESTROYS.match(line.strip()) for line in lines)
