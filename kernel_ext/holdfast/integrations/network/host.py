"""Commands on a host over SSH: ``ssh host command``, durable, without a terminal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from holdfast.durable import current
from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.durable.references import secret
from holdfast.errors import CallError, OutcomeUnknownError
from holdfast.integrations.network.device import NotReached
from holdfast.model.call import Effect
from holdfast.notebook.commands import classify
from holdfast.notebook.destroying import command_destroys


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a command on a host came to."""

    status: int
    out: str
    err: str = ""

    def require(self) -> Ran:
        """Itself when its status is 0.

        Raises:
            CallError: HF330.
        """
        if self.status == 0:
            return self
        said = " ".join((self.err or self.out).split())[:300]
        raise CallError("HF330", f"the command ended with {self.status}: {said}", cure="look at what it says")


class Host:
    """See :func:`host`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)
        self._client: Any = None

    def __reduce__(self) -> Any:  # a checkpoint keeps where the credentials are, and no connection
        return Host, (self._given,)

    def __repr__(self) -> str:
        return f"<host {self.name}>"

    @property
    def name(self) -> str:
        """The host, with its port where that is not 22."""
        return str(self._given["host"]) if self._given["port"] == 22 else f"{self._given['host']}:{self._given['port']}"

    def run(self, command: str, *, input: str = "", timeout: float = 60.0, check: bool = True, probe: str | None = None) -> Ran:
        """Run a command line in the user's shell there. Commands known for only reading are readings; all else is made once.

        Args:
            input: for its standard input.
            timeout: seconds without a word from it.
            check: False returns a failure instead of raising.
            probe: a command that only reads and says by its status whether ``command`` has happened (0: yes, 1: no): asked when nobody
                knows. Without it a person is.
        Raises:
            CallError: HF330 its status is not 0, HF334 the host cannot be reached. OutcomeUnknownError: HF316.
        """
        effect = classify(command)
        recorder = current.active()
        if recorder is None:
            return _checked(self._run(command, effect, input, timeout), check)

        def found(attempt: Attempt) -> Outcome | None:
            status = self._run(probe or "", Effect.READ, "", timeout)["status"]
            return Outcome(happened=status == 0, value={"status": 0, "out": "", "err": ""}) if status in (0, 1) else None

        request = Request(
            kind="ssh",
            operation=f"{self.name}: {command}",
            fingerprint=digest([self.name, command, input]),
            effect=effect,
            target=f"ssh://{self.name}",
            destructive=any(command_destroys(line) for line in command.split("\n")),
        )
        value = recorder.perform(
            request,
            lambda attempt: self._run(command, effect, input, timeout),
            probe=found if probe else None,
            transient=_transient,
            failed=lambda stored: stored["status"] != 0,
            assumed=_assumed,
        )
        return _checked(value, check)

    def close(self) -> None:
        """End the connection; the next command makes another."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _run(self, command: str, effect: Effect, input: str, timeout: float) -> dict[str, Any]:
        from paramiko import SSHException

        client = self._connected()
        try:
            given, out, err = client.exec_command(command, timeout=timeout)
            if input:
                given.write(input)
            given.channel.shutdown_write()
            said = {"out": out.read().decode(errors="replace"), "err": err.read().decode(errors="replace")}
            status = out.channel.recv_exit_status()
            if status == -1:
                raise EOFError("no exit status")
        except (SSHException, OSError, EOFError) as error:
            self.close()
            if effect == Effect.READ:
                raise self._not_reached(error) from error
            raise OutcomeUnknownError(
                "HF316",
                f"the connection to {self.name} broke while `{command}` ran ({type(error).__name__})",
                cure="look at the host, then answer the prompt",
            ) from error
        return {"status": status, **said}

    def _connected(self) -> Any:
        import paramiko

        if self._client is not None and self._client.get_transport() is not None and self._client.get_transport().is_active():
            return self._client
        logging.getLogger("paramiko").addHandler(logging.NullHandler())
        given = self._given
        client = paramiko.SSHClient()
        if given["known_hosts"]:
            client.load_host_keys(str(Path(given["known_hosts"]).expanduser()))
        else:
            client.load_system_host_keys()
        if not given["strict"]:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        password = str.__str__(secret(given["password"])) if given["password"] else None
        more: dict[str, Any] = {"password": password, "allow_agent": False, "look_for_keys": False} if password else {}
        if given["key"]:
            more["key_filename"] = str(Path(given["key"]).expanduser())
        try:
            client.connect(
                given["host"],
                given["port"],
                given["user"],
                key_filename=given["key"],
                timeout=30,
                banner_timeout=30,
                auth_timeout=30,
                **more,
            )
        except (paramiko.AuthenticationException, paramiko.BadHostKeyException) as error:
            raise CallError("HF333", f"{self.name} does not let us in: {error}", cure="check user, key, password and host key") from None
        except Exception as error:  # refused, no banner, an unknown host key
            with contextlib.suppress(Exception):
                client.close()
            raise self._not_reached(error) from error
        self._client = client
        return client

    def _not_reached(self, error: BaseException) -> NotReached:
        return NotReached("HF334", f"{self.name} cannot be reached: {error or type(error).__name__}", cure="look whether it answers")


def host(
    name: str,
    *,
    user: str | None = None,
    password: str | None = None,
    key: str | None = None,
    port: int = 22,
    strict: bool = True,
    known_hosts: str | None = None,
) -> Host:
    """A host to run commands on. Nothing is opened yet.

    Args:
        password: a reference (``env:NAME`` …); without it keys and the agent are used.
        key: path of a private key.
        strict: False also talks to hosts whose key nobody knows.
        known_hosts: path of the file of host keys; the system's by default.
    """
    return Host({"host": name, "user": user, "password": password, "key": key, "port": port, "strict": strict, "known_hosts": known_hosts})


def _checked(value: Mapping[str, Any], check: bool) -> Ran:
    ran = Ran(status=int(value["status"]), out=str(value["out"]), err=str(value.get("err", "")))
    return ran.require() if check else ran


def _assumed(value: Any) -> dict[str, Any]:
    """What a person's word, or a dry run, stands for."""
    return {"status": 0, "out": "", "err": "", **value} if isinstance(value, dict) else {"status": 0, "out": str(value or ""), "err": ""}


def _transient(result: Any, error: BaseException | None) -> Transient | None:
    return Transient(reason=str(error)) if isinstance(error, NotReached) else None
