"""Checkers of limits, turns and expiry."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from s3queue.core.keys import parse_source
from s3queue.core.plan.rules import BURST_S, WAITED_S
from s3queue.core.records import NO_LIMITS, Board, Control, Limits
from s3queue.core.records.limits import overlaid
from s3queue.testing.simulate.posts import SETTLED
from s3queue.testing.simulate.story import Story, damaged
from s3queue.testing.simulate.verdicts import Verdict, first, unknown
from s3queue.testing.simulate.world import EPOCH_MS, SKEW_MS

#: Milliseconds after which a board may land that was planned before: the longest that a request is on its way.
_LATE_MS = 9000
#: Boards on which one key may be served while another of a fair queue waits.
_PATIENCE = 10


class _Rules:
    """What held at each board."""

    def __init__(self, story: Story) -> None:
        self._controls = {0: Control("")} | {control.turn: control for _, control in story.controls}
        #: Every host of a world declares the same.
        self._declared: dict[str, Limits] = {}
        for states in story.ledgers.values():
            for state in states:
                if state.ledger is not None:
                    self._declared.update(state.ledger.limits)

    @property
    def is_any(self) -> bool:
        return bool(self._declared) or any(control.limits for control in self._controls.values())

    def of(self, board: Board) -> dict[str, Limits]:
        control = self._controls.get(board.control, Control(""))
        return {
            queue: overlaid(control.limits.get(queue, NO_LIMITS), self._declared.get(queue, NO_LIMITS))
            for queue in {*control.limits, *self._declared}
        }


def i14_no_limit_is_passed(story: Story) -> Verdict:
    """No board that gives out tickets allows more at once than the limit that it names; no host starts more than the boards
    allow it; and no rate is passed."""
    rules = _Rules(story)
    if not rules.is_any:
        return unknown("no limits")

    def faults() -> Iterator[str]:
        before: set[str] = set()
        for state in story.boards:
            fresh = state.board.tickets.keys() - before
            before = set(state.board.tickets)
            for queue, limits in rules.of(state.board).items():
                if any(state.board.tickets[name].queue == queue for name in fresh):
                    yield from _too_many(state.n, state.board, queue, limits, fresh)
        yield from _started_too_many(story)
        yield from _too_fast(story, rules)

    return first(faults())


def _too_many(n: int, board: Board, queue: str, limits: Limits, fresh: set[str]) -> Iterator[str]:
    used, by_key = 0, dict[str, int]()
    for name, ticket in board.tickets.items():
        if ticket.queue != queue:
            continue
        allowed = board.allowed.get(name)
        used += ticket.left if allowed is None else allowed.at_once
        if allowed is not None and allowed.key:
            by_key[allowed.key] = by_key.get(allowed.key, 0) + allowed.at_once
            continue
        for part in ticket.spans(ticket.left_ranges):
            if (key := parse_source(part.source).key) and limits.of(key).max_running and name in fresh:
                yield f"event {n}: ticket {name} gives out messages of {key!r} without regard to its limit"
    most = limits.queue.max_running
    if most and used > most:
        yield f"event {n}: {used} messages of {queue} may run at once, and {most} may by the control that the board names"
    given = {board.allowed[name].key for name in fresh if name in board.allowed}
    for key in given - {""}:
        most = limits.of(key).max_running
        if most and by_key[key] > most:
            yield f"event {n}: {by_key[key]} messages of {queue} and key {key!r} may run at once, not {most}"


def _started_too_many(story: Story) -> Iterator[str]:
    """A host starts something although as many run as the board of that time allows it."""
    ended = {}
    for run in story.runs:
        ended[run.n] = run.ended_n if run.ended_n is not None else len(story.events)
    for run in story.runs:
        board, session = story.board_before(run.n), run.started.session
        over = story.ended.get(session)
        if board is None or (over is not None and over.n < run.n) or damaged(story, session, run.n):
            continue
        allowed = board.allowed.get(run.started.ticket)
        if allowed is None:
            continue
        queue = parse_source(run.started.path).queue
        mine = {
            name
            for name, one in board.allowed.items()
            if one.key == allowed.key and (ticket := board.tickets[name]).session == session and ticket.queue == queue
        }
        places = sum(board.allowed[name].at_once for name in mine)
        running = [one for one in story.runs if one.n <= run.n < ended[one.n] and one.started.ticket in mine]
        if len(running) > places:
            yield f"event {run.n}: {session} runs {len(running)} of {queue} {allowed.key!r}, and may run {places}"


def _too_fast(story: Story, rules: _Rules) -> Iterator[str]:
    """Of one queue, no more are assigned in any time than its rate allows, with what may come at once."""
    assigned: dict[tuple[str, str], list[tuple[int, int]]] = {}
    known: set[str] = set()
    rates: dict[tuple[str, str], set[float]] = {}
    for state in story.boards:
        now = rules.of(state.board)
        for queue, limits in now.items():
            for key in ("", "a", "b", "c"):
                rate = (limits.of(key) if key else limits.queue).rate or 0.0
                rates.setdefault((queue, key), set()).add(rate)
        for name in state.board.tickets.keys() - known:
            for part in state.board.tickets[name].parts:
                source = parse_source(part.source)
                for key in {"", source.key}:
                    line = assigned.setdefault((source.queue, key), [])
                    line.append((state.board.uptime_ms, part.stop - part.start))
        known |= state.board.tickets.keys()
    for whose, line in assigned.items():
        (rate, *others) = rates.get(whose, {0.0})
        if others or not rate:
            continue
        for at, (begin_ms, _) in enumerate(line):
            many = 0
            for end_ms, size in line[at:]:
                many += size
                most = rate * (end_ms - begin_ms) / 1000 + max(1.0, rate * max(BURST_S, WAITED_S)) + 0.01
                if many > most:
                    yield f"{many} of {whose} are assigned within {end_ms - begin_ms} ms, at {rate} a second"
                    return


def i21_no_lane_waits_while_others_are_served(story: Story) -> Verdict:
    """Of a fair queue without limits no key is served again and again while another one waits."""
    rules = _Rules(story)
    fair = [
        queue
        for queue in ("q", "r")
        if all((it := rules.of(state.board).get(queue)) and _is_fair(it) for state in story.boards)
    ]
    if not fair:
        return unknown("no fair queue")

    def faults() -> Iterator[str]:
        served: list[tuple[int, set[str]]] = []
        known: set[str] = set()
        admitted: dict[str, int] = {}
        for state in story.boards:
            for path in state.board.sources:
                admitted.setdefault(path, state.n)
            parts = (part for name in state.board.tickets.keys() - known for part in state.board.tickets[name].parts)
            served.append((state.n, {one.key for part in parts if (one := parse_source(part.source)).queue in fair}))
            known = set(state.board.tickets)
        for path, landed in story.landed.items():
            source = parse_source(path)
            if source.queue not in fair or not source.key or source.due_ms is not None:
                continue
            until = admitted.get(path, len(story.events))
            times: dict[str, int] = {}
            for n, keys in served:
                if not landed < n < until:
                    continue
                for key in keys:
                    times[key] = times.get(key, 0) + 1
                if source.key in keys:
                    times = {}
                most = max(times.values(), default=0)
                if most > _PATIENCE:
                    yield f"event {n}: {source.key!r} waits, and another key is served on {most} boards meanwhile"

    return first(faults())


def _is_fair(limits: Limits) -> bool:
    return bool(limits.fair) and not _is_bounded(limits)


def _is_bounded(limits: Limits) -> bool:
    return bool(limits.limits_running or limits.queue.rate or limits.each.rate or limits.breaker)


def an_open_breaker_lets_one_through(story: Story) -> Verdict:
    """While the breaker of a queue is open, one message of it is given out after the pause, and the next one when that has
    ended."""
    if not any(state.board.fuses for state in story.boards):
        return unknown("no breaker has seen a failure")

    def faults() -> Iterator[str]:
        for before, state in pairwise(story.boards):
            for queue, fuse in state.board.fuses.items():
                if not fuse.open_ms:
                    continue
                fresh = [
                    name
                    for name in state.board.tickets.keys() - before.board.tickets.keys()
                    if state.board.tickets[name].queue == queue
                ]
                if any(name != fuse.probe or state.board.tickets[name].size > 1 for name in fresh):
                    yield f"event {state.n}: tickets {fresh} of {queue}, whose breaker is open, for probe {fuse.probe!r}"
                old = before.board.fuses.get(queue)
                if fresh and old is not None and old.probe in state.board.tickets:
                    yield f"event {state.n}: another probe of {queue}, while {old.probe} is out"

    return first(faults())


def nothing_begins_after_it_expired(story: Story) -> Verdict:
    """A message that is said to be expired never starts, and one that has not started does not start after that time."""

    def faults() -> Iterator[str]:
        for move in story.moves:
            if move.new is None or not move.new.ticket or move.new.attempt > 1 or (move.old and move.old.ticket):
                continue
            expires_ms = parse_source(move.message[0]).expires_ms
            began = any(run.n < move.n for run in story.by_message.get(story.first(move.message), ()))
            if expires_ms is not None and not began and story.wall_ms(move.n) - SKEW_MS - _LATE_MS > expires_ms:
                yield f"event {move.n}: {move.message} gets ticket {move.new.ticket}, and expired before"
        for message, runs in story.by_message.items():
            run = runs[0]
            expires_ms = parse_source(message[0]).expires_ms
            now_ms = EPOCH_MS + int(run.started.at * 1000)
            late = expires_ms is not None and now_ms - SKEW_MS > expires_ms
            if late and run.started.attempt == 1:  # later ones follow a host that was lost, and may have begun
                yield f"event {run.n}: {message} starts at {now_ms}, and expired before"
        for message, ends in story.committed.items():
            for n, how in ends:
                if how == "expired" and any(
                    not damaged(story, run.started.session, len(story.events))
                    for run in story.by_message.get(message, ())
                ):
                    yield f"event {n}: {message} is expired, and had begun"

    return first(faults())


def bounded(story: Story) -> set[str]:
    """Queues of which a host may be idle although there are messages."""
    rules = _Rules(story)
    held = [*map(rules.of, (Board("", 0), *(state.board for state in story.boards)))] if rules.is_any else []
    return {queue for one in held for queue, limits in one.items() if _is_bounded(limits)}


def happened(story: Story) -> Iterator[str]:
    """What is worth having happened."""
    for move in story.moves:
        if move.new == SETTLED and (move.old is None or move.old.kind == "ready") and story.may_expire(move):
            yield "messages expired before any host had them"
            break
    rules = _Rules(story)
    if any(_is_reached(state.board, rules.of(state.board)) for state in story.boards if state.board.allowed):
        yield "a limit was reached"
    for before, state in pairwise(story.boards):
        if any(fuse.open_ms for fuse in state.board.fuses.values()):
            yield "a circuit breaker opened"
        closed = before.board.fuses.keys() - state.board.fuses.keys()
        if any(before.board.fuses[queue].probe for queue in closed):
            yield "a circuit breaker closed"


def _is_reached(board: Board, rules: dict[str, Limits]) -> bool:
    used: dict[str, int] = {}
    for name, one in board.allowed.items():
        queue = board.tickets[name].queue
        used[queue] = used.get(queue, 0) + one.at_once
    return any(
        (most := rules[queue].queue.max_running) and many >= most for queue, many in used.items() if queue in rules
    )
