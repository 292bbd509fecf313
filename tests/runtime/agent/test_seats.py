"""Who sits where, driven by hand: notes and deaths in every order, and lists instead of sockets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import pytest

from s3queue.core.keys import Layout
from s3queue.core.ledger import Host
from s3queue.core.records import Failed, Offer
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.seats import NEXT, Event, Seats, State, WorkerDeath
from s3queue.runtime.local.journal import OK, RUNNING, Journal
from s3queue.runtime.local.wire import (
    Deal,
    Died,
    FailedNote,
    Finished,
    Hello,
    Leaving,
    Note,
    Recall,
    Returned,
    Started,
    Stop,
)
from tests.runtime.agent.crews import assign


class Wire:
    """A connection: what was sent on it, and whether it was closed."""

    def __init__(self) -> None:
        self.sent: list[Note] = []
        self.closed = False

    def send(self, note: Note) -> None:
        self.sent.append(note)

    def close(self) -> None:
        self.closed = True


class Room:
    """The seats of a host of so many workers, and what they did."""

    def __init__(self, workers: int = 1, slots: int = 2) -> None:
        journal = Journal(bytearray(Journal.size(workers, slots)), workers, slots)
        self.host = Host(Layout(), "session", slots * workers, {"q": Offer()})
        self.dealer = Dealer(self.host, [journal.worker(number) for number in range(workers)], slots)
        self.freed: list[WorkerDeath] = []
        self.left: list[str] = []
        self.warned: list[str] = []
        self.late: list[Callable[[], None]] = []
        self.seats = Seats(
            self.dealer,
            later=lambda seconds, call: self.late.append(call),
            now_ms=lambda: 7,
            freed=self.freed.append,
            leaving=lambda worker, why: self.left.append(why),
            warn=lambda key, text: self.warned.append(text),
        )

    def state(self, worker: int = 0) -> State:
        return self.seats.seats[worker].state

    def seat(self, pid: int = 100, worker: int = 0) -> Wire:
        wire = Wire()
        self.seats.heard(wire, Hello(worker, pid))
        return wire

    def deal(self, count: int = 2, now: float = 0.0) -> None:
        assign(self.host, "1-0", 0, count=count)
        self.dealer.claimed(["1-0"])
        self.dealer.deal(now)


def died(pid: int = 100, worker: int = 0, cause: str = "killed") -> Died:
    return Died(worker, pid, cause, f"process {pid} died")


class TestTable:
    def test_it_has_every_state_and_only_known_events(self) -> None:
        assert set(NEXT) == set(State)
        assert {event for row in NEXT.values() for event in row} == set(Event)

    def test_every_seat_can_be_left_empty_again(self) -> None:
        for state in State:
            reached, todo = {state}, [state]
            while todo:
                for following in NEXT[todo.pop()].values():
                    if following not in reached:
                        reached.add(following)
                        todo.append(following)
            assert State.EMPTY in reached

    def test_no_seat_that_is_taken_is_taken_by_another(self) -> None:
        assert [state for state in State if Event.HELLO in NEXT[state]] == [State.EMPTY]


class TestLife:
    def test_worker_that_says_hello_is_dealt_to(self) -> None:
        room = Room()
        wire = room.seat()
        room.deal()
        assert room.state() is State.SERVING
        assert [type(note) for note in wire.sent] == [Deal]

    def test_worker_that_leaves_ends_what_it_has_and_is_stopped(self) -> None:
        room = Room()
        wire = room.seat()
        room.deal(count=1)
        room.seats.heard(wire, Leaving("old"))
        assert (room.state(), room.left) == (State.LEAVING, ["old"])
        assert not any(isinstance(note, Stop) for note in wire.sent)
        room.dealer.loads[0].journal.mark(0, 0, OK)
        room.seats.heard(wire, Finished(0, 0.1))
        assert room.state() is State.STOPPING
        assert wire.sent[-1] == Stop()
        room.seats.hung_up(wire)
        room.seats.died(died(cause="exited"))
        assert (room.state(), room.freed[0].expected) == (State.EMPTY, True)

    def test_worker_that_leaves_with_nothing_to_do_is_stopped_at_once_and_only_once(self) -> None:
        room = Room()
        wire = room.seat()
        room.seats.heard(wire, Leaving("old"))
        room.seats.heard(wire, Leaving("old and large"))
        room.seats.stop()
        assert wire.sent == [Stop()]
        assert not wire.closed

    def test_next_process_takes_the_seat_when_the_journal_was_read(self) -> None:
        room = Room()
        wire = room.seat(pid=100)
        room.seats.hung_up(wire)
        assert room.freed == []
        room.seats.died(died(pid=100))
        assert [one.pid for one in room.freed] == [100]
        room.seat(pid=101)
        assert room.state() is State.SERVING


class TestDeath:
    @pytest.mark.parametrize("order", list(permutations(["hello", "died", "hangup"])))
    def test_in_whatever_order_it_is_heard_the_seat_is_free_in_the_end(self, order: tuple[str, ...]) -> None:
        room, wire = Room(), Wire()
        for what in order:
            match what:
                case "hello":
                    room.seats.heard(wire, Hello(0, 100))
                    room.deal()
                case "died":
                    room.seats.died(died())
                case _:
                    room.seats.hung_up(wire)
        for call in room.late:
            call()
        assert room.state() is State.EMPTY
        assert len(room.freed) == 1
        fresh = room.seat(pid=101)
        room.deal()
        assert any(isinstance(note, Deal) for note in fresh.sent)

    def test_worker_killed_before_its_hello_is_read_frees_its_seat(self) -> None:
        room = Room()
        room.seats.died(died(pid=100))
        assert [one.pid for one in room.freed] == [100], "it may be replaced"
        ghost = room.seat(pid=100)
        assert ghost.closed
        assert room.state() is State.EMPTY
        room.deal()
        assert ghost.sent == []
        fresh = room.seat(pid=101)
        room.dealer.deal(0.0)
        assert [type(note) for note in fresh.sent] == [Deal]

    def test_hello_of_a_process_that_is_dead_does_not_unseat_its_successor(self) -> None:
        room = Room()
        room.seats.died(died(pid=100))
        fresh = room.seat(pid=101)
        ghost = room.seat(pid=100)
        assert (ghost.closed, fresh.closed, room.state()) == (True, False, State.SERVING)
        room.deal()
        assert [type(note) for note in fresh.sent] == [Deal]

    def test_process_that_was_given_the_pid_of_a_dead_one_costs_one_start(self) -> None:
        room = Room()
        room.seats.died(died(pid=100))
        assert room.seat(pid=100).closed
        room.seats.died(died(pid=100))  # it noticed, and ended
        assert len(room.freed) == 2
        room.seat(pid=102)
        assert room.state() is State.SERVING

    def test_last_words_count_and_are_waited_for(self) -> None:
        room = Room()
        wire = room.seat()
        room.deal()
        room.dealer.loads[0].journal.mark(0, 0, RUNNING)
        room.seats.died(died())
        assert (room.state(), room.freed) == (State.REAPED, [])
        room.seats.heard(wire, FailedNote(0, 0, Failed("snooze", 5.0)))
        room.seats.hung_up(wire)
        assert room.host.tickets["1-0"].failed[0] == Failed("snooze", 5.0)
        assert room.freed[0].affected == []

    def test_last_words_are_not_waited_for_for_ever(self) -> None:
        room = Room()
        wire = room.seat()
        room.seats.died(died())
        (late,) = room.late
        late()
        assert (room.state(), wire.closed, len(room.freed)) == (State.EMPTY, True, 1)
        room.seat(pid=101)
        late()
        assert room.state() is State.SERVING

    def test_nothing_is_dealt_to_a_process_that_is_dead_or_whose_connection_has_ended(self) -> None:
        for last in ("hangup", "died"):
            room = Room()
            wire = room.seat()
            room.seats.hung_up(wire) if last == "hangup" else room.seats.died(died())
            room.deal()
            assert wire.sent == []
            assert room.dealer.pooled == 2


class TestUnlawful:
    """A process that is out of order costs itself its connection, and the agent nothing."""

    @pytest.mark.parametrize(
        "note",
        [
            Started(),
            Stop(),
            Recall(),
            Hello(0, 100),
            Finished(9, 1.0),
            Returned(((9, 0),)),
            Returned(((0, 999),)),
            FailedNote(9, 0, Failed("dead")),
            FailedNote(0, 999, Failed("dead")),
            FailedNote(0, -1, Failed("dead")),
        ],
    )
    def test_note_that_makes_no_sense_ends_the_connection_and_the_messages_go_on(self, note: Note) -> None:
        room = Room()
        wire = room.seat()
        room.deal()
        room.seats.heard(wire, note)
        assert (wire.closed, room.state()) == (True, State.LOST)
        assert len(room.warned) == 1
        room.seats.hung_up(wire)
        room.seats.died(died())
        assert (room.state(), room.dealer.pooled, room.dealer.unfinished) == (State.EMPTY, 2, 0)

    @pytest.mark.parametrize("note", [Finished(0, 1.0), Leaving("old"), Hello(9, 100), Hello(-1, 100)])
    def test_connection_that_does_not_say_who_it_is_is_ended(self, note: Note) -> None:
        room, wire = Room(), Wire()
        room.seats.heard(wire, note)
        assert wire.closed
        assert room.state() is State.EMPTY

    def test_second_process_for_a_seat_that_is_taken_is_refused(self) -> None:
        room = Room()
        first = room.seat(pid=100)
        second = room.seat(pid=101)
        assert (first.closed, second.closed) == (False, True)
        room.seats.hung_up(second)
        assert room.state() is State.SERVING

    @pytest.mark.parametrize("note", [died(pid=999), died(worker=5), died(worker=-1)])
    def test_death_of_a_process_that_sits_nowhere_ends_no_other(self, note: Died) -> None:
        room = Room()
        wire = room.seat(pid=100)
        room.seats.died(note)
        assert (room.state(), wire.closed) == (State.SERVING, False)
        assert room.warned

    def test_death_that_is_told_twice_is_answered_twice_and_read_once(self) -> None:
        room = Room()
        room.seat(pid=100)
        room.seats.died(died())
        room.seats.died(died())
        room.late[0]()
        assert [one.pid for one in room.freed] == [100, 100]
        assert room.state() is State.EMPTY

    def test_failure_of_a_message_that_was_given_back_or_ended_well_is_not_entered(self) -> None:
        for returned in (True, False):
            room = Room()
            wire = room.seat()
            room.deal()
            if returned:
                room.seats.heard(wire, Returned(((0, 0),)))
            else:
                room.dealer.loads[0].journal.mark(0, 0, OK)
            room.seats.heard(wire, FailedNote(0, 0, Failed("dead")))
            assert room.host.tickets["1-0"].failed == {}
            assert wire.closed

    def test_two_answers_to_one_note_are_not_counted_twice(self) -> None:
        room = Room()
        wire = room.seat()
        room.deal()
        room.seats.heard(wire, FailedNote(0, 0, Failed("dead")))
        room.seats.heard(wire, FailedNote(0, 0, Failed("dead")))
        assert room.dealer.unfinished == 1
