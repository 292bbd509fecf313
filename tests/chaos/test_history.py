"""The verdict is only worth something if it would be another one had something gone wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3queue.core.keys import Layout, source_path
from s3queue.core.records import Board, DeadLetter, Failure, Part, SourceState, Ticket, Totals
from stress.chaos.accounts import Accounts, Run, Told
from stress.chaos.history import Verdict, judge
from stress.chaos.notes import Claimed, Done, Ending, Ruled, Start
from stress.chaos.plan import Order

LAYOUT = Layout("n")
PATHS = [source_path("single", sent_ms=number, batch=f"{number:x}", count=1) for number in range(1, 4)]
IDS = [LAYOUT.message_id(path, 0) for path in PATHS]
ORDERS = {number: Order(number, "ok") for number in range(3)}
TOKEN = 1 << 32


def run(
    number: int,
    at: float,
    *,
    attempt: int = 1,
    how: str = "ok",
    session: str = "s1",
    pid: int = 10,
    last: bool = False,
    ended_at: float | None = None,
) -> Run:
    start = Start(at, "a.1", pid, pid, session, IDS[number], number, attempt, TOKEN)
    return Run(start, last, None if how == "" else (ended_at or at + 0.5), how)


def told(number: int, outcome: str = "done") -> Told:
    return Told("1-0", PATHS[number], 0, 1, 1, outcome)


def good() -> Accounts:
    """Three messages, each sent, claimed, run, and settled once."""
    return Accounts(
        sent={one: number for number, one in enumerate(IDS)},
        told={one: [told(number)] for number, one in enumerate(IDS)},
        runs=[run(number, 10.0 + number) for number in range(3)],
        claims=[Claimed(5.0, "a.1", 9, session, ("1-0",), True) for session in ("s1", "s2")],
        ruled=[Ruled(4.0, "a.1", 1, 1, "n1", "stored", 0), Ruled(20.0, "a.1", 1, 2, "n2", "stored", 3)],
        board=Board("n2", 1, 2, totals={"single": Totals(done=3)}),
    )


def verdict(accounts: Accounts, orders: dict[int, Order] | None = None, concurrency: int = 1) -> Verdict:
    accounts.runs.sort(key=lambda run: run.start.at)
    return judge(accounts, orders or ORDERS, concurrency)


def clean(it: Verdict) -> bool:
    return not (it.lost or it.committed_twice or it.unexplained or it.violations)


def test_what_went_well_is_found_to_have_gone_well() -> None:
    it = verdict(good())
    assert clean(it), it
    assert (it.messages, it.done, it.dead) == (3, 3, 0)
    assert sum(it.ran_twice.values()) == 0


# ---- outcomes ----------------------------------------------------------------------------------------------------


def test_a_message_without_an_outcome_and_a_run_is_lost() -> None:
    accounts = good()
    del accounts.told[IDS[1]]
    accounts.runs.pop(1)
    accounts.board = Board("n", 1, 2, totals={"single": Totals(done=2)})
    assert verdict(accounts).lost == [IDS[1]]


def test_a_message_that_is_still_in_the_store_is_not_done_and_not_lost() -> None:
    accounts = good()
    del accounts.told[IDS[1]]
    accounts.runs.pop(1)
    accounts.left.add(PATHS[1])
    it = verdict(accounts)
    assert not it.lost
    assert f"not done: {IDS[1]}" in it.violations


def test_a_message_that_ran_and_was_not_committed_is_noticed_by_the_board() -> None:
    accounts = good()
    del accounts.told[IDS[1]]
    accounts.board = Board("n", 1, 2, totals={"single": Totals(done=2)})
    it = verdict(accounts)
    assert not it.lost
    assert any("settled only 2 messages of 3" in what for what in it.violations)


def test_a_commit_that_nobody_lived_to_tell_is_no_loss() -> None:
    accounts = good()
    del accounts.told[IDS[1]]
    assert clean(verdict(accounts))


@pytest.mark.parametrize("second", ["done", "dead"])
def test_two_outcomes_of_one_message_are_one_too_many(second: str) -> None:
    accounts = good()
    accounts.told[IDS[0]].append(told(0, second))
    assert verdict(accounts).committed_twice >= 1


def test_a_dead_letter_of_a_message_that_is_done_is_one_outcome_too_many() -> None:
    accounts = good()
    accounts.letters[IDS[0]] = DeadLetter("n", IDS[0], "single", attempt=12)
    assert verdict(accounts).committed_twice == 1


def test_a_board_that_has_settled_more_than_there_is_has_settled_something_twice() -> None:
    accounts = good()
    accounts.board = Board("n", 1, 2, totals={"single": Totals(done=4)})
    assert verdict(accounts).committed_twice == 1


def test_a_message_that_is_done_without_having_run_is_noticed() -> None:
    accounts = good()
    accounts.runs.pop()
    assert any("never ran" in what for what in verdict(accounts).violations)


def test_a_message_that_nobody_sent_is_noticed() -> None:
    accounts = good()
    del accounts.sent[IDS[2]]
    assert any("nobody enqueued" in what for what in verdict(accounts).violations)


def test_a_message_of_which_no_producer_heard_may_exist_or_not() -> None:
    accounts = good()
    accounts.uncertain[IDS[2]] = accounts.sent.pop(IDS[2])
    assert clean(verdict(accounts))
    accounts.told.pop(IDS[2])
    accounts.runs.pop()
    accounts.board = Board("n", 1, 2, totals={"single": Totals(done=2)})
    assert clean(verdict(accounts))


def dead(accounts: Accounts, attempt: int) -> None:
    failure = Failure(attempt, "lost")
    accounts.told[IDS[0]] = [told(0, "dead")]
    accounts.letters[IDS[0]] = DeadLetter("n", IDS[0], "single", attempt=attempt, failures=(failure,))
    accounts.runs[0] = run(0, 10.0, how="")


def test_a_message_may_be_dead_if_it_was_to_be() -> None:
    accounts = good()
    dead(accounts, 1)
    assert any("dead after 1 attempts" in what for what in verdict(accounts).violations)
    assert clean(verdict(accounts, ORDERS | {0: Order(0, "reject")}))


def test_a_message_may_be_dead_of_all_its_attempts() -> None:
    accounts = good()
    dead(accounts, 12)
    assert clean(verdict(accounts))


def test_a_message_that_was_to_die_may_not_be_done() -> None:
    it = verdict(good(), ORDERS | {1: Order(1, "doomed")})
    assert any("done, though it was to doomed" in what for what in it.violations)


def test_what_is_left_on_the_board_is_noticed() -> None:
    accounts = good()
    assert accounts.board is not None
    accounts.board = Board(
        "n",
        1,
        2,
        totals=accounts.board.totals,
        sources={PATHS[0]: SourceState()},
        tickets={"1-9": Ticket("s1", (Part(PATHS[0], 0, 1, 1),))},
    )
    assert len(verdict(accounts).violations) == 2


# ---- repeats -----------------------------------------------------------------------------------------------------


def again(accounts: Accounts, first: Run, *, attempt: int = 2) -> Verdict:
    accounts.runs[0] = first
    accounts.runs.append(run(0, 15.0, attempt=attempt, session="s2", pid=20))
    return verdict(accounts)


def test_a_repeat_without_a_reason_is_not_explained() -> None:
    assert len(again(good(), run(0, 10.0)).unexplained) == 1
    assert len(again(good(), run(0, 10.0, how="", last=True)).unexplained) == 1, "it fell silent, and nobody killed it"


@pytest.mark.parametrize("how", ["retry", "error", "snooze"])
def test_a_repeat_that_the_task_asked_for_is_explained(how: str) -> None:
    it = again(good(), run(0, 10.0, how=how), attempt=1 if how == "snooze" else 2)
    assert clean(it), it
    assert it.ran_twice["asked"] == 1


def test_a_death_explains_what_the_process_was_running() -> None:
    accounts = good()
    accounts.dead_pids.add(10)
    it = again(accounts, run(0, 10.0, how="", last=True))
    assert clean(it), it
    assert it.ran_twice["died"] == 1


def test_a_death_does_not_explain_what_the_process_had_finished_before() -> None:
    accounts = good()
    accounts.dead_pids.add(10)
    assert len(again(accounts, run(0, 10.0, how="ok", last=False)).unexplained) == 1


@pytest.mark.parametrize("witness", ["dead", "bereft"])
def test_a_death_that_the_supervisor_saw_counts_as_well(witness: str) -> None:
    accounts = good()
    if witness == "dead":
        accounts.dead.add(("a.1", 10))
    else:
        accounts.bereft.add("s1")
    assert clean(again(accounts, run(0, 10.0, how="", last=True)))


def test_a_fence_explains_all_that_its_session_ran() -> None:
    accounts = good()
    accounts.endings.append(Ending(12.0, "b.1", "s1", "fence", "stored"))
    it = again(accounts, run(0, 10.0))
    assert clean(it), it
    assert (it.ran_twice["fenced"], it.finished_again, it.fences) == (1, 1, 1)


@pytest.mark.parametrize(
    "ending", [Ending(12.0, "a.1", "s1", "bequest", "stored"), Ending(12.0, "b.1", "s9", "fence", "")]
)
def test_what_is_no_fence_of_that_session_explains_nothing(ending: Ending) -> None:
    accounts = good()
    accounts.endings.append(ending)
    assert len(again(accounts, run(0, 10.0)).unexplained) == 1


@pytest.mark.parametrize(("flushes", "explained"), [([10.9], True), ([10.5, 11.5], True), ([11.5, 11.7], False)])
def test_a_fence_does_not_explain_what_its_session_had_stored(flushes: list[float], explained: bool) -> None:
    """The first ledger that was sent after the end may have been drafted before it; the second was not."""
    accounts = good()
    accounts.endings.append(Ending(12.0, "b.1", "s1", "fence", "stored"))
    accounts.flushes["s1"] = flushes
    it = again(accounts, replace(run(0, 10.0), followed_at=11.0))
    assert clean(it) == explained


def test_recovery_is_counted_from_the_trouble_to_the_next_start() -> None:
    accounts = good()
    accounts.dead_pids.add(10)
    accounts.faults.append(Done(11.0, "kill", "worker", "a.1", (10,)))
    it = again(accounts, run(0, 10.0, how="", last=True))
    assert it.recovery == {"p50": 4.0, "max": 4.0}


# ---- invariants --------------------------------------------------------------------------------------------------


def test_an_attempt_that_ran_twice_is_noticed_whatever_explains_it() -> None:
    accounts = good()
    accounts.dead_pids.add(10)
    it = again(accounts, run(0, 10.0, how="", last=True), attempt=1)
    assert any("attempt 1" in what and "ran twice" in what for what in it.violations)


def test_more_attempts_than_allowed_are_noticed() -> None:
    accounts = good()
    accounts.runs[:1] = [run(0, 1.0 + attempt / 10, how="error", attempt=attempt) for attempt in range(1, 13)]
    accounts.runs.insert(12, run(0, 10.0, attempt=13))
    assert any("attempt 13 of 12" in what for what in verdict(accounts).violations)
    del accounts.runs[3]  # one that was interrupted before it had started
    assert not any("attempt 13 of 12" in what for what in verdict(accounts).violations)


@pytest.mark.parametrize("late", [True, False])
def test_a_run_without_a_claim_is_noticed(late: bool) -> None:
    accounts = good()
    accounts.claims = [Claimed(11.5, "a.1", 9, "s1", ("1-0",), True)] if late else []
    assert len(verdict(accounts).violations) == (2 if late else 3)


def test_two_boards_of_one_turn_and_an_epoch_that_comes_back_are_noticed() -> None:
    accounts = good()
    accounts.ruled.append(Ruled(30.0, "b.1", 2, 2, "n3", "stored", 3))
    assert any("stored twice" in what for what in verdict(accounts).violations)
    accounts = good()
    accounts.ruled += [
        Ruled(30.0, "b.1", 3, 3, "n3", "stored", 3),
        Ruled(31.0, "a.1", 2, 4, "n4", "stored", 3),
    ]
    assert any("after one of epoch 3" in what for what in verdict(accounts).violations)


@pytest.mark.parametrize("many", [1, 2])
def test_a_process_may_start_after_its_fence_only_what_it_was_about_to(many: int) -> None:
    accounts = good()
    accounts.endings.append(Ending(9.0, "b.1", "s1", "fence", "stored"))
    for number in range(many, 3):
        accounts.runs[number] = replace(accounts.runs[number], start=run(number, 8.0).start)
    assert any("after its session was fenced" in what for what in verdict(accounts).violations) == (many > 1)


@pytest.mark.parametrize("starts", [10.7, 10.2])
def test_messages_of_a_group_run_one_at_a_time_and_in_order(starts: float) -> None:
    accounts = good()
    orders = {number: Order(number, "group", group="g") for number in range(3)}
    assert clean(verdict(accounts, orders))
    accounts.runs[1] = run(1, starts)
    assert clean(verdict(accounts, orders)) == (starts > 10.5)
