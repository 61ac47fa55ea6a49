"""Steps tagged ``asset:`` and ``check:`` as Dagster shows and schedules them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

Write = Callable[..., Path]
Build = Callable[..., dg.Definitions]


def node(definitions: dg.Definitions, key: str) -> Any:
    return definitions.resolve_asset_graph().get(dg.AssetKey(key.split("/")))


def parents(definitions: dg.Definitions, key: str) -> set[str]:
    return {k.to_user_string() for k in node(definitions, key).parent_keys}


def test_assets_depend_on_the_nearest_assets_above_them(write: Write, build: Build) -> None:
    cells = [("asset:raw", "1"), ("step:mid", "2"), ("asset:left", "3", {"after": "mid"}), ("asset:right", "4", {"after": "mid"})]
    write("book", ("step:zero", "0"), *cells, ("asset:whole", "5", {"after": ["left", "right"]}))
    made = build()
    assert parents(made, "raw") == set()
    assert parents(made, "left") == parents(made, "right") == {"raw"}
    assert parents(made, "whole") == {"left", "right"}
    assert parents(made, "executed_notebook/book") == {"raw", "left", "right", "whole"}


def test_assets_of_different_runbooks_depend_on_each_other(write: Write, build: Build) -> None:
    write("first", ("asset:costs/raw", "1"))
    write("second", ("asset:bill", "1", {"deps": ["costs/raw", "warehouse/prices"]}), ("asset:mail", "2", {"deps": "costs/raw"}))
    made = build()
    assert parents(made, "bill") == {"costs/raw", "warehouse/prices"}
    assert parents(made, "mail") == {"bill", "costs/raw"}
    assert node(made, "costs/raw").is_materializable
    assert not node(made, "warehouse/prices").is_materializable


def test_what_people_see_of_an_asset(write: Write, build: Build) -> None:
    path = write(
        "book", "Prices of **yesterday**.", ("asset:raw", "1", {"kinds": ["aws", "s3"]}), owner="a@example.org", group="money-talks"
    )
    write("other", ("asset:plain", "1"), owner="SRE on call")
    made = build()
    raw, plain = node(made, "raw"), node(made, "plain")
    assert raw.description == "Prices of **yesterday**."
    assert (raw.owners, raw.group_name, raw.kinds) == (["a@example.org"], "money_talks", {"jupyter", "aws", "s3"})
    assert raw.metadata["runbook"] == dg.MetadataValue.notebook(str(path))
    assert raw.code_version
    assert (plain.owners, plain.group_name, plain.kinds) == (["team:SRE_on_call"], "other", {"jupyter"})


@pytest.mark.parametrize(
    ("owner", "owners"),
    [
        ("a@example.org, SRE; team:ops/db", ["a@example.org", "team:SRE", "team:ops_db"]),
        ("Ann Example <ann@example.org>", ["ann@example.org"]),
        ("sre@corp.internal", ["team:sre@corp.internal"]),
        ("jürgen@example.org", ["team:jürgen@example.org"]),
        (" , ", []),
    ],
)
def test_owners_are_such_as_dagster_takes(owner: str, owners: list[str], write: Write, build: Build) -> None:
    write("book", ("asset:raw", "1"), owner=owner)
    assert node(build(), "raw").owners == owners


def test_automation_and_freshness_of_a_runbook_and_of_one_asset(write: Write, build: Build) -> None:
    own = {"automation": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}, "freshness": {"fail": 7200, "warn": 3600}}
    write("book", ("asset:a", "1"), ("asset:b", "2", own), automation="eager", freshness={"fail": 3600})
    made = build()
    assert node(made, "a").automation_condition == dg.AutomationCondition.eager()
    assert node(made, "b").automation_condition == dg.AutomationCondition.on_cron("0 6 * * *", "Europe/Berlin")
    assert node(made, "a").freshness_policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=1))
    assert node(made, "b").freshness_policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=2), warn_window=timedelta(hours=1)
    )
    assert node(made, "executed_notebook/book").automation_condition is None


@pytest.mark.parametrize(
    ("cells", "checked"),
    [
        ([("asset:a", "1"), ("asset:b", "1"), ("check:fine", "True")], {"b": "fine"}),
        ([("asset:a", "1"), ("asset:b", "1"), ("check:fine", "True", {"deps": "a"})], {"a": "fine"}),
        ([("asset:a check:a-fine", "1")], {"a": "a_fine"}),
        ([("asset:a", "1"), ("step:b", "1"), ("check:x", "1"), ("check:y", "1")], {"a": "x y"}),
    ],
)
def test_checks_are_about_the_asset_above_them(cells: list[Any], checked: dict[str, str], write: Write, build: Build) -> None:
    write("book", *cells)
    keys = build().resolve_asset_graph().asset_check_keys
    assert {(k.asset_key.to_user_string(), k.name) for k in keys} == {(a, n) for a, names in checked.items() for n in names.split()}


def test_a_check_without_an_asset_is_an_ordinary_step(write: Write, build: Build) -> None:
    write("book", ("step:a", "1"), ("check:fine", "True"))
    made = build()
    assert not made.resolve_asset_graph().asset_check_keys
    assert made.resolve_job_def("book").graph.node_dict.keys() == {"a", "fine"}


def test_automation_asks_for_what_is_missing_and_for_what_is_new_above(write: Write, build: Build) -> None:
    write("first", ("asset:raw", "1"))
    write("second", ("asset:bill", "1", {"deps": "raw"}), automation="eager")
    made = build()
    with dg.DagsterInstance.ephemeral() as instance:

        def asked(cursor: Any = None) -> Any:
            return dg.evaluate_automation_conditions(made, instance, cursor=cursor)

        first = asked()
        assert first.total_requested == 0, "nothing above it is there yet"
        instance.report_runless_asset_event(dg.AssetMaterialization("raw"))
        second = asked(first.cursor)
        assert second.get_num_requested(dg.AssetKey("bill")) == 1
        assert second.get_num_requested(dg.AssetKey("raw")) == 0
        assert asked(second.cursor).total_requested == 0
