"""Who gets what, and in which order."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from s3queue.core.plan import Planned, Settings
from s3queue.core.plan.hosts import Host
from s3queue.core.records import Offer, Part, Report, SourceState, Ticket, Waiting
from tests.core.world import (
    NOW_MS,
    assigned,
    board,
    claimed,
    decide,
    ledger,
    one_ticket,
    parts,
    path,
    ready,
    retry,
)


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


class TestRoom:
    """How far the next survey looks depends on it."""

    def test_queue_whose_hosts_are_full_has_none_and_is_still_one_of_them(self) -> None:
        planned = decide(board(), [ledger(slots=2)], [path(n) for n in range(9)])
        assert planned.room == {"q": 0}

    def test_it_is_no_more_than_hosts_may_hold_one_by_one(self) -> None:
        planned = decide(board(), [ledger(slots=20)], [path(1)], settings=Settings(max_ranges=5))
        assert planned.room == {"q": 4}


class TestTurns:
    """However small the share of a queue is, it is served."""

    def served(self, offers: dict[str, Offer], slots: int, cycles: int, done: int) -> dict[str, int]:
        """By queue, the first cycle in which it is given a message. So many messages end in each cycle."""
        listed = [path(n, 1000, queue=queue) for n, queue in enumerate(offers)]
        now = board(sequence=0)
        first: dict[str, int] = {}
        host = ledger(slots=slots, offers=offers)
        for cycle in range(cycles):
            names = sorted(now.tickets, key=lambda name: now.tickets[name].queue)
            reports, left = {}, done
            for name in names:
                ticket = now.tickets[name]
                many = min(left, ticket.left)
                left -= many
                at = ticket.taken[-1] if ticket.taken else 0
                if many:
                    reports[name] = Report(ok=(at, at + many))
            host = ledger(slots=slots, offers=offers, claims=tuple(names), reports=reports)
            now = replace(decide(now, [host], listed).board, turn=now.turn + 1)
            for ticket in now.tickets.values():
                first.setdefault(ticket.queue, cycle)
        return first

    @pytest.mark.parametrize("mean_s", [0.0, 1.0, 30.0])
    def test_a_queue_whose_share_of_what_is_freed_is_below_one_message(self, mean_s: float) -> None:
        big = {"big": Offer(mean_s=0.02)}
        full = decide(board(), [ledger(slots=2, offers=big)], [path(1, 1000, queue="big")]).board
        (name,) = full.tickets
        report = Report(ok=(0, 1))
        offers = big | {"small": Offer(mean_s=mean_s)}
        host = ledger(slots=2, offers=offers, claims=(name,), reports={name: report})
        for turn in range(1, 20):
            planned = decide(replace(full, turn=turn), [host], [path(2, 5, queue="small")])
            assert "small" in {ticket.queue for ticket in planned.board.tickets.values()}

    @pytest.mark.parametrize("many", [2, 5, 20])
    def test_every_queue_is_served_within_three_writes_for_each(self, many: int) -> None:
        offers = {f"q{n:02}": Offer(mean_s=0.02 if n == 0 else 1.0) for n in range(many)}
        first = self.served(offers, slots=2, cycles=3 * many + 3, done=1)
        assert first.keys() == offers.keys()

    def test_a_queue_of_which_the_host_holds_something_does_not_overfill_it(self) -> None:
        offers = {"a": Offer(mean_s=30.0), "b": Offer(mean_s=30.0)}
        listed = [path(n, 100, queue=queue) for n, queue in enumerate("ab")]
        planned = decide(board(), [ledger(slots=2, offers=offers)], listed)
        for _ in range(5):
            planned = decide(planned.board, [ledger(slots=2, offers=offers)], listed)
        assert sum(ticket.size for ticket in planned.board.tickets.values()) <= 4


class TestCost:
    """Counted, not timed."""

    @pytest.mark.parametrize("listed", [0, 1000])
    def test_a_plan_for_many_queues_and_hosts_does_not_look_at_every_pair(
        self, listed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queues = [f"q{n}" for n in range(1000)]
        offers = {queue: Offer(mean_s=0.02) for queue in queues}
        hosts = [ledger(f"h{n}", offers=offers) for n in range(300)]
        looks: Counter[str] = Counter()
        for name in ("room", "capacity"):
            original = getattr(Host, name)

            def counted(*args: Any, _name: str = name, _original: Any = original) -> Any:
                looks[_name] += 1
                return _original(*args)

            monkeypatch.setattr(Host, name, counted)
        planned = decide(board(), hosts, [path(n, queue=queue) for n, queue in enumerate(queues[:listed])])
        assert planned.assigned == listed
        assert sum(looks.values()) <= 30 * (len(queues) + len(hosts) + listed)
