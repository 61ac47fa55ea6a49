"""Who may do what: one readable file, decided by casbin, denied unless granted.

.. code-block:: toml

    [groups]
    oncall = ["alice", "bob"]

    [roles.viewer]
    see = ["*"]

    [roles.responder]
    includes = ["viewer"]
    start = ["restart-*", "!restart-production"]
    answer = ["*"]

    [grants]
    viewer = ["everyone"]
    responder = ["group:oncall", "carol"]
"""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from holdfast.access.person import Person
from holdfast.errors import OperatorError, RequestError

#: action -> what its patterns name. A pattern without a slash covers everything below the runbook, too.
ACTIONS: Final[Mapping[str, str]] = {
    "see": "runbooks whose executions, prompts and outputs may be seen",
    "start": "runbooks that may be started",
    "answer": "runbooks (or runbook/step) whose prompts may be answered",
    "pause": "runbooks whose executions may be paused",
    "resume": "runbooks whose executions may be resumed",
    "cancel": "runbooks whose executions may be cancelled",
    "rerun": "runbooks whose executions may be run again from a step",
    "handover": "runbooks whose executions may be handed over and taken over",
    "signal": "runbooks whose executions may be sent a signal",
    "break-glass": "runbooks for whose executions guardrails may be set aside",
    "secrets": "runbooks (or runbook/parameter) whose secret parameters may be read",
    "event": "sources (the `source` of a CloudEvent) that may be posted",
    "audit": 'the audit log: "*"',
}
EVERYONE: Final = "everyone"
_GROUP: Final = "group:"

_MODEL: Final = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = r.act == p.act && holds(r.sub, p.sub) && covers(r.obj, p.obj)
"""
_PERSON_KEYS: Final = frozenset({"name", "email", "slack", "groups"})
_REMEMBERED: Final = 20_000


class Policy:
    """What the policy file says.

    Args:
        content: the parsed file.
        file: its name, for errors.

    Raises:
        OperatorError: HF265, something in it is not understood.
    """

    def __init__(self, content: Mapping[str, Any], file: str = "") -> None:
        self._file = file
        self._unknown(content, {"groups", "people", "roles", "grants"}, "the file")
        self.people: dict[str, dict[str, Any]] = {}
        self._groups: dict[str, set[str]] = {}  # person -> groups
        self._read_people(content)
        self._enforcer = self._read_rules(self._table(content, "roles"), self._table(content, "grants"))
        self._roles: dict[tuple[str, tuple[str, ...]], frozenset[str]] = {}
        self._decided: dict[tuple[frozenset[str], str, str], bool] = {}

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read it.

        Raises:
            OperatorError: HF265.
        """
        try:
            return cls(tomllib.loads(path.read_text("utf-8")), str(path))
        except (OSError, ValueError) as error:
            raise OperatorError(
                "HF265", f"the policy file cannot be read: {error}", cure="Mend it; until then all is denied.", file=str(path)
            ) from None

    # ---- asking

    def allows(self, person: Person, action: str, thing: str) -> bool:
        """Whether ``person`` may do ``action`` (one of :data:`ACTIONS`) to ``thing``. An installation's owner may do everything."""
        if action not in ACTIONS:
            raise ValueError(f"unknown action {action!r}")
        if person.owner:
            return True
        roles = self.roles_of(person)
        place = (roles, thing, action)
        if place not in self._decided:
            if len(self._decided) > _REMEMBERED:
                self._decided.clear()
            self._decided[place] = bool(roles) and bool(self._enforcer.enforce(roles, thing, action))
        return self._decided[place]

    def groups_of(self, person: Person) -> tuple[str, ...]:
        """All groups of ``person``: those the sign-in vouches for and those of the file."""
        return tuple(sorted({*person.groups, *self._groups.get(person.name, ())}))

    def roles_of(self, person: Person) -> frozenset[str]:
        """All roles of ``person``, included ones too."""
        known = (person.name, person.groups)
        if known not in self._roles:
            if len(self._roles) > _REMEMBERED:
                self._roles.clear()
            subjects = [EVERYONE, f"person:{person.name}", *(f"{_GROUP}{g}" for g in self.groups_of(person))]
            found = [r for s in subjects for r in self._enforcer.get_implicit_roles_for_user(f"who:{s}")]
            self._roles[known] = frozenset(found)
        return self._roles[known]

    def person_by(self, key: str, value: str) -> str | None:
        """The person whose ``key`` (``email``, ``slack``) is ``value``: how a message from outside becomes somebody of the policy."""
        return next((name for name, about in self.people.items() if value and about.get(key) == value), None)

    # ---- reading

    def _read_people(self, content: Mapping[str, Any]) -> None:
        for group, members in self._table(content, "groups").items():
            for name in self._names(members, f"groups.{group}"):
                self._groups.setdefault(name, set()).add(group)
        for name, about in self._table(content, "people").items():
            if not isinstance(about, dict):
                raise self._wrong(f"people.{name} is not a table")
            self._unknown(about, _PERSON_KEYS, f"people.{name}")
            self.people[name] = dict(about)
            for group in self._names(about.get("groups", []), f"people.{name}.groups"):
                self._groups.setdefault(name, set()).add(group)
        for key in ("email", "slack"):
            values = [about[key] for about in self.people.values() if key in about]
            if doubled := {v for v in values if values.count(v) > 1}:
                raise self._wrong(f"two people have the {key} {sorted(map(str, doubled))[0]}")

    def _read_rules(self, roles: Mapping[str, Any], grants: Mapping[str, Any]) -> Any:
        enforcer = _enforcer()
        for role, may in roles.items():
            if not isinstance(may, dict):
                raise self._wrong(f"roles.{role} is not a table")
            self._unknown(may, {*ACTIONS, "includes", "description"}, f"roles.{role}")
            for other in self._names(may.get("includes", []), f"roles.{role}.includes"):
                if other not in roles:
                    raise self._wrong(f"roles.{role} includes {other!r}, which is no role")
                enforcer.add_role_for_user(f"role:{role}", f"role:{other}")
            for action in ACTIONS:
                for pattern in self._names(may.get(action, []), f"roles.{role}.{action}"):
                    enforcer.add_policy(f"role:{role}", pattern.removeprefix("!"), action, "deny" if pattern.startswith("!") else "allow")
        for role, holders in grants.items():
            if role not in roles:
                raise self._wrong(f"grants.{role}: there is no such role")
            for holder in self._names(holders, f"grants.{role}"):
                known = holder == EVERYONE or holder.startswith(_GROUP)  # so that nobody is a group by the name they sign in with
                enforcer.add_role_for_user(f"who:{holder if known else f'person:{holder}'}", f"role:{role}")
        return enforcer

    def _table(self, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        table = content.get(name, {})
        if not isinstance(table, dict):
            raise self._wrong(f"{name} is not a table")
        return table

    def _names(self, value: Any, where: str) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(v, str) and v.strip("!") for v in value):
            raise self._wrong(f"{where} is not a list of names")
        return value

    def _unknown(self, given: Iterable[str], known: Iterable[str], where: str) -> None:
        import difflib

        known = list(known)
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise self._wrong(f"{where} has an unknown entry {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

    def _wrong(self, what: str) -> OperatorError:
        return OperatorError("HF265", f"the policy is not understood: {what}", cure="Mend it; until then all is denied.", file=self._file)


class PolicyFile:
    """The policy as the file has it now: a change counts from the next request on. Without a file, only the owner may do anything.

    Args:
        path: of the file, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._policy = Policy({})
        if path is not None:
            self.current()

    def current(self) -> Policy:
        """The policy.

        Raises:
            OperatorError: HF265; as long as the file cannot be used, nobody may do anything.
        """
        if self.path is None:
            return self._policy
        with self._lock:
            try:
                status = self.path.stat()
            except OSError as error:
                raise OperatorError(
                    "HF265", f"the policy file cannot be read: {error.strerror}", cure="Put it back.", file=str(self.path)
                ) from None
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                self._policy, self._stamp = Policy.load(self.path), stamp
            return self._policy


def require(policy: Policy, person: Person, action: str, thing: str) -> None:
    """Refuse what is not granted.

    Raises:
        RequestError: HF702.
    """
    if not policy.allows(person, action, thing):
        raise RequestError(
            "HF702", f"{person.name} may not {action} {thing}", cure="Ask for a role in the policy file that grants it.", person=person.name
        )


def covers(thing: str, pattern: str) -> bool:
    """Whether ``pattern`` (``*``, ``?``, ``[...]``) names ``thing``, or the runbook it belongs to."""
    return fnmatchcase(thing, pattern) or ("/" not in pattern and fnmatchcase(thing.partition("/")[0], pattern))


def _enforcer() -> Any:
    """casbin with our model, no adapter, and no logging set up on our behalf."""
    import casbin

    model = casbin.Model()
    model.load_model_from_text(_MODEL)
    enforcer = casbin.Enforcer(model)
    enforcer.add_function("covers", covers)
    enforcer.add_function("holds", lambda roles, role: role in roles)
    return enforcer
