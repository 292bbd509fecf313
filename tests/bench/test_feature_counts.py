"""What features cost in requests: nothing where it is said so, whatever the number of messages."""

from __future__ import annotations

from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.core.keys import batch_id
from s3queue.core.produce import Accepted, enqueue, new_batch
from s3queue.core.records import Limits
from s3queue.options.limits import Breaker, Limit, declare
from tests.regressions.town import QUEUE, Member, Town, led

MANY = 40


def spent(limits: Limits | None, **options: Any) -> dict[str, int]:
    """Requests of host and coordinator for so many messages, from the first look at them to the last trace of them."""
    town, leader = led(MemoryStore())
    leader.host.slots = MANY
    leader.host.limits = {} if limits is None else {QUEUE: limits}
    leader.flush()
    leader.cycles(2)
    for number in range(MANY):
        _enqueue(town, number, options)
    before = town.meter.as_dict()
    leader.cycles(1)
    _run(leader)
    leader.cycles(12)
    assert (town.sources(), town.board().sources) == ([], {})
    assert town.board().totals[QUEUE].done == MANY
    return {kind: many - before[kind] for kind, many in town.meter.as_dict().items()}


def _enqueue(town: Town, number: int, options: dict[str, Any]) -> None:
    key = options.get("key")
    outgoing = new_batch(
        QUEUE,
        [town.message(number)],
        sent_ms=town.now_ms(),
        batch=batch_id(number, number),
        key=None if key is None else f"{key}-{number % 7}",
        expires_ms=town.now_ms() + 3_600_000 if options.get("expires") else None,
    )
    assert town.driver.run(enqueue(town.layout, outgoing)) == Accepted()


def _run(host: Member) -> None:
    tickets = host.claim()
    for ticket in tickets:
        host.succeed(ticket)
    host.flush()


@pytest.mark.parametrize(
    ("limits", "options"),
    [
        (declare("q", max_running=MANY), {}),
        (declare("q", rate=1000), {}),
        (declare("q", per_key=Limit(max_running=MANY, rate=1000)), {"key": "tenant"}),
        (declare("q", fair=True, weights={"tenant-1": 3}), {"key": "tenant"}),
        (declare("q", ageing=60.0), {}),
        (declare("q", breaker=Breaker(5)), {}),
        (None, {"expires": True}),
        (None, {"key": "tenant"}),
    ],
    ids=["max_running", "rate", "per_key", "fair", "ageing", "breaker", "expires_in", "key"],
)
def test_limits_turns_and_expiry_cost_no_request(limits: Limits | None, options: dict[str, Any]) -> None:
    assert spent(limits, **options) == spent(None)
