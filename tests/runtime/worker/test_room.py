"""The byte budget of a worker."""

from __future__ import annotations

import pytest
from msgspec import Raw

from s3queue.runtime.worker.dealt import Body
from s3queue.runtime.worker.room import CACHE_SOURCES, Room


def read(room: Room, size: int, pieces: int = 1) -> Body:
    """An object that was asked for and has come."""
    body = Body([Raw(b"\xc0")], size)
    body.pieces = pieces
    room.holds(body)
    return body


def test_before_the_first_size_is_known_one_object_is_read_alone() -> None:
    room = Room(1000)
    assert room.left() == 1
    room.under_way += 1
    assert room.left() <= 0


def test_as_many_are_read_as_fit_by_the_largest_of_the_last_ones() -> None:
    room = Room(1000)
    read(room, 100)
    assert room.left() == 9
    room.under_way += 4
    assert room.left() == 5
    read(room, 300)
    assert room.left() == (1000 - 400) // 300 - 4


def test_largest_size_is_forgotten_little_by_little() -> None:
    room = Room(8000)
    large = read(room, 4000)
    room.drop(large)
    rooms = []
    for _ in range(12):
        room.drop(read(room, 10))
        rooms.append(room.left())
    assert rooms == sorted(rooms)
    assert (rooms[0], rooms[-1] > 8) == (2, True)


def test_one_is_always_read_when_nothing_else_is_in_memory() -> None:
    room = Room(10)
    huge = read(room, 10_000)
    assert room.left() <= 0
    room.drop(huge)
    assert room.left() == 1


def test_bytes_are_free_when_the_last_piece_is_over() -> None:
    room = Room(1000)
    body = read(room, 500, pieces=2)
    room.drop(body)
    assert room.left() == 1
    room.drop(body)
    assert room.left() == 2


def test_bytes_that_a_slot_has_freed_are_counted_when_room_is_asked_for() -> None:
    room = Room(1000)
    read(room, 1000)
    assert room.left() <= 0
    room.freed.append(1000)
    assert room.left() == 1


def test_what_is_kept_for_later_slices_goes_first_when_there_is_no_room() -> None:
    room = Room(1000)
    body = read(room, 400, pieces=1)
    room.keep("a", body)
    room.drop(body)
    assert room.kept("a") is body
    other = read(room, 400)
    assert room.left() == 1
    assert room.kept("a") is None
    room.drop(other)
    assert room.left() == 2


def test_kept_object_that_is_in_use_stays_in_memory_when_it_is_forgotten() -> None:
    room = Room(1000)
    body = read(room, 1000)
    room.keep("a", body)
    assert room.left() <= 0
    assert room.kept("a") is None
    assert room.left() <= 0
    room.drop(body)
    assert room.left() == 1


@pytest.mark.parametrize("asked", [False, True])
def test_those_that_were_not_asked_for_longest_are_forgotten(asked: bool) -> None:
    room = Room(10**9)
    bodies = {name: read(room, 1) for name in map(str, range(CACHE_SOURCES + 1))}
    for name in map(str, range(CACHE_SOURCES)):
        room.keep(name, bodies[name])
    if asked:
        assert room.kept("0") is bodies["0"]
    room.keep(str(CACHE_SOURCES), bodies[str(CACHE_SOURCES)])
    assert (room.kept("0") is None, room.kept("1") is None) == (not asked, asked)
