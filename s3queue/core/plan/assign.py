"""Assigns ready messages and new batches to hosts with room.

Every queue with an assignable message is served: in turn, its first message goes to a host as soon as anything is free
there, however small the queue's share. The turn begins with another queue at each write of the board, so with n queues
each is first within about 3 n writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from s3queue.core.halts import is_held
from s3queue.core.keys import Source, parse_source
from s3queue.core.plan import expiry
from s3queue.core.plan.bounds import Bounds
from s3queue.core.plan.doors import Doors
from s3queue.core.plan.hosts import Host, Pool
from s3queue.core.plan.lines import Line, rank
from s3queue.core.plan.places import joined
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.share import share_out
from s3queue.core.plan.taking import take
from s3queue.core.records import Part
from s3queue.core.settle import Draft

#: Fractional part of the golden ratio: its multiples spread evenly over [0, 1), and so do those of any multiple of it.
_GOLDEN = 0.6180339887498949


class _Stand(NamedTuple):
    """What can be assigned.

    Attributes:
        lines: by queue. unfit: by queue and token. busy: groups that have a message out or waiting. held: groups with a
        message that waits for a host that it fits.
    """

    lines: dict[str, Line]
    unfit: dict[tuple[str, str], Line]
    busy: set[tuple[str, str]]
    held: set[tuple[str, str]]


def tickets(
    planning: Planning,
    sources: Iterable[Source],
    window: Collection[str],
    quiet: Mapping[str, float],
    turns: Mapping[str, str],
    freed: Collection[str] = (),
) -> None:
    pools = _pools(planning, quiet)
    serving: dict[str, list[Pool]] = {}
    for pool in pools:
        for queue in pool.queues:
            if not planning.is_held(queue):
                serving.setdefault(queue, []).append(pool)
    bounds = Bounds(planning, serving, turns)
    if planning.control is not None:
        planning.comes(until_ms for until_ms in planning.control.paused.values() if until_ms > planning.now_ms)
    stand = _stand(planning, serving, bounds)
    _admit(planning, sources, window, stand, serving, freed)
    lines = stand.lines
    turn = sorted(queue for queue, line in lines.items() if line.size)
    if turn:
        # By the golden ratio, so that no rhythm of the board's writes, such as two for each message, brings the same
        # queue first every time.
        first = int(planning.board.turn * _GOLDEN % 1 * len(turn))
        turn = turn[first:] + turn[:first]
    _assign_unfit(planning, stand, serving, bounds)
    busy = stand.busy | stand.held
    # First an equal share of each host's room to every queue with messages, then the rest to queues that want more.
    for place, queue in enumerate(turn):
        if not bounds.assign(queue, lines[queue], serving[queue], busy, len(turn) - place):
            _assign_queue(planning, queue, lines[queue], serving[queue], busy, share=len(turn) - place)
    planning.planned.room = dict.fromkeys(serving, 0)
    for queue in turn[:-1]:
        if not bounds.assign(queue, lines[queue], serving[queue], busy, 1):
            _assign_queue(planning, queue, lines[queue], serving[queue], busy, share=1)
    bounds.begin_turns(serving, busy)
    bounds.enter()
    for pool in pools:
        if pool.has_room:
            for queue in pool.queues:
                if queue in planning.planned.room:
                    planning.planned.room[queue] += pool.room(queue)


def _pools(planning: Planning, quiet: Mapping[str, float]) -> list[Pool]:
    hosts = {
        session: Host(ledger, planning.settings, quiet.get(session, 0.0))
        for session, ledger in sorted(planning.ledgers.items())
        if not ledger.over and ledger.slots > 0
    }
    for ticket in planning.tickets.values():
        if ticket.session in hosts:
            hosts[ticket.session].load(ticket.queue, ticket.left, len(ticket.parts))
    alike: dict[frozenset[str], list[Host]] = {}
    for host in hosts.values():
        alike.setdefault(frozenset(host.offers), []).append(host)
    return [Pool(members, planning.settings) for members in alike.values()]


def _stand(planning: Planning, serving: Collection[str], bounds: Bounds) -> _Stand:
    lines = {queue: bounds.line(queue) for queue in serving}
    unfit: dict[tuple[str, str], Line] = {}
    busy, held = _busy_groups(planning), set[tuple[str, str]]()
    waits: dict[tuple[str, str], int] = {}
    doors = Doors(planning, ())
    for path, known in planning.open_states():
        state = known
        if not (state.ready or state.waiting):
            continue
        source = parse_source(path)
        if source.expires_ms is not None and state.ready:
            state = expiry.ready(planning, source, state)
        if state.waiting and source.group is not None:
            busy.add((source.queue, source.group))
        if not state.ready or (source.gate and not doors.may_go(source)):
            continue
        many = sum(ready.stop - ready.start for ready in state.ready)
        if state.unfit:
            for token, marked in (state if isinstance(state, Draft) else Draft(state)).marked().items():
                many -= marked
                key = source.queue, token
                waits[key] = waits.get(key, 0) + marked
                unfit.setdefault(key, Line()).add(source, marked)
                if source.group is not None:
                    held.add((source.queue, source.group))
        if many and source.queue in lines:
            lines[source.queue].add(source, many)
    planning.planned.unfit = [(*key, many) for key, many in sorted(waits.items()) if not is_held(key[1])]
    return _Stand(lines, unfit, busy, held)


def _busy_groups(planning: Planning) -> set[tuple[str, str]]:
    busy: set[tuple[str, str]] = set()
    for ticket in planning.tickets.values():
        source = parse_source(ticket.parts[0].source)
        if source.group is not None and ticket.left:  # a ticket holds either one message of a group, or none
            busy.add((source.queue, source.group))
    return busy


def _admit(
    planning: Planning,
    sources: Iterable[Source],
    window: Collection[str],
    stand: _Stand,
    serving: dict[str, list[Pool]],
    freed: Collection[str],
) -> None:
    """Line up batches that are not on the board, as many as the hosts can take."""
    fresh: dict[str, list[Source]] = {queue: [] for queue in stand.lines}
    over: list[Source] = []
    for source in sources:
        if not _is_new(planning, source.path):
            continue
        if source.id in window:
            planning.planned.refused.append(source.path)
        elif source.expires_ms is not None and expiry.is_over(planning, source):
            over.append(source)
        elif source.queue in fresh:
            fresh[source.queue].append(source)
    for source in over[: expiry.MOST_NEW]:
        if planning.bytes > planning.settings.max_board_bytes // 2:
            planning.full.add("board")  # where nothing can be deleted, they would fill the board
            break
        expiry.new(planning, source)
    doors = Doors(planning, freed)
    for queue, listed in fresh.items():
        if not listed:
            continue
        if stand.lines[queue].takes_all:
            for source in listed:
                if not source.gate or doors.admits(source):
                    stand.lines[queue].add(source, source.count)
            continue
        # Batches beyond the hosts' room need not stand in line. Whether a group is busy is not known yet.
        enough = 1 + 2 * sum(pool.room(queue) for pool in serving[queue])
        for source in sorted(listed, key=rank):
            if enough <= 0:
                break
            if source.gate and not doors.admits(source):
                enough -= source.path in planning.planned.opening
                continue
            stand.lines[queue].add(source, source.count)
            enough -= source.count if source.group is None else 0


def _is_new(planning: Planning, path: str) -> bool:
    """Whether the messages of a listed source are only there. Messages of a move are still in their old source."""
    board = planning.board
    return path not in planning.sources and path not in board.sources and path not in board.moves


def _assign_queue(
    planning: Planning, queue: str, line: Line, pools: list[Pool], busy: set[tuple[str, str]], *, share: int
) -> None:
    able = [pool for pool in pools if pool.has_room]
    if not able or not (size := line.size):
        return
    quotas = [size]
    if len(able) > 1:
        quotas = share_out(size, [pool.bounds(queue, share) for pool in able])
    for pool, quota in zip(able, quotas, strict=True):
        for host, many in pool.shares(queue, quota, share).items():
            given = _fill(planning, queue, line, host, many, busy, pool)
            if given < many:
                pool.load(host, queue, given - many)


def _fill(
    planning: Planning,
    queue: str,
    line: Line,
    host: Host,
    quota: int,
    busy: set[tuple[str, str]],
    pool: Pool,
    token: str = "",
) -> int:
    """Give a host ``quota`` messages of a queue, or as many as there are. They count as its load already.

    Returns:
        The number given.
    """
    left = quota
    shared: list[Part] = []
    while left > 0 and host.ranges + len(shared) < planning.settings.max_ranges:
        if len(shared) == planning.settings.max_parts:
            _ticket(planning, host, queue, tuple(joined(shared) if line.takes_all else shared), pool)
            shared = []
        taken = _take_next(planning, line, busy, left, token)
        if taken is None:
            break
        part, alone = taken
        left -= part.stop - part.start
        if alone:
            _ticket(planning, host, queue, (part,), pool)
        else:
            shared.append(part)
    if shared:
        _ticket(planning, host, queue, tuple(joined(shared) if line.takes_all else shared), pool)
    return quota - left


def _take_next(
    planning: Planning, line: Line, busy: set[tuple[str, str]], most: int, token: str = ""
) -> tuple[Part, bool] | None:
    """The next messages in dispatch order. A group has one message in tickets at a time."""
    while (source := line.first()) is not None:
        taken = take(planning, line, source, busy, most if line.most > most else line.most, token)
        if taken is not None:
            return taken
        line.drop()
    return None


def _ticket(planning: Planning, host: Host, queue: str, parts: tuple[Part, ...], pool: Pool) -> None:
    planning.ticket(host.session, parts)
    pool.load(host, queue, 0, len(parts))


# ---- unfit messages --------------------------------------------------------------------------------------------------


def _assign_unfit(planning: Planning, stand: _Stand, serving: dict[str, list[Pool]], bounds: Bounds) -> None:
    """Assign messages that hosts have given back to hosts that know the task otherwise; without one they wait."""
    for (queue, token), line in sorted(stand.unfit.items()):
        if is_held(token):
            continue
        for pool in serving.get(queue, ()):
            for host in pool.hosts:
                if not knows(host, queue, token):
                    continue
                if bounds.binds(queue):
                    bounds.give_unfit(queue, line, host, pool, stand.busy, token)
                    continue
                room = max(host.room(queue), host.idle)
                many = min(line.size, room)
                if many > 0:
                    pool.load(host, queue, many)
                    given = _fill(planning, queue, line, host, many, stand.busy, pool, token)
                    if given < many:
                        pool.load(host, queue, given - many)


def knows(host: Host, queue: str, token: str) -> bool:
    """Whether a message may fit this host although other hosts have given it back."""
    task, _, digests = token.rpartition("@")
    digest = host.offers[queue].tasks.get(task)
    return digest is not None and digest not in digests.split(",")
