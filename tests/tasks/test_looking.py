"""Messages of a queue as people see them, wherever they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from s3queue_backends.memory import MemoryStore

from s3queue import ConfigError, CorruptRecord, MessageHandle, Queue, configure
from s3queue.core.keys import Layout, parse_message_id
from s3queue.core.records import (
    About,
    Board,
    Failed,
    Failure,
    Ledger,
    Part,
    Place,
    Ready,
    SourceState,
    Ticket,
    Unfit,
    Waiting,
    encode,
)
from s3queue.operate.looking import QueuedMessage
from s3queue.operate.views import time_of
from s3queue.store import Listed
from tests.regressions.town import EPOCH_MS, led

LAYOUT = Layout()
LATER_MS = 4_000_000_000_000
#: Board time at which nothing that waits here is due.
FAILURE = Failure(1, "error", "Traceback\nValueError: no", 1000)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def queue(store: MemoryStore) -> Queue:
    return Queue("mail", store)


def send(queue: Queue, *payloads: Any, task: str = "send", **options: Any) -> list[str]:
    return queue.send(task, [Raw(msgspec.msgpack.encode(one)) for one in payloads], **options)


def path_of(message: str) -> str:
    return parse_message_id(message).path


def states(messages: Any) -> list[tuple[str, str]]:
    return [(one.state, one.id) for one in messages]


def everywhere(queue: Queue) -> dict[str, str]:
    """A message in each state, and one that is dying; by name of the state, its id."""
    batch = send(queue, *range(5))
    (fresh,) = send(queue, "fresh", priority=7, group="g")
    (later,) = send(queue, "later", delay=1e6)
    state = SourceState(
        settled=1,
        ready=(Ready(1, 2, 1),),
        waiting=(Waiting(2, 2, LATER_MS),),
        dying=(3,),
        failures={2: (FAILURE,)},
    )
    ticket = Ticket("h1", (Part(path_of(batch[0]), 4, 5, 3),))
    board = Board(nonce="n", epoch=1, sources={path_of(batch[0]): state}, tickets={"1-1": ticket})
    queue.store.put(LAYOUT.board, encode(board), if_version=None)
    ledger = Ledger("n", "h1", place=Place(name="web-1:77"))
    queue.store.put(LAYOUT.host("h1"), encode(ledger), if_version=None)
    return {"ready": batch[1], "waiting": batch[2], "running": batch[4], "fresh": fresh, "scheduled": later}


class TestStates:
    def test_each_is_shown_in_its_state_and_in_order_and_what_is_done_or_dying_is_not(self, queue: Queue) -> None:
        ids = everywhere(queue)
        assert states(queue.messages()) == [
            ("ready", ids["ready"]),
            ("waiting", ids["waiting"]),
            ("running", ids["running"]),
            ("ready", ids["fresh"]),
            ("scheduled", ids["scheduled"]),
        ]

    @pytest.mark.parametrize("state", ["ready", "waiting", "running", "scheduled"])
    def test_one_state_is_what_all_of_them_have_of_it(self, queue: Queue, state: Any) -> None:
        everywhere(queue)
        everything = [one for one in queue.messages() if one.state == state]
        assert everything
        assert list(queue.messages(state=state)) == everything

    def test_all_that_is_known_is_told(self, queue: Queue) -> None:
        ids = everywhere(queue)
        by_id = {one.id: one for one in queue.messages()}
        running, waiting, fresh = by_id[ids["running"]], by_id[ids["waiting"]], by_id[ids["fresh"]]
        assert (running.host, running.attempt, running.payload) == ("web-1:77", 3, 4)
        assert waiting.due_at is not None
        assert (waiting.due_at.timestamp(), waiting.attempt) == (LATER_MS / 1000, 2)
        assert [(one.cause, one.text) for one in waiting.failures] == [("error", FAILURE.text)]
        assert (fresh.task, fresh.preview, fresh.priority, fresh.group) == ("send", '"fresh"', 7, "g")
        assert by_id[ids["scheduled"]].due_at is not None

    def test_what_has_run_for_long_tells_since_when(self, queue: Queue) -> None:
        first = send(queue, 0)
        batch = send(queue, *range(4))
        parts = (Part(path_of(first[0]), 0, 1, 1), Part(path_of(batch[0]), 1, 4, 1))
        board = Board(
            "n", 1, sources={one.source: SourceState() for one in parts}, tickets={"1-1": Ticket("h1", parts)}
        )
        queue.store.put(LAYOUT.board, encode(board), if_version=None)
        about = About(since={"1-1": {2: EPOCH_MS}, "1-0": {0: EPOCH_MS}})
        ledger = Ledger("n", "h1", place=Place(name="web-1:77"), about=about)
        queue.store.put(LAYOUT.host("h1"), encode(ledger), if_version=None)
        since = {one.id: one.started_at for one in queue.messages()}
        assert since == {first[0]: None, batch[1]: None, batch[2]: time_of(EPOCH_MS), batch[3]: None}
        details = MessageHandle(batch[2], queue.store).details()
        assert (details.host, details.started_at) == ("web-1:77", time_of(EPOCH_MS))

    def test_what_waits_for_a_host_that_fits_names_its_task(self, queue: Queue) -> None:
        (message,) = send(queue, 1, task="new")
        state = SourceState(ready=(Ready(0, 1, 1),), unfit=(Unfit(0, 1, "new@", 1),))
        queue.store.put(LAYOUT.board, encode(Board("n", 1, sources={path_of(message): state})), if_version=None)
        (seen,) = queue.messages()
        assert (seen.state, seen.unfit) == ("ready", "new")

    def test_other_queues_are_not_shown(self, queue: Queue) -> None:
        everywhere(queue)
        other = Queue("mai", queue.store)
        assert states(other.messages()) == []
        (late,) = send(other, 1, delay=1e6)
        assert states(other.messages()) == [("scheduled", late)]

    def test_by_task(self, queue: Queue) -> None:
        send(queue, 1)
        (bill,) = send(queue, 2, task="bill")
        assert states(queue.messages(task="bill")) == [("ready", bill)]

    def test_no_such_state_is_a_mistake(self, queue: Queue) -> None:
        with pytest.raises(ConfigError, match="no state 'dead'"):
            queue.messages(state="dead")  # type: ignore[arg-type]


class TestPaging:
    @pytest.mark.parametrize("state", [None, "ready", "waiting", "running", "scheduled"])
    def test_every_place_is_a_place_to_go_on_from(self, queue: Queue, state: Any) -> None:
        everywhere(queue)
        send(queue, *range(3), delay=1e6)
        whole = list(queue.messages(state=state))
        for number, message in enumerate(whole):
            assert list(queue.messages(state=state, after=message.place)) == whole[number + 1 :]
        assert list(queue.messages(state=state, limit=2)) == whole[:2]

    def test_what_is_no_place_is_a_mistake(self, queue: Queue) -> None:
        with pytest.raises(ConfigError, match="not the place"):
            queue.messages(after="mail")


class TestTown:
    """Boards and ledgers that the production steps wrote."""

    def test_messages_are_found_from_ready_to_running_to_waiting(self, store: MemoryStore) -> None:
        town, host = led(store)
        queue = Queue("q", store, namespace="town")
        path = town.enqueue(6)
        assert {one.state for one in queue.messages()} == {"ready"}
        host.cycles(2)
        (ticket,) = host.claim()
        running = list(queue.messages(state="running"))
        assert [one.id for one in running] == [town.layout.message_id(*one) for one in host.messages(ticket)]
        for offset in range(len(running)):
            host.fail(ticket, offset, Failed("retry", 1e6, Failure(1, "error", "no", EPOCH_MS)))
        host.flush()
        host.cycles(2)
        waiting = list(queue.messages(state="waiting"))
        assert {one.id for one in waiting} >= {one.id for one in running}
        assert all(one.attempt == 2 and one.failures[0].text == "no" for one in waiting)
        assert {path_of(one.id) for one in waiting} == {path}

    def test_messages_that_were_moved_off_the_board_keep_id_and_history(self, store: MemoryStore) -> None:
        from tests.regressions.town import SETTINGS

        town, host = led(store, SETTINGS._replace(max_parked=2))
        queue = Queue("q", store, namespace="town")
        paths = [town.enqueue() for _ in range(8)]
        for _ in range(20):
            host.cycles(1)
            for ticket in host.claim():
                for offset, _ in enumerate(host.messages(ticket)):
                    host.fail(ticket, offset, Failed("retry", 1e6, Failure(1, "error", "no", EPOCH_MS)))
                host.flush()
        assert sum(path.startswith("later/") for path in town.sources()) >= 1
        waiting = list(queue.messages(state="waiting"))
        assert sorted(one.id for one in waiting) == sorted(town.layout.message_id(path, 0) for path in paths)
        assert all((one.attempt, one.failures[0].text) == (2, "no") for one in waiting)
        assert states(queue.messages(after=waiting[3].place)) == states(waiting[4:])
        assert states(queue.messages()) == states(waiting)


class TestUnreadable:
    def test_batch_that_cannot_be_decoded_is_shown_as_such(self, queue: Queue) -> None:
        one, two = send(queue, 1)[0], send(queue, 2)[0]
        found = queue.store.get(LAYOUT.source(path_of(one)))
        queue.store.put(LAYOUT.source(path_of(one)), b"\xc1", if_version=found.version)  # type: ignore[union-attr]
        first, second = queue.messages()
        assert (first.id, first.raw, first.preview, first.task) == (one, True, "", "")
        assert "payload_base64" in first.as_dict()
        with pytest.raises(CorruptRecord):
            _ = first.payload
        assert (second.id, second.raw) == (two, False)

    def test_batch_above_the_largest_message_is_not_read(self, queue: Queue) -> None:
        (large,) = send(queue, "x" * 5_000_000)
        configure(max_message_bytes=1000)
        try:
            small = Queue("mail", queue.store)
            (seen,) = small.messages()
        finally:
            configure()
        assert (seen.id, seen.raw) == (large, True)
        assert small.meter.as_dict()["get"] == 1

    def test_message_that_ends_while_we_look_is_left_out(self, queue: Queue) -> None:
        ids = [send(queue, number)[0] for number in range(9)]
        seen = queue.messages()
        assert next(seen).id == ids[0]
        queue.store.delete([LAYOUT.source(path_of(ids[8]))])
        assert [one.id for one in seen] == ids[1:8]


class Counted(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def get(self, key: str, *, unless: str | None = None) -> Any:
        self.asked.append("get")
        return super().get(key, unless=unless)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Listed]:
        self.asked.append("list")
        return super().list(prefix, after=after, limit=limit)


class TestCosts:
    """The board, the listings, and as many batches as are shown."""

    @pytest.fixture
    def long(self) -> Queue:
        queue = Queue("mail", Counted())
        for number in range(1500):
            send(queue, number)
        self.asked(queue)
        return queue

    def asked(self, queue: Queue) -> dict[str, int]:
        store = queue.store
        assert isinstance(store, Counted)
        asked, store.asked = store.asked, []
        return {kind: asked.count(kind) for kind in ("get", "list")}

    def test_head_of_a_long_queue_costs_one_list_and_a_get_for_each_that_is_shown(self, long: Queue) -> None:
        assert len(list(long.messages(limit=5))) == 5
        assert self.asked(long) == {"get": 1 + 5, "list": 1}

    def test_whole_queue_costs_a_list_for_a_thousand(self, long: Queue) -> None:
        assert len(list(long.messages())) == 1500
        assert self.asked(long) == {"get": 1 + 1500, "list": 2 + 1}

    def test_what_runs_costs_no_list(self, long: Queue) -> None:
        assert list(long.messages(state="running")) == []
        assert self.asked(long) == {"get": 1, "list": 0}

    def test_batch_is_read_once_for_all_its_messages(self) -> None:
        queue = Queue("mail", Counted())
        send(queue, *range(900))
        self.asked(queue)
        assert len(list(queue.messages(limit=700))) == 700
        assert self.asked(queue) == {"get": 2, "list": 1}

    def test_each_host_is_read_once(self) -> None:
        queue = Queue("mail", Counted())
        everywhere(queue)
        self.asked(queue)
        assert len(list(queue.messages(state="running"))) == 1
        assert self.asked(queue) == {"get": 3, "list": 0}


def test_json_carries_all_of_it(queue: Queue) -> None:
    everywhere(queue)
    for message in queue.messages():
        assert isinstance(message, QueuedMessage)
        told = json.loads(msgspec.json.encode(message.as_dict()))
        assert (told["id"], told["state"]) == (message.id, message.state)
        assert told["payload"] == message.payload
