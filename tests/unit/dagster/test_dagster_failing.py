"""What Dagster makes of a failure of ours."""

from __future__ import annotations

import pytest

dg = pytest.importorskip("dagster")

from holdfast.errors import OperatorError  # noqa: E402
from holdfast_dagster.failing import StepFailed, installation  # noqa: E402


@pytest.mark.parametrize(
    "error", [StepFailed("ValueError: no\nWhere: here", "ValueError", {"n": 1}), installation(OperatorError("HF215", "no home"))]
)
def test_it_is_one_text_without_a_stack_and_is_not_tried_again(error: StepFailed) -> None:
    @dg.op(retry_policy=dg.RetryPolicy(max_retries=3))
    def fails() -> None:
        raise error

    @dg.job
    def job() -> None:
        fails()

    result = job.execute_in_process(raise_on_error=False)
    assert "STEP_UP_FOR_RETRY" not in [e.event_type_value for e in result.all_events]
    (data,) = [e.step_failure_data for e in result.all_events if e.is_step_failure]
    assert data.error is not None and data.user_failure_data is not None
    assert (data.error.message.strip(), data.error.stack, data.error.cause) == (str(error), [], None)
    assert data.user_failure_data.description == str(error)
    with pytest.raises(dg.Failure, match=str(error).splitlines()[0]):
        job.execute_in_process()
