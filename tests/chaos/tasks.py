"""What the outage tests run."""

from __future__ import annotations

import time

from s3queue.decorators import task

QUEUE = "outage"


@task(QUEUE, max_attempts=1)
def work(number: int) -> None:
    time.sleep(0.005)
