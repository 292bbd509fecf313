"""Old tombstones are deleted, and old dead letters purged where that is wanted."""

from __future__ import annotations

from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.redrives import Redrives
from s3queue.core.chores.retention import Retention
from s3queue.core.chores.troubles import Troubles
from s3queue.core.plan import Settings
from s3queue.core.records import DeadLetter, encode
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.store import Found
from tests.core.world import LAYOUT, board, path

DAY_MS = 86_400_000
KEPT = Settings(dead_retention=10 * 86_400.0)


def bury(store: MemoryStore, day: int, *, tombstone: bool, ended_day: int) -> str:
    """A letter of a message that was sent that day. Its key."""
    message = LAYOUT.message_id(path(day * DAY_MS), 0)
    letter = DeadLetter(
        "n", message, "q", died_ms=ended_day * DAY_MS, tombstone=tombstone, ending="done" if tombstone else ""
    )
    key = LAYOUT.dead("q", message)
    store.put(key, encode(letter), if_version=None)
    return key


def walk(store: MemoryStore, settings: Settings, day: int) -> tuple[Redrives, Meter]:
    meter, troubles = Meter(), Troubles()
    driver, redrives = Driver(store, meter), Redrives(LAYOUT, troubles)
    redrives.follow(board(), None, ())
    retention = Retention(LAYOUT, 0.0, settings, troubles, redrives)
    step = retention.take(10 * 86_400.0, day * DAY_MS)
    assert step is not None
    driver.run(step)
    while (step := redrives.take(10 * 86_400.0)) is not None:
        driver.run(step)
    return redrives, meter


def test_tombstone_is_deleted_when_its_time_is_over_and_no_letter_is() -> None:
    store = MemoryStore()
    old, young = (bury(store, 1, tombstone=True, ended_day=2), bury(store, 2, tombstone=True, ended_day=20))
    dead = bury(store, 3, tombstone=False, ended_day=3)
    redrives, _ = walk(store, KEPT, 25)
    assert [isinstance(store.get(key), Found) for key in (old, young, dead)] == [False, True, True]
    assert redrives.looked == {}


def test_what_was_sent_lately_is_not_read() -> None:
    store = MemoryStore()
    bury(store, 20, tombstone=True, ended_day=20)
    _, meter = walk(store, KEPT, 25)
    assert (meter.usage.list, meter.usage.get) == (1, 0)


def test_old_dead_letter_is_handed_to_the_plan() -> None:
    store = MemoryStore()
    bury(store, 1, tombstone=False, ended_day=2)
    bury(store, 3, tombstone=False, ended_day=24)
    redrives, _ = walk(store, KEPT._replace(letter_retention=5 * 86_400.0), 25)
    (looked,) = redrives.looked.values()
    assert (looked.request.kind, [one.message for one in looked.request.letters]) == (
        "purge_letters",
        [LAYOUT.message_id(path(DAY_MS), 0)],
    )
    assert list(looked.fits) == [0]
    for _ in range(3):
        redrives.follow(board(), None, ())
    assert redrives.looked == {}, "one that found no room is found again by the next walk"


def test_nothing_is_walked_where_everything_is_kept() -> None:
    troubles = Troubles()
    retention = Retention(LAYOUT, 0.0, Settings(), troubles, Redrives(LAYOUT, troubles))
    assert retention.take(1e12, 0) is None


def test_tombstone_of_a_message_that_only_a_newer_release_knows_keeps_no_other() -> None:
    store = MemoryStore()
    letter = DeadLetter("n", "p00~wish~q~1~0", "q", died_ms=1, tombstone=True, ending="done")
    odd = LAYOUT.dead("q", letter.message)
    store.put(odd, encode(letter), if_version=None)
    old = bury(store, 1, tombstone=True, ended_day=2)
    walk(store, KEPT, 25)
    assert [isinstance(store.get(key), Found) for key in (odd, old)] == [True, False]
