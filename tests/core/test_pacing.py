"""What `Pace` promises, counted on a clock of its own: nothing here waits or looks at the time."""

from __future__ import annotations

import pytest

from s3queue.config import Config
from s3queue.core.pacing import PRESETS, Pace, Unstored, ack_s
from s3queue.store import Capabilities

PRICED = Capabilities("priced")
FREE = Capabilities("free", requests_cost=False)
#: What a ledger does not say yet: a claim that could run, one that no slot has room for, an outcome, an idle host's last.
CLAIM = Unstored(claims=1, left=0, slots=4)
CLAIM_AHEAD = Unstored(claims=1, left=8, slots=4)
OUTCOME = Unstored(done=1, left=8, slots=4)
LAST_OUTCOME = Unstored(done=1, left=0, slots=4)
SLOW_KEYS = Capabilities("slow keys", min_rewrite_s=1.0)


def pace(capabilities: Capabilities = PRICED, **settings: object) -> Pace:
    return Pace(Config().replace(**settings), capabilities)


def cycles(of: Pace, *, rate: float, seconds: float, start: float = 1000.0) -> list[float]:
    """When the cycles begin, if somebody always asks for the next one, and ``rate`` messages a second pass through."""
    now, began, done = start, [], start
    while now < start + seconds:
        began.append(now)
        of.asked(now)
        of.worked(round(2 * rate * (now - done)), now)  # assigned, and settled
        done = now
        now += of.gap_s(now)
    return began


@pytest.mark.parametrize("pacing", PRESETS)
@pytest.mark.parametrize("rate", [20.0, 100.0, 1000.0])
def test_coordinator_stays_below_its_share_of_the_bill(pacing: str, rate: float) -> None:
    config = Config().replace(pacing=pacing)
    preset = PRESETS[config.pacing]
    began = cycles(pace(pacing=pacing), rate=rate, seconds=60)
    late = [at for at in began if at > 1020]  # the burst is over
    writes = 3 * len(late) / (rate * 40)
    # No more than overhead, except where that would be slower than the preset allows anybody to wait.
    slowest = 3 / (preset.busy_s * rate)
    assert writes <= max(config.overhead, slowest) * 1.1


def test_message_to_an_idle_queue_waits_for_nothing() -> None:
    idle = pace()
    cycles(idle, rate=50, seconds=10)
    assert idle.gap_s(2000.0) == idle.floor_s


def test_few_messages_do_not_make_each_other_wait() -> None:
    seldom = pace()
    for number in range(20):
        at = 1000.0 + 3 * number
        assert seldom.gap_s(at) == seldom.floor_s
        for cycle in range(3):  # assigned, settled, retired
            seldom.asked(at + cycle / 10)
            seldom.worked(1 if cycle < 2 else 0, at + cycle / 10)


def test_looks_that_nobody_asked_for_do_not_make_a_message_wait() -> None:
    seldom = pace()
    for number in range(60):
        at = 1000.0 + number
        assert seldom.gap_s(at) == seldom.floor_s
        for moment in (at, at + 0.1):  # assigned, settled
            seldom.asked(moment)
            seldom.worked(1, moment)
        seldom.worked(0, at + 0.6)  # retired


def test_credit_runs_out_under_steady_load() -> None:
    busy = pace()
    last = cycles(busy, rate=10, seconds=30)[-1]
    assert busy.gap_s(last) > busy.floor_s


def test_a_store_without_a_price_is_not_paced() -> None:
    free = pace(FREE)
    cycles(free, rate=1000, seconds=5)
    assert free.gap_s(1005.0) == free.floor_s < 0.01


def test_keys_are_not_rewritten_faster_than_the_store_takes_it() -> None:
    slow = pace(SLOW_KEYS, pacing="latency")
    assert slow.gap_s(1000.0) >= 1.0
    slow.flushed(1000.0)
    assert slow.flush_at(CLAIM) >= 1001.0
    assert slow.flush_at(OUTCOME) >= 1001.0
    # Counted by the store from when it took the one before: later than that was sent.
    assert slow.floor_s > 1.0


def test_polls_double_while_nothing_happens_and_begin_anew_when_something_does() -> None:
    one = pace()
    waits = [one.poll_s(busy=False) for _ in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == one.busy_s
    assert waits[-1] == one.idle_s
    assert one.poll_s(busy=True) == one.busy_s
    assert one.poll_s(busy=False) == one.busy_s


def test_who_idles_looks_at_least_once_in_each_lease() -> None:
    assert pace(pacing="frugal", leader_lease=6.0).idle_s <= 6.0


def writes(one: Pace, unstored: Unstored, seconds: float = 60.0, every_s: float = 0.0) -> int:
    """Ledger writes in so much time, if there is always the same to write, or once in ``every_s``."""
    now = began = 1000.0
    written = 0
    while now < began + seconds:
        one.flushed(now)
        written += 1
        news_at = now + every_s
        now = max(news_at, one.flush_at(unstored, news_at))
    return written


@pytest.mark.parametrize("pacing", PRESETS)
def test_claims_are_stored_at_once_until_the_credit_is_used_up(pacing: str) -> None:
    # Five a second in the long run, and a burst before.
    assert 295 <= writes(pace(pacing=pacing), CLAIM) <= 307


@pytest.mark.parametrize(("pacing", "wait_s"), [("latency", 0.2), ("balanced", 2.0), ("frugal", 5.0)])
def test_outcomes_wait_for_company_as_long_as_the_pacing_says(pacing: str, wait_s: float) -> None:
    one = pace(pacing=pacing)
    one.flushed(1000.0)
    assert one.flush_at(OUTCOME, 1003.0) == pytest.approx(1003.0 + wait_s)
    assert writes(one, OUTCOME) <= 60 / wait_s + 2


def test_claim_that_no_slot_has_room_for_is_in_no_hurry() -> None:
    one = pace()
    one.flushed(1000.0)
    assert one.flush_at(CLAIM_AHEAD, 1000.0) == one.flush_at(OUTCOME, 1000.0)
    assert pace(FREE).flush_at(CLAIM_AHEAD, 1000.0) < 1000.0


def test_outcome_that_something_waits_for_is_stored_at_once() -> None:
    one = pace()
    one.flushed(1000.0)
    assert one.flush_at(OUTCOME._replace(awaited=True), 1000.0) == pytest.approx(1000.0 + one.floor_s)


def test_idle_host_stores_its_last_outcome_at_once_and_keeps_some_credit_for_claims() -> None:
    one = pace()
    one.flushed(1000.0)
    assert one.flush_at(LAST_OUTCOME, 1000.0) == pytest.approx(1000.0 + one.floor_s)
    for _ in range(2):
        one.flushed(1000.0)
    assert one.flush_at(LAST_OUTCOME, 1000.0) > 1000.0 + one.floor_s
    assert one.flush_at(CLAIM, 1000.0) == pytest.approx(1000.0 + one.floor_s)


def test_ledger_writes_that_carry_many_messages_are_not_spaced_out() -> None:
    one = pace()
    now = 1000.0
    for _ in range(100):
        one.flushed(now)
        now = one.flush_at(CLAIM._replace(claims=1000), now)
    assert now == pytest.approx(1000.0 + 100 * one.floor_s)
    # And those after them that do not carry many wait no longer than if there had been none.
    one.flushed(now)
    assert one.flush_at(CLAIM, now) == pytest.approx(now + 0.2)


def test_what_the_user_says_goes_before_what_the_pacing_says() -> None:
    assert ack_s(Config(), PRICED) > ack_s(Config(), FREE) == 0.2
    for capabilities in (PRICED, FREE):
        assert ack_s(Config(ack_interval=0.7), capabilities) == 0.7
    # GCS takes no more than one write a second of one key.
    assert ack_s(Config(ack_interval=0.7), SLOW_KEYS) > 1.0


def test_outcomes_that_wait_do_not_make_a_host_look_dead() -> None:
    config = Config(pacing="frugal", visibility_timeout=4.0)
    assert ack_s(config, PRICED) <= config.visibility_timeout / 4


@pytest.mark.parametrize(("store", "at"), [(PRICED, 1005.2), (FREE, 1000.2)])
def test_where_a_write_has_a_price_the_first_outcome_waits_for_others(store: Capabilities, at: float) -> None:
    one = pace(store, ack_interval=0.2)
    one.flushed(1000.0)
    assert one.flush_at(OUTCOME, 1005.0) == pytest.approx(at)
