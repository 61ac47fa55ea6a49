"""Credentials by reference, each scheme against what really keeps it (or the best stand-in): had, missing, denied; taken up anew after a
suspension; and found nowhere afterwards, in whatever form."""

from __future__ import annotations

import base64
import html
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import boto3
import pytest

from holdfast.journal.opening import open_store
from holdfast.testing.sandbox import Sandbox
from holdfast.testing.servers.aws import AwsServer
from holdfast.testing.servers.counting import CountingServer
from holdfast.testing.servers.kubernetes import KubernetesServer

VALUE = "hunter2/zq+9 \u00e4"
KEYRING = '''"""A keyring in a file, as keyring's own file backends are; one that is locked refuses."""
import json, os, keyring.backend, keyring.errors
class FileKeyring(keyring.backend.KeyringBackend):
    priority = 1
    def get_password(self, service, user):
        if os.environ.get("KEYRING_LOCKED"):
            raise keyring.errors.KeyringLocked("it is locked")
        with open(os.environ["KEYRING_FILE"]) as file:
            return json.load(file).get(f"{service}/{user}")
    def set_password(self, service, user, password): raise NotImplementedError
    def delete_password(self, service, user): raise NotImplementedError
'''
READ = """
import json, os, sys
from holdfast import secret
from holdfast.errors import HoldfastError
found = []
for reference, more in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(more)
    try:
        found.append(["had", secret(reference)])
    except HoldfastError as error:
        found.append([error.code, str(error)])
    except BaseException as error:
        found.append(["fault", repr(error)])
    os.environ.clear()
    os.environ.update(before)
print(json.dumps(found))
"""
CASES: list[tuple[str, dict[str, str], str]] = [
    ("env:MY_SECRET", {}, "had"), ("env:NOT_THERE", {}, "the environment has no NOT_THERE"), ("env:EMPTY", {}, "has no EMPTY"),
    ("file:{folder}/password", {}, "had"), ("file:{folder}/nowhere", {}, "No such file"), ("file:{folder}/empty", {}, "is empty"),
    ("file:{folder}", {}, "cannot be read"), ("file:{folder}/binary", {}, "cannot be read"), ("k8s:prod/db/password", {}, "had"),
    ("k8s:prod/db/nothing", {}, "has no key nothing"), ("k8s:prod/gone/password", {}, "answers 404"),
    ("k8s:prod/db/empty", {}, "is empty"), ("k8s:prod/db", {}, "it is written k8s:NAMESPACE/NAME/KEY"),
    ("k8s:prod/db/password", {"KUBECONFIG": "{folder}/kubeconfig-denied"}, "answers 401"),
    ("k8s:prod/db/password", {"KUBECONFIG": "{folder}/nowhere"}, "cannot be had"), ("aws-sm:plain", {}, "had"),
    ("aws-sm:fields#password", {}, "had"), ("aws-sm:fields#nothing", {}, "has no field nothing"), ("aws-sm:plain#x", {}, "has no field x"),
    ("aws-sm:gone", {}, "answers ResourceNotFoundException"), ("aws-sm:binary", {}, "had"),
    ("aws-sm:plain", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}, "cannot be had"), ("keyring:far/me", {}, "had"),
    ("keyring:far/nobody", {}, "no password of nobody for far"), ("keyring:far/empty", {}, "no password"),
    ("keyring:far", {}, "it is written keyring:SERVICE/USER"), ("keyring:far/me", {"KEYRING_LOCKED": "1"}, "it is locked"),
]  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Where the secrets are, and the environment that leads there."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "filekeyring.py").write_text(KEYRING)
    (folder / "ring.json").write_text(json.dumps({"far/me": VALUE, "far/empty": ""}))
    (folder / "password").write_text(f"  {VALUE}\n")
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    with AwsServer() as aws, KubernetesServer() as cluster:
        manager: Any = boto3.client(
            "secretsmanager", endpoint_url=aws.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        manager.create_secret(Name="plain", SecretString=VALUE)
        manager.create_secret(Name="fields", SecretString=json.dumps({"password": VALUE, "user": "me"}))
        manager.create_secret(Name="binary", SecretBinary=VALUE.encode())
        path = "/api/v1/namespaces/prod/secrets/db"
        cluster.objects[path] = {
            "metadata": {"name": "db", "namespace": "prod"}, "data": {"password": base64.b64encode(VALUE.encode()).decode(), "empty": ""}
        }  # fmt: skip
        user = {"name": "u", "user": {"token": cluster.token}}
        contexts = [
            {"name": "c", "context": {"cluster": "c", "user": "u"}},
            {"name": "denied", "context": {"cluster": "c", "user": "nobody"}},
        ]
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
            "users": [user, {"name": "nobody", "user": {"token": "wrong"}}], "contexts": contexts,
        }  # fmt: skip
        (folder / "kubeconfig").write_text(json.dumps(config))
        (folder / "kubeconfig-denied").write_text(json.dumps({**config, "current-context": "denied"}))
        environment = {
            **aws.environment, "KUBECONFIG": str(folder / "kubeconfig"), "PYTHONPATH": str(folder),
            "KEYRING_FILE": str(folder / "ring.json"), "PYTHON_KEYRING_BACKEND": "filekeyring.FileKeyring", "MY_SECRET": VALUE, "EMPTY": "",
        }  # fmt: skip
        yield {"folder": folder, "environment": environment, "manager": manager, "cluster": cluster, "path": path}


@pytest.fixture(scope="module")
def answers(house: dict[str, Any]) -> list[list[str]]:
    """What each reference leads to, all asked by one process."""
    folder = house["folder"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "AWS_"))}
    found: dict[int, list[str]] = {}

    def ask(numbers: list[int], environment: dict[str, str]) -> None:
        asked = [[CASES[n][0].format(folder=folder), {k: v.format(folder=folder) for k, v in CASES[n][1].items()}] for n in numbers]
        done = subprocess.run(
            [sys.executable, "-c", READ], env={**clean, **house["environment"], **environment}, input=json.dumps(asked),
            capture_output=True, text=True, timeout=240, cwd=folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        assert "hunter2" not in done.stderr
        found.update(zip(numbers, json.loads(done.stdout), strict=True))

    elsewhere = [n for n, case in enumerate(CASES) if "KUBECONFIG" in case[1]]  # which its client reads once
    ask([n for n in range(len(CASES)) if n not in elsewhere], {})
    for n in elsewhere:
        ask([n], {"KUBECONFIG": CASES[n][1]["KUBECONFIG"].format(folder=folder)})
    return [found[n] for n in range(len(CASES))]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[" ".join([r, *more]) for r, more, _ in CASES])
def test_had_missing_denied(answers: list[list[str]], number: int) -> None:
    said, (code, text) = CASES[number][2], answers[number]
    if said == "had":
        assert (code, text) == ("had", VALUE)
    else:
        assert code == "HF219", text
        assert said in text
        assert "hunter2" not in text


USES = """import base64, html, json, urllib.parse, requests
from holdfast import call, confirm, secret
token = secret(f'file:{keep}/token')
password = secret('env:FAR_PASSWORD')

def forms(text):
    yield from (text, repr([str(text)]), json.dumps({'a': text}), json.dumps(text, ensure_ascii=False), html.escape(text))
    yield from (urllib.parse.quote(text, safe=''), urllib.parse.quote_plus(text), text.encode().hex())
    yield from (base64.b64encode((before + text + ':x').encode()).decode() for before in ('', 'u', 'me:'))

@call
def log_in(header):
    return {'echo': header, 'deep': [list(forms(header))]}
"""
SHOWS = """import sys
from IPython.display import HTML, JSON, display
for form in [*forms(token), *forms(password)]:
    print('shown', form)
print(*forms(token), file=sys.stderr)
display(HTML(f'<b>{html.escape(token)}</b>'), JSON({'t': [str(token)]}))
kept = {'token': token, 'joined': 'Bearer ' + token, 'late': [password.encode()]}
!echo {token}
assert log_in('Basic ' + base64.b64encode(f'me:{password}'.encode()).decode())['echo'].startswith('Basic ')
where = url + '/echo/' + urllib.parse.quote(token, safe='') + '?q=' + urllib.parse.quote_plus(password)
requests.get(where, headers={'X-Thing': token.encode()})
requests.put(url + '/things/1', json={'note': f'it is {token}', 'list': [password]}, auth=('me', password))
token"""
USES_AGAIN = """requests.put(url + '/things/2', headers={'X-Thing': token})
assert kept == {'token': token, 'joined': 'Bearer ' + token, 'late': [password.encode()]}"""
FAILS = """%xmode Verbose
def inner(header):
    local = {'deep': [header]}
    raise RuntimeError('refused: ' + header + ' ' + urllib.parse.quote_plus(password))
inner('Bearer ' + token)"""
LATER = "hunter2-NEW!/+&x"


def encoded(value: str) -> set[bytes]:
    """How a secret could stand somewhere, each long enough to be no accident."""
    raw = value.encode()
    aligned = {base64.b64encode(b"me:"[:n] + raw)[4:-4] for n in range(4)}
    escaped = {json.dumps(value)[1:-1].encode(), json.dumps(value, ensure_ascii=False)[1:-1].encode(), html.escape(value).encode()}
    return {raw, quote(raw, safe="").encode(), quote_plus(raw).encode(), raw.hex().encode(), *aligned, *escaped}


def journal_of(sandbox: Sandbox) -> Iterator[tuple[str, bytes]]:
    """All that the journal holds, unpacked."""
    store = open_store(sandbox.journal, key_file=sandbox.key_file)
    try:
        for header in store.headers():
            for entry in store.read(header.id):
                yield f"entry {entry.seq} ({entry.kind})", repr(entry.data).encode() + entry.body
        with closing(sqlite3.connect(f"file:{sandbox.folder}/.holdfast/journal.db?mode=ro", uri=True)) as db:
            for (address,) in db.execute("SELECT address FROM blob"):
                yield f"blob {address.hex()[:8]}", bytes(store.blobs.get(address))
    finally:
        store.close()


def test_they_are_taken_up_anew_after_a_suspension_and_are_found_nowhere(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    keep = tmp_path_factory.mktemp("keep")
    (keep / "token").write_text(VALUE)
    sandbox = Sandbox(tmp_path, environment={"FAR_PASSWORD": VALUE[::-1], "HOLDFAST_HOLD_FOR": "0"})
    cells = [
        ("parameters", "url: str\nkeep: str"), ("setup", USES), ("step:shows", SHOWS), ("step:gate", "confirm('go on?')"),
        ("step:use", USES_AGAIN),
        ("step:fails", FAILS),
    ]  # fmt: skip
    with CountingServer(keep) as server:
        told = [sandbox.holdfast("run", sandbox.notebook("uses", cells), "--id", "uses", "--output", "out.ipynb", "--follow",
                                 "-p", "url", server.url, "-p", "keep", str(keep))]  # fmt: skip
        assert told[0].status == 3, told[0]
        (keep / "token").write_text(LATER)
        [prompt] = sandbox.holdfast("prompts", "--json").json
        told += [sandbox.holdfast("answer", prompt["id"], "yes"), sandbox.holdfast("resume", "uses", "--follow")]
        assert told[-1].status == 1, told[-1]
        assert "refused" in told[-1].out, told[-1]
        sent = {r["path"]: r["headers"].get("X-Thing") for r in server.requests("PUT")}
        assert sent["/things/2"] == LATER
        assert len(server.requests("GET")) == 1
    assert "refused: Bearer ***" in told[-1].out + told[-1].err
    shows = ["show --calls --entries", "effects --json", "report", "report --json", "handover", "handover --json"]
    shows += ["show --calls --entries --json"]
    for line in [*shows, *(f"export --format {form}" for form in ("json", "html", "md", "ipynb"))]:
        command, *options = line.split()
        told.append(sandbox.holdfast(command, "uses", *options))
        assert told[-1].status == 0, told[-1]
    (tmp_path / "told").write_text("\n".join(t.out + t.err for t in told))
    places = [(str(path.relative_to(tmp_path)), path.read_bytes()) for path in tmp_path.rglob("*") if path.is_file()]
    places += journal_of(sandbox)
    assert sum(name.startswith("blob") for name, _ in places)
    found = [(name, form) for name, text in places for value in (VALUE, VALUE[::-1], LATER) for form in encoded(value) if form in text]
    assert not found
