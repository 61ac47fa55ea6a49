"""Steps tagged ``asset:`` as the assets of one graph, with what Dagster shows and does with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from holdfast.model.manifest import Step
from holdfast.notebook.scheduling import AtTimes, Automation, Freshness
from holdfast_dagster.graph import asset_key, build_graph, check_output, check_spec, checked_asset, dep_input, deps, outer_deps
from holdfast_dagster.partitions import partitions_definition
from holdfast_dagster.runbook import CLOSING, Runbook, dagster_name

_NAMED_EMAIL = re.compile(r".*<([^<>@\s]+@[^<>@\s]+)>")


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
    """The owners, commas between them, in Dagster's form: an address, or ``team:name``."""
    said = [one.strip() for one in re.split("[,;]", runbook.card.owner or "")]
    return list(dict.fromkeys(_owner(one) for one in said if one))


def refuse_doubles(runbook: Runbook) -> None:
    """Two assets or checks of one name, and a check of what the runbook does not make.

    Raises:
        AuthorError: HF190, naming the cell.
    """
    seen: dict[str, Step] = {}
    for step in runbook.steps:
        named = [(f"asset {step.asset!r}", asset_key(step.asset).to_python_identifier())] if step.asset else []
        if (asset := checked_asset(runbook, step)) is not None:
            named.append((f"check {step.check!r} of {asset.asset!r}", check_output(step, asset)))
        elif step.check and (about := deps(runbook, step)):
            cure = "move it below that asset's cell, in the notebook that makes it"
            raise runbook.error(f"the check {step.check!r} is about the asset {about[0]!r}, which this runbook does not make", cure, step)
        for what, name in named:
            if (first := seen.setdefault(name, step)) is not step:
                raise runbook.error(f"the {what} is there twice in Dagster, first in step {first.name!r}", "rename one of the two", step)


def refuse_circles(runbook: Runbook, owned: Mapping[dg.AssetKey, Runbook]) -> None:
    """Assets that are made from one another, in one runbook or in several: the assets of a runbook are made together, in one run.

    Args:
        owned: the assets of the runbooks so far, among which there is no circle.

    Raises:
        AuthorError: HF190, naming the cell and the way round.
    """
    for step in runbook.assets:
        for key in deps(runbook, step):
            if asset_key(key) in _above(runbook, step):
                raise runbook.error(
                    f"the asset {step.asset!r} is made from {key!r}, which is made from it", f"remove {key!r} from 'deps'", step
                )
            way = _way(asset_key(key), runbook, owned)
            if way:
                books = " → ".join(str(one.path) for one in (runbook, *way))
                cure = f"remove {key!r} from 'deps', or split one of the runbooks"
                raise runbook.error(f"the asset {key!r} is made from what this runbook makes: {books}", cure, step)


def _above(runbook: Runbook, step: Step) -> set[dg.AssetKey]:
    """The runbook's own assets that cannot be made before ``step`` is, and its own."""
    by_key = {asset_key(s.asset or ""): s for s in runbook.assets}
    below = {asset_key(step.asset or "")}
    while more := {k for k, s in by_key.items() if k not in below and _upstream(runbook, s) & below}:
        below |= more
    return below


def _way(key: dg.AssetKey, home: Runbook, owned: Mapping[dg.AssetKey, Runbook]) -> list[Runbook]:
    """The runbooks from the one that makes ``key`` back to ``home``; empty when no way leads there."""
    own = {asset_key(s.asset or "") for s in home.assets} | {notebook_key(home)}
    first = owned.get(key)
    todo, seen = [[first]] if first is not None else [], {first.name} if first is not None else set()
    while todo:
        way = todo.pop(0)
        needs = [asset_key(k) for k in outer_deps(way[-1])]
        if own & set(needs):
            return way
        for above in (owned[k] for k in needs if k in owned):
            if above.name not in seen:
                seen.add(above.name)
                todo.append([*way, above])
    return []


def _owner(text: str) -> str:
    named = _NAMED_EMAIL.fullmatch(text)
    address = named.group(1) if named else text
    if "@" not in address:
        return f"team:{dagster_name(address.removeprefix('team:').strip())}"
    try:
        dg.AssetSpec("any", owners=[address])
    except dg.DagsterInvalidDefinitionError:  # not the addresses Dagster knows: ops@corp.internal, an umlaut
        return f"team:{address.removeprefix('team:').strip()}"
    return address


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
