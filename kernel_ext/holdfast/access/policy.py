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

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from holdfast.access.people import GROUP, People, names, read, table, unknown, wrong
from holdfast.access.person import Person
from holdfast.errors import OperatorError, RequestError
from holdfast.foundation.rereading import Reread

#: action -> what its patterns name. A pattern without a slash covers everything below the runbook, too.
ACTIONS: Final[Mapping[str, str]] = {
    "see": "runbooks whose executions, prompts and outputs may be seen",
    "start": "runbooks that may be started",
    "answer": "runbooks (or runbook/step) whose prompts may be answered",
    "pause": "runbooks whose executions may be paused",
    "resume": "runbooks whose executions may be resumed",
    "cancel": "runbooks whose executions may be cancelled",
    "rerun": "runbooks whose executions may be run again from a step",
    "rollback": "runbooks whose failed executions may be undone by their teardown steps",
    "handover": "runbooks whose executions may be handed over and taken over",
    "signal": "runbooks whose executions may be sent a signal",
    "break-glass": "runbooks for whose executions guardrails may be set aside",
    "secrets": "runbooks (or runbook/parameter) whose secret parameters may be read",
    "event": "sources (the `source` of a CloudEvent) that may be posted",
    "audit": 'the audit log: "*"',
}
EVERYONE: Final = "everyone"

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
        unknown(content, ("groups", "people", "roles", "grants"), "the file", file)
        self.people = People(content, file)
        grants = table(content, "grants", file)
        self._enforcer = self._read_rules(table(content, "roles", file), grants)
        self._granted = tuple(dict.fromkeys(holder for holders in grants.values() for holder in holders))
        self._roles: dict[tuple[str, tuple[str, ...]], frozenset[str]] = {}
        self._decided: dict[tuple[frozenset[str], str, str], bool] = {}

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read it.

        Raises:
            OperatorError: HF265.
        """
        return cls(read(path), str(path))

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

    def who_may(self, action: str, thing: str) -> tuple[str, ...]:
        """Those whom the file lets do ``action`` to ``thing``, as it names them: people, ``group:...``, ``everyone``."""
        roles = {h: frozenset(self._enforcer.get_implicit_roles_for_user(_subject(h))) for h in self._granted}
        return tuple(h for h, held in roles.items() if held and self._enforcer.enforce(held, thing, action))

    def groups_of(self, person: Person) -> tuple[str, ...]:
        """All groups of ``person``: those the sign-in vouches for and those of the file."""
        return tuple(sorted({*person.groups, *self.people.groups_of(person.name)}))

    def roles_of(self, person: Person) -> frozenset[str]:
        """All roles of ``person``, included ones too."""
        known = (person.name, person.groups)
        if known not in self._roles:
            if len(self._roles) > _REMEMBERED:
                self._roles.clear()
            subjects = [EVERYONE, f"person:{person.name}", *(f"{GROUP}{g}" for g in self.groups_of(person))]
            found = [r for s in subjects for r in self._enforcer.get_implicit_roles_for_user(f"who:{s}")]
            self._roles[known] = frozenset(found)
        return self._roles[known]

    # ---- reading

    def _read_rules(self, roles: Mapping[str, Any], grants: Mapping[str, Any]) -> Any:
        enforcer = _enforcer()
        for role, may in roles.items():
            if not isinstance(may, dict):
                raise wrong(f"roles.{role} is not a table", self._file)
            unknown(may, [*ACTIONS, "includes", "description"], f"roles.{role}", self._file)
            for other in names(may.get("includes", []), f"roles.{role}.includes", self._file):
                if other not in roles:
                    raise wrong(f"roles.{role} includes {other!r}, which is no role", self._file)
                enforcer.add_role_for_user(f"role:{role}", f"role:{other}")
            for action in ACTIONS:
                for pattern in names(may.get(action, []), f"roles.{role}.{action}", self._file):
                    enforcer.add_policy(f"role:{role}", pattern.removeprefix("!"), action, "deny" if pattern.startswith("!") else "allow")
        for role, holders in grants.items():
            if role not in roles:
                raise wrong(f"grants.{role}: there is no such role", self._file)
            for holder in names(holders, f"grants.{role}", self._file):
                enforcer.add_role_for_user(_subject(holder), f"role:{role}")
        return enforcer


def _subject(holder: str) -> str:
    known = holder == EVERYONE or holder.startswith(GROUP)  # so that nobody is a group by the name they sign in with
    return f"who:{holder if known else f'person:{holder}'}"


class PolicyFile:
    """The policy as the file has it now: a change counts from the next request on. Without a file, only the owner may do anything.

    Args:
        path: of the file, or None.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file = Reread(path, Policy.load) if path is not None else None
        self._none = Policy({})
        self.current()

    def current(self) -> Policy:
        """The policy.

        Raises:
            OperatorError: HF265; as long as the file cannot be used, nobody may do anything.
        """
        if self._file is None:
            return self._none
        try:
            return self._file.current()
        except OSError as error:
            raise OperatorError(
                "HF265", f"the policy file cannot be read: {error.strerror}", cure="Put it back.", file=str(self.path)
            ) from None


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
