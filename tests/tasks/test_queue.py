from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3queue_backends.memory import MemoryStore

from s3queue import Config, ConfigError, EnqueueUncertain, Queue, StoreUnavailable, configure
from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.records import (
    QueueMeta,
    decode,
    decode_batch,
    decode_message,
)
from s3queue.store import Capabilities, Found
from tests.tasks.stored import LAYOUT, Troubled, batches


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
        with pytest.raises(ConfigError, match="payload 1: "):
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


def test_every_enqueue_is_in_the_history(tmp_path: Any) -> None:
    queue = Queue("q", MemoryStore(), config=Config(history=str(tmp_path)))
    ids = [queue.enqueue(1), *queue.enqueue_many([2, 3])]
    (file,) = tmp_path.iterdir()
    events = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    assert [message for event in events if event["kind"] == "enqueued" for message in event["ids"]] == ids
