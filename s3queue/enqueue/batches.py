"""Batches: their ids, and which messages share one."""

from __future__ import annotations

import os
import threading
import time

from msgspec import Raw

from s3queue.core import produce
from s3queue.core.keys import MAX_BATCH, batch_id


class BatchIds:
    """Time and id for each batch: never used twice, and in the order in which this process asked for them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = self._counter = 0

    def next(self, newest_first: bool = False) -> tuple[int, str]:
        """Wall clock in milliseconds, which never goes back, and a batch id that sorts within one of them."""
        now_ms = time.time_ns() // 1_000_000
        with self._lock:
            if now_ms > self._ms:
                self._ms, self._counter = now_ms, 0
            elif self._counter < 0xFFF:
                self._counter += 1
            else:
                self._ms, self._counter = self._ms + 1, 0
            counter = 0xFFF - self._counter if newest_first else self._counter
            return self._ms, batch_id(counter, int.from_bytes(os.urandom(7), "big"))

    def reset_lock(self) -> None:
        self._lock = threading.Lock()


batch_ids = BatchIds()
# Another thread may hold the lock while one forks; the child would wait for it for ever.
os.register_at_fork(after_in_child=batch_ids.reset_lock)


def portions(messages: list[bytes]) -> list[list[Raw]]:
    """Cut into batches of at most 1,000 messages and about 4 MB, the last one first."""
    if len(messages) == 1:
        return [[Raw(messages[0])]]
    portions: list[list[Raw]] = []
    portion: list[Raw] = []
    size = 0
    for message in messages:
        length = len(message)
        if portion and (len(portion) == MAX_BATCH or size + length > produce.BATCH_BYTES):
            portions.append(portion)
            portion, size = [], 0
        portion.append(Raw(message))
        size += length
    if portion:
        portions.append(portion)
    portions.reverse()
    return portions
