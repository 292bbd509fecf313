"""The tasks of the image under test. Each attempt is one line on stdout."""

from __future__ import annotations

import os
import time

import s3queue


@s3queue.task(queue="images", max_attempts=1)
def resize(name: str, ctx: s3queue.Context) -> None:
    print(f"attempt {ctx.attempt} of {name}", flush=True)
    time.sleep(float(os.environ.get("SLOW", "0")) if name == "slow" else 0.05)
