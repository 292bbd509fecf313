from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3queue_backends.memory import MemoryStore

import s3queue
from s3queue import Config, ConfigError, EnqueueUncertain, Queue, StoreUnavailable, configure
from s3queue.core.keys import Layout, moved_path, parse_message_id, parse_source
from s3queue.core.records import (
    Board,
    DeadLetter,
    Failure,
    Leader,
    Ledger,
    Offer,
    Part,
    Place,
    QueueMeta,
    Ready,
    SourceState,
    Ticket,
    Totals,
    Usage,
    Waiting,
    decode,
    decode_batch,
    decode_message,
    encode,
)
from s3queue.enqueue.batches import BatchIds
from s3queue.errors import OutcomeUnknown
from s3queue.store import Capabilities, Conflict, Found, Listed, Missing, Stored, Unchanged

LAYOUT = Layout()


class Troubled:
    """A store whose puts of batches go wrong as told: each entry is done to one put, then it works."""

    def __init__(self, *troubles: str) -> None:
        self.troubles = list(troubles)
        self.inner = MemoryStore()
        self.sent: list[tuple[str, bytes]] = []
        self.capabilities = self.inner.capabilities
        self.url = self.inner.url

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        if not key.startswith(LAYOUT.home):
            return self.inner.put(key, body, if_version=if_version)
        self.sent.append((key, body))
        trouble = self.troubles.pop(0) if self.troubles else ""
        if trouble == "unavailable":
            raise StoreUnavailable("put", key)
        if trouble == "lost":
            raise OutcomeUnknown("put", key)
        outcome = self.inner.put(key, body, if_version=if_version)
        if trouble == "landed":
            raise OutcomeUnknown("put", key)
        return outcome

    def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
        return self.inner.get(key, unless=unless)

    def delete(self, keys: Sequence[str]) -> None:
        self.inner.delete(keys)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        return self.inner.list(prefix, after=after, limit=limit)

    def close(self) -> None:
        self.inner.close()


def batches(store: Any) -> list[tuple[str, list[Any]]]:
    """Path and payloads of every batch, in the order of the listing."""
    found: list[tuple[str, list[Any]]] = []
    for item in store.list(LAYOUT.inbox):
        got = store.get(item.key)
        assert isinstance(got, Found)
        messages = [decode_message(item.key, raw) for raw in decode_batch(item.key, got.body).messages]
        found.append((LAYOUT.path(item.key), [msgspec.msgpack.decode(message.payload) for message in messages]))
    return found


class TestEnqueue:
    def test_an_id_says_where_the_message_is(self) -> None:
        store = MemoryStore()
        message = Queue("q", store).enqueue({"n": 1})
        reference = parse_message_id(message)
        assert isinstance(store.get(LAYOUT.source(reference.path)), Found)
        assert reference.index == 0

    def test_ids_follow_the_order_of_the_payloads_across_batches(self) -> None:
        store = MemoryStore()
        ids = Queue("q", store).enqueue_many(range(2500))
        assert len(set(ids)) == 2500
        found = batches(store)
        assert [len(payloads) for _, payloads in found] == [1000, 1000, 500]
        assert [payload for _, payloads in found for payload in payloads] == list(range(2500))
        by_path = dict(found)
        for number, message in enumerate(ids):
            reference = parse_message_id(message)
            assert by_path[reference.path][reference.index] == number

    def test_large_messages_share_an_object_only_up_to_four_megabytes(self) -> None:
        store = MemoryStore()
        Queue("q", store).enqueue_many([b"x" * 1_500_000] * 3 + [b"y" * 5_000_000] + [b"z"])
        assert [[len(payload) for payload in payloads] for _, payloads in batches(store)] == [
            [1_500_000, 1_500_000],
            [1_500_000],
            [5_000_000],
            [1],
        ]

    def test_a_message_beyond_what_the_store_holds_is_refused(self) -> None:
        store = Troubled()
        store.capabilities = Capabilities("small", max_body_bytes=10_000)
        with pytest.raises(ConfigError, match="one object of this store holds"):
            Queue("q", store).enqueue_many([b"x", b"x" * 10_000])
        assert store.inner.list("") == []

    def test_a_message_above_max_message_bytes_is_refused_before_any_request(self) -> None:
        store = Troubled()
        queue = Queue("q", store, config=Config(max_message_bytes=10_000))
        with pytest.raises(ConfigError, match="max_message_bytes is 10,000"):
            queue.enqueue_many([b"x", b"x" * 10_000])
        assert queue.meter.as_dict() == {"put": 0, "get": 0, "list": 0, "delete": 0}
        queue.enqueue(b"x" * 9_000)
        assert store.sent

    def test_nothing_to_send_sends_nothing(self) -> None:
        store = MemoryStore()
        assert Queue("q", store).enqueue_many([]) == []
        assert store.list("") == []

    @pytest.mark.parametrize(
        "options",
        [
            {"priority": -1},
            {"priority": 10},
            {"priority": True},
            {"priority": "5"},
            {"delay": -1},
            {"delay": float("nan")},
            {"delay": "5"},
            {"delay": timedelta(seconds=-1)},
            {"at": datetime(2030, 1, 1)},  # noqa: DTZ001
            {"at": datetime(9999, 1, 1, tzinfo=UTC)},
            {"at": 1.5},
            {"at": datetime(2030, 1, 1, tzinfo=UTC), "delay": 5},
            {"group": ""},
            {"group": 5},
            {"group": "g" * 301},
            {"group": "\ud800"},
            {"headers": {"a": 1}},
            {"headers": ["a"]},
            {"headers": {"a": "\ud800"}},
        ],
    )
    def test_a_wrong_option_is_refused_before_any_request(self, options: dict[str, Any]) -> None:
        store = MemoryStore()
        queue = Queue("q", store)
        with pytest.raises(ConfigError):
            queue.enqueue(1, **options)
        assert store.list("") == []
        assert queue.meter.as_dict() == {"put": 0, "get": 0, "list": 0, "delete": 0}

    def test_what_cannot_be_encoded_is_refused_before_any_request(self) -> None:
        store = MemoryStore()
        with pytest.raises(ConfigError, match="object"):
            Queue("q", store).enqueue_many([1, object()])
        assert store.list("") == []

    def test_a_delay_or_a_time_puts_it_under_later(self) -> None:
        store = MemoryStore()
        queue = Queue("q", store)
        queue.enqueue(1, delay=60)
        queue.enqueue(2, at=datetime.now(UTC) + timedelta(days=1))
        queue.enqueue(3, delay=timedelta(hours=1))
        due = [parse_source(LAYOUT.path(item.key)).due_ms for item in store.list(LAYOUT.later)]
        assert len(due) == 3
        assert None not in due
        assert store.list(LAYOUT.inbox) == []

    def test_a_time_that_has_passed_is_now(self) -> None:
        store = MemoryStore()
        queue = Queue("q", store)
        queue.enqueue(1, delay=0)
        queue.enqueue(2, at=datetime(2020, 1, 1, tzinfo=UTC))
        assert len(batches(store)) == 2

    @given(group=st.text(min_size=1, max_size=25), priority=st.integers(0, 9))
    def test_group_and_priority_are_in_the_key(self, group: str, priority: int) -> None:
        store = MemoryStore()
        Queue("q", store).enqueue(1, group=group, priority=priority)
        ((path, _),) = batches(store)
        source = parse_source(path)
        assert (source.priority, source.count) == (priority, 1)
        assert source.group == group or (len(group.encode()) > 40 and source.group is not None)

    def test_headers_travel(self) -> None:
        store = MemoryStore()
        Queue("q", store).enqueue(1, headers={"trace": "abc"})
        (item,) = store.list(LAYOUT.inbox)
        found = store.get(item.key)
        assert isinstance(found, Found)
        (raw,) = decode_batch(item.key, found.body).messages
        assert decode_message(item.key, raw).headers == {"trace": "abc"}

    def test_the_namespace_is_that_of_the_argument_or_the_settings(self) -> None:
        store = MemoryStore()
        configure(store=store, namespace="mine")
        Queue("q").enqueue(1)
        Queue("q", namespace="other").enqueue(1)
        assert {item.key.split("/")[0] for item in store.list("")} == {"mine", "other"}
        with pytest.raises(ConfigError, match="namespace"):
            Queue("q", namespace="a/b")

    @pytest.mark.parametrize("store", [5, Path("jobs.db"), {}, object])
    def test_what_is_neither_a_store_nor_its_url_is_refused(self, store: Any) -> None:
        with pytest.raises(ConfigError, match="neither a store nor its URL"):
            Queue("q", store)
        with pytest.raises(ConfigError, match="neither a store nor its URL"):
            configure(store=store)

    @pytest.mark.parametrize("name", [None, 5, b"q"])
    def test_a_name_that_is_no_string_is_refused(self, name: Any) -> None:
        with pytest.raises(ConfigError, match="not a queue name"):
            Queue(name, MemoryStore())

    def test_a_store_may_be_given_by_its_url(self, tmp_path: Any) -> None:
        queue = Queue("q", f"sqlite:///{tmp_path}/q.db")
        queue.enqueue(1)
        assert queue.stats(exact=True).ready == 1
        queue.store.close()


class TestTrouble:
    def queue(self, store: Troubled, deadline: float = 30.0) -> Queue:
        return Queue("q", store, config=Config(enqueue_deadline=deadline))

    @pytest.mark.parametrize("troubles", [["lost"], ["landed"], ["unavailable"], ["lost", "unavailable", "landed"]])
    def test_it_is_stored_once_whatever_the_answers_were(self, troubles: list[str]) -> None:
        store = Troubled(*troubles)
        message = self.queue(store).enqueue("x")
        assert [payloads for _, payloads in batches(store)] == [["x"]]
        assert parse_message_id(message).path == batches(store)[0][0]
        assert len(set(store.sent)) == 1, "each send is the same put"

    def test_never_answered_is_uncertain_and_names_the_message(self) -> None:
        store = Troubled(*["landed"] + ["lost"] * 10_000)
        with pytest.raises(EnqueueUncertain) as caught:
            self.queue(store, 0.15).enqueue("x")
        assert parse_message_id(caught.value.message_id).path == batches(store)[0][0]

    def test_never_applied_is_unavailable_and_certain(self) -> None:
        store = Troubled(*["unavailable"] * 10_000)
        with pytest.raises(StoreUnavailable):
            self.queue(store, 0.15).enqueue("x")
        assert batches(store) == []

    def test_unavailable_after_no_answer_is_still_uncertain(self) -> None:
        store = Troubled("lost", *["unavailable"] * 10_000)
        with pytest.raises(EnqueueUncertain):
            self.queue(store, 0.3).enqueue("x")

    def test_an_interrupted_bulk_says_how_much_is_stored(self) -> None:
        store = Troubled("", *["unavailable"] * 10_000)
        with pytest.raises(StoreUnavailable) as caught:
            self.queue(store, 0.15).enqueue_many(range(1500))
        assert caught.value.__notes__ == ["the first 1000 messages of this call are stored"]
        assert len(batches(store)) == 1


class TestOrder:
    def test_lifo_lists_the_newest_first_for_every_producer(self) -> None:
        store = MemoryStore()
        Queue("q", store, order="lifo").enqueue(0)
        other = Queue("q", store)
        for n in (1, 2, 3):
            other.enqueue(n)
        ids = other.enqueue_many([4, 5, 6])
        found = batches(store)
        assert [payload for _, payloads in found for payload in payloads] == [6, 5, 4, 3, 2, 1, 0]
        assert [parse_message_id(message).index for message in ids] == [2, 1, 0]

    def test_an_order_is_fixed_by_the_first_use(self) -> None:
        store = MemoryStore()
        Queue("q", store).enqueue(1)
        with pytest.raises(ConfigError, match="q' is fifo, not lifo"):
            Queue("q", store, order="lifo").enqueue(1)
        found = store.get(LAYOUT.meta("q"))
        assert isinstance(found, Found)
        assert decode(QueueMeta, "meta", found.body).order == "fifo"

    def test_another_word_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="fifo or lifo"):
            Queue("q", MemoryStore(), order="random")  # type: ignore[arg-type]


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


def test_every_enqueue_is_in_the_history(tmp_path: Any) -> None:
    queue = Queue("q", MemoryStore(), config=Config(history=str(tmp_path)))
    ids = [queue.enqueue(1), *queue.enqueue_many([2, 3])]
    (file,) = tmp_path.iterdir()
    events = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert [message for event in events if event["kind"] == "enqueued" for message in event["ids"]] == ids
