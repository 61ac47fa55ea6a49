"""What stands for a notebook that cannot be loaded: a job of its name, so that whoever looks for it or launches it is told why."""

# No `from __future__ import annotations` here: Dagster looks at the annotation of an op's context, and takes no text for it.

from typing import Any

import dagster as dg

from holdfast_dagster.failing import installation
from holdfast_dagster.runbook import Broken

#: Tag of the job: the error's code.
BROKEN = "holdfast/broken"


def broken_job(broken: Broken) -> dg.JobDefinition:
    """A job that takes any configuration and fails with the error that kept the notebook from being loaded."""
    text = str(broken.error)

    def body(context: dg.OpExecutionContext, inputs: dict[str, Any]) -> None:
        raise installation(broken.error)

    op = dg.OpDefinition(name=f"{broken.name}__broken", compute_fn=body, ins={}, outs={}, description=text)
    wiring: dict[dg.NodeInvocation, dict[str, dg.DependencyDefinition]] = {dg.NodeInvocation(op.name, alias="broken"): {}}
    told = f"**This notebook cannot be loaded.**\n\n{text}"
    graph = dg.GraphDefinition(name=broken.name, node_defs=[op], dependencies=wiring, description=told)
    return graph.to_job(
        name=broken.name,
        description=told,
        tags={BROKEN: broken.error.code},
        metadata={"runbook": dg.MetadataValue.path(str(broken.path)), "error": dg.MetadataValue.text(text)},
        config=dg.ConfigMapping(config_fn=lambda _: {}, config_schema=dict),
        executor_def=dg.in_process_executor,
    )
