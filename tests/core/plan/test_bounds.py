"""Queues with limits, turns between keys, rates, a breaker, and messages that expire."""

from __future__ import annotations

from typing import TypeVar

import pytest
from msgspec.structs import replace

from s3queue.core.keys import parse_source
from s3queue.core.plan import Planned
from s3queue.core.plan.rules import BURST_S, KEPT_MS, reached
from s3queue.core.records import Allowed, Board, Breaker, Bucket, Failed, Fuse, Ledger, Limit, Limits, Report
from tests.core.world import NOW_MS, SETTINGS, board, decide, ledger, path, retry

T = TypeVar("T")


def several(*them: T) -> tuple[T, ...]:
    return them


def host(session: str = "h1", slots: int = 4, limits: Limits | None = None, **fields: object) -> Ledger:
    return ledger(session, slots, limits={} if limits is None else {"q": limits}, **fields)


def keys_of(planned: Planned) -> dict[str, int]:
    """Of the tickets of a board, how many messages of each key."""
    found: dict[str, int] = {}
    for ticket in planned.board.tickets.values():
        for part in ticket.parts:
            key = parse_source(part.source).key
            found[key] = found.get(key, 0) + part.stop - part.start
    return found


def places(stood: Board) -> int:
    return sum(one.at_once for one in stood.allowed.values())


def claim(stood: Board, session: str = "h1", reports: dict[str, Report] | None = None, **fields: object) -> Ledger:
    mine = tuple(name for name, ticket in stood.tickets.items() if ticket.session == session)
    return host(session, claims=mine, reports=reports or {}, **fields)  # type: ignore[arg-type]


class TestMaxRunning:
    limits = Limits(Limit(max_running=3))

    def test_tickets_of_all_hosts_together_allow_no_more_than_the_limit(self) -> None:
        ledgers = several(host("h1", limits=self.limits), host("h2", limits=self.limits))
        planned = decide(board(), ledgers, several(path(1, 100)))
        assert places(planned.board) == 3
        assert set(planned.board.allowed) == set(planned.board.tickets)

    def test_a_queue_without_a_limit_costs_the_board_nothing(self) -> None:
        planned = decide(board(), several(host()), several(path(1, 100)))
        assert planned.board.allowed == {}
        assert planned.board.buckets == {}

    def test_a_place_keeps_its_host_while_that_has_messages_for_it(self) -> None:
        limits = Limits(Limit(max_running=1))
        fast = {"q": replace(ledger().offers["q"], mean_s=0.1)}
        first = decide(board(), several(host(limits=limits)), several(path(1, 100))).board
        (name,) = first.tickets
        second = decide(first, several(claim(first, limits=limits, offers=fast))).board
        assert places(second) == 1
        assert sum(ticket.left for ticket in second.tickets.values()) > 1
        done = {name: Report(ok=(0, 1))}
        third = decide(second, several(claim(second, limits=limits, offers=fast, reports=done))).board
        assert name not in third.tickets
        assert places(third) == 1

    def test_a_place_is_free_once_the_board_has_taken_over_what_ran_there(self) -> None:
        limits = Limits(Limit(max_running=1))
        ledgers = several(host("h1", limits=limits))
        first = decide(board(), ledgers, several(path(1), path(2))).board
        assert len(first.tickets) == 1
        (name,) = first.tickets
        assert len(decide(first, several(claim(first, limits=limits))).board.tickets) == 1
        done = {name: Report(ok=(0, 1))}
        then = decide(first, several(claim(first, limits=limits, reports=done)), several(path(2))).board
        assert [ticket.parts[0].source for ticket in then.tickets.values()] == [path(2)]

    def test_a_lower_limit_gives_out_nothing_until_enough_has_ended(self) -> None:
        first = decide(board(), several(host(limits=self.limits)), several(path(1, 100))).board
        assert places(first) == 3
        lower = Limits(Limit(max_running=1))
        then = decide(first, several(claim(first, limits=lower)), several(path(1, 100))).board
        assert then.tickets == first.tickets
        assert places(then) == 3

    def test_messages_assigned_before_there_was_a_limit_count_to_it(self) -> None:
        first = decide(board(), several(host()), several(path(1, 100))).board
        assert first.allowed == {}
        then = decide(first, several(claim(first, limits=self.limits))).board
        assert then.tickets == first.tickets

    def test_what_an_operator_sets_holds_instead_of_what_hosts_declare(self) -> None:
        from s3queue.core.records import Control

        control = Control("n", 1, limits={"q": Limits(Limit(max_running=2))})
        planned = decide(board(), several(host(limits=self.limits)), several(path(1, 100)), control=control)
        assert places(planned.board) == 2

    def test_two_releases_are_held_to_the_lower_limit(self) -> None:
        ledgers = several(host("h1", limits=self.limits), host("h2", limits=Limits(Limit(max_running=2))))
        assert places(decide(board(), ledgers, several(path(1, 100))).board) == 2

    def test_each_key_has_a_limit_of_its_own(self) -> None:
        limits = Limits(each=Limit(max_running=1), keys={"b": Limit(max_running=2)})
        seen = several(path(1, 9, key="a"), path(2, 9, key="b"), path(3, 9))
        planned = decide(board(), several(host(limits=limits, slots=8)), seen)
        by_key: dict[str, int] = {}
        for one in planned.board.allowed.values():
            by_key[one.key] = by_key.get(one.key, 0) + one.at_once
        assert by_key == {"a": 1, "b": 2}
        assert keys_of(planned)[""] == 5

    def test_a_key_at_its_limit_holds_up_no_other(self) -> None:
        limits = Limits(each=Limit(max_running=1))
        first = decide(board(), several(host(limits=limits)), several(path(1, 50, key="a"))).board
        then = decide(first, several(claim(first, limits=limits)), several(path(2, key="b")))
        assert keys_of(then) == {"a": 1, "b": 1}

    def test_a_group_keeps_its_order_within_a_limit(self) -> None:
        seen = several(path(1, 5, group="g"))
        planned = decide(board(), several(host(limits=self.limits)), seen)
        assert list(planned.board.allowed.values()) == [Allowed("", 1)]


class TestTurns:
    fair = Limits(fair=True)

    def test_each_key_gets_its_turn_however_many_are_in_front(self) -> None:
        seen = several(path(1, 100, key="a"), path(2, 100, key="a"), *(path(n, key=f"t{n}") for n in range(3, 6)))
        planned = decide(board(), several(host(limits=self.fair)), seen)
        assert keys_of(planned) == {"a": 1, "t3": 1, "t4": 1, "t5": 1}

    def test_without_turns_the_first_goes_first(self) -> None:
        seen = several(path(1, 100, key="a"), path(2, key="b"))
        assert keys_of(decide(board(), several(host()), seen)) == {"a": 4}

    def test_a_weight_is_so_many_messages_in_a_turn(self) -> None:
        limits = Limits(fair=True, weights={"b": 3})
        seen = several(path(1, 100, key="a"), path(2, 100, key="b"))
        assert keys_of(decide(board(), several(host(limits=limits, slots=8)), seen)) == {"a": 2, "b": 6}

    def test_turns_go_on_behind_the_key_that_was_served_last(self) -> None:
        seen = several(*(path(n, 9, key=key) for n, key in enumerate("abcdef", 1)))
        first = decide(board(), several(host(limits=self.fair)), seen)
        assert first.turns == {"q": "e"}
        second = decide(board(), several(host(limits=self.fair, slots=1)), seen, turns={"q": "d"})
        assert keys_of(second) == {"e": 1, "f": 1}

    def test_what_lies_side_by_side_is_one_part(self) -> None:
        seen = several(path(1, 100, key="a"), path(2, 100, key="b"))
        planned = decide(board(), several(host(limits=self.fair, slots=8)), seen)
        assert sorted(part.stop for ticket in planned.board.tickets.values() for part in ticket.parts) == [4, 4]

    def test_within_a_key_priority_is_strict(self) -> None:
        seen = several(path(1, key="a", priority=9), path(2, key="a", priority=0))
        planned = decide(board(), several(host(slots=1, limits=self.fair)), seen)
        (ticket,) = planned.board.tickets.values()
        assert parse_source(ticket.parts[0].source).priority == 0

    def test_a_key_that_comes_is_served_although_another_fills_the_hosts(self) -> None:
        fast = {"q": replace(ledger().offers["q"], mean_s=0.1)}
        first = decide(board(), several(host(limits=self.fair, offers=fast)), several(path(1, 1000, key="large"))).board
        full = decide(first, several(claim(first, limits=self.fair, offers=fast)), several(path(2, 9, key="a")))
        assert keys_of(full)["a"] == 1
        again = several(claim(full.board, limits=self.fair, offers=fast))
        assert decide(full.board, again, several(path(3, key="b"))).assigned == 1

    def test_hosts_are_not_filled_beyond_their_slots_by_keys_that_come(self) -> None:
        fast = {"q": replace(ledger().offers["q"], mean_s=0.1)}
        first = decide(board(), several(host(limits=self.fair, offers=fast)), several(path(1, 1000, key="large"))).board
        new = [path(n, key=f"t{n}") for n in range(2, 30)]
        full = decide(first, several(claim(first, limits=self.fair, offers=fast)), new)
        assert full.assigned == 4


class TestAgeing:
    def test_a_wait_counts_as_priority(self) -> None:
        seen = several(path(NOW_MS - 50_000, priority=9), path(NOW_MS, priority=5))
        (strict,) = decide(board(), several(host(slots=1)), seen).board.tickets.values()
        assert parse_source(strict.parts[0].source).priority == 5
        aged = decide(board(), several(host(slots=1, limits=Limits(ageing_s=10.0))), seen)
        (ticket,) = aged.board.tickets.values()
        assert parse_source(ticket.parts[0].source).priority == 9

    def test_a_group_keeps_its_order(self) -> None:
        seen = several(path(NOW_MS - 90_000, priority=9, group="g"), path(NOW_MS, priority=0, group="g"))
        planned = decide(board(), several(host(slots=1, limits=Limits(ageing_s=1.0))), seen)
        (ticket,) = planned.board.tickets.values()
        assert parse_source(ticket.parts[0].source).priority == 0


class TestRate:
    limits = Limits(Limit(rate=10.0))

    def at(self, stood: Board, uptime_ms: int, **fields: object) -> Planned:
        ledgers = several(claim(stood, limits=self.limits, slots=1000))
        return decide(stood, ledgers, several(path(1, 1000)), uptime_ms=uptime_ms, **fields)

    def test_no_more_is_assigned_than_the_rate_allows_however_often_it_is_asked(self) -> None:
        stood, given = board(), 0
        for step in range(101):
            planned = self.at(stood, step * 100)
            given += planned.assigned
            stood = planned.board
        assert 100 <= given <= 100 + 10 * BURST_S + 1

    def test_a_late_cycle_loses_nothing_while_messages_wait(self) -> None:
        first = self.at(board(), 0)
        assert self.at(first.board, 1000).assigned == 10

    def test_a_rest_allows_no_burst(self) -> None:
        first = self.at(board(), 0)
        assert self.at(first.board, 3_600_000).assigned <= 10 * BURST_S + 1

    def test_it_says_when_the_next_is_due(self) -> None:
        planned = self.at(board(), 0)
        assert planned.next_due_ms is not None
        assert NOW_MS < planned.next_due_ms <= NOW_MS + 200

    def test_a_key_over_its_rate_holds_up_no_other(self) -> None:
        limits = Limits(each=Limit(rate=1.0))
        seen = several(path(1, 50, key="a"), path(2, 50, key="b"))
        assert keys_of(decide(board(), several(host(limits=limits)), seen)) == {"a": 1, "b": 1}

    def test_buckets_of_a_queue_without_rates_are_forgotten_after_a_day(self) -> None:
        """A queue whose rate was taken away would leave those of all its keys on the board for ever."""
        stood = board(buckets={"q": {"a": Bucket(0.5, 1000)}, "r": {"": Bucket(0.5, KEPT_MS)}})
        early = decide(stood, several(host()), several(path(1)), uptime_ms=999 + KEPT_MS).board
        assert early.buckets == stood.buckets
        assert decide(stood, several(host()), several(path(1)), uptime_ms=1000 + KEPT_MS).board.buckets.keys() == {"r"}


class TestExpiry:
    late, soon = NOW_MS - 1, NOW_MS + 60_000

    def test_a_batch_that_expired_ends_and_is_given_to_nobody(self) -> None:
        one = path(1, 3, expires_ms=self.late)
        planned = decide(board(), several(host()), several(one, path(2)))
        assert [ticket.parts[0].source for ticket in planned.board.tickets.values()] == [path(2)]
        assert planned.board.sources[one].settled == 3
        assert planned.board.totals["q"].expired == 3

    def test_one_that_has_time_is_assigned(self) -> None:
        planned = decide(board(), several(host()), several(path(1, expires_ms=self.soon)))
        assert planned.assigned == 1

    def test_batches_wait_for_their_end_where_the_board_has_no_room_for_them(self) -> None:
        """Where nothing can be deleted, those that are over would fill it."""
        settings = SETTINGS._replace(max_board_bytes=1000)
        many = several(*(path(order, expires_ms=self.late) for order in range(1, 100)))
        planned = decide(board(), several(host()), many, settings=settings)
        assert 0 < len(planned.board.sources) < 10
        assert planned.board.full == ("board",)

    def test_what_waits_on_the_board_ends_where_it_has_not_begun(self) -> None:
        one = path(1, 3, expires_ms=self.soon)
        first = decide(board(), several(host(slots=1)), several(one)).board
        (name,) = first.tickets
        failed = several(claim(first, slots=1, reports={name: Report(failed={0: retry()})}))
        then = decide(first, failed, now_ms=self.soon + 5)
        assert then.board.totals["q"].expired == 2
        (ticket,) = then.board.tickets.values()
        assert ticket.parts[0].attempt == 2

    def test_one_that_snoozed_has_begun(self) -> None:
        one = path(1, expires_ms=self.soon)
        first = decide(board(), several(host()), several(one)).board
        (name,) = first.tickets
        snoozed = several(claim(first, reports={name: Report(failed={0: Failed("snooze", 0.0)})}))
        then = decide(first, snoozed, now_ms=self.soon + 5)
        assert then.board.totals.get("q") is None or then.board.totals["q"].expired == 0
        assert then.assigned == 1

    def test_what_its_host_found_expired_leaves_a_tombstone(self) -> None:
        first = decide(board(), several(host()), several(path(1, expires_ms=self.soon))).board
        (name,) = first.tickets
        told = several(claim(first, reports={name: Report(failed={0: Failed("expired")})}))
        state = decide(first, told).board.sources[path(1, expires_ms=self.soon)]
        assert state.dying == (0,)
        assert state.endings[0].kind == "expired"


class TestBreaker:
    limits = Limits(breaker=Breaker(3, 60.0, 10.0))

    def fail(self, stood: Board, uptime_ms: int, outcome: Failed | None = None) -> Planned:
        """Every message that is out has failed."""
        reports = {
            name: Report(failed=dict.fromkeys(range(ticket.size), outcome or retry(delay_s=99.0)))
            for name, ticket in stood.tickets.items()
        }
        ledgers = several(claim(stood, limits=self.limits, reports=reports))
        return decide(stood, ledgers, several(path(2, 50)), uptime_ms=uptime_ms)

    def opened(self) -> Board:
        first = decide(board(), several(host(limits=self.limits)), several(path(1, 4)), uptime_ms=1000).board
        return self.fail(first, 2000).board

    def look(self, stood: Board, uptime_ms: int) -> Planned:
        ledgers = several(claim(stood, limits=self.limits))
        return decide(stood, ledgers, several(path(2, 50)), uptime_ms=uptime_ms)

    def test_failures_hold_the_queue(self) -> None:
        stood = self.opened()
        assert not stood.tickets
        assert not self.look(stood, 11_000).board.tickets

    def test_fewer_failures_do_not(self) -> None:
        first = decide(board(), several(host(limits=self.limits, slots=2)), several(path(1, 2))).board
        assert self.fail(first, 2000).board.tickets

    def test_failures_of_another_window_do_not(self) -> None:
        first = decide(board(), several(host(limits=self.limits, slots=2)), several(path(1, 2))).board
        second = self.fail(first, 2000).board
        assert second.fuses["q"].failed == 2
        assert self.fail(second, 70_000).board.fuses["q"].open_ms == 70_000
        third = replace(second, tickets=dict(list(second.tickets.items())[:1]))
        assert self.fail(third, 70_000).board.fuses["q"].failed <= 4

    def test_one_message_is_tried_after_the_pause(self) -> None:
        planned = self.look(self.opened(), 12_000)
        (ticket,) = planned.board.tickets.values()
        assert ticket.size == 1
        assert not set(self.look(planned.board, 13_000).board.tickets) - set(planned.board.tickets)

    @pytest.mark.parametrize(("ok", "out"), [(True, 4), (False, 0)])
    def test_it_decides_whether_the_queue_goes_on(self, ok: bool, out: int) -> None:
        stood = self.look(self.opened(), 12_000).board
        (name,) = stood.tickets
        report = Report(ok=(0, 1)) if ok else Report(failed={0: retry(delay_s=99.0)})
        ledgers = several(claim(stood, limits=self.limits, reports={name: report}))
        then = decide(stood, ledgers, several(path(2, 50)), uptime_ms=13_000)
        assert then.assigned == out
        assert ("q" in then.board.fuses) != ok

    def test_a_probe_that_comes_to_nothing_is_followed_by_another(self) -> None:
        stood = self.look(self.opened(), 12_000).board
        (name,) = stood.tickets
        given_back = several(claim(stood, limits=self.limits, reports={name: Report(released=(0, 1))}))
        then = decide(stood, given_back, several(path(2, 50)), uptime_ms=13_000)
        assert then.assigned == 1
        assert then.board.fuses["q"].probe not in ("", name)

    def test_that_of_a_queue_without_one_is_forgotten_after_a_day(self) -> None:
        stood = board(fuses={"q": Fuse(2, 500), "r": Fuse(3, 500, 2000)})
        planned = decide(stood, several(host()), uptime_ms=1000 + KEPT_MS)
        assert planned.changed
        assert planned.board.fuses.keys() == {"r"}


def test_a_board_that_lacks_the_tickets_of_its_limits_is_planned_with() -> None:
    """As one that was put back from a copy without what is over."""
    limits = Limits(Limit(max_running=1), breaker=Breaker(1, 60.0, 1.0))
    stood = board(allowed={"1-7": Allowed("", 1)}, fuses={"q": Fuse(1, 1, 1, "1-7")})
    planned = decide(stood, several(host(limits=limits)), several(path(1, 5)), uptime_ms=9000)
    assert planned.assigned == 1
    assert reached(stood, {"q": limits}) == {"q": ("breaker open after 1 failures",)}
