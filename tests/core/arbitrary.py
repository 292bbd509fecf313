"""Boards and ledgers as Hypothesis draws them, whether or not they could come about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from s3queue.core import ranges
from s3queue.core.keys import moved_path, parse_source
from s3queue.core.plan import Parking, Planned, Settings, plan
from s3queue.core.records import (
    Board,
    Failed,
    Failure,
    Ledger,
    Offer,
    Part,
    Ready,
    Report,
    SourceState,
    Ticket,
    Waiting,
)
from tests.core.world import NOW_MS, board, by_session, path, sources

MAX_ATTEMPTS = 3


SETTINGS = Settings(max_parked=4, max_attempts=MAX_ATTEMPTS, max_parts=3)


SESSIONS = ("h1", "h2", "h3")


QUEUES = ("q", "r")


@st.composite
def failed(draw: st.DrawFn) -> Failed:
    kind = draw(st.sampled_from(["retry", "retry", "snooze", "dead", "a later kind"]))
    cause = draw(st.sampled_from(["error", "killed"]))
    return Failed(kind, draw(st.sampled_from([0.0, 5.0])), draw(st.none() | st.just(Failure(1, cause, "x"))))


@st.composite
def boards(draw: st.DrawFn) -> Board:
    """Each message is dealt to one place; a ticket holds at most three parts."""
    states: dict[str, dict[str, Any]] = {}
    tickets: dict[str, Ticket] = {}
    loose: list[Part] = []
    busy: set[tuple[str, str]] = set()
    moves: dict[str, tuple[tuple[str, int], ...]] = {}
    for order in range(draw(st.integers(0, 4))):
        group = draw(st.sampled_from([None, None, None, "g", "h"]))
        queue = draw(st.sampled_from(QUEUES))
        source = path(order, draw(st.integers(1, 6)), queue=queue, group=group)
        state = states[source] = {"settled": 0, "ready": [], "waiting": [], "dying": [], "failures": {}}
        index, count = 0, parse_source(source).count
        while index < count:
            stop = min(count, index + draw(st.integers(1, 4)))
            attempt = draw(st.integers(1, MAX_ATTEMPTS))
            where = draw(st.sampled_from(["out", "ready", "waiting", "dying", "settled", "moving"]))
            if where == "moving" and group is not None:
                where = "waiting"
            if where == "out" and group is not None:
                if (queue, group) in busy:
                    where = "ready"
                else:
                    busy.add((queue, group))
                    stop = index + 1
            if where == "out":
                loose.append(Part(source, index, stop, attempt))
            elif where == "moving":
                name = moved_path(
                    parse_source(source), due_ms=NOW_MS, batch=f"{len(moves):x}", count=stop - index, attempt=attempt,
                    alone=draw(st.booleans()),
                )  # fmt: skip
                moves[name] = tuple((source, at) for at in range(index, stop))
            elif where == "settled":
                state["settled"] += stop - index
            else:
                _deal(state, where, index, stop, attempt)
            if draw(st.booleans()):
                cause = draw(st.sampled_from(["error", "lost"]))
                state["failures"].update({at: (Failure(1, cause),) for at in range(index, stop) if where != "settled"})
            index = stop
    while loose:
        first = loose.pop(0)
        together = [first]
        one = parse_source(first.source)
        if one.group is None:
            for part in loose[: draw(st.integers(0, 2))]:
                other = parse_source(part.source)
                if other.group is None and other.queue == one.queue:
                    together.append(part)
                    loose.remove(part)
        ticket = Ticket(draw(st.sampled_from(SESSIONS)), tuple(together))
        taken = ranges.of(draw(st.sets(st.integers(0, ticket.size - 1), max_size=ticket.size - 1)))
        for part in ticket.spans(taken):
            where = draw(st.sampled_from(["ready", "waiting", "dying", "settled"]))
            state = states[part.source]
            if where == "settled":
                state["settled"] += part.stop - part.start
                for at in range(part.start, part.stop):
                    state["failures"].pop(at, None)
            else:
                _deal(state, where, part.start, part.stop, part.attempt)
        tickets[f"1-{len(tickets)}"] = Ticket(ticket.session, ticket.parts, taken)
    frozen = {
        source: SourceState(
            state["settled"], tuple(state["ready"]), tuple(state["waiting"]), tuple(state["dying"]), state["failures"]
        )
        for source, state in states.items()
    }
    return board(tickets, frozen, turn=draw(st.integers(1, 9)), moves=moves)


def _deal(state: dict[str, Any], where: str, start: int, stop: int, attempt: int) -> None:
    if where == "ready":
        state["ready"].append(Ready(start, stop, attempt))
    elif where == "waiting":
        state["waiting"] += [Waiting(at, attempt, NOW_MS + (at % 3 - 1) * 1000) for at in range(start, stop)]
    else:
        state["dying"] += range(start, stop)


@st.composite
def ledgers(draw: st.DrawFn, of: Board) -> dict[str, Ledger]:
    """What hosts may say, and some of what they may not: outcomes that overlap, or that their tickets do not have."""
    found: list[Ledger] = []
    for session in SESSIONS:
        if draw(st.integers(0, 5)) == 0:
            continue  # nobody has heard of it
        mine = {name: ticket for name, ticket in of.tickets.items() if ticket.session == session}
        strangers = {name: ticket for name, ticket in of.tickets.items() if ticket.session != session}
        claims = [name for name in mine if draw(st.integers(0, 3))]
        reports: dict[str, Report] = {}
        for name in [*mine, *strangers, "1-99"]:
            if draw(st.booleans()):
                offsets = st.integers(0, of.tickets[name].size + 1 if name in of.tickets else 3)
                reports[name] = Report(
                    ranges.of(draw(st.sets(offsets))),
                    ranges.of(draw(st.sets(offsets, max_size=2))),
                    draw(st.dictionaries(offsets, failed(), max_size=3)),
                )
        offers = {
            queue: Offer(MAX_ATTEMPTS, draw(st.sampled_from([0.0, 0.3, 60.0])))
            for queue in QUEUES
            if draw(st.integers(0, 3))
        }
        found.append(
            Ledger(
                "n", session, slots=draw(st.integers(0, 4)), offers=offers, claims=tuple(claims), reports=reports,
                fenced=draw(st.integers(0, 3)) == 0, left=draw(st.integers(0, 3)) == 0,
            )
        )  # fmt: skip
    return by_session(*found)


@dataclass
class World:
    board: Board
    ledgers: dict[str, Ledger]
    listed: list[str]
    window: set[str]
    letters_written: set[tuple[str, int]]
    retired: list[str]
    parking: Parking = field(default_factory=Parking)

    def plan(self, of: Board | None = None) -> Planned:
        return plan(
            of or self.board,
            self.ledgers,
            sources(*self.listed),
            now_ms=NOW_MS,
            settings=SETTINGS,
            window=self.window,
            letters_written=self.letters_written,
            retired=self.retired,
            parking=self.parking,
        )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    of = draw(boards())
    fresh = []
    for number in range(draw(st.integers(0, 4))):
        queue, group = draw(st.sampled_from(QUEUES)), draw(st.sampled_from([None, None, "g"]))
        fresh.append(path(10 + number, draw(st.integers(1, 9)), queue=queue, group=group))
    finished = [one for one, state in of.sources.items() if state.settled == parse_source(one).count]
    dying = [(one, index) for one, state in of.sources.items() for index in state.dying]
    fates = {one: draw(st.sampled_from(["stored", "refused", "open"])) for one in of.moves}
    return World(
        of,
        draw(ledgers(of)),
        [*of.sources, *fresh, *(one for one in of.moves if draw(st.booleans()))],
        {parse_source(one).id for one in fresh if draw(st.integers(0, 4)) == 0},
        {one for one in dying if draw(st.booleans())} | {(path(77), 0)},
        [one for one in finished if draw(st.booleans())],
        Parking(
            stored={one for one, fate in fates.items() if fate == "stored"},
            refused={one for one, fate in fates.items() if fate == "refused"},
        ),
    )
