"""``serve``, ``token``, ``audit``: the gateway, who may come, and what they did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.desk import Desk, bad_input, command

if TYPE_CHECKING:
    from holdfast.access.audit import AuditLog
    from holdfast.access.tokens import Tokens


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; others than this machine's need a policy file."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8181, show_default=True, help="0: any that is free.")
@command
def serve(desk: Desk, host: str, port: int) -> None:
    """Serve the inbox, the REST API and live progress over HTTP."""
    try:
        from holdfast.gateway.serve import serve as run
    except ImportError as error:
        raise _missing(error) from error

    def ready(address: str, token: str | None) -> None:
        if desk.as_json:
            desk.document({"address": address, "token": token})
        else:
            desk.say(f"Holdfast is at {address}/" + (f"login?token={token}" if token else ""))
            desk.say("  end it with Ctrl-C")
        import sys

        sys.stdout.flush()

    run(desk.store(create=True), desk.config, host=host, port=port, ready=ready)


@click.group()
def token() -> None:
    """Tokens with which people and programs sign in at the gateway."""


@token.command("make")
@click.argument("person")
@click.option("--label", default="", help="What it is for.")
@click.option("--group", "groups", multiple=True, help="A group that the token vouches for; may be given several times.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="How long it lasts; without it, until it is revoked.")
@command
def make_token(desk: Desk, person: str, label: str, groups: tuple[str, ...], days: float | None) -> None:
    """Make a token for PERSON, named as in the policy file. It is shown once and kept nowhere."""
    text = _tokens(desk).make(person, label=label, groups=groups, lasts=None if days is None else days * 86400)
    if desk.as_json:
        desk.document({"token": text, "person": person})
    else:
        print(text)


@token.command("list")
@command
def list_tokens(desk: Desk) -> None:
    """List the tokens; not their texts, which are known to nobody."""
    from holdfast.cli.documents import time

    found = _tokens(desk).all()
    if desk.as_json:
        desk.document(
            [
                {
                    "id": t.id,
                    "person": t.person,
                    "label": t.label,
                    "groups": list(t.groups),
                    "created_at": time(t.created_at),
                    "expires_at": time(t.expires_at),
                }
                for t in found
            ]
        )
        return
    for t in found:
        desk.say(f"{t.id}  {t.person}  {t.label}  until {time(t.expires_at) or 'revoked'}")


@token.command("revoke")
@click.argument("id")
@command
def revoke_token(desk: Desk, id: str) -> None:
    """Take the token ID back; sessions made with it end, too."""
    if not _tokens(desk).revoke(id):
        raise bad_input(f"there is no token {id!r}", "holdfast token list shows them")
    desk.say(f"revoked  {id}")


@click.group()
def audit() -> None:
    """The audit log of the gateway: every act and every refusal, chained so that tampering shows."""


@audit.command("list")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
@click.option("--refused", is_flag=True, help="Only refusals.")
@command
def list_audit(desk: Desk, limit: int, refused: bool) -> None:
    """List the newest lines."""
    found = _audit(desk).list(newest_first=True, limit=limit, outcome="refused" if refused else None)
    if desk.as_json:
        desk.document([_document(a) for a in found])
        return
    from holdfast.cli.texts import when

    for a in reversed(found):
        why = f"  {a.code}: {a.detail}" if a.code else ""
        who = f"{a.who or '-'} ({a.how or 'not signed in'})"
        desk.say(f"{a.seq:>6}  {when(a.at)}  {a.outcome:<8} {who}  {a.action} {a.thing or ''}  via {a.via} from {a.address}{why}")


@audit.command("verify")
@click.option("--known", metavar="SEQ:DIGEST", help="What an earlier verify printed: shows that the end was not cut off since.")
@command
def verify_audit(desk: Desk, known: str | None) -> None:
    """Check every line against the chain. Keep what it prints somewhere else, for --known."""
    from holdfast.journal.chain import Verified

    before = None
    if known is not None:
        seq, _, digest = known.partition(":")
        try:
            before = Verified(int(seq), bytes.fromhex(digest))
        except ValueError:
            raise bad_input("--known is not SEQ:DIGEST", "give what an earlier `holdfast audit verify` printed") from None
    found = _audit(desk).verify(before)
    mark = f"{found.last}:{found.digest.hex()}"
    if desk.as_json:
        desk.document({"lines": found.last, "known": mark})
    else:
        desk.say(f"{found.last} lines, all as they were written")
        desk.say(f"  next time:  holdfast audit verify --known {mark}")


@audit.command("export")
@command
def export_audit(desk: Desk) -> None:
    """Print every line as JSON, one a line."""
    for act in _audit(desk).everything():
        print(json.dumps(_document(act), ensure_ascii=False))


def _document(act: Any) -> dict[str, Any]:
    from holdfast.cli.documents import time

    return {**{n: getattr(act, n) for n in act.__struct_fields__}, "at": time(act.at)}


def _tokens(desk: Desk) -> Tokens:
    from holdfast.access.tokens import Tokens

    return Tokens(desk.config.tokens_file or desk.config.state_dir / "tokens.json")


def _audit(desk: Desk) -> AuditLog:
    from holdfast.access.audit import AuditLog

    return AuditLog(desk.store())


def _missing(error: ImportError) -> Exception:
    from holdfast.errors import OperatorError

    return OperatorError("HF210", f"the gateway needs a package that is not installed: {error}", cure="pip install 'holdfast[gateway]'")
