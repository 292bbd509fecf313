"""The verdict on what operators were told would be another one, had it not been true."""

from __future__ import annotations

from s3queue.core.keys import life_path
from s3queue.core.records import DeadLetter, Totals
from stress.chaos.accounts import Accounts, Told
from stress.chaos.notes import Answered, Asked
from tests.chaos.test_history import IDS, clean, good, run, told, verdict


def cancelled() -> Accounts:
    """As `good`, but the last message was cancelled before it started."""
    accounts = good()
    accounts.sent_at = dict.fromkeys(IDS, 1.0)
    accounts.runs.pop(2)
    accounts.told[IDS[2]] = [told(2, "cancelled")]
    accounts.asked = [Asked(6.0, "cancel", "single", (IDS[2],))]
    accounts.answered = [Answered(7.0, 6.0, "cancel", "single", (IDS[2],), "cancelled")]
    assert accounts.board is not None
    accounts.board.totals["single"] = Totals(done=2, cancelled=1)
    return accounts


def test_a_message_that_was_cancelled_is_not_lost() -> None:
    accounts = cancelled()
    it = verdict(accounts)
    assert clean(it), it
    assert (it.done, it.cancelled) == (2, 1)


def test_a_cancel_that_no_coordinator_lived_to_tell_of_is_no_loss() -> None:
    accounts = cancelled()
    del accounts.told[IDS[2]]
    assert clean(verdict(accounts))
    accounts.asked.clear()
    assert verdict(accounts).lost == [IDS[2]]


def test_a_message_that_starts_after_it_was_said_to_be_cancelled_is_noticed() -> None:
    accounts = cancelled()
    accounts.runs.append(run(2, 8.0, how=""))
    assert any("said to be cancelled" in what for what in verdict(accounts).violations)
    before = cancelled()
    before.runs.append(run(2, 6.5, how="retry"))
    assert clean(verdict(before)), "it may have started before"


def test_a_message_that_is_done_and_cancelled_was_committed_twice() -> None:
    accounts = cancelled()
    accounts.told[IDS[0]].append(told(0, "cancelled"))
    assert verdict(accounts).committed_twice >= 1


def test_a_message_that_starts_after_its_queue_was_purged_is_noticed_if_it_was_sent_before() -> None:
    accounts = good()
    accounts.sent_at = {IDS[0]: 1.0, IDS[1]: 1.0, IDS[2]: 9.5}
    accounts.asked = [Asked(9.0, "purge", "single")]
    accounts.answered = [Answered(10.9, 9.0, "purge", "single", (), "0")]
    assert sum("was purged" in what for what in verdict(accounts).violations) == 1
    accounts.answered = [Answered(12.5, 9.0, "purge", "single", (), "0")]
    assert clean(verdict(accounts))


def test_a_message_that_starts_in_a_paused_queue_is_noticed_unless_somebody_resumes() -> None:
    accounts = good()
    accounts.asked = [Asked(9.0, "pause", "single")]
    accounts.answered = [Answered(10.9, 9.0, "pause", "single", (), "idle")]
    assert sum("paused" in what for what in verdict(accounts).violations) == 2
    accounts.asked.append(Asked(11.5, "resume", "single"))
    accounts.runs[1] = run(1, 11.6)
    assert clean(verdict(accounts))


def redriven() -> Accounts:
    """As `good`, but the last message died first, was redriven, and is done."""
    accounts = good()
    accounts.asked = [Asked(12.8, "redrive", "single")]
    life = life_path(IDS[2], 2)
    accounts.told[IDS[2]] = [told(2, "dead"), Told("1-0", life, 0, 1, 1, "done")]
    accounts.runs[2] = run(2, 12.0, how="error")
    accounts.runs.append(run(2, 13.0))
    accounts.stones[IDS[2]] = DeadLetter("n", IDS[2], "single", tombstone=True, ending="done", life=2)
    assert accounts.board is not None
    accounts.board.totals["single"] = Totals(done=3, dead=1, redriven=1)
    return accounts


def test_a_message_that_was_redriven_is_done_once_and_not_dead() -> None:
    it = verdict(redriven())
    assert clean(it), it
    assert (it.done, it.dead, it.redriven, it.ran_twice["redriven"]) == (3, 0, 1, 1)


def test_a_further_life_may_begin_to_run_with_a_later_attempt() -> None:
    """The first one was interrupted before it had started."""
    accounts = redriven()
    accounts.runs[2:] = [run(2, 12.0, how="error"), run(2, 12.4, how="error", attempt=2), run(2, 13.0, attempt=2)]
    assert clean(verdict(accounts))


def test_a_life_that_nobody_asked_for_is_noticed() -> None:
    accounts = redriven()
    accounts.runs.append(run(2, 14.0))
    assert any("began 3 lives" in what for what in verdict(accounts).violations)
    accounts = redriven()
    accounts.asked.clear()
    assert not clean(verdict(accounts)), "its first attempt ran twice"


def test_a_life_that_is_settled_twice_is_noticed() -> None:
    accounts = redriven()
    accounts.told[IDS[2]].append(accounts.told[IDS[2]][-1])
    assert verdict(accounts).committed_twice == 1


def test_a_tombstone_is_no_dead_letter() -> None:
    accounts = cancelled()
    accounts.stones[IDS[2]] = DeadLetter("n", IDS[2], "single", attempt=1, tombstone=True, ending="cancelled")
    it = verdict(accounts)
    assert clean(it), it
    assert it.dead == 0
