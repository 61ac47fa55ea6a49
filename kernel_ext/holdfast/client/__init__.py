"""The verbs of Holdfast for programs: start, look, answer, pause, cancel, fork. What the gateway, Dagster and scripts use."""

from holdfast.client.client import Client

__all__ = ["Client"]
