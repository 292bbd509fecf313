"""`plan` neither loses a message nor has it twice, whatever boards and ledgers it is given."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from s3queue.core import ranges
from s3queue.core.keys import parse_source
from s3queue.core.plan import Parking, Planned, plan
from s3queue.core.records import (
    FATAL_CAUSES,
    Board,
    Ledger,
    Offer,
    Report,
)
from tests.core.arbitrary import MAX_ATTEMPTS, QUEUES, SESSIONS, SETTINGS, World, boards, failed, worlds
from tests.core.profile import BRIEF, LONG
from tests.core.world import NOW_MS, by_session, path, sources

#: A message and its attempt.
Where = dict[tuple[str, int], int]


# ---- where the messages of a board are ---------------------------------------------------------------------------


@dataclass
class Places:
    """Every message of a board, by where it is, with its attempt; of settled ones, how many."""

    out: Where = field(default_factory=dict)
    ready: Where = field(default_factory=dict)
    waiting: Where = field(default_factory=dict)
    moving: Where = field(default_factory=dict)
    dying: set[tuple[str, int]] = field(default_factory=set)
    settled: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> Where:
        return {**self.out, **self.ready, **self.waiting, **self.moving}

    def settled_ones(self) -> set[tuple[str, int]]:
        """Those that are nowhere else."""
        elsewhere = self.open.keys() | self.dying
        return {
            (source, index)
            for source in self.settled
            for index in range(parse_source(source).count)
            if (source, index) not in elsewhere
        }


def locate(of: Board) -> Places:
    """Checks, too, that each message is in exactly one place."""
    places = Places()
    seen: Counter[tuple[str, int]] = Counter()

    def enter(into: Where | set[tuple[str, int]], source: str, index: int, attempt: int) -> None:
        seen[source, index] += 1
        if isinstance(into, dict):
            into[source, index] = attempt
        else:
            into.add((source, index))

    for ticket in of.tickets.values():
        for part in ticket.spans(ranges.minus((0, ticket.size), ticket.taken)):
            for index in range(part.start, part.stop):
                enter(places.out, part.source, index, part.attempt)
    for source, state in of.sources.items():
        places.settled[source] = state.settled
        for one in state.ready:
            for index in range(one.start, one.stop):
                enter(places.ready, source, index, one.attempt)
        for wait in state.waiting:
            enter(places.waiting, source, wait.index, wait.attempt)
        for index in state.dying:
            enter(places.dying, source, index, 0)
    for target, members in of.moves.items():
        assert target not in of.sources, "a move is admitted"
        for source, index in members:
            enter(places.moving, source, index, parse_source(target).attempt)

    assert not [message for message, times in seen.items() if times > 1], "in two places"
    assert {source for source, _ in seen} <= of.sources.keys(), "of a source that is not on the board"
    for source, state in of.sources.items():
        count = parse_source(source).count
        found = sum(1 for message in seen if message[0] == source)
        assert all(index < count for at, index in seen if at == source)
        assert found + state.settled == count, "lost, or settled twice"
    return places


# ---- random worlds -----------------------------------------------------------------------------------------------


# ---- the properties ----------------------------------------------------------------------------------------------


@LONG
@given(worlds())
def test_no_message_is_lost_or_had_twice_and_no_attempt_is_beyond_the_maximum(world: World) -> None:
    before, planned = locate(world.board), world.plan()
    after = locate(planned.board)  # asserts that each is in exactly one place
    check_what_was_settled(world, planned, before, after)
    check_attempts(world, before, after)
    check_tickets(world, planned)
    check_the_window(world, planned)
    again = world.plan(planned.board)
    assert again.settled == [], "the same report is taken over twice"
    assert again.board.totals == planned.board.totals


def check_what_was_settled(world: World, planned: Planned, before: Places, after: Places) -> None:
    assert world.board.sources.keys() - planned.board.sources.keys() == set(world.retired)
    kept = {message for message in before.settled_ones() if message[0] not in world.retired}
    assert kept <= after.settled_ones(), "what was settled runs again"
    assert before.dying - world.letters_written <= after.dying, "what is dead runs again"

    # Each newly settled message is one that the plan says is done, or one whose letter is stored; and each is told once.
    done = Counter(
        (one.source, index) for one in planned.settled if one.outcome == "done" for index in range(one.start, one.stop)
    )
    dead = Counter((one.source, one.start) for one in planned.settled if one.outcome == "dead")
    assert all(times == 1 for times in (done + dead).values())
    moved = {message for target in world.parking.stored for message in world.board.moves[target]}
    given_up = {(target, at) for target in world.parking.refused for at in range(parse_source(target).count)}
    assert after.settled_ones() - kept == done.keys() | (world.letters_written & before.dying) | moved | given_up
    assert after.dying - before.dying == set(dead)
    assert done.keys() | dead.keys() <= before.out.keys(), "an outcome of what was in no ticket"


def check_attempts(world: World, before: Places, after: Places) -> None:
    """One is counted only for what was claimed."""
    may_count = {
        (part.source, index)
        for name, ticket in world.board.tickets.items()
        if ticket.session in world.ledgers and name in world.ledgers[ticket.session].claims
        for part in ticket.spans((0, ticket.size))
        for index in range(part.start, part.stop)
    }
    for message, attempt in after.open.items():
        assert attempt <= MAX_ATTEMPTS
        was = before.open.get(message)
        if was is None:
            assert message[0] not in world.board.sources
            assert message[0] not in world.board.moves
            assert attempt == 1
        else:
            assert attempt == was or (attempt == was + 1 and message in may_count)


def check_tickets(world: World, planned: Planned) -> None:
    """They go to the living, and hold what may go together."""
    busy: Counter[tuple[str, str]] = Counter()
    for name, ticket in planned.board.tickets.items():
        source = parse_source(ticket.parts[0].source)
        if source.group is not None:
            busy[source.queue, source.group] += 1
        if name in world.board.tickets:
            assert ticket.parts == world.board.tickets[name].parts
            continue
        ledger = world.ledgers[ticket.session]
        assert not ledger.over
        assert source.queue in ledger.offers
        assert {parse_source(part.source).queue for part in ticket.parts} == {source.queue}
        suspects = [
            index
            for part in ticket.parts
            for index in range(part.start, part.stop)
            for failure in planned.board.sources[part.source].failures.get(index, ())
            if failure.cause in FATAL_CAUSES
        ]
        if suspects or source.group is not None:
            assert ticket.size == 1, "not alone"
    assert all(times == 1 for times in busy.values()), "two of one group are out"


def check_the_window(world: World, planned: Planned) -> None:
    late = {one for one in world.listed if parse_source(one).id in world.window and one not in world.board.sources}
    assert set(planned.refused) == late
    assert not late & planned.board.sources.keys()


@BRIEF
@given(worlds())
def test_a_plan_depends_on_nothing_else_and_touches_nothing(world: World) -> None:
    copy = repr(world)
    one = world.plan()
    assert repr(world) == copy
    other = replace(
        world,
        ledgers=dict(reversed(world.ledgers.items())),
        listed=world.listed[::-1],
        letters_written=set(world.letters_written),
    ).plan()
    assert other.board == one.board
    assert sorted(other.refused) == sorted(one.refused)


# ---- and everything drains ---------------------------------------------------------------------------------------


@BRIEF
@given(boards(), st.integers(0, 20), st.data())
def test_with_hosts_that_work_everything_is_settled_in_the_end(of: Board, fresh: int, data: st.DataObject) -> None:
    listed = [
        path(10 + number, queue=QUEUES[number % 2], group="g" if number % 5 == 0 else None) for number in range(fresh)
    ]
    slots = data.draw(st.integers(1, 3))
    failures = failed().filter(lambda outcome: outcome.kind != "snooze")
    offers = dict.fromkeys(QUEUES, Offer(MAX_ATTEMPTS))
    total = len(locate(of).open) + len(locate(of).dying) + sum(parse_source(one).count for one in listed)
    now_ms, hosts = NOW_MS, by_session(*(Ledger("n", one, slots=slots, offers=offers, fenced=True) for one in SESSIONS))
    for _ in range(4 * MAX_ATTEMPTS * (total + 1)):
        now_ms += 10_000
        letters_written = {(one, index) for one, state in of.sources.items() for index in state.dying}
        listed += of.moves
        due = [one for one in sources(*listed) if one.due_ms is None or one.due_ms <= now_ms]
        parking = Parking(stored=set(of.moves))
        planned = plan(
            of, hosts, due, now_ms=now_ms, settings=SETTINGS, letters_written=letters_written, parking=parking
        )
        of = planned.board
        places = locate(of)
        if not places.open and not places.dying and set(listed) <= of.sources.keys():
            break
        hosts = {}
        for session in ("n1", "n2"):
            reports = {
                name: Report(ok=(0, ticket.size))
                if data.draw(st.integers(0, 2))
                else Report(failed=dict.fromkeys(range(ticket.size), data.draw(failures)))
                for name, ticket in of.tickets.items()
                if ticket.session == session
            }
            hosts[session] = Ledger("n", session, slots=slots, offers=offers, claims=tuple(reports), reports=reports)
        hosts |= by_session(*(Ledger("n", one, fenced=True) for one in SESSIONS))
    else:
        raise AssertionError(f"did not drain: {of}")


# ---- the order of hashes -----------------------------------------------------------------------------------------

DECIDE = """
from hashlib import sha256
from s3queue.core.records import Offer, SourceState, encode
from tests.core.world import board, decide, ledger, path, ready

offers = {f"queue{n}": Offer(mean_s=0.2) for n in range(9)}
states = {path(n, 3, queue=f"queue{n}"): SourceState(dying=(0,), ready=ready((1, 3, 1))) for n in range(9)}
hosts = [ledger(f"host{n}", 3, offers=offers) for n in range(4)]
listed = [path(n, 9, queue=f"queue{n % 9}", group=f"g{n % 4}" if n % 2 else None) for n in range(20, 60)]
planned = decide(board(states=states), hosts, listed, letters_written={(one, 0) for one in states})
print(sha256(encode(planned.board)).hexdigest())
"""


def test_a_plan_does_not_depend_on_the_order_of_hashes() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", DECIDE],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
