"""A session with a network device, opened when something is really asked, and opened again when it is gone."""

from __future__ import annotations

import contextlib
import getpass
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from holdfast.durable import current
from holdfast.durable.canonical import digest
from holdfast.durable.interceptor import Attempt, Outcome, Request, Transient
from holdfast.durable.references import secret
from holdfast.errors import CallError, OutcomeUnknownError
from holdfast.foundation import clock
from holdfast.integrations.network.configuration import fingerprint, in_effect, missing
from holdfast.integrations.network.words import destroys, meaning
from holdfast.model.call import Effect

#: Kind of device -> netmiko's driver. ``frr`` is FRRouting's ``vtysh`` as a login shell.
DRIVERS = {
    "ios": "cisco_ios",
    "xe": "cisco_xe",
    "xr": "cisco_xr",
    "nxos": "cisco_nxos",
    "eos": "arista_eos",
    "junos": "juniper_junos",
    "frr": "cisco_ios",
}
_COMMITS = frozenset({"junos", "xr"})
_REFUSED = r"(?m)^\s*%\s|^\s*syntax error|^unknown command|[Ii]nvalid (input|command)"
_WHOLE = 120.0  # seconds that a device may take to write down its configuration


class NotReached(CallError):
    """No session could be had, or it broke during a reading: it is tried again."""


class Device:
    """See :func:`connect`. The methods are named as netmiko's."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)
        self.host, self.kind, self.timeout = given["host"], given["kind"], given["timeout"]
        self._session: Any = None
        self._lock = threading.RLock()

    def __reduce__(self) -> Any:  # a checkpoint keeps where the credentials are, and no session
        return Device, (self._given,)

    def __repr__(self) -> str:
        return f"<{self.kind} device {self.name}>"

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        self.disconnect()

    @property
    def name(self) -> str:
        """The host, with its port where that is not 22."""
        return self.host if self._given["port"] == 22 else f"{self.host}:{self._given['port']}"

    # ---- what is typed

    def send_command(
        self, command: str, *, answers: Sequence[str] = (), timeout: float | None = None, stop_after: float | None = None
    ) -> str:
        """Type a command outside of configuration; returns what it says. ``show``, ``ping`` and their like are readings, all else changes.

        Args:
            answers: lines to type at the questions that follow (``[""]`` for "Proceed with reload? [confirm]").
            timeout: seconds until the prompt must be back; the session's by default.
            stop_after: seconds after which the command is stopped with Ctrl-C.
        Raises:
            CallError: HF333 the device refuses the command, HF334 it cannot be reached. OutcomeUnknownError: HF316.
        """

        def typed(session: Any) -> str:
            if answers:
                return str(session.send_multiline_timing([command, *answers], read_timeout=timeout or self.timeout))
            if stop_after is not None:
                return _stopped(session, command, stop_after)
            return str(session.send_command(command, read_timeout=timeout or self.timeout))

        does = meaning(command)
        return self._made(command, [command, list(answers)], does.effect, does.destructive, typed)

    def send_config_set(self, lines: str | Sequence[str]) -> str:
        """Type lines of configuration, and commit them where the device wants that; returns what was on the screen.

        Whether it happened is read off the running configuration after a crash: as before means no, everything in it means yes, anything
        else is asked.

        Raises:
            CallError: HF333 a line is refused (those above it may be in effect), HF334. OutcomeUnknownError: HF316.
        """
        every = [line for line in (lines.splitlines() if isinstance(lines, str) else lines) if line.strip()]
        before = self._configuration_before(every)

        def typed(session: Any) -> str:
            if self.kind not in _COMMITS:
                return str(session.send_config_set(every, error_pattern=_REFUSED, read_timeout=self.timeout))
            private = {"config_mode_command": "configure private"} if self.kind == "junos" else {}  # what is not committed goes with it
            said = str(session.send_config_set(every, error_pattern=_REFUSED, exit_config_mode=False, read_timeout=self.timeout, **private))
            said += str(session.commit())
            session.exit_config_mode()
            return said

        def probe(attempt: Attempt) -> Outcome | None:
            now = self._running()
            if attempt.origin and fingerprint(now) == attempt.origin:
                return Outcome(happened=False)
            return Outcome(happened=True, value="(in the running configuration)") if in_effect(every, now) else None

        def preview() -> tuple[str | None, str]:
            lacking, wanted = missing(every, self._running())
            return None, f"{len(lacking)} of {wanted} lines are not in effect yet"

        return self._made(
            f"configure: {' / '.join(line.strip() for line in every)}"[:300],
            ["configure", every],
            Effect.WRITE,
            destroys(every),
            typed,
            origin=before,
            probe=probe,
            preview=preview,
        )

    def save_config(self) -> str:
        """Let the running configuration be what the device starts with."""
        return self._made("save the configuration", ["save"], Effect.IDEMPOTENT, False, lambda session: str(session.save_config()))

    def disconnect(self) -> None:
        """End the session; the next command opens another."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception):  # it is gone either way
                session.disconnect()

    # ---- how

    def _configuration_before(self, lines: list[str]) -> str:
        """The fingerprint of the running configuration: a recorded reading, so that a replay needs no device."""
        if current.active() is None:
            return ""
        return self._made(
            "show running-config (its fingerprint)", ["before", lines], Effect.READ, False, lambda s: fingerprint(self._running(s))
        )

    def _running(self, session: Any = None) -> str:
        command = "show configuration | display set" if self.kind == "junos" else "show running-config"
        return str((session or self._ready()).send_command(command, read_timeout=_WHOLE))

    def _made(
        self,
        command: str,
        parts: list[Any],
        effect: Effect,
        destructive: bool,
        typed: Callable[[Any], str],
        *,
        origin: str = "",
        **more: Any,
    ) -> str:
        """One call: answered from the record, or typed."""
        __tracebackhide__ = True
        recorder = current.active()
        if recorder is None:
            return self._typed(command, effect, typed)
        request = Request(
            kind="device",
            operation=f"{self.name}: {command}",
            fingerprint=digest([self.name, *parts]),
            effect=effect,
            target=f"device://{self.name}",
            destructive=destructive,
            origin=origin,
        )
        found: str = recorder.perform(
            request, lambda attempt: self._typed(command, effect, typed), transient=_transient, assumed=lambda value: value or "", **more
        )
        return found

    def _typed(self, command: str, effect: Effect, typed: Callable[[Any], str]) -> str:
        from netmiko.exceptions import ConfigInvalidException, ReadException, WriteException
        from paramiko import SSHException

        with self._lock:
            session = self._ready()
            try:
                said = typed(session)
            except ConfigInvalidException as error:
                self.disconnect()  # what was not committed is gone with the session
                raise self._refused(command, str(error)) from None
            except (ReadException, WriteException, SSHException, OSError, EOFError) as error:
                self.disconnect()
                if effect == Effect.READ:
                    raise self._not_reached(error) from error
                raise OutcomeUnknownError(
                    "HF316",
                    f"the session with {self.name} broke after `{command}` was typed ({type(error).__name__})",
                    cure="look at the device, then answer the prompt",
                ) from error
        if said.lstrip().startswith("%"):
            raise self._refused(command, said)
        return said

    def _ready(self) -> Any:
        with self._lock:
            if self._session is not None and self._session.remote_conn.transport.is_active():  # netmiko's is_alive() types a NUL
                return self._session
            self.disconnect()
            self._session = self._open()
            return self._session

    def _open(self) -> Any:
        from netmiko import ConnectHandler
        from netmiko.exceptions import NetmikoAuthenticationException

        logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it prints the traceback of every refused connection
        given = self._given
        credentials = {name: str.__str__(secret(given[name])) for name in ("password", "enable") if given[name] is not None}
        enable = {"secret": credentials.pop("enable")} if "enable" in credentials else {}
        keys = {} if given["password"] else {"use_keys": True, "allow_agent": True, **({"key_file": given["key"]} if given["key"] else {})}
        hosts = (
            {"alt_host_keys": True, "alt_key_file": given["known_hosts"]} if given["known_hosts"] else {"system_host_keys": given["strict"]}
        )
        try:
            session = ConnectHandler(
                device_type=DRIVERS[self.kind],
                host=self.host,
                port=given["port"],
                username=given["user"] or getpass.getuser(),
                ssh_strict=given["strict"],
                conn_timeout=self.timeout,
                banner_timeout=self.timeout,
                auth_timeout=self.timeout,
                **credentials,
                **enable,
                **keys,
                **hosts,
            )
            if enable:
                session.enable()
        except NetmikoAuthenticationException:
            raise self._refused("sign in", "it does not know this user, key or password") from None
        except Exception as error:  # refused, all lines busy, no banner, host key: netmiko and paramiko have many words for it
            raise self._not_reached(error) from error
        return session

    def _not_reached(self, error: Exception) -> NotReached:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        return NotReached(
            "HF334", f"{self.name} cannot be reached: {said}", cure="look whether it answers, and whether its lines are taken"
        )

    def _refused(self, command: str, said: str) -> CallError:
        return CallError("HF333", f"{self.name} refuses `{command}`: {' '.join(said.split())[:300]}", cure="correct what is typed")


def connect(
    host: str,
    kind: str = "ios",
    *,
    user: str | None = None,
    password: str | None = None,
    key: str | None = None,
    enable: str | None = None,
    port: int = 22,
    strict: bool = True,
    known_hosts: str | None = None,
    timeout: float = 30.0,
) -> Device:
    """A device. Nothing is opened yet; a resume, a checkpoint and a broken session open another one by themselves.

    Args:
        kind: one of ``ios``, ``xe``, ``xr``, ``nxos``, ``eos``, ``junos``, ``frr`` (FRRouting's vtysh as a login shell).
        user: who signs in; this process's user by default.
        password: a reference (``env:NAME`` …), as ``enable`` for the privileged mode. Without it keys and the agent are used.
        key: path of a private key, instead of a password.
        strict: False also talks to devices whose host key nobody knows.
        known_hosts: path of the file of host keys; the system's by default.
        timeout: seconds until a command's prompt must be back.
    Raises:
        ValueError: no such kind.
    """
    if kind not in DRIVERS:
        raise ValueError(f"kind is one of {', '.join(DRIVERS)}, not {kind!r}")
    return Device(
        {
            "host": host,
            "kind": kind,
            "user": user,
            "password": password,
            "key": key,
            "enable": enable,
            "port": port,
            "strict": strict,
            "known_hosts": known_hosts,
            "timeout": timeout,
        }
    )


def _stopped(session: Any, command: str, seconds: float) -> str:
    session.write_channel(f"{command}\n")
    clock.sleep(seconds)
    session.write_channel("\x03")
    said = str(session.read_until_pattern(pattern=rf"{re.escape(session.base_prompt)}[^\r\n]*[#>]\s*$", read_timeout=30))
    return "\n".join(line for line in said.splitlines()[1:-1] if line.strip())


def _transient(result: Any, error: BaseException | None) -> Transient | None:
    return Transient(reason=str(error)) if isinstance(error, NotReached) else None
