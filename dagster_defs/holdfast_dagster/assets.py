"""Steps tagged ``asset:`` as the assets of one graph, with what Dagster shows and does with them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import dagster as dg

from holdfast.model.manifest import Step
from holdfast.notebook.scheduling import AtTimes, Automation, Freshness
from holdfast_dagster.graph import asset_key, build_graph, check_spec, checked_asset, dep_input, deps, outer_deps
from holdfast_dagster.partitions import partitions_definition
from holdfast_dagster.runbook import CLOSING, Runbook, dagster_name

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def build_assets(runbook: Runbook) -> dg.AssetsDefinition:
    """The assets of a runbook. They are made together: what one run makes is one execution of the runbook."""
    outputs = {asset_key(s.asset or "").to_python_identifier(): asset_key(s.asset or "") for s in runbook.assets}
    closing = notebook_key(runbook)
    above = {asset_key(s.asset or "").to_python_identifier(): _upstream(runbook, s) for s in runbook.assets}
    checks = [check_spec(s, a) for s in runbook.steps if (a := checked_asset(runbook, s)) is not None]
    made = dg.AssetsDefinition.from_graph(
        build_graph(runbook),
        keys_by_input_name={dep_input(k): asset_key(k) for k in outer_deps(runbook)},
        keys_by_output_name={**outputs, CLOSING: closing},
        internal_asset_deps={**above, CLOSING: set(outputs.values())},
        partitions_def=partitions_definition(runbook),
        check_specs=checks or None,
    )
    by_key = {asset_key(s.asset or ""): s for s in runbook.assets}
    return made.map_asset_specs(lambda spec: _dressed(runbook, spec, by_key.get(spec.key)))


def notebook_key(runbook: Runbook) -> dg.AssetKey:
    """The key of the asset that is the executed notebook. Graphs show its last part only, so that is the runbook's name."""
    return dg.AssetKey([CLOSING, runbook.name])


def group(runbook: Runbook) -> str:
    """The group of the runbook's assets: as its metadata says, else the runbook's name."""
    return dagster_name(runbook.card.group) if runbook.card.group else runbook.name


def owners(runbook: Runbook) -> list[str]:
    """The owner in Dagster's form: an address, or ``team:name``."""
    owner = (runbook.card.owner or "").strip()
    if not owner:
        return []
    return [owner] if _EMAIL.fullmatch(owner) else [f"team:{dagster_name(owner.removeprefix('team:').strip())}"]


def _upstream(runbook: Runbook, step: Step) -> set[dg.AssetKey]:
    """The nearest assets above a step in the order, and those it names."""
    by_name = {s.name: s for s in runbook.steps}
    found = {asset_key(k) for k in deps(runbook, step)} if not step.check else set()
    todo, seen = list(step.after), set(step.after)
    while todo:
        one = by_name[todo.pop()]
        if one.asset:
            found.add(asset_key(one.asset))
            continue
        todo += [a for a in one.after if a not in seen]
        seen.update(one.after)
    return found


def _dressed(runbook: Runbook, spec: dg.AssetSpec, step: Step | None) -> dg.AssetSpec:
    """The spec with everything people and schedulers look at."""
    options = runbook.options(step) if step else None
    automation = (options.automation if options else None) or (runbook.card.automation if step else None)
    freshness = (options.freshness if options else None) or (runbook.card.freshness if step else None)
    words: dict[str, Any] = {
        "description": (step.description or step.label or f"Step {step.name} of {runbook.path.name}.")
        if step
        else f"{runbook.path.name} as it was executed, with everything its steps printed and showed.",
        "group_name": group(runbook),
        "owners": owners(runbook),
        "kinds": {"jupyter", *(options.kinds if options else ())},
        "metadata": {**spec.metadata, "runbook": dg.MetadataValue.notebook(str(runbook.path))},
        "code_version": runbook.manifest.digest[:12],
    }
    if automation is not None:
        words["automation_condition"] = _condition(automation)
    if freshness is not None:
        words["freshness_policy"] = _freshness(freshness)
    return spec.replace_attributes(**words)


def _condition(automation: Automation) -> dg.AutomationCondition[Any]:
    if isinstance(automation, AtTimes):
        return dg.AutomationCondition.on_cron(automation.cron, automation.timezone)
    return dg.AutomationCondition.eager() if automation == "eager" else dg.AutomationCondition.on_missing()


def _freshness(freshness: Freshness) -> dg.FreshnessPolicy:
    warn = None if freshness.warn is None else timedelta(seconds=freshness.warn)
    return dg.FreshnessPolicy.time_window(fail_window=timedelta(seconds=freshness.fail), warn_window=warn)
