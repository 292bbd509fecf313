"""What a running message notes reaches the agent, and its next attempt."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from s3queue.core.keys import moved_batch, moved_path, parse_source
from s3queue.core.records import Memo, Moved, Origin, Part, decode_message, encode_message
from s3queue.runtime.local.wire import Deal, FailedNote, Finished, Noted
from s3queue.store import ObjectStore
from tests.runtime.desk import Desk, Pipe, desk
from tests.runtime.jobs import QUEUE


def last(it: Desk) -> Memo:
    """The last word of a message that fails."""
    memo = None
    while not isinstance(note := it.next(), FailedNote):
        assert isinstance(note, Noted)
        memo = note.memo
    assert memo is not None
    it.expect(Finished)
    return memo


def page(number: int) -> bytes:
    return msgspec.msgpack.encode({"page": number})


def test_last_word_of_a_failed_attempt_is_told_before_its_outcome(store: ObjectStore) -> None:
    with desk(store) as it:
        it.deal_new(0, it.message("pages", 7))
        assert last(it) == Memo(7.0, 10.0, "from 0", page(7))


def test_next_attempt_goes_on_from_it_and_its_neighbour_does_not(store: ObjectStore) -> None:
    with desk(store) as it:
        source = it.put([it.message("pages", 3), it.message("pages", 3)])
        part = Part(source, 0, 2, 1)
        it.journal.open_row(0, "1-7", 0, 2)
        it.send(Deal(0, "1-7", QUEUE, (part,), 0, {1: Memo(2.0, 10.0, "", page(2))}))
        told = {}
        while not isinstance(note := it.next(), Finished):
            if isinstance(note, Noted):
                told[note.index] = note.memo.text
        assert told == {0: "from 0", 1: "from 2"}


def test_message_that_was_moved_off_the_board_goes_on_from_what_it_carries(store: ObjectStore) -> None:
    with desk(store) as it:
        message = decode_message("", it.message("pages", 6))
        origin = Origin("p00~in~jobs~5~1-1-1~0", 1, (), Memo(5.0, 10.0, "", page(5)))
        raw = encode_message(Moved(message.task, message.payload, message.headers, origin))
        path = it.put([raw])
        moved = moved_path(parse_source(path), due_ms=1, batch=moved_batch(1, 1), count=1, attempt=2, alone=False)
        found = store.get(it.layout.source(path))
        assert hasattr(found, "body")
        store.put(it.layout.source(moved), found.body, if_version=None)
        it.deal(0, Part(moved, 0, 1, 2))
        assert last(it).text == "from 5"


def test_what_is_noted_often_is_told_seldom_but_the_last_of_it_while_the_task_runs(
    store: ObjectStore, pipe: Callable[[str], Pipe]
) -> None:
    started, release = pipe("started"), pipe("release")
    with desk(store) as it:
        it.deal_new(0, it.message("notes_then_waits", started.path, release.path))
        started.line()
        assert [it.expect(Noted).memo.done for _ in range(2)] == [1.0, 2.0]
        release.release()
        it.expect(Finished)


def test_nothing_is_told_of_a_message_that_has_ended(store: ObjectStore) -> None:
    """The agent may have given its row to another."""
    with desk(store) as it:
        it.deal_new(0, it.message("notes_late"))
        assert it.expect(Noted).memo.done == 1.0
        it.expect(Finished)
        it.deal_new(1, it.message("notes_for_another"))
        assert isinstance(it.next(), Finished)
