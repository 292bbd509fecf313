from __future__ import annotations

from typing import Any

import pytest

from s3queue.core.agent.telling import Telling
from s3queue.core.plan import Settled
from s3queue.core.records import Control, Failure, Fuse, SourceState
from tests.core.agent.desk import Desk
from tests.core.world import LAYOUT, NOW_MS, board, path


class Wanting(Desk):
    """Somebody listens to these kinds."""

    def __init__(self, *kinds: str) -> None:
        super().__init__()
        self.kinds = kinds
        self.events: list[tuple[str, dict[str, Any]]] = []

    def wants(self, kind: str) -> bool:
        return kind in self.kinds

    def emit(self, kind: str, **fields: object) -> None:
        self.events.append((kind, fields))


def settled(outcome: str, start: int = 0, stop: int = 1) -> Settled:
    return Settled("1-0", path(1, 3), start, stop, 2, outcome)


@pytest.mark.parametrize("outcome", ["cancelled", "expired", "purged"])
def test_messages_that_ended_without_a_host_are_told_by_queue_with_their_ids(outcome: str) -> None:
    desk = Wanting(outcome)
    Telling(desk, LAYOUT, {})._tell_settled(board(), [settled(outcome, 0, 2), settled("done", 2, 3)])
    assert desk.events == [(outcome, {"queue": "q", "ids": [LAYOUT.message_id(path(1, 3), index) for index in (0, 1)]})]


@pytest.mark.parametrize(("cause", "told"), [("lost", 1), ("unknown_task", 1), ("error", 0), ("exited", 0)])
def test_death_is_told_by_the_coordinator_only_where_no_host_has_told_it(cause: str, told: int) -> None:
    desk = Wanting("dead")
    state = SourceState(failures={1: (Failure(2, cause, "why", 5),)})
    Telling(desk, LAYOUT, {})._tell_settled(board(states={path(1, 3): state}), [settled("dead", 1, 2)])
    assert [(kind, fields["message"], fields["cause"], fields["attempt"]) for kind, fields in desk.events] == [
        ("dead", LAYOUT.message_id(path(1, 3), 1), cause, 2)
    ] * told


def test_nothing_is_told_that_nobody_wants() -> None:
    desk = Wanting()
    Telling(desk, LAYOUT, {})._tell_settled(board(), [settled("cancelled"), settled("dead", 1, 2)])
    assert desk.events == []


def test_pause_that_runs_out_is_told_as_one_that_is_ended() -> None:
    desk = Wanting()
    telling = Telling(desk, LAYOUT, {})
    telling._tell_paused(Control("c", 1))
    paused = Control("c", 2, {"mail": NOW_MS + 1000, "images": 0, "past": NOW_MS - 1})
    telling._tell_paused(paused)
    assert desk.events == [
        ("paused", {"queue": "mail", "until_ms": NOW_MS + 1000}),
        ("paused", {"queue": "images", "until_ms": 0}),
    ]
    desk.events.clear()
    telling._tell_paused(paused)
    assert desk.events == []
    desk.time += 1.0
    telling._tell_paused(paused)
    assert desk.events == [("resumed", {"queue": "mail"})]
    telling._tell_paused(Control("c", 3, {"mail": NOW_MS + 1000}))
    assert desk.events[1:] == [("resumed", {"queue": "images"})]


def test_breaker_is_told_when_it_opens_and_when_it_closes_and_not_when_a_probe_fails() -> None:
    desk = Wanting()
    telling = Telling(desk, LAYOUT, {"told": Fuse(3, 1, 10)})
    for fuses in ({"told": Fuse(3, 1, 10), "q": Fuse(2, 5)}, {"q": Fuse(20, 5, 50)}, {"q": Fuse(20, 5, 90, "1-7")}, {}):
        telling._tell_breakers(fuses)
    assert desk.events == [
        ("breaker_opened", {"queue": "q", "failed": 20}),
        ("breaker_closed", {"queue": "told"}),
        ("breaker_closed", {"queue": "q"}),
    ]


def test_pause_of_a_task_is_told_with_its_task() -> None:
    desk = Wanting()
    telling = Telling(desk, LAYOUT, {})
    telling._tell_paused(Control("c", 1))
    telling._tell_paused(Control("c", 2, paused_tasks={"mail": {"send": 0, "scan": NOW_MS - 1}}))
    telling._tell_paused(Control("c", 3))
    assert desk.events == [
        ("paused", {"queue": "mail", "task": "send", "until_ms": 0}),
        ("resumed", {"queue": "mail", "task": "send"}),
    ]
