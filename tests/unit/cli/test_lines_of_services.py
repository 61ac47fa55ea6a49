"""What `holdfast up` shows of what its services say."""

from __future__ import annotations

import pytest

from holdfast.cli.supervising import Sieve
from holdfast.foundation import clock

SAID = """\
[I 2026-11-21 16:48:20.001 ServerApp] Serving notebooks
2026-11-21 16:48:21 +0000 - dagster.daemon.SensorDaemon - ERROR - Sensor tick caught an error
Traceback (most recent call last):
  File "/somewhere/client.py", line 210, in _query
    return self._get_response()
           ^^^^^^^^^^^^^^^^^^^^
grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:
\tstatus = StatusCode.UNAVAILABLE
>
The above exception was the direct cause of the following exception:
Traceback (most recent call last):
  File "/somewhere/sensor.py", line 309, in __exit__
    raise DagsterUserCodeUnreachableError(
DagsterUserCodeUnreachableError: Unable to reach the user code server.
2026-11-21 16:48:27 +0000 - dagster.daemon.SensorDaemon - ERROR - Sensor tick caught an error
Traceback (most recent call last):
  File "/somewhere/client.py", line 210, in _query
DagsterUserCodeUnreachableError: Unable to reach the user code server.
2026-11-21 16:48:28 +0000 - dagster.daemon - INFO - Instance is configured
  with a second line
[W 2026-11-21 16:48:30.001 LabApp] first line of two
second line of two
"""


def test_errors_are_shown_once_and_without_their_stack_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    sieve, now = Sieve(), 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    lines = SAID.splitlines()
    shown = [line for line in lines if sieve.passes(line)]
    assert shown == [
        lines[1],
        "grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:",
        "DagsterUserCodeUnreachableError: Unable to reach the user code server.",
        "[W 2026-11-21 16:48:30.001 LabApp] first line of two",
        "second line of two",
    ]
    now += 61
    assert sieve.passes(lines[1]), "what goes on is said again, a minute later"
