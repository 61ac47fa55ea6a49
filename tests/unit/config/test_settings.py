"""One frozen object: argument, else environment, else file, else default; nothing unknown or wrong passes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.config import SETTINGS, Config
from holdfast.errors import OperatorError
from holdfast.foundation import faults


def load(folder: Path, environment: dict[str, str] | None = None, **arguments: Any) -> Config:
    return Config.load(folder=folder, environment=environment or {}, **arguments)


def refused(folder: Path, environment: dict[str, str] | None = None, **arguments: Any) -> OperatorError:
    with pytest.raises(OperatorError) as caught:
        load(folder, environment, **arguments)
    return caught.value


# ---- where a value comes from ----


def test_defaults_lie_in_the_folder(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.journal == f"sqlite:///{tmp_path}/.holdfast/journal.db"
    assert config.journal_path == tmp_path / ".holdfast" / "journal.db"
    assert config.key_file == tmp_path / ".holdfast" / "key"
    assert config.state_dir == tmp_path / ".holdfast"
    assert (config.lease_ttl, config.hold_for, config.parallel_kernels, config.durable) == (30.0, 60.0, 4, True)
    assert not (tmp_path / ".holdfast").exists(), "loading makes nothing"


def test_argument_over_environment_over_file_over_default(tmp_path: Path) -> None:
    assert load(tmp_path).lease_ttl == 30.0
    (tmp_path / "holdfast.toml").write_text("lease_ttl = 10\n")
    assert load(tmp_path).lease_ttl == 10.0
    assert load(tmp_path, {"HOLDFAST_LEASE_TTL": "11"}).lease_ttl == 11.0
    assert load(tmp_path, {"HOLDFAST_LEASE_TTL": "11"}, lease_ttl=12).lease_ttl == 12.0
    assert load(tmp_path, {"HOLDFAST_LEASE_TTL": ""}, lease_ttl=None).lease_ttl == 10.0, "empty and None mean: not given"


def test_the_nearest_file_upwards_counts_and_its_paths_lead_from_it(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.holdfast]\njournal = "sqlite:///state/j.db"\n')
    assert load(deep).journal_path == tmp_path / "state" / "j.db"
    (tmp_path / "a" / "holdfast.toml").write_text('journal = "sqlite:///./j.db"\nstate_dir = "~/s"\n')
    config = load(deep)
    assert config.journal_path == tmp_path / "a" / "j.db"
    assert config.state_dir == Path.home() / "s"
    assert config.sources["journal"] == f"journal in {tmp_path / 'a' / 'holdfast.toml'}"


def test_a_project_file_that_does_not_speak_of_us_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("this is [ not toml")
    assert load(tmp_path).lease_ttl == 30.0


def test_the_process_environment_is_read(tmp_path: Path) -> None:
    environment = {**os.environ, "HOLDFAST_USER": "anna", "HOLDFAST_JOURNAL": "postgresql://u:p@db/x"}
    program = "from holdfast.config import Config; c = Config.load(); print(c.user, c.journal, c.state_dir)"
    said = subprocess.run([sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["anna", "postgresql://u:p@db/x", str(tmp_path / ".holdfast")]


# ---- unknown names ----


@pytest.mark.parametrize(
    ("environment", "text", "hint"),
    [
        ({"HOLDFAST_JORNAL": "x"}, None, "HOLDFAST_JOURNAL"),
        ({"HOLDFAST_journal": "sqlite:///x"}, None, "HOLDFAST_JOURNAL"),
        ({}, "lease-ttl = 3", "lease_ttl"),
        ({}, "[tool.holdfast]\nparalel_kernels = 3", "parallel_kernels"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path, environment: dict[str, str], text: str | None, hint: str) -> None:
    if text:
        (tmp_path / ("pyproject.toml" if "tool" in text else "holdfast.toml")).write_text(text)
    error = refused(tmp_path, environment)
    assert error.code == "HF201"
    assert error.cure == f"Did you mean {hint}?"


def test_a_name_like_no_other_points_to_the_list(tmp_path: Path) -> None:
    error = refused(tmp_path, {"HOLDFAST_XQZW": "1"})
    assert error.code == "HF201"
    assert "doctor" in error.cure


# ---- wrong values ----


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("journal", "mysql://x"),
        ("journal", "sqlite://"),
        ("journal", "sqlite:///"),
        ("journal", "sqlite:///:memory:"),
        ("journal", "sqlite:///usr/lib/x.db"),
        ("key", "abcd"),
        ("key", "zz" * 32),
        ("lease_ttl", "0"),
        ("lease_ttl", "soon"),
        ("lease_ttl", "nan"),
        ("lease_ttl", "inf"),
        ("hold_for", "-1"),
        ("max_value_bytes", "1.5"),
        ("parallel_kernels", "65"),
        ("retry_count", "-1"),
        ("durable", "maybe"),
        ("interceptors", "a,,b"),
        ("fence", "0"),
        ("faults", "no.such.point=kill"),
        ("faults", "call.after_intent=explode"),
        ("user", "   "),
    ],
)
def test_a_wrong_value_is_refused_not_replaced(tmp_path: Path, name: str, value: str) -> None:
    error = refused(tmp_path, {f"HOLDFAST_{name.upper()}": value})
    assert error.code == "HF202"
    assert error.where == {"setting": f"HOLDFAST_{name.upper()}"}
    assert name in error.what


@pytest.mark.parametrize(
    "text", ["lease_ttl = true", "durable = 1", "parallel_kernels = true", 'interceptors = ["a", 1]', "journal = 3", "key = 7"]
)
def test_a_wrong_type_in_a_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "holdfast.toml").write_text(text)
    assert refused(tmp_path).code == "HF202"


@pytest.mark.parametrize("text", ["a = [", "\ud800", 'tool = "x" # holdfast', 'tool.holdfast = "x"'])
def test_a_file_that_is_no_table_of_settings_is_refused(tmp_path: Path, text: str) -> None:
    name = "pyproject.toml" if "holdfast" in text else "holdfast.toml"
    (tmp_path / name).write_bytes(text.encode(errors="surrogatepass"))
    assert refused(tmp_path).code == "HF202"


def test_settings_in_two_files_of_one_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").write_text("lease_ttl = 10\n")
    (tmp_path / "pyproject.toml").write_text("[tool.holdfast]\nlease_ttl = 20\n")
    assert refused(tmp_path).code == "HF202"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holdfast.toml").mkdir()
    assert refused(tmp_path).code == "HF202"


def test_an_error_shows_neither_key_nor_password(tmp_path: Path) -> None:
    assert "ab" * 31 not in str(refused(tmp_path, key="ab" * 31))
    assert "hunter2" not in str(refused(tmp_path, journal="mysql://u:hunter2@h/d"))


# ---- single settings ----


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("sqlite:///j.db", "{base}/j.db"),
        ("sqlite:///./x/../j.db", "{base}/j.db"),
        ("sqlite:////tmp/j.db", "/tmp/j.db"),
        ("sqlite:///no-such-root-folder/j.db", "{base}/no-such-root-folder/j.db"),
    ],
)
def test_sqlite_addresses(tmp_path: Path, address: str, path: str) -> None:
    assert str(load(tmp_path, journal=address).journal_path) == path.format(base=tmp_path)


def test_a_postgres_journal_keeps_its_key_with_the_user(tmp_path: Path) -> None:
    config = load(tmp_path, journal="postgresql://u:hunter2@db:5432/x")
    assert config.journal_path is None
    assert config.key_file == Path.home() / ".config" / "holdfast" / "key"
    assert config.journal_for_people == "postgresql://u@db:5432/x"
    assert "hunter2" not in repr(config)


def test_the_key_is_bytes_and_not_shown(tmp_path: Path) -> None:
    config = load(tmp_path, key="0a" * 32)
    assert config.key == b"\x0a" * 32
    assert "0a0a" not in repr(config)
    assert "\\n\\n" not in repr(config)


@pytest.mark.parametrize(
    ("chosen", "on", "off"),
    [((), ["aiohttp", "shell"], []), (("-aiohttp",), ["shell"], ["aiohttp"]), (("shell",), ["shell"], ["aiohttp"])],
)
def test_interceptors_are_chosen_or_left_out(tmp_path: Path, chosen: tuple[str, ...], on: list[str], off: list[str]) -> None:
    config = load(tmp_path, {"HOLDFAST_INTERCEPTORS": ",".join(chosen)})
    assert [n for n in on + off if config.intercepts(n)] == on
    assert not any(load(tmp_path, interceptors=list(chosen), durable="off").intercepts(n) for n in on)


def test_a_child_settles_on_the_same_settings_wherever_it_starts(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "holdfast.toml").write_text("lease_ttl = 99\nhold_for = 98\n")
    config = load(tmp_path, {"HOLDFAST_LEASE_TTL": "7"}, key="ab" * 32, interceptors=["-x"], durable=False, fence=3, execution="e")
    child = load(tmp_path / "elsewhere", config.environment())
    assert [getattr(child, name) for name in SETTINGS] == [getattr(config, name) for name in SETTINGS]


def test_faults_are_armed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    try:
        load(tmp_path, {"HOLDFAST_FAULTS": "journal.before_commit@2=raise:OSError:28", "HOLDFAST_FAULT_LOG": str(log)})
        faults.point("journal.before_commit")
        with pytest.raises(OSError, match="No space left"):
            faults.point("journal.before_commit")
        assert "journal.before_commit" in log.read_text()
    finally:
        faults.arm("")


def test_it_is_frozen_and_its_errors_travel(tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        load(tmp_path).lease_ttl = 1.0  # type: ignore[misc]
    error = refused(tmp_path, {"HOLDFAST_JORNAL": "x"})
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(error) == "HF201: unknown setting jornal — setting HOLDFAST_JORNAL — Did you mean HOLDFAST_JOURNAL?"


def test_every_setting_is_a_field_and_is_told() -> None:
    assert set(SETTINGS) == set(Config.__struct_fields__) - {"sources"}
    assert all(s.meaning.endswith(".") and s.type and s.default for s in SETTINGS.values())
