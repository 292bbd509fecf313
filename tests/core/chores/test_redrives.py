"""Requests about dead letters are looked at ahead, and none holds up those of other queues."""

from __future__ import annotations

from s3queue_backends.memory import MemoryStore

from s3queue.core.chores.redrives import Redrives
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout, request_path
from s3queue.core.records import Board, Chosen, LetterRequest, encode
from s3queue.core.survey import Survey
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from tests.core.world import LAYOUT, board, path


def asked(store: MemoryStore, number: int, queue: str) -> str:
    request = LetterRequest("n", "redrive", queue, (Chosen(Layout().message_id(path(1, queue=queue), 0), 1),))
    where = request_path(number, "0" * 16, about_letters=True)
    store.put(LAYOUT.source(where), encode(request), if_version=None)
    return where


def look(redrives: Redrives, store: MemoryStore, now: float) -> int:
    """Returns how many requests were looked at."""
    many = 0
    while (step := redrives.take(now)) is not None:
        Driver(store, Meter()).run(step)
        many += 1
    return many


def test_requests_of_a_queue_without_room_let_those_of_another_go_first() -> None:
    """As of one that is paused, on which as many further lives wait as a board takes."""
    store, redrives = MemoryStore(), Redrives(LAYOUT, Troubles())
    stuck = [asked(store, number, "full") for number in range(1, 7)]
    seen, stood = Survey(), board()

    def follow(of: Board = stood) -> None:
        redrives.follow(of, seen, ())

    seen.requests.update(dict.fromkeys(stuck))
    follow()
    assert look(redrives, store, 0.0) == 4
    other = asked(store, 9, "other")
    seen.requests[other] = None
    for now in (1.0, 2.0, 3.0):
        follow()
        assert look(redrives, store, now) == 0, "they have their chance first"
    for now in (4.0, 4.1, 4.2, 4.3, 4.4):
        follow()
        look(redrives, store, now)
        if other in redrives.looked:
            break
    assert other in redrives.looked
    follow(board(answers={other: "redriven"}))
    assert other not in redrives.looked
    seen.requests.pop(other)
    for now in range(10, 400, 10):
        follow()
        look(redrives, store, float(now))
        assert len(redrives.looked) == 4, "they are looked at again"


def test_request_that_is_gone_is_looked_at_once() -> None:
    """As by a coordinator that was replaced."""
    store, redrives, seen = MemoryStore(), Redrives(LAYOUT, Troubles()), Survey()
    seen.requests[request_path(1, "0" * 16, about_letters=True)] = None
    redrives.follow(board(), seen, ())
    assert look(redrives, store, 0.0) == 1
