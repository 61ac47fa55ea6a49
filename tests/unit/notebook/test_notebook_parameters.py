"""Parameters: what the cell declares, what may be given, what is injected."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AuthorError
from holdfast.model.manifest import Manifest
from holdfast.notebook.compile import compile, examine
from holdfast.notebook.parameters import parameters_digest, validate

CELL = """\
from typing import Literal
# where to look
# and nowhere else
region: str = "eu-west-1"
count: int = 3  # how many
share: float = 0.5
dry: bool = True
names: list[str] = ["a"]
limits: dict[str, int] = {"a": 1}
level: Literal["low", "high"] = "low"
note: str | None = None
target: str
owner: str = ...  # who answers for it
anything = None
old = 5  # type: float seconds
import os
computed: str = os.sep + "x"
low, high = 1, 2
"""


@pytest.fixture
def manifest(notebook: Any) -> Callable[..., Manifest]:
    def made(cell: str = CELL, **metadata: Any) -> Manifest:
        return compile(notebook(("parameters", cell), "pass", metadata={"holdfast": metadata} if metadata else None))

    return made


def test_names_types_defaults_and_descriptions_are_read(manifest: Any) -> None:
    found = {p.name: p for p in manifest().parameters}
    assert {n: (p.type, p.default, p.required) for n, p in found.items()} == {
        "region": ("str", "eu-west-1", False),
        "count": ("int", 3, False),
        "share": ("float", 0.5, False),
        "dry": ("bool", True, False),
        "names": ("list", ["a"], False),
        "limits": ("dict", {"a": 1}, False),
        "level": ("str", "low", False),
        "note": ("str", None, False),
        "target": ("str", None, True),
        "owner": ("str", None, True),
        "anything": ("any", None, False),
        "old": ("float", 5, False),
        "computed": ("str", None, False),
        "low": ("int", 1, False),
        "high": ("int", 2, False),
    }
    assert found["region"].description == "where to look and nowhere else"
    assert found["count"].description == "how many"
    assert found["old"].description == "seconds"
    assert found["level"].schema["enum"] == ["low", "high"]
    assert found["names"].schema["items"] == {"type": "string"}
    assert found["note"].schema["type"] == ["string", "null"]
    assert "os.sep" in found["computed"].schema["$comment"]


def test_text_from_a_command_line_takes_the_declared_type(manifest: Any) -> None:
    text = {
        "region": "5", "count": "7", "share": "2", "dry": "no", "names": "a, b", "limits": '{"x": 2}', "level": "high", "note": "none",
        "target": "t", "owner": "o", "anything": "5", "old": "1e1",
    }  # fmt: skip
    values = validate(manifest(), text=text)
    assert values == {
        "region": "5", "count": 7, "share": 2.0, "dry": False, "names": ["a", "b"], "limits": {"x": 2}, "level": "high", "note": None,
        "target": "t", "owner": "o", "anything": 5, "old": 10.0,
    }  # fmt: skip
    assert type(values["share"]) is float


def test_typed_values_are_kept_and_text_wins_over_them(manifest: Any) -> None:
    given_values = {"target": "t", "owner": "o", "count": 4.0, "anything": "5", "names": ("x", "y"), "share": 1}
    assert validate(manifest(), given_values, text={"owner": "me"}) == {
        "count": 4, "share": 1.0, "names": ["x", "y"], "target": "t", "owner": "me", "anything": "5",
    }  # fmt: skip


def test_all_problems_are_told_at_once(manifest: Any) -> None:
    with pytest.raises(AuthorError, match="HF103") as caught:
        validate(
            manifest(), {"cuont": 1, "level": "mid", "target": 5}, text={"count": "3.5", "dry": "maybe", "limits": "{a", "names": "[1]"}
        )
    told = str(caught.value)
    for part in (
        "unknown parameter 'cuont' (did you mean 'count'?)",
        "level is 'mid'; allowed: 'low', 'high'",
        "target: 5 is not a text",
        "count: '3.5' is not a whole number",
        "dry: 'maybe' is not true or false",
        "limits: '{a' is not valid JSON",
        "names: item 0: 1 is not a text",
        "missing parameter 'owner' (str: who answers for it)",
    ):
        assert part in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", True),
        ("count", None),
        ("count", 1.5),
        ("share", float("nan")),
        ("share", "inf"),
        ("dry", 1),
        ("names", {"a": 1}),
        ("region", None),
        ("limits", {"a": "x"}),
        ("limits", [1]),
    ],
)
def test_what_is_not_of_the_type_is_refused(manifest: Any, name: str, value: Any) -> None:
    with pytest.raises(AuthorError, match=name):
        validate(manifest(), {"target": "t", "owner": "o", name: value})


def test_a_runbook_without_parameters_takes_none(notebook: Any) -> None:
    with pytest.raises(AuthorError, match="takes none"):
        validate(compile(notebook("x = 1")), {"a": 1})
    assert validate(compile(notebook("x = 1"))) == {}


def test_schema_in_the_metadata_narrows_what_may_be_given(manifest: Any) -> None:
    book = manifest("days: int = 3\nhost: str = 'a'", parameters={"days": {"minimum": 1, "maximum": 30}, "host": {"pattern": "^[a-z]+$"}})
    assert validate(book, {"days": 30, "host": "b"}) == {"days": 30, "host": "b"}
    with pytest.raises(AuthorError, match=r"days is refused.*host is refused"):
        validate(book, {"days": 31, "host": "B"})


def test_a_bad_parameters_cell_is_told(notebook: Any) -> None:
    book = notebook(("parameters", "level: int = 'low'"), "x", metadata={"holdfast": {"parameters": {"levle": {"minimum": 1}}}})
    found = [f.message for f in examine(book).findings if f.code == "NB111"]
    assert any("levle" in m for m in found)
    bad_default = notebook(("parameters", "n: int = 0"), "x", metadata={"holdfast": {"parameters": {"n": {"minimum": 1}}}})
    assert [f.code for f in examine(bad_default).findings] == ["NB111"]


@given(
    st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3)), max_size=3)
)
def test_the_digest_does_not_depend_on_order(values: dict[str, Any]) -> None:
    assert parameters_digest(values) == parameters_digest(dict(reversed(values.items())))
    assert parameters_digest(values) != parameters_digest({**values, "d": 1})


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("db_password: str", True),
        ("apiToken = ''", True),
        ("PGPASSWORD = ''", True),
        ("hook: 'SecretStr' = ''", True),
        ("hook: pydantic.SecretStr | None = None", True),
        ("pin = ''  # secret", True),
        ("pin = ''  # secret: of the door", True),
        ("pin = ''  # of the door (secret)", True),
        ("pin = ''  # of the door  # secret", True),
        ("token_count: int = 3", False),
        ("max_tokens: str = '5'", False),
        ("secret_name: str = 'prod/db'", False),
        ("token: int = 3", False),
        ("region = 'x'  # where the secret lies", False),
    ],
)
def test_what_is_a_secret(manifest: Callable[..., Manifest], line: str, secret: bool) -> None:
    (parameter,) = manifest(line).parameters
    assert parameter.secret is secret and parameter.schema.get("writeOnly", False) is secret


@pytest.mark.parametrize("schema", [{"format": "password"}, {"writeOnly": True}])
def test_the_metadata_can_say_that_it_is_a_secret(manifest: Callable[..., Manifest], schema: dict[str, Any]) -> None:
    (parameter,) = manifest("pin: str = ''", parameters={"pin": schema}).parameters
    assert parameter.secret
