"""When a call that failed in passing is tried again. Count and start of the round come from the journal, so a crash resets nothing."""

from __future__ import annotations

from holdfast.foundation import clock
from holdfast.model.policy import Retry

#: How transient failures are retried unless the author or the installation says otherwise.
DEFAULT = Retry(count=5, delay=0.5, backoff="exponential", max_delay=30.0)


def plan_retry(retry: Retry, failures: int, since: float, retry_after: float | None, deadline: float) -> float | None:
    """When to try again, seconds since the epoch; None when the attempts or the time are used up.

    Args:
        retry: how often and how far apart.
        failures: transient failures in this round, the present one included.
        since: when the round began, seconds since the epoch.
        retry_after: seconds, when the outside named them; never shortens the wait.
        deadline: seconds a round may take from its first attempt to the start of its last.
    """
    if failures > retry.count:
        return None
    now = clock.now()
    due = now + max(retry.wait_before(failures), retry_after or 0.0)
    return due if due <= since + deadline else None
