"""The contents of a queue: counts, messages, dead letters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from s3queue.config import Config
from s3queue.core import produce
from s3queue.core.keys import Layout
from s3queue.errors import ConfigError
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.observe.stats import QueueStats
from s3queue.operate import letters, looking
from s3queue.operate.asking import check_limit
from s3queue.operate.inspection import stats
from s3queue.operate.letters import DeadGroup, DeadLetter
from s3queue.operate.looking import QueuedMessage, State
from s3queue.store import ObjectStore

if TYPE_CHECKING:
    from s3queue.observe.events import Events

__all__ = ["Readable"]


class Readable:
    """Reads a queue: counts, messages, dead letters. A base of `Queue`."""

    name: str
    namespace: str
    config: Config
    store: ObjectStore
    layout: Layout
    meter: Meter
    events: Events

    def driver(self) -> Driver:
        """For requests that are tried again until ``enqueue_deadline``."""
        raise NotImplementedError

    def reader(self) -> Driver:
        """For reads: they are tried again for as long as `Driver` does by itself."""
        raise NotImplementedError

    def stats(self, *, exact: bool = False) -> QueueStats:
        """The counts of this queue. One GET; see `s3queue.stats`, also for ``exact`` and for errors."""
        return stats(self.store, self.namespace, exact=exact, meter=self.meter).queues.get(self.name, QueueStats())

    def messages(
        self,
        *,
        state: State | None = None,
        task: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Iterator[QueuedMessage]:
        """The messages that are neither done nor dead: first those that are not scheduled, in the order in which they were
        to start, then by due time. They are read as the iterator goes on.

        Args:
            state: only messages that are ``ready``, ``scheduled``, ``running`` or ``waiting``.
            task: only messages of this task. Saves no request: only a batch tells the tasks of its messages.
            limit: messages at most; None: all.
            after: `QueuedMessage.place` of a message: only messages after it.

        Raises:
            ConfigError: no such state, no such place, or ``limit`` is out of range.
            CorruptRecord: the board cannot be decoded.

        Asks: one GET for the board, one for each batch that is read, and one for each host that runs a message of them. One
        LIST per 1,000 batches of this queue that are not scheduled, and one per 1,000 scheduled batches of all queues;
        none for running messages.
        """
        return looking.read_queue(
            self.reader(),
            self.layout,
            self.name,
            state=state,
            task=task,
            limit=limit,
            after=after,
            now_ms=int(time.time() * 1000),
            largest=produce.largest_source(self.config.max_message_bytes),
        )

    def dead_letters(
        self,
        *,
        task: str | None = None,
        cause: str | None = None,
        since: datetime | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> Iterator[DeadLetter]:
        """The letters of messages that are out of attempts, were rejected or cannot be read, in the order in which they
        were sent. Without letters that were redriven or purged.

        They are read as the iterator goes on, a few at a time. Letters that cannot be decoded are left in place, and
        logged.

        Args:
            task: only letters of this task.
            cause: only letters with this cause, see `FailedAttempt`.
            since: only letters of messages that died since then; with a time zone.
            after: id of a message: only letters after it. The id of the last letter continues a listing.
            limit: letters at most; None: all.

        Raises:
            ConfigError: no such cause, or an argument is out of range.

        Asks: one LIST per 1,000 letters, and one GET for each, whatever the filter: only the body of a letter tells when
        and why its message died.
        """
        check_limit(limit)
        wanted = letters.Wanted(task, cause, since)
        return letters.read_all(
            self.reader(),
            self.layout,
            self.name,
            wanted,
            after=after,
            limit=limit,
            unreadable=lambda corrupt: self.events.warn(
                corrupt.key, f"skipped a dead letter that cannot be decoded; inspect it: {corrupt}"
            ),
        )

    def dead_letter(self, message: str) -> DeadLetter | None:
        """The dead letter of one message of this queue. One GET; one more if its payload has an object of its own.

        Returns:
            None: there is none, or it was redriven or purged.

        Raises:
            ConfigError: that is not the id of a message of this queue.
            CorruptRecord: the letter cannot be decoded.
        """
        if letters.queue_of(message) != self.name:
            raise ConfigError(f"{message!r} is a message of another queue", f"this is {self.name!r}")
        return letters.read_one(self.reader(), self.layout, message)

    def dead_groups(
        self, *, task: str | None = None, cause: str | None = None, since: datetime | None = None
    ) -> list[DeadGroup]:
        """The dead letters in groups of the same task, cause and last line of the error. The largest group comes first.

        Args, raises: as `dead_letters`.

        Asks: one LIST per 1,000 letters, and one GET for each. Memory does not grow with their number.
        """
        return letters.group(self.dead_letters(task=task, cause=cause, since=since))
