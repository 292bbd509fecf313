"""`Queue`: enqueues messages. Its bases read, operate, limit and redrive them.

Enqueuing is one create-only put of a batch: from the moment it is answered the message exists and will not be lost.
Workers on the same machine are woken; others see it with their next poll.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - SDKs need it, and a thread that outlives the main one cannot import it
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Unpack

from msgspec import Raw

from s3queue.config import Config, current_config, current_store
from s3queue.core import produce
from s3queue.core.keys import Layout, check_name
from s3queue.core.ops import get
from s3queue.core.records import Board, QueueMeta, decode
from s3queue.enqueue.loading import load
from s3queue.enqueue.sending import Sending
from s3queue.enqueue.streaming import Progress, stream
from s3queue.errors import ConfigError, StoreUnavailable
from s3queue.ids import MessageId
from s3queue.io.drive import Driver, pauses
from s3queue.io.knocks import LeaderKnocker
from s3queue.io.meter import Meter
from s3queue.io.wakeups import wake
from s3queue.observe.events import Events
from s3queue.operate.controlling import Controllable
from s3queue.operate.steering import Steerable
from s3queue.options.once import Unique
from s3queue.payloads.codec import encode_value
from s3queue.store import Found, ObjectStore, as_store

if TYPE_CHECKING:
    from s3queue.options.sending import OnceOptions, SendOptions

__all__ = ["Queue"]


class Queue(Steerable, Controllable):
    """A named queue on a store. Cheap to make; safe to use from many threads, and across a fork.

    Args:
        name: letters, digits, ``_ . -``.
        store: a store or its URL; by default that of `configure`, ``S3QUEUE_STORE_URL`` or ``s3queue.toml``.
        namespace: by default the setting of that name.
        order: ``fifo`` or ``lifo`` for a queue that is new; fixed by its first use. None: as it is,
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
        self.layout = Layout(self.namespace)
        self._url = self.store.url
        self._order = order
        self._meta: QueueMeta | None = None
        self._wanted = QueueMeta(nonce=secrets.token_hex(8), order=order or "fifo")
        self.events = Events("producer", self.config.history)
        key = self.config.knock_key
        self._knocker = None if key is None else LeaderKnocker(key, self.namespace, self._where_the_leader_listens)

    def __repr__(self) -> str:
        return f"<Queue {self.name!r} on {self.store.url}>"

    # ---- enqueue -----------------------------------------------------------------------------------------------

    def enqueue(
        self,
        payload: object,
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        expires_in: float | timedelta | None = None,
        dedup_id: str | None = None,
        dedup_window: float | timedelta | None = None,
        unique: Unique = False,
        debounce: float | timedelta | None = None,
    ) -> MessageId[Any]:
        """Store one message for the queue's handler, and return its id. One PUT; the first time also one GET, and for a new
        queue one PUT more.

        Args:
            payload: what msgspec encodes, and types named with `s3queue.payload_type`; at most ``max_message_bytes``.
            delay: seconds, or a `timedelta`, before which it does not run.
            at: a `datetime` with a time zone, before which it does not run.
            priority: 0 goes first, 9 last.
            group: messages of one group run one at a time, in order; 1 to 300 characters.
            headers: strings that travel with the message; the queue does not read them.
            key: whose message it is, for limits and fairness between keys (see `limit`): 1 to 300 characters. Not
                together with a group.
            expires_in: seconds or a `timedelta` from now; if it has not begun by then, it ends as expired.
            dedup_id: names this message, for ``dedup_window``. A later call with the same name enqueues nothing, and
                returns the id of this message, whose ``is_new`` is then False. Costs a second PUT; a call that finds an
                earlier message makes two PUTs, which are refused, and one GET.
            dedup_window: how long ``dedup_id`` counts, whatever becomes of the message: seconds or a `timedelta`; by
                default the setting of that name.
            unique: the same for messages with an equal payload: as long as one is not over (True), or has not begun
                (``"waiting"``).
            debounce: seconds or a `timedelta` before which it does not run. A later call with an equal payload, or with
                the same ``dedup_id``, replaces this message, unless it has begun.

        Raises:
            ConfigError: an argument is wrong; nothing was sent.
            EnqueueUncertain: no answer for ``enqueue_deadline``; it may or may not be stored. See
                `EnqueueUncertain.enqueue_again`.
            StoreUnavailable: not stored: the store did not apply it. StoreDenied: not stored: someone must fix that.
        """
        encoded = encode_value(payload, f"message for {self.name!r}")
        options: OnceOptions = {"delay": delay, "at": at, "priority": priority, "group": group, "headers": headers}
        options |= {"key": key, "expires_in": expires_in, "dedup_id": dedup_id, "dedup_window": dedup_window}
        options |= {"unique": unique, "debounce": debounce}
        sending = Sending(lambda: load(self, "", [encoded], **options))
        return MessageId.of(sending.run()[0], self, is_new=sending.is_new)

    def enqueue_many(
        self,
        payloads: Iterable[object],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        expires_in: float | timedelta | None = None,
    ) -> list[str]:
        """Store many messages, and return their ids in the same order. One PUT per 1,000 messages or 4 MB.

        All payloads are encoded before anything is sent: for more than fit in memory use `enqueue_stream`. Options as of
        `enqueue`, for all of them.

        Raises: as `enqueue`. Batches before the one that failed are stored; a note on the exception says how many.
        """
        what = f"message for {self.name!r}"
        encoded: list[Raw] = []
        try:
            for payload in payloads:
                encoded.append(encode_value(payload, what))
        except ConfigError as wrong:
            raise ConfigError(f"payload {len(encoded)}: {wrong.message}", wrong.hint) from wrong
        options: SendOptions = {"delay": delay, "at": at, "priority": priority, "group": group, "headers": headers}
        options |= {"key": key, "expires_in": expires_in}
        return self.send("", encoded, **options)

    def enqueue_stream(
        self,
        payloads: Iterable[object],
        *,
        batch: int = 1000,
        progress: Callable[[Progress], object] | None = None,
        **options: Unpack[SendOptions],
    ) -> int:
        """Store messages as they come, in constant memory, and return how many there were. ``payloads`` may be endless.

        Args:
            batch: messages that share a PUT, 1 to 1,000; fewer where they are large.
            progress: called after each PUT, in this thread. What it raises ends the call.
            options: as of `enqueue`, for all of them.

        Raises: as `enqueue`, and what ``payloads`` or ``progress`` raise. A note on the exception says how many of the
            first messages are stored; later ones are not, except those that `EnqueueUncertain` names.

        Asks: one PUT per ``batch`` messages.
        """
        what = f"message for {self.name!r}"
        encoded = (encode_value(payload, what) for payload in payloads)
        return stream(lambda held: Sending(lambda: load(self, "", held, **options)), encoded, batch, progress)

    def send(self, task: str, payloads: list[Raw], **options: Unpack[SendOptions]) -> list[str]:
        """As `enqueue_many`, for encoded payloads of the task with this name; empty: of the handler."""
        return Sending(lambda: load(self, task, payloads, **options)).run()

    # ---- what those that send and look need ---------------------------------------------------------------------

    def driver(self) -> Driver:
        """For requests of this queue: each is retried for ``enqueue_deadline``."""
        return Driver(self.store, self.meter, patience_s=self.config.enqueue_deadline, on_retry=self._on_retry)

    def reader(self) -> Driver:
        """For reads: each is retried as long as `Driver` does by itself."""
        return Driver(self.store, self.meter, on_retry=self._on_retry)

    def newest_first(self) -> bool:
        """Whether the queue is LIFO. Read once: the order of a queue does not change while it exists. At most one GET and
        one PUT.

        Raises:
            ConfigError: the queue has another order than this object was made with.
            StoreUnavailable: no answer; the order of a new queue may not be stored yet.
        """
        if self._meta is None:
            self._meta = self._ensure_meta()
        return self._meta.order == "lifo"

    def _ensure_meta(self) -> QueueMeta:
        driver = self.driver()
        deadline = time.monotonic() + self.config.enqueue_deadline
        waits = pauses()
        while not isinstance(meta := driver.run(produce.ensure_meta(self.layout, self.name, self._wanted)), QueueMeta):
            pause = next(waits)
            if time.monotonic() + pause >= deadline:
                raise StoreUnavailable("put", self.layout.meta(self.name), "no answer; nothing was enqueued")
            time.sleep(pause)
        if self._order not in (None, meta.order):
            raise ConfigError(
                f"queue {self.name!r} is {meta.order}, not {self._order}",
                "an order is fixed when a queue is first used",
            )
        return meta

    def tell(self, ids: list[str]) -> None:
        """Wake the agents of this machine, and write the history. Raises nothing: the messages are stored already."""
        try:
            wake(self._url, self.namespace)
            if self._knocker is not None:
                self._knocker.knock()
        except Exception as fault:  # noqa: BLE001 - agents find the messages with their next poll
            self.events.warn(
                "wake",
                f"cannot wake the agents here; they find the messages at their next poll: {fault}",
            )
        if self.events.wants("enqueued"):
            self.events.emit("enqueued", ids=list(ids), queue=self.name)

    def _where_the_leader_listens(self) -> str:
        found = self.driver().run(get(self.layout.board))
        leader = decode(Board, self.layout.board, found.body).leader if isinstance(found, Found) else None
        return "" if leader is None else leader.knock

    def _on_retry(self, unavailable: StoreUnavailable) -> None:
        self.events.warn("unavailable", f"{self.store.url} is unavailable, retrying: {unavailable}")
