"""Letters of further lives: each is replaced once for each life that ends, and never by one that is over."""

from __future__ import annotations

from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.letter import payload_keys
from s3queue.core.chores.letters import Letters
from s3queue.core.chores.redrives import Redrives
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import life_path
from s3queue.core.records import DeadLetter, Ending, Failure, Life, SourceState, decode, encode
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.store import Found
from tests.core.world import LAYOUT, board, path

FIRST = LAYOUT.message_id(path(1), 0)
KEY = LAYOUT.dead("q", FIRST)
SECOND = life_path(FIRST, 2)
BOOM, BANG = Failure(1, "error", "boom", 7), Failure(1, "error", "bang", 8)
LETTER = DeadLetter("n0", FIRST, "q", "resize", 1, (BOOM,), b"\xa1x", '"x"', headers={"a": "b"}, died_ms=7)


def ends(ending: Ending | None, letter: DeadLetter | None = LETTER, *, known: bool = True, failures: bool = False):  # type: ignore[no-untyped-def]
    """The letter, once a board that says so is followed; and the requests that this took."""
    store, meter = MemoryStore(), Meter()
    version = store.put(KEY, encode(letter), if_version=None).version if letter is not None else "v"  # type: ignore[union-attr]
    state = SourceState(
        dying=(0,),
        endings={} if ending is None else {0: ending},
        letter=version if known else "",
        failures={0: (BANG,)} if failures else {},
    )
    troubles = Troubles()
    letters = Letters(LAYOUT, troubles, Redrives(LAYOUT, troubles))
    letters.follow(board(states={SECOND: state}))
    step = letters.take(0.0, 99, "n")
    assert step is not None
    assert Driver(store, meter).run(step) is True
    assert letters.written == {(SECOND, 0)}
    found = store.get(KEY)
    assert isinstance(found, Found)
    return decode(DeadLetter, KEY, found.body), meter


def test_life_that_is_done_leaves_a_tombstone_with_one_request() -> None:
    letter, meter = ends(Ending("done", "3-1"))
    assert (letter.tombstone, letter.ending, letter.ticket, letter.life) == (True, "done", "3-1", 2)
    assert (meter.usage.get, meter.usage.put) == (0, 1)


def test_tombstone_keeps_the_history_where_the_version_is_not_known() -> None:
    letter, _ = ends(Ending("done", "3-1"), known=False)
    assert (letter.task, letter.failures, letter.lives) == ("resize", (BOOM,), (Life(1, 1, 7, BOOM),))


def test_message_that_dies_again_has_a_longer_history_and_its_payload() -> None:
    letter, _ = ends(None, failures=True)
    assert (letter.tombstone, letter.life, letter.died_ms, letter.failures) == (False, 2, 99, (BANG,))
    assert (letter.lives, letter.payload, letter.headers) == ((Life(1, 1, 7, BOOM),), b"\xa1x", {"a": "b"})


def test_purged_letter_keeps_nothing_of_its_message() -> None:
    for known in (True, False):
        letter, _ = ends(Ending("purged"), known=known)
        assert (letter.tombstone, letter.ending, letter.life) == (True, "purged", 1)
        assert (letter.payload, letter.preview, letter.failures, letter.headers) == (b"", "", (), {})


def test_life_that_was_led_and_ended_with_its_queue_counts() -> None:
    for known, before in ((True, LETTER), (False, LETTER), (False, None)):
        letter, _ = ends(Ending("purged"), before, known=known, failures=True)
        assert (letter.tombstone, letter.ending, letter.life) == (True, "purged", 2)


def test_life_that_is_over_already_changes_nothing() -> None:
    """By a coordinator that was replaced, or before it was."""
    over = DeadLetter("n1", FIRST, "q", life=2, tombstone=True, ending="done", ticket="9-9")
    for ending in (Ending("done", "3-1"), Ending("cancelled"), None):
        assert ends(ending, over, known=False)[0] == over


def test_letter_that_somebody_deleted_is_there_again() -> None:
    letter, _ = ends(None, None, failures=True)
    assert (letter.tombstone, letter.life, letter.failures) == (False, 2, (BANG,))
    assert ends(Ending("done", "3-1"), None)[0].ending == "done"


def test_letter_keeps_what_a_newer_release_has_written() -> None:
    store, troubles = MemoryStore(), Troubles()
    store.put(KEY, encode(LETTER)[:-1] + b',"newer":[1]}', if_version=None)
    for ending in (Ending("done", "3-1"), None):
        letters = Letters(LAYOUT, troubles, Redrives(LAYOUT, troubles))
        letters.follow(board(states={SECOND: SourceState(dying=(0,), endings={0: ending} if ending else {})}))
        step = letters.take(0.0, 99, "n")
        assert step is not None
        Driver(store, Meter()).run(step)
        found = store.get(KEY)
        assert isinstance(found, Found)
        assert b'"newer":[1]' in found.body


def test_payloads_of_all_lives_go_with_a_letter() -> None:
    """A message may have been redriven with another payload long before it died last."""
    keys = payload_keys(LAYOUT, FIRST, 9)
    assert set(keys) == {LAYOUT.payload("q", FIRST, life) for life in range(1, 10)}


def test_in_a_store_with_one_writer_letters_do_not_stand_in_the_way_of_the_board() -> None:
    """While some are written no other chore begins with more, though others die meanwhile."""
    store, troubles = MemoryStore(), Troubles()
    letters = Letters(LAYOUT, troubles, Redrives(LAYOUT, troubles), at_once=1)
    dying = {life_path(LAYOUT.message_id(path(n), 0), 2): SourceState(dying=(0,)) for n in range(26)}
    letters.follow(board(states=dying))
    step = letters.take(0.0, 99, "n")
    assert step is not None
    next(step)
    assert letters.take(0.0, 99, "m") is None
    step.close()
    again = letters.take(0.0, 99, "m")
    assert again is not None
    Driver(store, Meter()).run(again)
    assert len(letters.written) == 25
