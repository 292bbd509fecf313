"""How far a worker reads ahead: a pipe bounded in bytes, on a real store with real readers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from msgspec import Raw
from s3queue_backends.sqlite import SqliteStore

from s3queue.core.keys import Layout, batch_id, source_path
from s3queue.core.records import Message, Part, encode_batch, encode_message
from s3queue.io.drive import Driver
from s3queue.observe.events import Events
from s3queue.runtime.local.journal import READY, Journal
from s3queue.runtime.local.wire import Deal
from s3queue.runtime.worker.dealt import Dealt, Item
from s3queue.runtime.worker.sources import READERS, Sources
from s3queue.store import Capabilities
from tests.deadline import DEADLINE_S

SIZE = 100_000


class Far(SqliteStore):
    """Several readers at a time, as at a store that is far away. Counts what has been read."""

    capabilities = Capabilities("far", requests_cost=True)


class Pipework:
    """Sources, and by hand what the worker's other threads do with them."""

    def __init__(self, folder: Path, budget: int, kind: type[SqliteStore]) -> None:
        self.store = kind(str(folder / "store.db"))
        self.layout = Layout("s3queue")
        self.ready: SimpleQueue[Item | None] = SimpleQueue()
        self.journal = Journal(bytearray(Journal.size(1, 8)), 1, 8).worker(0)
        self.driver = Driver(self.store)
        self.sources = Sources(
            self.driver, self.layout, self.journal, budget, ready=self.ready, send=print, events=Events("worker")
        )
        self._made = self._rows = 0

    def put(self, count: int = 1, size: int = SIZE) -> str:
        self._made += 1
        path = source_path("jobs", sent_ms=1, batch=batch_id(self._made, 1), count=count)
        payload = Raw(b"\xc6" + (size // count).to_bytes(4, "big") + bytes(size // count))
        messages = [encode_message(Message("noop", payload, {}))] * count
        self.store.put(self.layout.source(path), encode_batch(messages, 1), if_version=None)
        return path

    def add(self, *parts: Part) -> None:
        row, self._rows = self._rows, self._rows + 1
        self.journal.open_row(row, "1-1", 0, sum(part.stop - part.start for part in parts))
        self.sources.add(Dealt(Deal(row, "1-1", "jobs", parts), 1, threading.Event()), parts)

    def take(self) -> Item:
        """As a slot does."""
        item = self.ready.get(timeout=DEADLINE_S)
        assert item is not None
        return item

    def read(self) -> int:
        """How many objects were read when the readers have come to rest, since there is no room or nothing to read."""
        sources = self.sources
        while True:
            with sources._lock:
                if sources._room.under_way == 0 and (sources._waits_for_room or not sources._pending):
                    return self.driver.meter.usage.get

    def close(self) -> None:
        self.sources.stop()
        self.store.close()


@pytest.fixture(params=[SqliteStore, Far])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], Pipework]]:
    made: list[Pipework] = []

    def pipework(budget: int) -> Pipework:
        made.append(Pipework(tmp_path, budget, request.param))
        return made[-1]

    yield pipework
    for one in made:
        one.close()


def test_large_messages_are_read_ahead_only_as_far_as_the_budget_goes(make: Callable[[int], Pipework]) -> None:
    it = make(5 * SIZE)
    it.add(*(Part(it.put(), 0, 1, 1) for _ in range(40)))
    # Four of them and their frames fit; the fifth would not.
    assert it.read() == 4
    for over in range(40):
        piece, _ = it.take()
        assert it.read() <= 4 + over
        it.sources.release(piece)
    assert it.read() == 40
    assert it.sources._room.left() == 4


def test_message_larger_than_the_budget_is_read_alone(make: Callable[[int], Pipework]) -> None:
    it = make(1000)
    it.add(*(Part(it.put(), 0, 1, 1) for _ in range(5)))
    for over in range(5):
        assert it.read() == over + 1
        piece, _ = it.take()
        it.sources.release(piece)


def test_small_messages_are_all_read_ahead(make: Callable[[int], Pipework]) -> None:
    it = make(50 * SIZE)
    it.add(*(Part(it.put(size=10), 0, 1, 1) for _ in range(200)))
    assert it.read() == 200


def test_until_one_size_is_known_nothing_is_read_beside_the_first(
    make: Callable[[int], Pipework], monkeypatch: pytest.MonkeyPatch
) -> None:
    it = make(10 * SIZE)
    begun, go_on = threading.Event(), threading.Event()
    get = it.store.get

    def waits(key: str, *, unless: str | None = None) -> object:
        begun.set()
        go_on.wait()
        return get(key, unless=unless)

    monkeypatch.setattr(it.store, "get", waits)
    it.add(*(Part(it.put(), 0, 1, 1) for _ in range(3 * READERS)))
    begun.wait()
    with it.sources._lock:
        assert it.sources._room.under_way == 1
    go_on.set()
    assert it.read() == 9


def test_batch_counts_once_however_many_slices_of_it_are_dealt_and_until_the_last_is_over(
    make: Callable[[int], Pipework],
) -> None:
    it = make(3 * SIZE // 2)
    batch = it.put(count=10)
    it.add(Part(batch, 0, 5, 1))
    it.add(Part(batch, 5, 10, 1), Part(it.put(), 0, 1, 1))
    pieces = [it.take()[0] for _ in range(10)]
    assert it.read() == 1
    it.sources.release(pieces[0])
    assert it.read() == 1
    it.sources.release(pieces[9])
    # The batch was kept for later slices; it goes when its place is needed.
    assert it.read() == 2
    assert it.take()[0].part.source != batch


def test_what_is_given_back_makes_room(make: Callable[[int], Pipework]) -> None:
    it = make(5 * SIZE)
    it.add(*(Part(it.put(), 0, 1, 1) for _ in range(10)))
    assert it.read() == 4
    given = it.sources.take_back()
    assert len(given) == 10
    for piece, _ in given:
        it.sources.release(piece)
    assert set(it.journal.states(0)) == {READY}
    it.add(*(Part(it.put(), 0, 1, 1) for _ in range(4)))
    assert it.read() == 8
