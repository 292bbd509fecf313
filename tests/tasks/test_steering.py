"""What a task raises to steer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from s3queue import Retry, Snooze


@pytest.mark.parametrize("after", [math.nan, math.inf, -math.inf, pytest.param(10**400, id="beyond floats")])
@pytest.mark.parametrize("make", [Snooze, lambda after: Retry("why", after=after)])
def test_what_is_no_number_of_seconds_is_refused(make: Any, after: float) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        make(after)


@pytest.mark.parametrize("make", [Snooze, lambda after: Retry("why", after=after)])
def test_a_time_that_has_passed_is_now(make: Any) -> None:
    assert make(-5).after == 0.0
    assert make(5).after == 5.0
