"""What the coordinator decides. `plan` is pure: boards in, a board out."""

import pytest
from msgspec.structs import replace

from s3queue.core.plan import Planned, Settings, Settled, capacity, share_out
from s3queue.core.records import Failed, Failure, Offer, Part, Ready, Report, SourceState, Ticket, Totals, Waiting
from tests.core.world import (
    NOW_MS,
    assigned,
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

LOST = Failure(1, "lost", "its host fell silent or died", NOW_MS)


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
        assert state_of(planned, source).failures == {0: (error(),)}
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
        assert state_of(planned, source) == SourceState(dying=(0,), failures={0: (error(),)})
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
        assert state_of(planned, other) == SourceState(settled=3, ready=ready((2, 3, 3)), failures={2: (error(2),)})
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


class TestWaiting:
    def test_what_is_due_becomes_ready_and_the_rest_says_when(self) -> None:
        source = path(1, 3)
        waiting = (Waiting(0, 2, NOW_MS), Waiting(1, 2, NOW_MS + 1), Waiting(2, 3, NOW_MS + 9))
        planned = decide(board(states={source: SourceState(waiting=waiting)}))
        assert state_of(planned, source) == SourceState(ready=ready((0, 1, 2)), waiting=waiting[1:])
        assert planned.next_due_ms == NOW_MS + 1

    def test_nothing_due_changes_nothing(self) -> None:
        source = path(1)
        planned = decide(board(states={source: SourceState(waiting=(Waiting(0, 2, NOW_MS + 5),))}), [ledger()])
        assert not planned.changed
        assert planned.next_due_ms == NOW_MS + 5

    def test_while_more_than_max_parked_wait_nothing_new_starts_and_retries_go_on(self) -> None:
        source = path(1, 4)
        for parked, fresh in ((2, True), (3, False)):
            waiting = tuple(Waiting(index, 2, NOW_MS + 9) for index in range(parked))
            state = SourceState(ready=ready((3, 4, 2)), waiting=waiting, settled=3 - parked)
            planned = decide(board(states={source: state}), [ledger()], [path(2)], settings=Settings(max_parked=2))
            assert (path(2) in planned.board.sources) == fresh
            assert Part(source, 3, 4, 2) in parts(planned)["h1"][0]

    def test_another_queue_is_not_held_up_by_what_is_parked(self) -> None:
        waiting = (Waiting(0, 2, NOW_MS + 9),)
        before = board(states={path(1): SourceState(waiting=waiting)})
        host = ledger(offers={"q": Offer(), "r": Offer()})
        planned = decide(before, [host], [path(2), path(3, queue="r")], settings=Settings(max_parked=0))
        assert set(planned.board.sources) == {path(1), path(3, queue="r")}


class TestBuriedAndRetired:
    def test_a_message_whose_letter_is_stored_is_settled(self) -> None:
        source = path(1, 2)
        state = SourceState(settled=1, dying=(1,), failures={1: (error(),)})
        planned = decide(board(states={source: state}), buried={(source, 1)})
        assert state_of(planned, source) == SourceState(settled=2)

    def test_a_letter_of_a_message_that_is_not_dying_here_means_nothing(self) -> None:
        before = board(states={path(1): SourceState(ready=ready((0, 1, 1)))})
        assert not decide(before, buried={(path(1), 0), (path(2), 0)}).changed

    def test_a_retired_source_leaves_the_board_and_is_not_admitted_by_the_listing_it_is_still_in(self) -> None:
        before = board(states={path(1): SourceState(settled=1)})
        planned = decide(before, [ledger()], [path(1)], retired=[path(1), path(7)])
        assert planned.changed
        assert planned.board.sources == {}
        assert planned.refused == []

    def test_a_batch_in_the_window_is_refused_and_never_admitted(self) -> None:
        planned = decide(board(), [ledger()], [path(1), path(2)], window={"0000000000001-1"})
        assert planned.refused == [path(1)]
        assert set(planned.board.sources) == {path(2)}

    def test_a_late_request_is_refused_though_nobody_serves_its_queue(self) -> None:
        assert decide(board(), [], [path(1)], window={"0000000000001-1"}).refused == [path(1)]

    def test_a_batch_on_the_board_is_never_admitted_again(self) -> None:
        before = board(states={path(1): SourceState(settled=1)})
        planned = decide(before, [ledger()], [path(1)])
        assert not planned.changed


class TestOrder:
    def test_first_in_first_out_and_a_retry_before_what_came_after_it(self) -> None:
        before = board(states={path(2): SourceState(ready=ready((0, 1, 2)))})
        planned = decide(before, [ledger(slots=3)], [path(3), path(1), path(4)])
        assert parts(planned) == {"h1": [(Part(path(1), 0, 1, 1), Part(path(2), 0, 1, 2), Part(path(3), 0, 1, 1))]}

    def test_last_in_first_out(self) -> None:
        paths = [path(order, newest_first=True) for order in (1, 2, 3)]
        planned = decide(board(), [ledger(slots=2)], sorted(paths))
        assert parts(planned) == {"h1": [(Part(paths[2], 0, 1, 1), Part(paths[1], 0, 1, 1))]}

    def test_priority_goes_before_age(self) -> None:
        urgent, old = path(9, priority=0), path(1, priority=9)
        planned = decide(board(), [ledger(slots=1)], [old, urgent])
        assert parts(planned) == {"h1": [(Part(urgent, 0, 1, 1),)]}

    def test_what_was_scheduled_takes_its_place_by_when_it_was_sent(self) -> None:
        due = path(1, due_ms=NOW_MS)
        planned = decide(board(), [ledger(slots=1)], [path(2), due])
        assert parts(planned) == {"h1": [(Part(due, 0, 1, 1),)]}

    def test_a_big_batch_is_sliced_and_small_ones_are_merged(self) -> None:
        big, small = path(1, 10), [path(n) for n in (2, 3, 4)]
        planned = decide(board(), [ledger(slots=8)], [big, *small])
        assert parts(planned) == {"h1": [(Part(big, 0, 8, 1),)]}
        assert planned.board.sources == {big: SourceState(ready=ready((8, 10, 1)))}
        assert planned.assigned == 8
        after = decide(planned.board, [ledger(slots=8), ledger("h2", slots=8)], small)
        assert parts(after)["h2"] == [(Part(big, 8, 10, 1), *(Part(one, 0, 1, 1) for one in small))]

    def test_messages_of_different_attempts_are_different_parts(self) -> None:
        before = board(states={path(1, 4): SourceState(ready=ready((0, 2, 1), (2, 4, 2)))})
        assert parts(decide(before, [ledger()])) == {"h1": [(Part(path(1, 4), 0, 2, 1), Part(path(1, 4), 2, 4, 2))]}

    def test_tickets_are_numbered_on_and_an_epoch_names_them(self) -> None:
        planned = decide(board(epoch=7, sequence=5), [ledger("h1", 1), ledger("h2", 1)], [path(1, 9)])
        assert set(planned.board.tickets) == {"7-5", "7-6"}
        assert planned.board.sequence == 7

    def test_a_ticket_has_a_bounded_number_of_parts(self) -> None:
        listed = [path(n) for n in range(10)]
        planned = decide(board(), [ledger(slots=10)], listed, settings=Settings(max_parts=3))
        assert sorted(len(ticket.parts) for ticket in planned.board.tickets.values()) == [1, 3, 3, 3]
        assert assigned(planned) == {"h1": 10}

    def test_the_ranges_of_a_host_are_bounded_however_many_tickets_they_are_in(self) -> None:
        listed = [path(n) for n in range(10)]
        settings = Settings(max_parts=2, max_ranges=5)
        planned = decide(board(), [ledger(slots=10)], listed, settings=settings)
        assert assigned(planned) == {"h1": 5}
        again = decide(planned.board, [ledger(slots=10)], listed, settings=settings)
        assert assigned(again) == {"h1": 5}

    def test_the_order_of_ledgers_and_of_the_listing_does_not_matter(self) -> None:
        hosts = [ledger(f"h{n}", slots=2, offers={"q": Offer(), "r": Offer()}) for n in range(5)]
        listed = [path(n, 3, queue=queue) for n in range(5) for queue in "qr"]
        one = decide(board(), hosts, listed)
        assert decide(board(), hosts[::-1], listed[::-1]) == one


class TestGroups:
    def test_one_message_at_a_time_in_order_and_alone(self) -> None:
        first, second, free = path(1, 3, group="g"), path(2, group="g"), path(3)
        host = ledger(slots=9)
        planned = decide(board(), [host], [second, first, free])
        assert parts(planned) == {"h1": [(Part(first, 0, 1, 1),), (Part(free, 0, 1, 1),)]}

        for index, then in ((1, Part(first, 1, 2, 1)), (2, Part(first, 2, 3, 1)), (3, Part(second, 0, 1, 1))):
            assert not decide(planned.board, [host], [second]).assigned  # none while one is out
            (name,) = (n for n, ticket in planned.board.tickets.items() if ticket.parts[0].source != free)
            host = claimed(name, Report(ok=(0, 1)), slots=9)
            planned = decide(planned.board, [host], [second])
            assert planned.board.sources[first].settled == index
            assert (then,) in parts(planned)["h1"]

    def test_none_while_one_of_it_waits_for_a_retry(self) -> None:
        before = board(states={path(1, group="g"): SourceState(waiting=(Waiting(0, 2, NOW_MS + 9),))})
        planned = decide(before, [ledger()], [path(2, group="g"), path(3, group="h")])
        assert parts(planned) == {"h1": [(Part(path(3, group="h"), 0, 1, 1),)]}

    def test_a_retry_that_fails_in_this_very_plan_holds_the_group_up(self) -> None:
        source = path(1, group="g")
        before = board({"1-0": Ticket("h1", (Part(source, 0, 1, 1),))}, {source: SourceState()})
        host = claimed(report=Report(failed={0: retry(delay_s=5)}))
        assert not decide(before, [host], [path(2, group="g")]).assigned

    def test_a_message_that_is_dead_does_not_hold_the_group_up(self) -> None:
        source = path(1, group="g")
        before = board({"1-0": Ticket("h1", (Part(source, 0, 1, 3),))}, {source: SourceState()})
        planned = decide(before, [claimed(report=Report(failed={0: retry(3)}))], [path(2, group="g")])
        assert parts(planned) == {"h1": [(Part(path(2, group="g"), 0, 1, 1),)]}

    def test_one_that_was_given_back_goes_before_later_ones(self) -> None:
        before = board(states={path(1, group="g"): SourceState(ready=ready((0, 1, 2)))})
        planned = decide(before, [ledger()], [path(2, group="g")])
        assert parts(planned) == {"h1": [(Part(path(1, group="g"), 0, 1, 2),)]}

    def test_groups_of_one_name_in_two_queues_are_two(self) -> None:
        host = ledger(offers={"q": Offer(), "r": Offer()})
        planned = decide(board(), [host], [path(1, group="g"), path(2, queue="r", group="g")])
        assert len(parts(planned)["h1"]) == 2

    def test_a_thousand_batches_of_one_group_hold_nobody_up(self) -> None:
        listed = [path(n, group="g") for n in range(1000)] + [path(n) for n in range(1000, 1004)]
        assert assigned(decide(board(), [ledger(slots=5)], listed)) == {"h1": 5}


class TestHosts:
    def test_draining_over_and_unheard_hosts_get_nothing(self) -> None:
        hosts = [ledger("h1", 0), ledger("h2", left=True), ledger("h3", fenced=True), ledger("h4", offers={})]
        assert not decide(board(), hosts, [path(1)]).changed

    def test_a_batch_of_a_queue_that_nobody_serves_stays_in_the_bucket(self) -> None:
        planned = decide(board(), [ledger()], [path(1, queue="other")])
        assert not planned.changed

    def test_ready_messages_of_a_queue_that_nobody_serves_wait_on_the_board(self) -> None:
        before = board(states={path(1, queue="other"): SourceState(ready=ready((0, 1, 1)))})
        assert not decide(before, [ledger()]).changed

    def test_every_idle_slot_gets_a_message_before_any_host_gets_more(self) -> None:
        fast = {"q": Offer(mean_s=0.001)}
        hosts = [ledger("h1", 1, offers=fast), ledger("h2", 3, offers=fast), ledger("h3", 2, offers=fast)]
        assert assigned(decide(board(), hosts, [path(1, 6)])) == {"h1": 1, "h2": 3, "h3": 2}

    def test_beyond_that_in_proportion_to_what_they_can_hold(self) -> None:
        hosts = [ledger("h1", 1, offers={"q": Offer(mean_s=0.1)}), ledger("h2", 3, offers={"q": Offer(mean_s=0.1)})]
        assert assigned(decide(board(), hosts, [path(1, 1000)])) == {"h1": 11, "h2": 33}

    def test_one_message_for_each_slot_while_nothing_was_measured(self) -> None:
        assert assigned(decide(board(), [ledger(slots=4)], [path(1, 1000)])) == {"h1": 4}

    def test_a_host_is_filled_up_and_not_over(self) -> None:
        before, _ = one_ticket(3)
        planned = decide(before, [claimed(slots=4)], [path(9, 100)])
        assert assigned(planned) == {"h1": 4}

    def test_what_was_taken_over_makes_room(self) -> None:
        before, _ = one_ticket(4)
        planned = decide(before, [claimed(report=Report(ok=(0, 3)), slots=4)], [path(9, 100)])
        assert planned.assigned == 3

    def test_a_host_with_a_queue_of_long_tasks_still_gets_one_for_each_idle_slot(self) -> None:
        host = ledger(slots=3, offers={"q": Offer(mean_s=3600.0)})
        assert assigned(decide(board(), [host], [path(1, 100)])) == {"h1": 4}

    def test_room_says_how_many_more_could_have_been_given(self) -> None:
        assert decide(board(), [ledger(slots=4)], [path(1)]).room == {"q": 3}


class TestQueues:
    OFFERS = {"a": Offer(), "b": Offer(), "c": Offer()}  # noqa: RUF012

    def by_queue(self, planned: Planned) -> dict[str, int]:
        counts: dict[str, int] = {}
        for ticket in planned.board.tickets.values():
            counts[ticket.queue] = counts.get(ticket.queue, 0) + ticket.size
        return counts

    def test_queues_share_the_idle_slots_of_a_host(self) -> None:
        listed = [path(n, 100, queue=queue) for n, queue in enumerate("abc")]
        for turn in range(1, 20):
            planned = decide(board(turn=turn), [ledger(slots=6, offers=self.OFFERS)], listed)
            assert self.by_queue(planned) == {"a": 2, "b": 2, "c": 2}

    def test_queues_share_what_lies_before_the_slots(self) -> None:
        offers = dict.fromkeys("ab", Offer(mean_s=0.1))
        listed = [path(n, 1000, queue=queue) for n, queue in enumerate("ab")]
        planned = decide(board(), [ledger(slots=10, offers=offers)], listed)
        assert self.by_queue(planned) == {"a": 55, "b": 55}

    def test_what_one_queue_does_not_need_goes_to_the_others(self) -> None:
        listed = [path(1, queue="a"), path(2, 100, queue="b")]
        for turn in range(1, 20):
            planned = decide(board(turn=turn), [ledger(slots=6, offers=self.OFFERS)], listed)
            assert self.by_queue(planned) == {"a": 1, "b": 5}

    @pytest.mark.parametrize("writes", range(1, 13))
    def test_on_one_slot_queues_take_turns_whatever_the_rhythm_of_the_boards_writes(self, writes: int) -> None:
        listed = [path(n, 100, queue=queue) for n, queue in enumerate("abc")]
        first = [
            next(iter(self.by_queue(decide(board(turn=turn), [ledger(slots=1, offers=self.OFFERS)], listed))))
            for turn in range(1, 1 + 60 * writes, writes)
        ]
        assert all(15 <= first.count(queue) <= 25 for queue in "abc")

    def test_each_host_is_given_only_what_it_serves(self) -> None:
        hosts = [ledger("h1", 2, offers={"a": Offer()}), ledger("h2", 2, offers={"b": Offer()})]
        planned = decide(board(), hosts, [path(n, 9, queue=queue) for n, queue in enumerate("abc")])
        assert {ticket.session: ticket.queue for ticket in planned.board.tickets.values()} == {"h1": "a", "h2": "b"}

    def test_a_group_that_cannot_go_on_does_not_take_the_share_of_others(self) -> None:
        stuck = path(1, queue="a", group="g")
        before = board(states={stuck: SourceState(waiting=(Waiting(0, 2, NOW_MS + 9),))})
        listed = [path(2, queue="a", group="g"), path(3, 100, queue="b")]
        for turn in range(1, 20):
            planned = decide(replace(before, turn=turn), [ledger(slots=6, offers=self.OFFERS)], listed)
            assert self.by_queue(planned) == {"b": 6}


class TestCapacity:
    @pytest.mark.parametrize(
        ("slots", "mean_s", "expected"),
        [(4, 0.0, 4), (4, 0.1, 44), (4, 10.0, 5), (4, 1e-9, 10_000), (20_000, 1e-9, 20_000), (1, 1.0, 2)],
    )
    def test_one_for_each_slot_and_a_second_of_work_behind_them(self, slots: int, mean_s: float, expected: int) -> None:
        assert capacity(slots, mean_s, Settings()) == expected


class TestRoom:
    """How far the next survey looks depends on it."""

    def test_queue_whose_hosts_are_full_has_none_and_is_still_one_of_them(self) -> None:
        planned = decide(board(), [ledger(slots=2)], [path(n) for n in range(9)])
        assert planned.room == {"q": 0}

    def test_it_is_no_more_than_hosts_may_hold_one_by_one(self) -> None:
        planned = decide(board(), [ledger(slots=20)], [path(1)], settings=Settings(max_ranges=5))
        assert planned.room == {"q": 4}


class TestShareOut:
    @pytest.mark.parametrize(
        ("total", "hosts", "expected"),
        [
            (5, [], []),
            (0, [(1, 1), (2, 9)], [0, 0]),
            (2, [(4, 4), (4, 4)], [1, 1]),
            (1, [(4, 4), (4, 4)], [1, 0]),
            (3, [(1, 9), (5, 9)], [0, 3]),
            (100, [(1, 9), (5, 9)], [9, 9]),
            (10, [(0, 0), (0, 0)], [0, 0]),
            (10, [(2, 2), (0, 8)], [2, 8]),
            (7, [(2, 4), (2, 8)], [2, 5]),
        ],
    )
    def test_idle_slots_first_then_in_proportion(
        self, total: int, hosts: list[tuple[int, int]], expected: list[int]
    ) -> None:
        assert share_out(total, hosts) == expected


class TestNothing:
    def test_a_plan_that_decides_nothing_is_the_board_itself(self) -> None:
        before = board(states={path(1): SourceState(settled=1), path(2): SourceState(ready=(Ready(0, 1, 1),))})
        planned = decide(before, [ledger(offers={"other": Offer()})])
        assert planned.board is before
        assert not planned.changed

    def test_the_board_that_a_plan_is_made_from_is_not_touched(self) -> None:
        before, _ = one_ticket(3)
        copy = repr(before)
        decide(before, [claimed(report=Report(ok=(0, 1)), fenced=True), ledger("h2")], [path(5)])
        assert repr(before) == copy
