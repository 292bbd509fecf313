"""One group with thousands of batches filled all that a survey looks at: nothing behind it ran until it was nearly over."""

from __future__ import annotations

from s3queue.store import ObjectStore
from tests.regressions.town import Town, led

CROWD = 12_000


def crowded(store: ObjectStore) -> tuple[Town, str, str, str]:
    """A town with a crowd of one group, then one message of another, one of a third, and one without a group."""
    town, first = led(store)
    for _ in range(CROWD):
        town.enqueue(group="hot")
        town.now += 0.001
    behind = town.enqueue(group="other"), town.enqueue(group="third"), town.enqueue()
    first.look()
    return town, *behind


def test_others_run_within_a_few_cycles_whatever_lies_before_them(store: ObjectStore) -> None:
    town, other, third, free = crowded(store)
    member = town.host("h2")
    member.look()
    town.now += 100.0  # h1 leads no more
    member.look()
    town.now += 16.0
    member.look()
    assert member.may_stand()
    member.stand()
    waiting, ran, cycles = {other, third, free}, [], 0
    while waiting:
        cycles += 1
        assert cycles <= 12
        town.now += 0.2
        member.cycle()
        for ticket in member.claim():
            paths = [path for path, _ in member.messages(ticket)]
            ran += paths
            waiting.difference_update(paths)
            member.succeed(ticket)
        member.flush()
    assert len(ran) == len(set(ran))
    hot = [path for path in ran if path.endswith("-hot")]
    assert hot == sorted(hot)
