"""What all requests share: the journal, the policy, the ways to sign in, the audit log, the workers."""

from __future__ import annotations

import threading

import msgspec

from holdfast.access.audit import AuditLog
from holdfast.access.person import Person
from holdfast.access.policy import Policy, PolicyFile
from holdfast.access.tokens import Tokens
from holdfast.channels.dispatcher import Dispatcher
from holdfast.channels.settings import Channels
from holdfast.client import Client
from holdfast.config import Config
from holdfast.errors import HoldfastError
from holdfast.executions.start import pinned_notebook
from holdfast.gateway.shelf import Shelf
from holdfast.gateway.signin.identity import Identity
from holdfast.gateway.signin.sessions import Sessions
from holdfast.gateway.workers import Workers
from holdfast.journal.store import Store
from holdfast.model.execution import Execution
from holdfast.model.manifest import Manifest, Parameter
from holdfast.notebook.compile import examine

_REMEMBERED = 500
_DRY_RUNS = 2  # at a time: each has a kernel of its own


class Hall:
    """Made once per server.

    Args:
        store: the open journal.
        config: the settings.
        owner: ``(name, token)`` where there is no policy file.
        via: what the audit log and answers say of the way: ``inbox`` here, ``jupyter`` there.
        url: where people reach it; the setting ``public_url`` wins.

    Raises:
        OperatorError: HF202, HF265, HF268.
    """

    def __init__(
        self, store: Store, config: Config, *, owner: tuple[str, str] | None = None, via: str = "gateway", url: str | None = None
    ) -> None:
        self.store, self.config, self.via = store, config, via
        self.policy_file = PolicyFile(config.policy_file)
        tokens = Tokens(config.tokens_file or config.state_dir / "tokens.json")
        self.identity = Identity(config, tokens, Sessions(store.key, config.session_lasts), owner)
        self.audit = AuditLog(store)
        self.shelf = Shelf(config.runbooks)
        self.workers = Workers(store, config)
        self.dispatcher = Dispatcher(store, config, url=url)
        self.dry_runs = threading.BoundedSemaphore(_DRY_RUNS)
        self._lock = threading.Lock()
        self._manifests: dict[bytes, Manifest | None] = {}

    @property
    def policy(self) -> Policy:
        """As the file has it now. Raises ``OperatorError`` HF265."""
        return self.policy_file.current()

    @property
    def channels(self) -> Channels:
        """As the file has them now."""
        return self.dispatcher.file.current()

    def client(self, person: Person) -> Client:
        """The verbs, in that person's name."""
        return Client(self.store, msgspec.structs.replace(self.config, user=person.name))

    def manifest(self, header: Execution) -> Manifest | None:
        """What the pinned notebook compiles to; None for a shell, or when it is lost. Remembered by the text's digest."""
        if header.notebook is None:
            return None
        if header.notebook not in self._manifests:
            try:
                found = examine(pinned_notebook(self.store, header)).manifest
            except HoldfastError:
                found = None
            with self._lock:
                if len(self._manifests) >= _REMEMBERED:
                    self._manifests.clear()
                self._manifests[header.notebook] = found
        return self._manifests[header.notebook]

    def secret_names(self, header: Execution) -> frozenset[str]:
        """The parameters of an execution that are marked as secret."""
        manifest = self.manifest(header) if header.parameters else None
        marked = {p.name for p in manifest.parameters if is_secret(p)} if manifest else set()
        return frozenset({*marked, *header.secrets})


def is_secret(parameter: Parameter) -> bool:
    """Whether a parameter is a secret, or its schema says that it is typed like a password."""
    return parameter.secret or parameter.schema.get("format") == "password" or parameter.schema.get("writeOnly") is True
