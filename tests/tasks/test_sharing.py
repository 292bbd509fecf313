"""Who is woken when a batch of several callers is over."""

from __future__ import annotations

import time

from s3queue_backends.memory import MemoryStore

from s3queue import Queue
from s3queue.enqueue.loading import load
from s3queue.enqueue.sharing import _LATE_S, Batch, Waiting
from s3queue.payloads.codec import encode_value


def batch_of(calls: list[Waiting]) -> Batch:
    """A batch with a message of each; the last one is to store it."""
    queue = Queue("q", MemoryStore())
    made = Batch(load(queue, "", [encode_value(0, "message")]), calls[0])
    for call in calls:
        made.add(made.load.messages[0], call)
    made.taker = calls[-1]
    return made


def woken(calls: list[Waiting]) -> list[int]:
    return [index for index, call in enumerate(calls) if not call.lock.locked()]


def test_threads_wake_each_other_in_turn() -> None:
    calls = [Waiting() for _ in range(4)]
    batch = batch_of(calls)
    batch.store()
    assert woken(calls) == [0]
    batch._over_at = time.perf_counter() + 60  # none of them is late
    batch.pass_on(calls[0])
    assert woken(calls) == [0, 1]
    batch.pass_on(calls[1])
    assert woken(calls) == [0, 1, 2]
    batch.pass_on(calls[2])
    assert woken(calls) == [0, 1, 2]  # the last one has stored it
    assert len({call.outcome() for call in calls}) == 4


def test_thread_that_is_woken_late_wakes_all_the_others() -> None:
    calls = [Waiting() for _ in range(5)]
    batch = batch_of(calls)
    batch.store()
    batch._over_at -= 2 * _LATE_S
    batch.pass_on(calls[0])
    assert woken(calls) == [0, 1, 2, 3]


def test_threads_that_have_gone_are_passed_over() -> None:
    calls = [Waiting() for _ in range(4)]
    batch = batch_of(calls)
    calls[0].waits = calls[1].waits = False
    batch.store()
    assert woken(calls) == [2]


def test_keeper_that_stores_a_batch_wakes_the_one_behind_it() -> None:
    calls = [Waiting() for _ in range(3)]
    batch = batch_of(calls)
    batch.taker = calls[0]
    batch.store()
    assert woken(calls) == [1]


def test_thread_that_is_woken_twice_does_not_mind() -> None:
    call = Waiting()
    call.wake()
    call.wake()
    assert call.lock.acquire(blocking=False)


def test_call_that_went_away_leaves_the_others_their_places() -> None:
    calls = [Waiting() for _ in range(3)]
    batch = batch_of(calls)
    size = batch.size
    batch.remove(calls[1])
    assert (calls[0].index, calls[2].index) == (0, 1)
    assert batch.size * 3 == size * 2
    batch.store()
    assert calls[0].outcome() < calls[2].outcome()


def test_batch_that_is_stored_again_is_the_same() -> None:
    """After an exception within the call that stored it."""
    calls = [Waiting() for _ in range(2)]
    batch = batch_of(calls)
    batch.store()
    ids = [call.outcome() for call in calls]
    batch.store()
    assert [call.outcome() for call in calls] == ids
