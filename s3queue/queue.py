"""Putting messages into a queue, and looking at what became of them.

Enqueuing is one create-only put of a batch: from the moment it is answered the message exists and will not be lost.
Workers on the same machine are woken; others see it with their next poll.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - SDKs need it, and a thread that outlives the main one cannot import it
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from msgspec import Raw

from s3queue.config import Config, current_config, current_store
from s3queue.core import operate, produce
from s3queue.core.keys import PRIORITIES, Layout, check_group, check_name, key_name
from s3queue.core.ops import get
from s3queue.core.records import Board, Message, QueueMeta, decode, encode_message
from s3queue.enqueue.middleware import Enqueue, Enqueuing, those_that_enqueue
from s3queue.enqueue.sending import Load, Progress, Sending, stream
from s3queue.errors import ConfigError, StoreUnavailable
from s3queue.ids import MessageId
from s3queue.observe.events import Events
from s3queue.observe.tracing import SendSpan, begin_send
from s3queue.operate import letters, looking
from s3queue.operate.asking import check_limit
from s3queue.operate.inspection import QueueStats, stats
from s3queue.operate.letters import DeadGroup, DeadLetter
from s3queue.operate.looking import QueuedMessage, State
from s3queue.operate.operation import Operation
from s3queue.operate.steering import Steerable
from s3queue.options.limits import Breaker, Limit, declare, seconds_of
from s3queue.options.once import Unique, once_of
from s3queue.options.policies import RESERVED
from s3queue.payloads.codec import encode_value
from s3queue.registry import registry
from s3queue.runtime.drive import Driver, pauses
from s3queue.runtime.knocks import LeaderKnocker
from s3queue.runtime.local.wakeups import wake
from s3queue.runtime.meter import Meter
from s3queue.store import Found, ObjectStore, as_store

__all__ = ["Queue"]

_NO_HEADERS: dict[str, str] = {}


class Queue(Steerable):
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
        payload: Any,
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
        """Store one message for the queue's handler, and return its id. One PUT (the first time also one GET).

        Args:
            payload: anything msgspec encodes.
            delay: before which it is not to run: seconds, or a `timedelta`.
            at: time before which it is not to run; with a time zone.
            priority: 0 goes first, 9 last.
            group: messages of one group run one at a time, in order; 1 to 300 characters.
            headers: strings that travel with the message and are not looked at.
            key: whose message it is, for limits and fairness between keys (see `limit`); 1 to 300 characters, and not
                beside a group.
            expires_in: seconds or a `timedelta` from now; not begun by then, it ends as expired.
            dedup_id: names this message: while an earlier call with it counts, its message is returned instead, and
                the id's ``is_new`` is False. Two PUTs; a call that finds an earlier one makes two that are refused,
                and a GET.
            dedup_window: for how long it counts, whatever became of its message: seconds or a `timedelta`; by default the
                setting of that name.
            unique: the same for messages with an equal payload: until they are over (True), or until they begin
                (``"waiting"``).
            debounce: not to run before so many seconds; a later call with an equal payload, or ``dedup_id``, takes the
                place of this message, unless it has begun.

        Raises:
            ConfigError: an argument is wrong; nothing was sent.
            EnqueueUncertain: no answer for ``enqueue_deadline``; it may or may not be stored. See
                `EnqueueUncertain.enqueue_again`.
            StoreUnavailable: not stored.
        """
        encoded = encode_value(payload, f"message for {self.name!r}")
        options: dict[str, Any] = {"delay": delay, "at": at, "priority": priority, "group": group, "headers": headers}
        options |= {"key": key, "expires_in": expires_in, "dedup_id": dedup_id, "dedup_window": dedup_window}
        options |= {"unique": unique, "debounce": debounce}
        sending = Sending(lambda: self.load("", [encoded], **options))
        return MessageId.of(sending.run()[0], self, is_new=sending.is_new)

    def enqueue_many(
        self,
        payloads: Iterable[Any],
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

        All payloads are encoded before anything is sent; `enqueue_stream` is for endless ones.

        Raises: as `enqueue`. Batches before the one that failed are stored; a note on the exception says how many.
        """
        what = f"message for {self.name!r}"
        encoded = [encode_value(payload, what) for payload in payloads]
        options = {"delay": delay, "at": at, "priority": priority, "group": group, "headers": headers, "key": key}
        return self.send("", encoded, **options, expires_in=expires_in)

    def enqueue_stream(
        self,
        payloads: Iterable[Any],
        *,
        batch: int = 1000,
        progress: Callable[[Progress], object] | None = None,
        **options: Any,
    ) -> int:
        """Store messages as they come, in constant memory, and return how many there were. ``payloads`` may be endless.

        Args, raises, asks: as `s3queue.tasks.Sender.enqueue_stream`; options as `enqueue`.
        """
        what = f"message for {self.name!r}"
        encoded = (encode_value(payload, what) for payload in payloads)
        return stream(lambda held: Sending(lambda: self.load("", held, **options)), encoded, batch, progress)

    def send(self, task: str, payloads: list[Raw], **options: Any) -> list[str]:
        """As `enqueue_many`, for payloads that are encoded, of the task with this name (empty: the handler)."""
        return Sending(lambda: self.load(task, payloads, **options)).run()

    def load(
        self,
        task: str,
        payloads: list[Raw],
        *,
        delay: float | timedelta | None = None,
        at: datetime | None = None,
        priority: int = 5,
        group: str | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Mapping[str, str] | None = None,
        key: str | None = None,
        expires_in: float | timedelta | None = None,
        middleware: tuple[object, ...] = (),
        dedup_id: str | None = None,
        dedup_window: float | timedelta | None = None,
        unique: Unique = False,
        debounce: float | timedelta | None = None,
    ) -> Load:
        """What `send` sends, checked. Asks for nothing.

        Args:
            middleware: of its task, inside of what `s3queue.use` named.
            limits: headers of our own, see `s3queue.options.policies.own_headers`.
        """
        once = None
        if dedup_id is not None or unique or debounce is not None or dedup_window is not None:
            if debounce is not None and delay is None and at is None:
                delay = debounce
            once = once_of(
                task,
                payloads,
                dedup_id=dedup_id,
                dedup_window=dedup_window,
                unique=unique,
                debounce=debounce,
                default_window_s=self.config.dedup_window,
            )
        due_ms = _due_ms(delay, at)
        if type(priority) is not int or priority not in PRIORITIES:
            raise ConfigError(f"priority is {priority!r}", "0 goes first, 9 goes last")
        if group is not None:
            check_group(group)
        if key is not None:
            if group is not None:
                raise ConfigError("a message was given a group and a key", "a group has an order, a key has limits")
            check_group(key, "key")
        expires_ms = None
        if expires_in is not None:
            expires_ms = int((time.time() + seconds_of(expires_in, "expires_in")) * 1000)
            if due_ms is not None and due_ms >= expires_ms:
                raise ConfigError("a message expires before it is due", "a longer expires_in, which counts from now")
        given = _headers(headers)
        told: SendSpan | Enqueuing | None = None
        if around := those_that_enqueue(registry.middleware + middleware) if registry.middleware or middleware else ():
            told = Enqueuing(Enqueue(self.name, task, len(payloads), dict(given)), around)
            given = _headers(told.begin())
        if limits:
            given = {**given, **limits}
        span = begin_send(self.name, len(payloads))
        if span is not None:
            given = span.headers(given)
        if isinstance(told, Enqueuing):
            told.span = span
        else:
            told = span
        if told is not None:
            try:
                messages = self._encoded(task, payloads, given)
            except BaseException as fault:
                told.failed(fault)
                raise
            return Load(self, messages, priority, group, due_ms, key, expires_ms, told, once)
        messages = self._encoded(task, payloads, given)
        return Load(self, messages, priority, group, due_ms, key, expires_ms, None, once)

    def _encoded(self, task: str, payloads: list[Raw], headers: dict[str, str]) -> list[bytes]:
        return self._sized([bytes(encode_message(Message(task, payload, headers))) for payload in payloads])

    def _sized(self, messages: list[bytes]) -> list[bytes]:
        """The messages. Raises `ConfigError` where one is too large."""
        most, limit = self.config.max_message_bytes, "max_message_bytes is"
        holds = self.store.capabilities.max_body_bytes - produce.ENVELOPE_BYTES
        if holds < most:
            most, limit = holds, "one object of this store holds"
        for message in messages:
            if len(message) > most:
                raise ConfigError(
                    f"a message of {len(message):,} bytes; {limit} {most:,}",
                    "store the data under a key of your own, and enqueue the key",
                )
        return messages

    def driver(self) -> Driver:
        return Driver(self.store, self.meter, patience_s=self.config.enqueue_deadline, on_retry=self._on_retry)

    def newest_first(self) -> bool:
        """Whether the queue is LIFO. Asked for once; the settings of a queue never change while it exists.

        Raises:
            StoreUnavailable: the settings are not known to be stored, so another producer may come to use others.
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
        """Wake the agents of this machine, and write the history. The messages are stored: nothing may fail now."""
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

    # ---- steer ------------------------------------------------------------------------------------------------

    def pause(
        self, *, until: datetime | None = None, wait: bool | Literal["idle"] = True, timeout: float = 60.0
    ) -> None:
        """Start nothing more of this queue. Enqueuing goes on; what hosts have begun, or hold already, runs to its end.

        Args:
            until: resume by itself then; with a time zone. None: until `resume`.
            wait: return when nothing more is assigned. ``"idle"``: when no host holds any of its messages, too. False: at
                once.
            timeout: seconds to wait.

        Raises:
            ConfigError: ``until`` is no time, or has passed.
            StoreUnavailable: no answer; it may or may not be paused.
            TimeoutError: it is paused, and ``wait`` is not true yet: the coordinator has not said so, or hosts are busy.

        Asks: one GET and one PUT, and one GET for each look at the board; after the first one without a body, if nothing
        changed.
        """
        until_ms = 0
        if until is not None:
            due_ms = _due_ms(None, until)
            if due_ms is None:
                raise ConfigError(f"until is {until}, which has passed", "a time to come")
            until_ms = due_ms
        self._operation().change(operate.pause(self.name, until_ms), self.name, wait, timeout)

    def resume(self, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Undo `pause`. The same requests and errors."""
        self._operation().change(operate.resume(self.name), self.name, wait, timeout)

    def limit(
        self,
        *,
        max_running: int | None = None,
        rate: float | str | None = None,
        key: str | None = None,
        per_key: Limit | None = None,
        fair: bool | None = None,
        weights: Mapping[str, int] | None = None,
        ageing: float | timedelta | None = None,
        breaker: Breaker | None = None,
        wait: bool = True,
        timeout: float = 60.0,
    ) -> None:
        """Limit how much of this queue runs, from now on and on all hosts. What is not named stays as it is.

        Args:
            max_running: so many messages at once; 0: any number, whatever the tasks declare.
            rate: so many a second, on average: a number, or ``"100/s"``, ``"20/min"``; 0: any number.
            key: of the messages of this key only.
            per_key: of the messages of each key.
            fair: whether keys take turns. weights: by key, how many messages it gets in its turn, 1 to 1000.
            ageing: seconds, or a `timedelta`, of wait that count as one priority; 0: none.
            breaker: when to hold the queue, since its messages fail.
            wait: return when every further message is assigned under this. timeout: seconds to wait.

        A lower limit stops nothing that has begun. A host that was fenced and runs on is beside the limit.

        Raises:
            ConfigError: something that cannot be meant.
            StoreUnavailable: no answer; it may or may not hold. TimeoutError: it is stored, and no coordinator has taken
                it over yet.

        Asks: as `pause`.
        """
        what = f"limit of {self.name!r}"
        limits = declare(
            what,
            max_running=None if key is not None else max_running,
            rate=None if key is not None else rate,
            per_key=per_key,
            keys=None if key is None else {key: Limit(max_running, rate)},
            fair=fair,
            weights=weights,
            ageing=ageing,
            breaker=breaker,
        )
        self._operation().change(operate.limit(self.name, limits), self.name, wait, timeout)

    def unlimit(self, key: str | None = None, *, wait: bool = True, timeout: float = 60.0) -> None:
        """Undo `limit`, for one key or altogether: what the tasks of the queue declare holds again. As `limit`."""
        edit = operate.unlimit(self.name, None if key is None else key_name(key))
        self._operation().change(edit, self.name, wait, timeout)

    def _operation(self) -> Operation:
        return Operation(self.store, self.layout, self.driver())

    # ---- look --------------------------------------------------------------------------------------------------

    def stats(self, *, exact: bool = False) -> QueueStats:
        """How much is in this queue; see `s3queue.stats`."""
        return stats(self.store, self.namespace, exact=exact, meter=self.meter).queues.get(self.name, QueueStats())

    def messages(
        self,
        *,
        state: State | None = None,
        task: str | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Iterator[QueuedMessage]:
        """The messages that are neither done nor dead, as far as the iterator goes: those that are not scheduled in the
        order in which they were to start, then by due time.

        One GET for the board, one for each batch that is looked into, and one for each host that runs what is shown. One
        LIST per 1,000 batches of this queue that are not scheduled, and one per 1,000 scheduled batches of all queues;
        none for what is running.

        Args:
            state: only those that are ``ready``, ``scheduled``, ``running`` or ``waiting``.
            task: only of this task. Saves no request: only the batch tells of what task a message is.
            limit: so many at most.
            after: `QueuedMessage.place` of a message: only those behind it.

        Raises:
            ConfigError: no such state, or no such place.
            CorruptRecord: the board cannot be decoded.
        """
        return looking.read_queue(
            self._reader(),
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
        """The messages that are out of attempts, were rejected or cannot be read, as they were sent; without decided
        ones.

        They are read as the iterator goes on, a few at a time. Letters that cannot be decoded are left where they are,
        and logged. One LIST per 1,000 letters, and one GET for each, whatever is wanted of them: only the body of a
        letter tells of what and when its message died.

        Args:
            task: only of this task. cause: only those that died of it, see `FailedAttempt`.
            since: only those that died since then; with a time zone.
            after: id of a message: only letters behind it. With the id of the last one it goes on where it stopped.
            limit: so many at most.
        """
        check_limit(limit)
        wanted = letters.Wanted(task, cause, since)
        return letters.read_all(
            self._reader(),
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
        """The dead letter of one message of this queue; None where there is none, or it is decided. One GET.

        Raises:
            ConfigError: that is not the id of a message of this queue.
            CorruptRecord: the letter cannot be decoded.
        """
        if letters.queue_of(message) != self.name:
            raise ConfigError(f"{message!r} is a message of another queue", f"this is {self.name!r}")
        return letters.read_one(self._reader(), self.layout, message)

    def dead_groups(
        self, *, task: str | None = None, cause: str | None = None, since: datetime | None = None
    ) -> list[DeadGroup]:
        """What dies of what: letters by task, cause and last line of the error, the most frequent first.

        Reads every letter: one LIST per 1,000 and one GET for each. Memory does not grow with them.
        """
        return letters.group(self.dead_letters(task=task, cause=cause, since=since))

    def _reader(self) -> Driver:
        return Driver(self.store, self.meter, on_retry=self._on_retry)


def _due_ms(delay: float | timedelta | None, at: datetime | None) -> int | None:
    """Wall clock in milliseconds before which a message is not to run; None where that is now."""
    if delay is not None and at is not None:
        raise ConfigError("delay and at were both given", "one of them says when")
    if at is not None:
        if not isinstance(at, datetime) or at.tzinfo is None or at.year > 2200:
            raise ConfigError(f"at is {at!r}", "a datetime with a time zone, for example datetime.now(UTC)")
        due_s = at.timestamp()
    elif delay is not None:
        if isinstance(delay, timedelta):
            delay = delay.total_seconds()
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < 1e9:
            raise ConfigError(f"delay is {delay!r}", "seconds from now or a timedelta, at least 0")
        if delay == 0:
            return None
        due_s = time.time() + delay
    else:
        return None
    return int(due_s * 1000) if due_s > time.time() else None


def _headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    if headers is None:
        return _NO_HEADERS
    try:
        given = msgspec.convert(dict(headers), dict[str, str])
        msgspec.msgpack.encode(given)  # a lone surrogate is a string that no record can hold
    except (msgspec.ValidationError, TypeError, ValueError) as wrong:
        raise ConfigError("headers are not a mapping of strings to strings") from wrong
    if any(name.startswith(RESERVED) for name in given):
        raise ConfigError(f"a header begins with {RESERVED!r}", "such names are kept for this library")
    return given
