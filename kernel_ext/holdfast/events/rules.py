"""Rules: which event starts which runbook with which parameters. Read from ``rules.toml`` or ``rules.yaml`` beside the runbooks."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from holdfast.errors import LookupFailedError, OperatorError
from holdfast.events.criteria import check_criteria
from holdfast.events.near import Trouble, did_you_mean, expect, known_keys, read_table
from holdfast.events.templates import TemplateTrouble, check_template
from holdfast.foundation import durations
from holdfast.model.event import Event

OVERLAPS: Final = ("skip", "queue", "replace", "allow")
RESOLUTIONS: Final = ("ignore", "signal", "cancel")
_FILES: Final = ("rules.toml", "rules.yaml", "rules.yml")
_KEYS: Final = (
    "runbook", "description", "enabled", "event", "source", "criteria", "parameters", "key", "dedup", "overlap", "resolved", "max_age",
)  # fmt: skip
_SKIPPED: Final = ("__pycache__", "node_modules", "site-packages")
#: What tells that a matter is over, for the types of the sources that come with Holdfast.
_OVER: Final = {
    "io.prometheus.alert.firing": "io.prometheus.alert.resolved",
    "com.pagerduty.incident.triggered": "com.pagerduty.incident.resolved",
    "com.datadoghq.monitor.triggered": "com.datadoghq.monitor.recovered",
}


class Dedup(msgspec.Struct, frozen=True, kw_only=True):
    """Events with the same rendered ``key`` within ``window`` seconds of one that started something start nothing."""

    key: str
    window: float


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What happens when the matter is over: ``ignore``, ``signal`` (the running execution gets the signal ``name``) or ``cancel``."""

    then: str = "ignore"
    events: tuple[str, ...] = ()
    name: str = "resolved"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, checked."""

    id: str  # "PACK/NAME", unique among all rules
    file: str
    runbook: str  # as written: a name, or a path relative to the file
    path: Path  # the notebook
    description: str = ""
    enabled: bool = True
    events: tuple[str, ...]  # patterns of types
    source: str | None = None  # pattern
    criteria: Mapping[str, Any] = {}
    parameters: Mapping[str, Any] = {}
    key: str = "{{ event.subject or event.id }}"  # events with the same rendered key are about the same matter
    overlap: str = "skip"
    dedup: Dedup | None = None
    resolved: Resolved = Resolved()
    max_age: float | None = None  # seconds; an older event starts nothing

    def takes(self, event: Event) -> bool:
        """Whether type and source fit; criteria are another matter."""
        return _fits(event.type, self.events) and (self.source is None or fnmatch.fnmatchcase(event.source, self.source))

    def ends_with(self, event: Event) -> bool:
        """Whether the event says that a matter is over."""
        if self.resolved.then == "ignore" or (self.source is not None and not fnmatch.fnmatchcase(event.source, self.source)):
            return False
        return _fits(event.type, self.resolved.events)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All rules of some folders, and what is wrong with the rest."""

    rules: tuple[Rule, ...] = ()
    troubles: tuple[OperatorError, ...] = ()

    @classmethod
    def load(cls, folders: Iterable[Path]) -> Rules:
        """Read every rules file in ``folders`` and below. A rule that cannot be used does not stand in the way of the others."""
        rules: dict[str, Rule] = {}
        troubles: list[OperatorError] = []
        for file in dict.fromkeys(file for folder in folders for file in rules_files(folder)):
            for one in _read(file):
                if isinstance(one, OperatorError):
                    troubles.append(one)
                elif one.id in rules:
                    twice = Trouble(f"the rule {one.id} is also in {rules[one.id].file}", cure="Give one of them another name.")
                    troubles.append(twice.error("HF280", file=one.file, rule=one.id))
                else:
                    rules[one.id] = one
        return cls(rules=tuple(rules.values()), troubles=tuple(troubles))

    def find(self, id: str) -> Rule:
        """The rule of that id, or of that name where it is the only one. Raises ``LookupFailedError`` HF610."""
        named = [r for r in self.rules if id in (r.id, r.id.rpartition("/")[2])]
        if len(named) != 1:
            why = "several rules have this name" if named else "no such rule"
            raise LookupFailedError("HF610", why, cure=did_you_mean(id, [r.id for r in self.rules]), rule=id)
        return named[0]


def rules_files(folder: Path) -> list[Path]:
    """The rules files in ``folder`` and below: ``rules.toml``, ``rules.yaml``, and any of either kind in a folder called ``rules``."""
    if folder.is_file():
        return [folder] if folder.name in _FILES else []
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if any(part.startswith(".") or part in _SKIPPED for part in inside):
            continue
        if path.name in _FILES or (path.suffix in (".toml", ".yaml", ".yml") and path.parent.name == "rules"):
            found.append(path)
    return found


def _read(file: Path) -> Iterator[Rule | OperatorError]:
    where = {"file": str(file)}
    try:
        content = read_table(file)
        known_keys(content, ("rules",))
        tables = expect(content, "rules", dict, "a table of rules by name", {})
    except Trouble as trouble:
        yield trouble.error("HF280", **where)
        return
    folder = file.parent.parent if file.parent.name == "rules" and file.name not in _FILES else file.parent
    for name, table in tables.items():
        try:
            yield _rule(str(name), table, file, folder)
        except Trouble as trouble:
            yield trouble.error("HF280", **where, rule=str(name))


def _rule(name: str, table: Any, file: Path, folder: Path) -> Rule:
    if not isinstance(table, dict):
        raise Trouble("a rule must be a table")
    known_keys(table, _KEYS)
    for key in ("runbook", "event"):
        if key not in table:
            raise Trouble(f"{key} is missing", key=key)
    events = _patterns(table["event"], "event")
    runbook = expect(table, "runbook", str, "a text")
    criteria = table.get("criteria", {})
    check_criteria(criteria)
    parameters = expect(table, "parameters", dict, "a table", {})
    key = expect(table, "key", str, "a text", None)
    _template(parameters, "parameters")
    _template(key, "key")
    _template(criteria, "criteria")
    overlap = expect(table, "overlap", str, "a text", "skip")
    if overlap not in OVERLAPS:
        raise Trouble(f"overlap must be one of {', '.join(OVERLAPS)}", key="overlap", cure=did_you_mean(overlap, OVERLAPS))
    return Rule(
        id=f"{folder.name}/{name}",
        file=str(file),
        runbook=runbook,
        path=_notebook(runbook, folder),
        description=expect(table, "description", str, "a text", ""),
        enabled=expect(table, "enabled", bool, "true or false", True),
        events=events,
        source=expect(table, "source", str, "a pattern", None),
        criteria=criteria,
        parameters=parameters,
        overlap=overlap,
        dedup=_dedup(table),
        resolved=_resolved(table.get("resolved", "ignore"), events),
        max_age=_seconds(table["max_age"], "max_age") if "max_age" in table else None,
        **({} if key is None else {"key": key}),
    )


def _notebook(runbook: str, folder: Path) -> Path:
    wanted = runbook if runbook.endswith(".ipynb") else f"{runbook}.ipynb"
    if (folder / wanted).is_file():
        return (folder / wanted).absolute()
    there = {p.stem: p for p in sorted(folder.rglob("*.ipynb")) if not any(part.startswith(".") for part in p.relative_to(folder).parts)}
    if "/" not in runbook and Path(wanted).stem in there:
        return there[Path(wanted).stem].absolute()
    raise Trouble(f"there is no runbook {runbook!r}", key="runbook", cure=did_you_mean(Path(wanted).stem, there))


def _patterns(given: Any, key: str) -> tuple[str, ...]:
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, list) or not patterns or not all(isinstance(one, str) and one for one in patterns):
        raise Trouble(f"{key} must be an event type, a pattern of types, or a list of them", key=key)
    return tuple(patterns)


def _dedup(table: Mapping[str, Any]) -> Dedup | None:
    dedup = expect(table, "dedup", dict, 'a table {key = "...", window = "1h"}', None)
    if dedup is None:
        return None
    known_keys(dedup, ("key", "window"), "dedup.")
    for key in ("key", "window"):
        if key not in dedup:
            raise Trouble(f"dedup.{key} is missing", key=f"dedup.{key}")
    _template(expect(dedup, "key", str, "a text"), "dedup.key")
    return Dedup(key=dedup["key"], window=_seconds(dedup["window"], "dedup.window"))


def _resolved(given: Any, events: tuple[str, ...]) -> Resolved:
    table = {"then": given} if isinstance(given, str) else given
    if not isinstance(table, dict):
        raise Trouble('resolved must be one of its words or a table {then = "signal"}', key="resolved")
    known_keys(table, ("then", "event", "name"), "resolved.")
    then = table.get("then", "ignore")
    if then not in RESOLUTIONS:
        cure = did_you_mean(str(then), RESOLUTIONS)
        raise Trouble(f"resolved must be one of {', '.join(RESOLUTIONS)}", key="resolved", cure=cure)
    over = _patterns(table["event"], "resolved.event") if "event" in table else tuple(_OVER[e] for e in events if e in _OVER)
    if then != "ignore" and not over:
        raise Trouble("which event says that it is over?", key="resolved.event", cure="Name its type.")
    return Resolved(then=then, events=over, name=expect(table, "name", str, "a text", "resolved"))


def _seconds(given: Any, key: str) -> float:
    try:
        return durations.seconds(given)
    except ValueError as error:
        raise Trouble(str(error), key=key) from None


def _template(value: Any, key: str) -> None:
    try:
        check_template(value)
    except TemplateTrouble as error:
        raise Trouble(str(error), key=key) from None


def _fits(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)
