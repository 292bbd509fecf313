from __future__ import annotations

import time

from s3queue.io.clock import clock


def test_clock_never_runs_backwards_and_is_no_slower_than_the_monotonic_one() -> None:
    first, monotonic = clock(), time.monotonic()
    assert clock() >= first
    assert clock() >= monotonic
