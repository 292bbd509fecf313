"""Checks the store before the queue stores anything in it. Waits while the store is away."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from s3queue.core.ops import Delete, List
from s3queue.errors import StoreError, StoreUnavailable
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.operate.probe import require_safe

#: Seconds between two tries while the store does not answer: the first pause, which doubles, and the longest.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
#: Seconds after which the objects of a probe belong to one that was killed: it takes seconds, and no two clocks that
#: keep a queue differ by so much.
ABANDONED_S = 3600.0

#: Objects that are looked at and removed in one go.
_LIMIT = 1000
PREFIX = "{namespace}-probe-"
_STARTED = re.compile(r"([0-9]{10})-[0-9a-f]{16}/")


async def prove(driver: Driver, namespace: str, host: Meter, unavailable: Callable[[StoreUnavailable], None]) -> None:
    """Return when the store has answered, and can hold a queue. The threads and files that this took are closed by then.

    Args:
        driver: used for nothing else.
        host: what was asked is added here, but no conflicts: each race of a probe has losers, and they say nothing about
            the host.
        unavailable: told of each try that got no answer.

    Raises:
        StoreUnsupported, StoreDenied, ConfigError: the store, or its address, has answered that it is of no use.

    Asks: what `require_safe` does, and one listing for what earlier probes have left.
    """
    loop = asyncio.get_running_loop()
    pause_s = FIRST_PAUSE_S
    # A thread of its own, which ends with this: SQLite keeps all files of a store open that has one connection left.
    thread = ThreadPoolExecutor(1, thread_name_prefix="s3queue-probe")
    try:
        while True:
            try:
                await loop.run_in_executor(thread, _probe, driver, namespace)
                break
            except StoreUnavailable as fault:
                unavailable(fault)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        thread.shutdown()
    finally:
        thread.shutdown(wait=False)
        host.add(msgspec.structs.replace(driver.meter.usage, conflicts=0))


def _probe(driver: Driver, namespace: str) -> None:
    now = time.time()
    prefix = PREFIX.format(namespace=namespace)
    require_safe(driver, f"{prefix}{int(now):010d}-{secrets.token_hex(8)}/")
    with contextlib.suppress(StoreError):  # the next one will
        sweep(driver, namespace, now)


def sweep(driver: Driver, namespace: str, now: float) -> None:
    """Remove objects that killed probes have left. The time of a probe is in its keys."""
    prefix = PREFIX.format(namespace=namespace)
    keys = [one.key for one in driver.perform(List(prefix, "", _LIMIT))]
    old = [key for key in keys if (it := _STARTED.match(key, len(prefix))) and now - int(it[1]) > ABANDONED_S]
    if old:
        driver.perform(Delete(tuple(old)))
