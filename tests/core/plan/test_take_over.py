"""Take over what ledgers report, and the tickets of sessions that are over."""

import pytest
from msgspec.structs import replace

from s3queue.core.plan import Planned, Settings, Settled
from s3queue.core.records import Failed, Failure, Offer, Part, Place, Report, SourceState, Ticket, Totals, Waiting
from tests.core.world import (
    NOW_MS,
    board,
    claimed,
    decide,
    error,
    ledger,
    one_ticket,
    parts,
    path,
    ready,
    retry,
)

LOST = Failure(1, "lost", "its host fell silent or died", NOW_MS, "h1", "1-0")


def ran(failure: Failure) -> Failure:
    """As the board tells it: with where it ran, and by which ticket."""
    return replace(failure, host="h1", ticket="1-0")


def state_of(planned: Planned, source: str) -> SourceState:
    return planned.board.sources[source]


class TestTakeOver:
    def test_ok_is_settled_and_counted(self) -> None:
        before, source = one_ticket(3)
        planned = decide(before, [claimed(report=Report(ok=(0, 3)), slots=0)])
        assert planned.board.tickets == {}
        assert state_of(planned, source) == SourceState(settled=3)
        assert planned.board.totals == {"q": Totals(done=3)}
        assert planned.settled == [Settled("1-0", source, 0, 3, 1, "done")]

    def test_a_retry_waits_until_it_is_due_with_the_next_attempt(self) -> None:
        before, source = one_ticket()
        planned = decide(before, [claimed(report=Report(failed={0: retry(delay_s=1.5)}), slots=0)])
        assert state_of(planned, source).waiting == (Waiting(0, 2, NOW_MS + 1500),)
        assert state_of(planned, source).failures == {0: (ran(error()),)}
        assert planned.board.totals == {"q": Totals(failed=1)}
        assert planned.next_due_ms == NOW_MS + 1500
        assert planned.settled == []

    def test_a_retry_without_delay_is_ready_at_once(self) -> None:
        before, source = one_ticket()
        planned = decide(before, [claimed(report=Report(failed={0: retry()}), slots=0)])
        assert state_of(planned, source).ready == ready((0, 1, 2))

    def test_a_snooze_costs_no_attempt_and_is_no_failure(self) -> None:
        before, source = one_ticket(attempt=3)
        planned = decide(before, [claimed(report=Report(failed={0: Failed("snooze", 1.0)}), slots=0)])
        assert state_of(planned, source).waiting == (Waiting(0, 3, NOW_MS + 1000),)
        assert planned.board.totals == {}

    def test_a_rejected_message_is_dying_whatever_its_attempt(self) -> None:
        before, source = one_ticket()
        planned = decide(before, [claimed(report=Report(failed={0: Failed("dead", 0.0, error())}), slots=0)])
        assert state_of(planned, source) == SourceState(dying=(0,), failures={0: (ran(error()),)})
        assert planned.board.totals == {"q": Totals(failed=1, dead=1)}
        assert planned.settled == [Settled("1-0", source, 0, 1, 1, "dead")]

    @pytest.mark.parametrize("kind", ["retry", "a kind of a later release"])
    def test_the_last_attempt_is_the_hosts_maximum(self, kind: str) -> None:
        for attempt, dies in ((4, False), (5, True)):
            before, source = one_ticket(attempt=attempt)
            offers = {"q": Offer(max_attempts=5)}
            report = Report(failed={0: Failed(kind, 0.0, error(attempt))})
            planned = decide(before, [claimed(report=report, slots=0, offers=offers)])
            assert bool(state_of(planned, source).dying) == dies

    def test_released_keeps_its_attempt(self) -> None:
        before, source = one_ticket(3, attempt=2)
        planned = decide(before, [claimed(report=Report(released=(0, 3)), slots=0)])
        assert state_of(planned, source) == SourceState(ready=ready((0, 3, 2)))
        assert planned.board.totals == {}

    def test_a_part_of_a_ticket_is_taken_over_while_the_rest_runs(self) -> None:
        before, source = one_ticket(10)
        planned = decide(before, [claimed(report=Report(ok=(0, 3), released=(9, 10), failed={5: retry()}), slots=0)])
        ticket = planned.board.tickets["1-0"]
        assert (ticket.taken, ticket.left) == ((0, 3, 5, 6, 9, 10), 5)
        assert state_of(planned, source).settled == 3
        assert state_of(planned, source).ready == ready((5, 6, 2), (9, 10, 1))

    def test_a_failure_says_where_it_ran_and_by_which_ticket(self) -> None:
        before, source = one_ticket(3)
        host = claimed(
            report=Report(failed={0: retry(), 2: Failed("snooze", 1.0)}), slots=0, place=Place(name="web-1:71")
        )
        planned = decide(before, [host])
        assert state_of(planned, source).failures == {0: (replace(error(), host="web-1:71", ticket="1-0"),)}
        long = claimed(report=Report(failed={0: retry()}), slots=0, place=Place(name="w" * 200))
        ((failure,),) = state_of(decide(before, [long]), source).failures.values()
        assert len(failure.host) == 60

    def test_what_was_taken_over_is_not_taken_over_again(self) -> None:
        before, _ = one_ticket(10)
        report = Report(ok=(0, 3), failed={5: retry()})
        host = claimed(report=report, slots=0)
        after = decide(before, [host]).board
        again = decide(after, [host])
        assert not again.changed
        assert again.board is after

    def test_more_of_it_is_taken_over_when_more_is_reported(self) -> None:
        before, source = one_ticket(10)
        after = decide(before, [claimed(report=Report(ok=(0, 3)), slots=0)]).board
        planned = decide(after, [claimed(report=Report(ok=(0, 10)), slots=0)])
        assert planned.settled == [Settled("1-0", source, 3, 10, 1, "done")]
        assert planned.board.totals == {"q": Totals(done=10)}
        assert planned.board.tickets == {}

    def test_offsets_count_through_all_parts_of_a_ticket(self) -> None:
        one, other = path(1, 4), path(2, 4)
        ticket = Ticket("h1", (Part(one, 2, 4, 1), Part(other, 0, 3, 2)))
        before = board({"1-0": ticket}, {one: SourceState(settled=2), other: SourceState(settled=1)})
        planned = decide(before, [claimed(report=Report(ok=(1, 4), failed={4: retry(2)}), slots=0)])
        assert state_of(planned, one) == SourceState(settled=3)
        assert state_of(planned, other) == SourceState(
            settled=3, ready=ready((2, 3, 3)), failures={2: (ran(error(2)),)}
        )
        assert planned.board.tickets["1-0"].taken == (1, 5)

    def test_a_living_session_that_says_nothing_keeps_its_tickets(self) -> None:
        before, _ = one_ticket(3)
        assert not decide(before, [claimed(slots=0)]).changed
        assert not decide(before, [ledger(slots=0)]).changed

    def test_a_session_that_was_not_heard_keeps_its_tickets(self) -> None:
        before, _ = one_ticket(3)
        assert not decide(before).changed

    def test_what_a_ledger_says_of_a_ticket_it_does_not_claim_is_not_read(self) -> None:
        before, _ = one_ticket(3)
        assert not decide(before, [ledger(slots=0, reports={"1-0": Report(ok=(0, 3))})]).changed

    def test_what_a_ledger_says_of_a_ticket_that_is_off_the_board_is_not_read(self) -> None:
        source = path(1, 3)
        before = board(states={source: SourceState(settled=3)})
        assert not decide(before, [claimed("1-9", Report(ok=(0, 3)), slots=0)]).changed

    def test_what_one_session_says_of_the_ticket_of_another_is_not_read(self) -> None:
        before, _ = one_ticket(3)
        assert not decide(before, [claimed(report=Report(ok=(0, 3)), session="h2", slots=0)]).changed

    def test_a_ledger_that_gives_a_message_two_outcomes_is_believed_once(self) -> None:
        before, source = one_ticket(4)
        report = Report(ok=(0, 2), released=(1, 3), failed={1: retry(), 2: retry()})
        planned = decide(before, [claimed(report=report, slots=0)])
        assert state_of(planned, source).settled == 2
        assert state_of(planned, source).ready == ready((2, 3, 1))
        assert planned.board.tickets["1-0"].left == 1

    def test_outcomes_of_messages_that_a_ticket_does_not_have_do_not_end_it(self) -> None:
        before, source = one_ticket(2)
        planned = decide(before, [claimed(report=Report(ok=(1, 2), released=(5, 6), failed={7: retry()}), slots=0)])
        assert planned.board.tickets["1-0"].taken == (1, 2)
        assert state_of(planned, source) == SourceState(settled=1)


class TestSessionsThatAreOver:
    @pytest.mark.parametrize("end", [{"fenced": True}, {"left": True}])
    def test_what_it_claimed_and_did_not_report_counts_an_attempt(self, end: dict[str, bool]) -> None:
        before, source = one_ticket(3)
        planned = decide(before, [claimed(report=Report(ok=(0, 1)), **end)])
        assert planned.board.tickets == {}
        assert state_of(planned, source).settled == 1
        assert state_of(planned, source).ready == ready((1, 3, 2))
        assert state_of(planned, source).failures == {1: (LOST,), 2: (LOST,)}
        assert planned.board.totals == {"q": Totals(done=1, failed=2)}

    @pytest.mark.parametrize("end", [{"fenced": True}, {"left": True}])
    def test_what_it_never_claimed_was_never_started_and_keeps_its_attempt(self, end: dict[str, bool]) -> None:
        before, source = one_ticket(3, attempt=2)
        planned = decide(before, [ledger(**end)])
        assert planned.board.tickets == {}
        assert state_of(planned, source) == SourceState(ready=ready((0, 3, 2)))

    def test_what_it_released_before_costs_nothing(self) -> None:
        before, source = one_ticket(3)
        planned = decide(before, [claimed(report=Report(released=(0, 3)), left=True)])
        assert state_of(planned, source) == SourceState(ready=ready((0, 3, 1)))

    def test_a_lost_message_on_its_last_attempt_is_dying(self) -> None:
        before, source = one_ticket(attempt=3)
        planned = decide(before, [claimed(fenced=True)])
        assert state_of(planned, source).dying == (0,)
        assert planned.settled == [Settled("1-0", source, 0, 1, 3, "dead")]

    def test_without_an_offer_the_maximum_of_the_settings_holds(self) -> None:
        for attempt, dies in ((1, False), (2, True)):
            before, source = one_ticket(attempt=attempt)
            planned = decide(before, [claimed(fenced=True, offers={})], settings=Settings(max_attempts=2))
            assert bool(state_of(planned, source).dying) == dies

    def test_a_message_whose_host_was_lost_goes_alone_and_its_neighbours_together(self) -> None:
        before, source = one_ticket(3)
        host = claimed(report=Report(ok=(0, 1), released=(2, 3)), fenced=True)
        planned = decide(before, [host, ledger("h2")])
        assert parts(planned) == {"h2": [(Part(source, 1, 2, 2),), (Part(source, 2, 3, 1),)]}

    @pytest.mark.parametrize("cause", ["killed", "exited", "oom", "time_limit", "lost"])
    def test_a_message_that_ended_a_process_goes_alone(self, cause: str) -> None:
        source = path(1, 5)
        failures = {2: (Failure(1, cause),)}
        planned = decide(
            board(states={source: SourceState(ready=ready((0, 5, 1)), failures=failures)}), [ledger(slots=5)]
        )
        assert parts(planned) == {
            "h1": [(Part(source, 2, 3, 1),), (Part(source, 0, 2, 1), Part(source, 3, 5, 1))],
        }

    def test_a_message_that_merely_failed_goes_with_others(self) -> None:
        source = path(1, 5)
        state = SourceState(ready=ready((0, 5, 2)), failures={2: (error(),)})
        assert parts(decide(board(states={source: state}), [ledger(slots=5)])) == {"h1": [(Part(source, 0, 5, 2),)]}
