"""Parameters that are secrets: the cells get them, also after a resume; nobody is shown them."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.testing.sandbox import Sandbox

CELL = """\
db_password: str
hook: "SecretStr" = ""
pin = ""  # secret: of the door
token_count: int = 3
region: str = "here"
"""
LOG_IN = """from holdfast import call
@call(effect='write')
def log_in(password):
    return {'got': password}
answer = log_in(db_password)
assert answer['got'] == db_password"""
SECRETS = {"db_password": "s3cr3t-of-the-base", "hook": "s3cr3t-of-the-hook", "pin": "s3cr3t-of-the-door"}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sandbox, Path]:
    """An execution that failed at its second step and was resumed."""
    sandbox = Sandbox(tmp_path_factory.mktemp("secrets"))
    notebook = sandbox.notebook(
        "keys",
        [
            ("parameters", CELL),
            (
                "step:log_in",
                LOG_IN,
            ),
            ("step:use", "import os\nassert os.path.exists('go')\nopen('far', 'w').write(' '.join([db_password, hook, pin, region]))"),
        ],
    )
    given = [word for name, value in {**SECRETS, "region": "there"}.items() for word in ("-p", name, value)]
    assert sandbox.holdfast("run", notebook, *given, "--id", "keys", "--output", "out.ipynb").status == 1
    (sandbox.folder / "go").touch()
    assert sandbox.holdfast("resume", "keys").status == 0
    return sandbox, notebook


def test_the_cells_get_them_also_after_a_resume(ran: tuple[Sandbox, Path]) -> None:
    assert (ran[0].folder / "far").read_text() == " ".join([*SECRETS.values(), "there"])


@pytest.mark.parametrize(
    "command",
    [
        ["show", "keys", "--calls", "--entries"],
        ["show", "keys", "--calls", "--entries", "--json"],
        ["list", "--json"],
        ["export", "keys", "--format", "ipynb"],
        ["export", "keys", "--format", "html"],
        ["export", "keys", "--format", "md"],
        ["export", "keys", "--format", "json"],
    ],
    ids=" ".join,
)
def test_no_command_shows_them(ran: tuple[Sandbox, Path], command: list[str]) -> None:
    told = ran[0].holdfast(*command).out
    assert "there" in told or command[0] == "list"
    assert "s3cr3t" not in told


def test_the_output_notebook_does_not_hold_them(ran: tuple[Sandbox, Path]) -> None:
    text = (ran[0].folder / "out.ipynb").read_text()
    assert "region = 'there'" in text and "db_password = '***'" in text
    assert "s3cr3t" not in text


def test_a_refusal_does_not_tell_them(ran: tuple[Sandbox, Path]) -> None:
    refused = ran[0].holdfast("run", ran[1], "-p", "db_password", "s3cr3t", "-p", "token_count", "many")
    assert refused.status == 2
    assert "token_count" in refused.err and "s3cr3t" not in refused.err


def test_a_secret_by_reference_is_in_no_file_however_it_is_printed(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, environment={"MY_TOKEN": "t0psecret-by-reference"})
    cells = [
        ("setup", "from holdfast import secret\ntoken = secret('env:MY_TOKEN')"),
        ("step:leak", "import sys\nprint('it is', token)\nprint(token, file=sys.stderr)\ntoken"),
        ("step:use", "!echo {token}\nassert len(token) == 22\nraise ValueError(f'with {token}')"),
    ]
    assert sandbox.holdfast("run", sandbox.notebook("leaks", cells), "--id", "leaks", "--output", "out.ipynb").status == 1
    out = (tmp_path / "out.ipynb").read_text()
    assert "it is ***" in out and "with ***" in out
    found = [str(path) for path in tmp_path.rglob("*") if path.is_file() and b"t0psecret" in path.read_bytes()]
    assert not found
