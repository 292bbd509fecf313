from __future__ import annotations

from typing import Any

import pytest

from s3queue.core.agent.telling import Telling
from s3queue.core.plan import Settled
from s3queue.core.records import Failure, SourceState
from tests.core.agent.desk import Desk
from tests.core.world import LAYOUT, board, path


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
    Telling(desk, LAYOUT)._tell_settled(board(), [settled(outcome, 0, 2), settled("done", 2, 3)])
    assert desk.events == [(outcome, {"queue": "q", "ids": [LAYOUT.message_id(path(1, 3), index) for index in (0, 1)]})]


@pytest.mark.parametrize(("cause", "told"), [("lost", 1), ("unknown_task", 1), ("error", 0), ("exited", 0)])
def test_death_is_told_by_the_coordinator_only_where_no_host_has_told_it(cause: str, told: int) -> None:
    desk = Wanting("dead")
    state = SourceState(failures={1: (Failure(2, cause, "why", 5),)})
    Telling(desk, LAYOUT)._tell_settled(board(states={path(1, 3): state}), [settled("dead", 1, 2)])
    assert [(kind, fields["message"], fields["cause"], fields["attempt"]) for kind, fields in desk.events] == [
        ("dead", LAYOUT.message_id(path(1, 3), 1), cause, 2)
    ] * told


def test_nothing_is_told_that_nobody_wants() -> None:
    desk = Wanting()
    Telling(desk, LAYOUT)._tell_settled(board(), [settled("cancelled"), settled("dead", 1, 2)])
    assert desk.events == []
