"""A batch whose messages come from several callers: who stores it, and how each caller learns the outcome.

States of a batch, and who moves it on::

    open     takes messages; its keeper, the first caller, waits for others
    taken    one caller stores it: the one that filled it, or its keeper once the time is over
    over     every caller can read its outcome

Threads that wait for a batch wake each other: the one that stored it wakes the first, and each wakes the next before it
returns. So one at a time asks for the interpreter lock. If all were woken at once, each would wait twice, for the batch and
then for that lock, which costs twice the CPU. Where the interpreter is busy with other threads such a chain would be slow,
so a thread that is woken late wakes all the others.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from s3queue.enqueue.sending import Load, Sending
from s3queue.errors import EnqueueUncertain

if TYPE_CHECKING:
    import asyncio

__all__ = ["Awaiting", "Batch", "Lane", "Waiting"]

#: Seconds after which a thread that is woken is late, and those for each thread that was woken before it: several times
#: what a change of threads takes on an idle machine.
_LATE_S, _LATE_EACH_S = 0.001, 0.0001


class _Call:
    """A call that waits for its message to be stored.

    Attributes:
        lane, batch: where the message is; None until it is there.
        index: of the message in the batch.
        is_first: whether it was the first of the batch.
    """

    __slots__ = ("batch", "index", "is_first", "lane")

    def __init__(self) -> None:
        self.lane: Lane | None = None
        self.batch: Batch | None = None
        self.index = 0
        self.is_first = False

    def outcome(self) -> str:
        """The id of its message, or an exception of its own. For a batch that is over."""
        assert self.batch is not None
        return self.batch.outcome(self.index)


class Waiting(_Call):
    """A thread that waits.

    Attributes:
        lock: held until the thread is woken. Only a lock, since there is one for each message: a `Future` has a
            condition of its own, and would take a quarter of the time of a call.
        waits: False once nobody needs to wake it: it stores the batch, or was interrupted.
    """

    __slots__ = ("lock", "waits")

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.lock.acquire()
        self.waits = True

    def wake(self) -> None:
        """May be called again."""
        with contextlib.suppress(RuntimeError):  # it has been woken
            self.lock.release()


class Awaiting(_Call):
    """A coroutine that waits; ``done``: a future of its loop, which whoever stored the batch tells."""

    __slots__ = ("done", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop, self.done = loop, loop.create_future()


@dataclass(slots=True)
class Lane:
    """Messages that may share puts: they have the same queue, priority, group and due time.

    Attributes:
        key: of this lane; None if it is kept while nobody uses it.
        open: the batch that takes messages.
        inside: calls that have not returned. peak: the most calls at once of late; so many are expected again.
    """

    key: tuple[Any, ...] | None = None
    open: Batch | None = None
    inside: int = 0
    peak: int = 0

    def enter(self, call: _Call) -> None:
        call.lane = self
        self.inside += 1
        if self.inside > self.peak:
            self.peak = self.inside


class Batch:
    """Messages that will share a put.

    Attributes:
        load: of its first message; the others have the same destination.
        calls: those that wait, in the order of the messages.
        size: bytes of the messages.
        keeper: released to tell the keeper to store the batch now.
        taker: whoever stores it; None while nobody does.
        is_over: whether the outcome is known.
    """

    __slots__ = (
        "_fault",
        "_ids",
        "_over_at",
        "_sending",
        "calls",
        "is_over",
        "keeper",
        "load",
        "messages",
        "size",
        "taker",
    )

    def __init__(self, load: Load, keeper: Waiting) -> None:
        self.load, self.keeper = load, keeper
        self.messages: list[bytes] = []
        self.calls: list[Waiting | Awaiting] = []
        self.size = 0
        self.taker: Waiting | None = None
        self.is_over = False
        self._sending: Sending | None = None
        self._ids: list[str] = []
        self._fault: BaseException | None = None
        self._over_at = 0.0

    def add(self, message: bytes, call: Waiting | Awaiting) -> None:
        call.batch, call.index = self, len(self.calls)
        self.messages.append(message)
        self.calls.append(call)
        self.size += len(message)

    def remove(self, call: Waiting | Awaiting) -> None:
        """Of a batch that is open."""
        at = call.index
        self.size -= len(self.messages[at])
        del self.messages[at], self.calls[at]
        for later in self.calls[at:]:
            later.index -= 1

    # ---- the outcome ---------------------------------------------------------------------------------------------

    def store(self) -> None:
        """Send it, and tell each of its callers. Interrupted, it may be called again.

        Raises: KeyboardInterrupt, SystemExit and the like. An `Exception` is in the outcome instead.
        """
        try:
            if self.messages:
                again = self._sending is not None
                if self._sending is None:
                    self._sending = Sending(lambda: self.load._replace(messages=self.messages, span=None))
                self._ids = self._sending.run(again)
        except BaseException as fault:
            self._fault = fault
            if not isinstance(fault, Exception):
                raise
        finally:
            if self.taker is not None:
                self.taker.waits = False
            self._over_at = time.perf_counter()
            self.is_over = True
            self.wake(0)
            self._tell_loops()

    def outcome(self, index: int) -> str:
        """As `_Call.outcome`."""
        if self._fault is None:
            return self._ids[index]
        raise _share_of(self._fault, self._sending, index)

    # ---- waking --------------------------------------------------------------------------------------------------

    def pass_on(self, call: Waiting) -> None:
        """Wake the next thread: by one that was woken."""
        late = time.perf_counter() - self._over_at > _LATE_S + call.index * _LATE_EACH_S
        self.wake(call.index + 1, everyone=late)

    def wake(self, start: int, everyone: bool = False) -> None:
        """Wake the first thread from there on that waits, which then wakes the next; or all of them."""
        calls = self.calls
        for index in range(start, len(calls)):
            call = calls[index]
            if isinstance(call, Waiting) and call.waits:
                call.wake()
                # One that is interrupted says so first, and then looks whether the batch is over. So either it wakes the
                # next one, or that is seen here.
                if call.waits and not everyone:
                    return

    def _tell_loops(self) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[Awaiting]] = {}
        for call in self.calls:
            if isinstance(call, Awaiting):
                loops.setdefault(call.loop, []).append(call)
        for loop, calls in loops.items():
            with contextlib.suppress(RuntimeError):  # it is closed: nobody waits there any more
                loop.call_soon_threadsafe(_resolve, calls)


def _resolve(calls: list[Awaiting]) -> None:
    """Let coroutines go on that have not gone away."""
    for call in calls:
        if not call.done.done():
            call.done.set_result(None)


class _Share:
    """The part of an uncertain call that concerns one of its callers."""

    def __init__(self, sending: Sending, index: int) -> None:
        self._sending, self._index = sending, index

    def run(self, again: bool) -> list[str]:
        return [self._sending.run(again)[self._index]]

    async def arun(self, again: bool) -> list[str]:
        return [(await self._sending.arun(again))[self._index]]


def _share_of(fault: BaseException, sending: Sending | None, index: int) -> BaseException:
    """The exception for one caller: an object of its own, since several threads raise it."""
    own: BaseException
    uncertain = EnqueueUncertain.behind(fault)
    if uncertain is not None and sending is not None:
        message = (uncertain.stored + uncertain.in_doubt)[index]
        stored = (message,) if message in uncertain.stored else ()
        own = EnqueueUncertain(message, stored, () if stored else (message,), _Share(sending, index))
    else:
        own = copy.copy(fault) if isinstance(fault, Exception) else RuntimeError("the call that stored it was ended")
    own.__cause__ = fault
    return own
