"""Tasks of `python -m stress limits`. Each one writes down when it ran, in a file that all processes append to."""

from __future__ import annotations

import os
import struct
import time

import s3queue
from s3queue import Context, Limit, Retry

#: The file's name, as an environment variable; and a record: of whom, when it was sent, began and ended (wall clock).
LOG = "STRESS_LIMITS_LOG"
RECORD = struct.Struct("<16sddd")


def _note(whom: str, sent: float, began: float) -> None:
    log = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(log, RECORD.pack(whom.encode()[:16], sent, began, time.time()))
    finally:
        os.close(log)


@s3queue.task(queue="limited", max_running=5)
def limited(seconds: float) -> None:
    began = time.time()
    time.sleep(seconds)
    _note("limited", began, began)


@s3queue.task(queue="paced", rate="100/s")
def paced() -> None:
    began = time.time()
    _note("paced", began, began)


@s3queue.task(queue="fair", fair=True)
def fair(tenant: str, sent: float, seconds: float) -> None:
    began = time.time()
    time.sleep(seconds)
    _note(tenant, sent, began)


@s3queue.task(queue="waiting", max_attempts=5)
def waiting(ctx: Context, sent: float, fails: bool) -> None:
    if fails and ctx.attempt == 1:
        raise Retry(after=3600.0)
    _note("waiting", sent, time.time())


#: Of a queue that nothing limits, for comparison.
@s3queue.task(queue="keyed", per_key=Limit(max_running=1))
def keyed(tenant: str, seconds: float) -> None:
    began = time.time()
    time.sleep(seconds)
    _note(tenant, began, began)
