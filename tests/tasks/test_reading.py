"""What a queue tells of itself."""

from __future__ import annotations

import pytest
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import Queue
from s3queue.core.keys import moved_path, parse_message_id, parse_source
from s3queue.core.records import (
    Board,
    DeadLetter,
    Failure,
    Leader,
    Ledger,
    Offer,
    Part,
    Place,
    Ready,
    SourceState,
    Ticket,
    Totals,
    Usage,
    Waiting,
    encode,
)
from tests.tasks.stored import LAYOUT


class TestLooking:
    def test_an_empty_namespace_has_nothing(self) -> None:
        seen = s3queue.stats(MemoryStore(), exact=True)
        assert (seen.queues, seen.hosts, seen.coordinator) == ({}, [], None)
        assert seen.requests == {"put": 0, "get": 1, "list": 1, "delete": 0}

    def test_every_message_is_counted_where_it_is(self) -> None:
        store = MemoryStore()
        queue = Queue("q", store)
        ids = queue.enqueue_many(range(10))
        queue.enqueue_many(range(3), delay=600)
        queue.enqueue(1)
        path = parse_message_id(ids[0]).path
        board = Board(
            nonce="n",
            epoch=4,
            leader=Leader("host-a"),
            sources={path: SourceState(settled=2, ready=(Ready(4, 6, 1),), waiting=(Waiting(6, 2, 0),), dying=(7,))},
            tickets={"4-1": Ticket("host-a", (Part(path, 2, 4, 1), Part(path, 8, 10, 1)), taken=(0, 1))},
            totals={"q": Totals(done=3, failed=5, dead=4, redriven=1, letters_purged=1), "old": Totals(done=9)},
        )
        store.put(LAYOUT.board, encode(board), if_version=None)
        usage = {"worker": Usage(get=3, received=900)}
        ledger = Ledger("n", "host-a", slots=4, offers={"q": Offer()}, place=Place(name="box:1"), usage=usage)
        store.put(LAYOUT.host("host-a"), encode(ledger), if_version=None)
        store.put(LAYOUT.host("host-b"), b"not a ledger", if_version=None)
        store.put(LAYOUT.dead("q", "p00~x"), b"{}", if_version=None)

        seen = s3queue.stats(store, exact=True)
        counts = seen.queues["q"]
        assert (counts.ready, counts.scheduled, counts.running, counts.waiting) == (2 + 1, 3, 3, 1)
        assert (counts.dead, counts.done, counts.failed) == (2, 3, 5)  # two others were decided
        assert seen.queues["old"].done == 9
        assert (seen.coordinator, seen.epoch) == ("host-a", 4)
        (host,) = seen.hosts
        assert (host.name, host.slots, host.queues, host.assigned) == ("box:1", 4, ["q"], 3)
        assert host.usage == {"worker": Usage(get=3, received=900).as_dict()}
        assert seen.unreadable == [LAYOUT.host("host-b")]
        assert queue.stats(exact=True) == counts or queue.stats(exact=True).ready == counts.ready

    def test_a_message_that_dies_is_counted_once_whatever_of_it_is_written(self) -> None:
        store = MemoryStore()
        ids = Queue("q", store).enqueue_many(range(4))
        path = parse_message_id(ids[0]).path
        board = Board(
            nonce="n",
            epoch=1,
            sources={path: SourceState(settled=1, dying=(1, 2))},
            tickets={"1-1": Ticket("host-a", (Part(path, 3, 4, 1),))},
            totals={"q": Totals(dead=3)},
        )
        store.put(LAYOUT.board, encode(board), if_version=None)
        for index in (0, 1, 3):  # the last one died since the board was read
            store.put(LAYOUT.dead("q", ids[index]), b"{}", if_version=None)
        counts = s3queue.stats(store, exact=True).queues["q"]
        assert (counts.running, counts.dead) == (1, 3)

    def test_what_waits_off_the_board_is_counted_as_waiting_and_once(self) -> None:
        store = MemoryStore()
        ids = Queue("q", store).enqueue_many(range(5))
        path = parse_message_id(ids[0]).path
        due_ms = 9_000_000_000_000
        stored, moving = (
            moved_path(parse_source(path), due_ms=due_ms, batch=batch, count=2, attempt=2, alone=False)
            for batch in ("a1", "a2")
        )
        state = SourceState(settled=2, waiting=(Waiting(4, 2, due_ms),))
        board = Board(
            nonce="n", epoch=1, sources={path: state}, moves={moving: ((path, 2), (path, 3))}, full=("failures",)
        )  # fmt: skip
        store.put(LAYOUT.board, encode(board), if_version=None)
        for target in (stored, moving):
            store.put(LAYOUT.source(target), b"", if_version=None)
        seen = s3queue.stats(store, exact=True)
        counts = seen.queues["q"]
        assert (counts.waiting, counts.scheduled, counts.ready) == (5, 0, 0)
        assert seen.full == ["failures"]

    def test_the_oldest_is_found_in_either_order(self) -> None:
        for order in ("fifo", "lifo"):
            store = MemoryStore()
            queue = Queue("q", store, order=order)
            queue.enqueue(1)
            oldest = queue.stats(exact=True).oldest_s
            assert oldest is not None
            assert 0 <= oldest < 3600

    def test_batches_that_workers_cannot_read_are_named(self) -> None:
        store = MemoryStore()
        queue = Queue("q", store)
        refused, failed = (parse_message_id(queue.enqueue(number)).path for number in range(2))
        states = {
            path: SourceState(waiting=(Waiting(0, 1, 0),), failures={0: (Failure(1, "error"), Failure(1, cause))})
            for path, cause in ((refused, "unreadable"), (failed, "error"))
        }
        store.put(LAYOUT.board, encode(Board(nonce="n", epoch=1, sources=states)), if_version=None)
        assert s3queue.stats(store, exact=True).unreadable == [LAYOUT.source(refused)]

    def test_an_unreadable_board_does_not_hide_the_rest(self) -> None:
        store = MemoryStore()
        Queue("q", store).enqueue(1)
        store.put(LAYOUT.board, b"{", if_version=None)
        seen = s3queue.stats(store, exact=True)
        assert seen.queues["q"].ready == 1
        assert seen.unreadable == [LAYOUT.board]

    def test_dead_letters_are_those_that_wait_for_a_decision(self, caplog: pytest.LogCaptureFixture) -> None:
        store = MemoryStore()
        letters = [DeadLetter("n", "m1", "q"), DeadLetter("n", "m2", "q", tombstone=True), DeadLetter("n", "m3", "q")]
        for letter in letters:
            store.put(LAYOUT.dead("q", letter.message), encode(letter), if_version=None)
        store.put(LAYOUT.dead("q", "m0"), b"?", if_version=None)
        assert [letter.id for letter in Queue("q", store).dead_letters()] == ["m1", "m3"]
        assert "m0" in caplog.text
