"""Ids of batches: never used twice, and in order."""

from __future__ import annotations

import os
import threading

import pytest

from s3queue.enqueue.batches import BatchIds


class TestBatchIds:
    def test_they_sort_as_they_were_asked_for_and_never_repeat(self) -> None:
        ids = BatchIds()
        taken = [ids.next() for _ in range(20_000)]
        assert taken == sorted(taken)
        assert len(set(taken)) == len(taken)

    def test_newest_first_they_sort_the_other_way_round(self) -> None:
        ids = BatchIds()
        taken = [(-ms, batch) for ms, batch in (ids.next(True) for _ in range(20_000))]
        assert taken == sorted(taken, reverse=True)

    def test_a_clock_that_goes_back_does_not_reorder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import time

        ids = BatchIds()
        first = ids.next()
        monkeypatch.setattr(time, "time_ns", lambda: 1)
        assert ids.next() > first

    def test_threads_do_not_share_one(self) -> None:
        ids = BatchIds()
        taken: list[tuple[int, str]] = []

        def take() -> None:
            taken.extend(ids.next() for _ in range(2000))

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({(ms, batch[:3]) for ms, batch in taken}) == 8000

    def test_a_fork_while_another_thread_takes_one_does_not_hang_the_child(self) -> None:
        from s3queue.enqueue.batches import batch_ids

        with batch_ids._lock:  # as if another thread were inside
            pid = os.fork()
            if pid == 0:
                batch_ids.next()
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
