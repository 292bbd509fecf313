"""One group with thousands of batches filled all that a survey looks at: nothing behind it ran until it was nearly over."""

from __future__ import annotations

from s3queue.store import ObjectStore
from tests.regressions.town import led

CROWD = 12_000


def test_others_run_within_a_few_cycles_whatever_lies_before_them(store: ObjectStore) -> None:
    town, leader = led(store)
    for _ in range(CROWD):
        town.enqueue(group="hot")
        town.now += 0.001
    waiting = {town.enqueue(group="other"), town.enqueue(group="third"), town.enqueue()}
    ran: list[str] = []
    cycles = 0
    while waiting:
        cycles += 1
        assert cycles <= 12
        town.now += 0.2
        leader.cycle()
        for ticket in leader.claim():
            paths = [path for path, _ in leader.messages(ticket)]
            ran += paths
            waiting.difference_update(paths)
            leader.succeed(ticket)
        leader.flush()
    assert len(ran) == len(set(ran))
    hot = [path for path in ran if path.endswith("-hot")]
    assert hot == sorted(hot)
