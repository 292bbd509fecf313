"""The tests of concurrency, of races and of order were skipped; the one that ran had three consumers and 30 messages.

Here they run, with real threads that share nothing but the store, and no test of this project is skipped for good.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from s3queue.core.cycle import Deposed
from s3queue.core.ledger import Flushed
from s3queue.core.plan import Settings
from s3queue.store import ObjectStore
from tests.regressions.town import Member, Town

TESTS = Path(__file__).parents[1]
HOSTS = 6
MESSAGES = 600


@pytest.mark.parametrize("batch", [1, 50])
def test_many_hosts_at_once_run_every_message_once(store: ObjectStore, batch: int) -> None:
    """Each host in a thread of its own; all of them stand for election whenever they may."""
    town = Town(store, Settings(visibility_timeout=1e6, leader_lease=1e6))
    for _ in range(MESSAGES // batch):
        town.enqueue(batch)
    ran: list[list[tuple[str, int]]] = [[] for _ in range(HOSTS)]
    finished = threading.Event()
    faults: list[BaseException] = []

    def serve(number: int) -> None:
        try:
            member = Member(Town(store, town.settings), f"h{number}", 4, 0.0)
            member.flush()
            while not finished.is_set():
                _turn(member, ran[number])
                if sum(map(len, ran)) >= MESSAGES and not town.board().tickets:
                    finished.set()
        except BaseException as fault:  # noqa: BLE001 - told to the test
            faults.append(fault)
            finished.set()

    threads = [threading.Thread(target=serve, args=(number,)) for number in range(HOSTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not faults
    assert not any(thread.is_alive() for thread in threads)
    times = Counter(message for each in ran for message in each)
    assert len(times) == MESSAGES
    assert set(times.values()) == {1}
    assert town.board().totals["q"].done == MESSAGES


def _turn(member: Member, ran: list[tuple[str, int]]) -> None:
    member.look()
    if member.lead is None and member.may_stand():
        member.stand()
    if member.lead is not None:
        assert not isinstance(member.cycle(), Deposed)
        member.look()
    if member.host.has_news:
        outcome = member.flush()
        assert isinstance(outcome, Flushed)
        for ticket in outcome.claimed:
            ran += member.messages(ticket)
            member.succeed(ticket)
        if outcome.claimed:
            member.flush()


def test_no_test_is_skipped_or_expected_to_fail_for_good() -> None:
    """What depends on the machine may be skipped there, with a reason; see the fixtures of servers."""
    lazy = re.compile(
        r"^\s*(@pytest\.mark\.(skip|xfail)\b|pytestmark = pytest\.mark\.(skip|xfail)\b|pytest\.xfail\()", re.M
    )
    assert not [str(file) for file in TESTS.rglob("*.py") if lazy.search(file.read_text("utf-8"))]
