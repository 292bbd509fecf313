"""What the example deployments run: `s3queue enqueue tasks:resize 'name="a.png"'` gives them something to do."""

from __future__ import annotations

import time

import s3queue


@s3queue.task(queue="images", max_attempts=5)
def resize(name: str, seconds: float = 1.0) -> None:
    time.sleep(seconds)
