"""A runbook as a Dagster graph: one op per step, in the real order. Values stay in the kernels; the edges only order."""

# No `from __future__ import annotations` here: Dagster looks at the annotation of an op's context, and takes no text for it.

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from holdfast.model.manifest import Step
from holdfast.notebook.labels import labels
from holdfast_dagster import names
from holdfast_dagster.config_schema import given_parameters, graph_config_mapping
from holdfast_dagster.processes import DEATHS
from holdfast_dagster.runbook import CLOSING, Runbook, dagster_name

#: Output of every op: orders what comes after it.
DONE = "done"
#: Output of an op whose step is an asset; left out when there is nothing new.
MADE = "made"
#: Output of an op whose step is a check.
CHECKED = "checked"

_IN, _OUT = dg.In(dg.Nothing), dg.Out(dg.Nothing, is_required=False)
#: How a notebook shows the value of a check that has not passed; any other value, and none, is a pass.
_FALSE = ("False", "np.False_")
#: States after which the following steps run. Only the first makes anything: a skipped step was left out, a tolerated one failed.
_GOES_ON = ("succeeded", "skipped", "tolerated")


def build_graph(runbook: Runbook) -> dg.GraphDefinition:
    """The graph of a runbook.

    A runbook with assets has one more node after all others, whose asset is the executed notebook, and takes the assets that its own
    are made from (``deps``) as inputs.
    """
    ops = [_op(runbook, step) for step in runbook.steps]
    wiring: dict[dg.NodeInvocation, dict[str, dg.DependencyDefinition]] = {}
    for step in runbook.steps:
        wiring[_invocation(runbook, runbook.aliases[step.name])] = _edges([runbook.aliases[a] for a in step.after])
    outputs: list[dg.OutputMapping] = []
    inputs: list[dg.InputMapping] = []
    if runbook.assets:
        ops.append(_closing_op(runbook))
        wiring[_invocation(runbook, CLOSING)] = _edges(_leaves(runbook))
        outputs, inputs = _outputs(runbook), _inputs(runbook)
    return dg.GraphDefinition(
        name=runbook.graph_name,
        description=describe(runbook),
        node_defs=ops,
        dependencies=wiring,
        output_mappings=outputs,
        input_mappings=inputs,
        config=graph_config_mapping(runbook) if runbook.assets or runbook.card.partitions else None,
        tags=tags(runbook),
    )


def describe(runbook: Runbook) -> str:
    """Title and description, as people see them beside the job."""
    manifest, card = runbook.manifest, runbook.card
    never = [card.never] if isinstance(card.never, str) else card.never or []
    facts = [("Severity", card.severity), ("Impact", card.impact), ("Owner", card.owner), ("Escalation", card.escalation)]
    facts += [
        ("Do not", "; ".join(never) or None),
        ("Takes about", f"{card.minutes:g} minute{'' if card.minutes == 1 else 's'}" if card.minutes else None),
    ]
    told = "\n".join(f"- **{name}:** {fact}" for name, fact in facts if fact)
    undo = [s.name for s in manifest.steps if s.teardown_of is not None]
    offered = f"Offered to people after a failure, never run by itself: {', '.join(undo)}." if undo else ""
    title = manifest.title if manifest.title != manifest.name else ""
    return "\n\n".join(t for t in (f"**{title}**" if title else "", manifest.description, told, offered) if t)


def tags(runbook: Runbook) -> dict[str, str]:
    """Tags of jobs, and through them of runs."""
    labels = {f"holdfast.label/{k}": v for k, v in runbook.card.labels.items() if dagster_name(k) == k and v}
    return {names.RUNBOOK: runbook.name, **labels}


def dep_input(key: str) -> str:
    """Name of the input that stands for an asset of elsewhere."""
    return f"from_{dagster_name(key)}"


def check_output(step: Step, asset: Step) -> str:
    """Name of the graph's output that carries a check's result."""
    return check_spec(step, asset).get_python_identifier()


def check_spec(step: Step, asset: Step) -> dg.AssetCheckSpec:
    """The check that a step is."""
    return dg.AssetCheckSpec(
        dagster_name(step.check or step.name), asset=asset_key(asset.asset or ""), description=step.description or None
    )


def asset_key(name: str) -> dg.AssetKey:
    """``costs/volumes`` -> the key of two parts."""
    return dg.AssetKey(name.split("/"))


def checked_asset(runbook: Runbook, step: Step) -> Step | None:
    """The asset that a step tagged ``check:`` is about: itself, the one its ``deps`` name, else the nearest above it in the order."""
    if not step.check:
        return None
    if step.asset:
        return step
    by_name = {s.name: s for s in runbook.steps}
    named = deps(runbook, step)
    if named:
        return next((s for s in runbook.assets if s.asset == named[0]), None)
    todo = list(step.after)
    seen: set[str] = set()
    while todo:
        above = by_name[todo.pop(0)]
        if above.asset:
            return above
        todo += [a for a in above.after if a not in seen]
        seen.update(above.after)
    return None


def deps(runbook: Runbook, step: Step) -> list[str]:
    """The assets a step names as those it is made from."""
    named = runbook.options(step).deps
    return [] if named is None else [named] if isinstance(named, str) else list(dict.fromkeys(named))


def outer_deps(runbook: Runbook) -> dict[str, Step]:
    """Assets of elsewhere that this runbook's assets are made from -> the first step that names them."""
    own = {s.asset for s in runbook.assets}
    found: dict[str, Step] = {}
    for step in runbook.assets:
        for key in deps(runbook, step):
            if key not in own:
                found.setdefault(key, step)
    return found


def _invocation(runbook: Runbook, alias: str) -> dg.NodeInvocation:
    return dg.NodeInvocation(f"{runbook.name}__{alias}", alias=alias)


def _edges(above: Sequence[str]) -> dict[str, dg.DependencyDefinition]:
    return {f"after_{a}": dg.DependencyDefinition(a, DONE) for a in above}


def _leaves(runbook: Runbook) -> list[str]:
    waited_for = {a for s in runbook.steps for a in s.after}
    return [runbook.aliases[s.name] for s in runbook.steps if s.name not in waited_for]


def _outputs(runbook: Runbook) -> list[dg.OutputMapping]:
    found = [
        dg.OutputMapping(
            graph_output_name=asset_key(s.asset or "").to_python_identifier(),
            mapped_node_name=runbook.aliases[s.name],
            mapped_node_output_name=MADE,
        )
        for s in runbook.assets
    ]
    for step in runbook.steps:
        if (asset := checked_asset(runbook, step)) is not None:
            found.append(
                dg.OutputMapping(
                    graph_output_name=check_output(step, asset),
                    mapped_node_name=runbook.aliases[step.name],
                    mapped_node_output_name=CHECKED,
                )
            )
    found.append(dg.OutputMapping(graph_output_name=CLOSING, mapped_node_name=CLOSING, mapped_node_output_name=MADE))
    return found


def _inputs(runbook: Runbook) -> list[dg.InputMapping]:
    return [
        dg.InputMapping(graph_input_name=dep_input(key), mapped_node_name=runbook.aliases[step.name], mapped_node_input_name=dep_input(key))
        for key, step in outer_deps(runbook).items()
    ]


def _op(runbook: Runbook, step: Step) -> dg.OpDefinition:
    asset = checked_asset(runbook, step)
    outs = {DONE: _OUT, **({MADE: _OUT} if step.asset else {}), **({CHECKED: _OUT} if asset is not None else {})}
    needed = [k for k, first in outer_deps(runbook).items() if first.name == step.name]

    def body(context: dg.OpExecutionContext, inputs: dict[str, Any]) -> Iterator[Any]:
        from holdfast_dagster.driving import run_step  # the engine: only where steps run, not where definitions are looked at

        parameters = given_parameters(runbook, context.run.run_config, _partition(context))
        try:
            result = run_step(context, runbook.path, step.name, parameters)
        except dg.Failure as failure:
            if asset is not None:  # the check has been made; then the run fails as the runbook says
                yield _check_result(step, asset, passed=False, metadata=dict(failure.metadata))
            raise
        if result.state == "succeeded" and step.asset:
            yield dg.Output(None, MADE, metadata=result.metadata)
        if asset is not None and result.state in ("succeeded", "tolerated"):
            passed = result.state == "succeeded" and (result.value or "").strip() not in _FALSE
            yield _check_result(step, asset, passed=passed, metadata=result.metadata)
        if result.state in _GOES_ON:
            yield dg.Output(None, DONE, metadata={} if step.asset else result.metadata)

    body.__name__ = f"{runbook.name}__{runbook.aliases[step.name]}"
    return dg.OpDefinition(
        compute_fn=body,
        name=body.__name__,
        ins={
            **{f"after_{runbook.aliases[a]}": _IN for a in step.after},
            **{dep_input(k): _IN for k in needed},
        },
        outs=outs,
        description=_describe_step(step),
        required_resource_keys={names.RESOURCE},
        tags=_op_tags(runbook, step),
        retry_policy=DEATHS,
        pool=step.policy.pool and dagster_name(step.policy.pool),
        code_version=step.cells[0].digest[:12] if step.cells else None,
    )


def _closing_op(runbook: Runbook) -> dg.OpDefinition:
    """The executed notebook as an asset: written by the last step that ran, told here."""

    def body(context: dg.OpExecutionContext, inputs: dict[str, Any]) -> Iterator[Any]:
        from holdfast_dagster.metadata import execution_metadata

        yield dg.Output(None, MADE, metadata=execution_metadata(context.instance, context.run_id, runbook))

    name = f"{runbook.name}__{CLOSING}"
    return dg.OpDefinition(
        compute_fn=body,
        name=name,
        ins={f"after_{a}": _IN for a in _leaves(runbook)},
        outs={MADE: _OUT},
        description="The notebook with everything the steps printed and showed.",
        required_resource_keys={names.RESOURCE},
        tags={"dagster/compute_kind": "jupyter", names.RUNBOOK: runbook.name},
        retry_policy=DEATHS,
    )


def _check_result(step: Step, asset: Step, *, passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    name = dagster_name(step.check or step.name)
    return dg.AssetCheckResult(passed=passed, asset_key=asset_key(asset.asset or ""), check_name=name, metadata=metadata)


def _partition(context: Any) -> str | None:
    return context.partition_key if context.has_partition_key else None


def _describe_step(step: Step) -> str:
    """One plain line, which the graph shows in the step's box; then what stands above the step in the notebook, and its code."""
    code = "\n\n".join(c.source.strip() for c in step.cells)
    fence = "````" if "```" in code else "```"
    first, _, rest = (step.description or "").strip().partition("\n")
    heading = first.lstrip("#").strip()
    parts = [label for cell in step.cells for label in labels(cell.source)]
    if not heading:
        heading, parts = (parts[0], parts[1:]) if parts else (step.label or "", [])
    told = "In it: " + " → ".join(parts) if parts else ""
    return "\n\n".join(t for t in (heading, rest.strip(), told, f"{fence}python\n{code}\n{fence}") if t)


def _op_tags(runbook: Runbook, step: Step) -> dict[str, str]:
    policy = step.policy
    told = {
        "dagster/compute_kind": "jupyter",
        names.RUNBOOK: runbook.name,
        names.STEP: step.name,
        names.NOTEBOOK: str(runbook.path),
        "holdfast/effects": policy.effects,
        "holdfast/when": policy.when,
        "holdfast/on_failure": policy.on_failure if policy.on_failure != "suspend" else None,
        "holdfast/timeout": f"{policy.timeout:g} s" if policy.timeout else None,
        "holdfast/retry": f"{policy.retry.count} × {policy.retry.delay:g} s {policy.retry.backoff}" if policy.retry.count else None,
        names.ALWAYS: "true" if step.always else None,
    }
    return {k: v for k, v in told.items() if v}
