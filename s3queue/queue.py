"""Putting messages into a queue, and looking at what became of them.

Enqueuing is one create-only put of a batch: from the moment it is answered the message exists and will not be lost.
Workers on the same machine are woken; others see it with their next poll.
"""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Raw

from s3queue.config import Config, current_config, current_store
from s3queue.core import produce
from s3queue.core.keys import MAX_BATCH, PRIORITIES, Layout, batch_id, check_group, check_name
from s3queue.core.ops import get, list_all
from s3queue.core.records import DeadLetter, Message, QueueMeta, decode, encode_message
from s3queue.errors import ConfigError, CorruptRecord, EnqueueUncertain, StoreUnavailable
from s3queue.inspection import QueueStats, stats
from s3queue.observe.events import Events
from s3queue.payloads import encode_value
from s3queue.runtime.drive import Driver
from s3queue.runtime.meter import Meter
from s3queue.store import Found, ObjectStore, as_store

__all__ = ["Queue"]

#: Pauses between two sends of an unanswered put, in seconds: doubling, with full jitter.
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.1, 5.0


class _BatchIds:
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
            return self._ms, batch_id(counter, secrets.randbits(52))

    def reset_lock(self) -> None:
        self._lock = threading.Lock()


_ids = _BatchIds()
# Another thread may hold the lock while one forks; the child would wait for it for ever.
os.register_at_fork(after_in_child=_ids.reset_lock)


class Queue:
    """A named queue on a store. Cheap to make; safe to use from many threads, and across a fork.

    Args:
        name: letters, digits, ``_ . -``.
        store: a store or its URL; by default that of `configure`, ``S3QUEUE_STORE_URL`` or ``s3queue.toml``.
        namespace: by default the setting of that name.
        order: ``fifo`` or ``lifo`` for a queue that is new; fixed for its life by whoever uses it first. None: as it is,
            ``fifo`` where it is new.
        config: by default the settings of this process.

    Attributes:
        meter: counts the requests that this object made.

    Raises:
        ConfigError: no store, a name that cannot stand in a key, or (on first use) an order that is not the queue's.
    """

    def __init__(
        self,
        name: str,
        store: ObjectStore | str | None = None,
        *,
        namespace: str | None = None,
        order: Literal["fifo", "lifo"] | None = None,
        config: Config | None = None,
    ) -> None:
        if order not in (None, "fifo", "lifo"):
            raise ConfigError(f"order is {order!r}", "fifo or lifo")
        self.name = check_name(name)
        self.config = config or current_config()
        self.store = current_store() if store is None else as_store(store)
        self.namespace = check_name(namespace or self.config.namespace, "namespace")
        self.meter = Meter()
        self._layout = Layout(self.namespace)
        self._order = order
        self._meta: QueueMeta | None = None
        self._events = Events("producer", self.config.history)

    def __repr__(self) -> str:
        return f"<Queue {self.name!r} on {self.store.url}>"

    # ---- enqueue -----------------------------------------------------------------------------------------------

    def enqueue(
        self,
        payload: Any,
        *,
        delay: float | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Store one message for the queue's handler, and return its id. One PUT (the first time also one GET).

        Args:
            payload: anything msgspec encodes.
            delay: seconds before which it is not to run.
            at: time before which it is not to run; with a time zone.
            priority: 0 goes first, 9 last.
            group: messages of one group run one at a time, in order; 1 to 300 characters.
            headers: strings that travel with the message and are not looked at.

        Raises:
            ConfigError: an argument is wrong; nothing was sent.
            EnqueueUncertain: no answer for ``enqueue_deadline``; it may or may not be stored.
            StoreUnavailable: not stored.
        """
        encoded = encode_value(payload, f"message for {self.name!r}")
        return self.send("", [encoded], delay=delay, at=at, priority=priority, group=group, headers=headers)[0]

    def enqueue_many(
        self,
        payloads: Iterable[Any],
        *,
        delay: float | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Store many messages, and return their ids in the same order. One PUT per 1,000 messages or 4 MB.

        All payloads are encoded before anything is sent; for an endless stream call this in portions.

        Raises: as `enqueue`. Batches before the one that failed are stored; a note on the exception says how many.
        """
        what = f"message for {self.name!r}"
        encoded = [encode_value(payload, what) for payload in payloads]
        return self.send("", encoded, delay=delay, at=at, priority=priority, group=group, headers=headers)

    def send(
        self,
        task: str,
        payloads: list[Raw],
        *,
        delay: float | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """As `enqueue_many`, for payloads that are encoded, of the task with this name (empty: the handler)."""
        due_ms = _due_ms(delay, at)
        if type(priority) is not int or priority not in PRIORITIES:
            raise ConfigError(f"priority is {priority!r}", "0 goes first, 9 goes last")
        if group is not None:
            check_group(group)
        given = _headers(headers)
        messages = [bytes(encode_message(Message(task, payload, given))) for payload in payloads]
        if not messages:
            return []
        self._check_sizes(messages)
        newest_first = self._settings().order == "lifo"
        ids: list[str] = []
        for portion in _portions(messages):
            sent_ms, batch = _ids.next(newest_first)
            if newest_first:
                portion.reverse()
            outgoing = produce.new_batch(
                self.name,
                portion,
                sent_ms=sent_ms,
                batch=batch,
                priority=priority,
                group=group,
                due_ms=due_ms,
                newest_first=newest_first,
            )
            try:
                stored = self._store(outgoing)
            except Exception as fault:
                if ids:
                    fault.add_note(f"the first {len(ids)} messages of this call are stored")
                raise
            ids += reversed(stored) if newest_first else stored
        return ids

    def _check_sizes(self, messages: list[bytes]) -> None:
        most, limit = self.config.max_message_bytes, "max_message_bytes is"
        holds = self.store.capabilities.max_body_bytes - produce.ENVELOPE_BYTES
        if holds < most:
            most, limit = holds, "one object of this store holds"
        largest = max(map(len, messages))
        if largest > most:
            raise ConfigError(
                f"a message of {largest:,} bytes; {limit} {most:,}",
                "store the data under a key of your own, and enqueue the key",
            )

    def _store(self, outgoing: produce.Outgoing) -> list[str]:
        """Make the batch exist: the same put, until it is answered or the deadline has passed."""
        ids = [self._layout.message_id(outgoing.path, index) for index in range(outgoing.count)]
        deadline = time.monotonic() + self.config.enqueue_deadline
        pause = _FIRST_PAUSE_S
        unanswered = False
        while True:
            patience = max(0.0, deadline - time.monotonic())
            driver = Driver(self.store, self.meter, patience_s=patience, on_retry=self._on_retry)
            try:
                outcome = driver.run(produce.enqueue(self._layout, outgoing))
            except StoreUnavailable as fault:
                if unanswered:  # an earlier try may still take effect
                    raise EnqueueUncertain(ids[0]) from fault
                raise
            if isinstance(outcome, produce.Accepted):
                break
            unanswered = True
            if time.monotonic() + pause >= deadline:
                raise EnqueueUncertain(ids[0])
            self._events.warn("unanswered", f"no answer from {self.store.url} for a batch; sending it again")
            time.sleep(random.uniform(0, pause))
            pause = min(pause * 2, _LAST_PAUSE_S)
        self._wake()
        self._events.emit("enqueued", ids=ids)
        return ids

    def _settings(self) -> QueueMeta:
        """What holds for this queue on this store. Asked for once; never changes while a queue exists."""
        if self._meta is None:
            wanted = QueueMeta(nonce=secrets.token_hex(8), order=self._order or "fifo")
            driver = Driver(self.store, self.meter, patience_s=self.config.enqueue_deadline, on_retry=self._on_retry)
            meta = driver.run(produce.ensure_meta(self._layout, self.name, wanted))
            if isinstance(meta, produce.Unanswered):
                raise StoreUnavailable("put", self._layout.meta(self.name), "no answer; nothing was enqueued")
            if self._order not in (None, meta.order):
                raise ConfigError(
                    f"queue {self.name!r} is {meta.order}, not {self._order}",
                    "an order is fixed when a queue is first used",
                )
            self._meta = meta
        return self._meta

    def _on_retry(self, unavailable: StoreUnavailable) -> None:
        self._events.warn("unavailable", f"{self.store.url} is not available, trying again: {unavailable}")

    def _wake(self) -> None:
        from s3queue.runtime.local.wakeups import wake

        wake(self.store.url, self.namespace)

    # ---- look --------------------------------------------------------------------------------------------------

    def stats(self) -> QueueStats:
        """Counts of this queue; see `s3queue.stats`."""
        return stats(self.store, self.namespace, meter=self.meter).queues.get(self.name, QueueStats())

    def dead_letters(self) -> Iterator[DeadLetter]:
        """The messages that are out of attempts or were rejected, oldest first, without decided ones.

        What cannot be decoded is left where it is and logged. One GET per letter, one LIST per 1,000.
        """
        driver = Driver(self.store, self.meter, on_retry=self._on_retry)
        for item in driver.run(list_all(self._layout.dead(self.name))):
            found = driver.run(get(item.key))
            if not isinstance(found, Found):
                continue
            try:
                letter = decode(DeadLetter, item.key, found.body)
            except CorruptRecord as corrupt:
                self._events.warn(item.key, str(corrupt))
                continue
            if not letter.tombstone:
                yield letter


def _due_ms(delay: float | None, at: datetime | None) -> int | None:
    """Wall clock in milliseconds before which a message is not to run; None where that is now."""
    if delay is not None and at is not None:
        raise ConfigError("delay and at were both given", "one of them says when")
    if at is not None:
        if not isinstance(at, datetime) or at.tzinfo is None or at.year > 2200:
            raise ConfigError(f"at is {at!r}", "a datetime with a time zone, for example datetime.now(UTC)")
        due_s = at.timestamp()
    elif delay is not None:
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < 1e9:
            raise ConfigError(f"delay is {delay!r}", "seconds from now, at least 0")
        if delay == 0:
            return None
        due_s = time.time() + delay
    else:
        return None
    return int(due_s * 1000) if due_s > time.time() else None


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    try:
        given = msgspec.convert(dict(headers or {}), dict[str, str])
        msgspec.msgpack.encode(given)  # a lone surrogate is a string that no record can hold
    except (msgspec.ValidationError, TypeError, ValueError) as wrong:
        raise ConfigError("headers are not a mapping of strings to strings") from wrong
    return given


def _portions(messages: list[bytes]) -> Iterator[list[Raw]]:
    """Cut into batches of at most 1,000 messages and about 4 MB."""
    portion: list[Raw] = []
    size = 0
    for message in messages:
        length = len(message)
        if portion and (len(portion) == MAX_BATCH or size + length > produce.BATCH_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(Raw(message))
        size += length
    yield portion
