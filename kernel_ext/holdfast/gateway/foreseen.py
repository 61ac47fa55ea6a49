"""Dry runs and rollbacks as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from holdfast.gateway.schemas import Asked, EffectShown, Reason, Shown
from holdfast.gateway.texts import Json, Text


class RefusalShown(Shown):
    """Why a guardrail would not let a change be made."""

    guardrail: str
    code: str
    why: str
    cure: str


class ChangePlanned(Shown):
    """A change that a dry run did not make, or a question that it did not ask."""

    model_config = ConfigDict(extra="ignore")

    step: str
    kind: str
    operation: str
    arguments: dict[str, Any]
    effect: str
    target: str = ""
    destructive: bool = False
    said: str = Field("", description="What the outside answered when it was asked what would come of it.")
    refused: list[RefusalShown] = []


class PlanShown(Shown):
    """What a start would change, as things stand now."""

    model_config = ConfigDict(extra="ignore")

    runbook: str
    writes: list[ChangePlanned]
    questions: list[ChangePlanned]
    refused: int = Field(description="How many of the changes a guardrail would refuse.")
    complete: bool
    stopped: str | None = Field(description="Why the dry run could not go to the end.")


class UndoingShown(Shown):
    """A teardown step that is offered after a failure, and what it is there to undo."""

    step: str
    teardown_of: str
    undoes: list[EffectShown]


class RollbackShown(Shown):
    """What a rollback would do. No steps: there is nothing to roll back."""

    steps: list[UndoingShown]
    may: bool = Field(description="Whether you may ask for it.")
    who_may: list[str] = Field(description="As the policy names them.")


# ---- what is sent to us


class Plan(Asked):
    """Make a dry run."""

    parameters: dict[Text, Json] = {}


class Rollback(Reason):
    """Why, and by which teardown steps."""

    steps: list[Text] = Field(default=[], max_length=100, description="None: all that are offered.")
