"""Ways from Dagster's pages to the pages of the gateway, where its address is known (setting ``public_url``)."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster._core.events import EngineEventData

from holdfast.config import Config
from holdfast.model.execution import Execution


def execution_links(config: Config, execution: str) -> dict[str, Any]:
    """Metadata that leads to an execution's page; empty where nobody serves pages."""
    return {"execution_page": dg.MetadataValue.url(f"{config.public_url}/executions/{execution}")} if config.public_url else {}


def prompt_links(config: Config, prompt: str) -> dict[str, Any]:
    """Metadata that leads to where a question is answered; empty where nobody serves pages."""
    return {"answer_here": dg.MetadataValue.url(f"{config.public_url}/prompts/{prompt}")} if config.public_url else {}


def say_which_execution(instance: dg.DagsterInstance, run: dg.DagsterRun, config: Config, execution: Execution) -> None:
    """The first line of the run about the execution it works on."""
    data = EngineEventData({"execution": dg.MetadataValue.text(execution.id), **execution_links(config, execution.id)})
    instance.report_engine_event(f"This run works on the execution {execution.id} of {execution.runbook}", run, data)
