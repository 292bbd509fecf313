"""Give what is ready, and batches not seen before, to hosts with room."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from s3queue.core.keys import Source, parse_source
from s3queue.core.plan.hosts import Host
from s3queue.core.plan.lines import Line, rank
from s3queue.core.plan.planning import Planning
from s3queue.core.plan.share import share_out
from s3queue.core.records import Part

#: Fractional part of the golden ratio: its multiples spread evenly over [0, 1), and so do those of any multiple of it.
_GOLDEN = 0.6180339887498949
#: What a part of a ticket and a source take on the board besides the path, in bytes.
_PART_BYTES, _SOURCE_BYTES = 20, 40


def tickets(planning: Planning, sources: Iterable[Source], window: Collection[str]) -> None:
    hosts = _hosts(planning)
    offered = {queue for host in hosts for queue in host.offers}
    lines = {queue: Line() for queue in offered}
    busy = _busy_groups(planning)
    for path in planning.sources:
        source = parse_source(path)
        draft = planning.drafts.get(path)
        state = planning.sources[path] if draft is None else draft
        if state.waiting and source.group is not None:
            busy.add((source.queue, source.group))
        if state.ready and source.queue in lines:
            lines[source.queue].add(source, sum(ready.stop - ready.start for ready in state.ready))
    fresh: dict[str, list[Source]] = {queue: [] for queue in offered}
    for source in sources:
        if not _is_new(planning, source.path):
            continue
        if source.id in window:
            planning.planned.refused.append(source.path)
        elif source.queue in lines:
            fresh[source.queue].append(source)
    for queue, line in lines.items():
        # Those behind what the hosts can take need not stand in line. Of a group nobody knows whether it is busy.
        enough = sum(host.room(queue) for host in hosts if queue in host.offers)
        for source in sorted(fresh[queue], key=rank):
            if enough <= 0:
                break
            line.add(source, source.count)
            enough -= source.count if source.group is None else 0
    turn = sorted(queue for queue, line in lines.items() if line.size)
    if turn:
        # By the golden ratio, so that no rhythm of the board's writes, such as two for each message, brings the same
        # queue first every time.
        first = int(planning.board.turn * _GOLDEN % 1 * len(turn))
        turn = turn[first:] + turn[:first]
    # An equal share of each host's room to every queue that has messages, then what is left of it to whoever wants it.
    for place, queue in enumerate(turn):
        _assign_queue(planning, queue, lines[queue], hosts, busy, share=len(turn) - place)
    planning.planned.room = dict.fromkeys(lines, 0)
    hosts = [host for host in hosts if not host.is_full]
    for queue in turn[:-1]:
        _assign_queue(planning, queue, lines[queue], hosts, busy, share=1)
    for host in hosts:
        for queue in host.offers:
            room = min(host.room(queue), planning.settings.max_ranges - host.ranges)
            planning.planned.room[queue] += max(0, room)


def _hosts(planning: Planning) -> list[Host]:
    hosts = {
        session: Host(ledger, planning.settings)
        for session, ledger in sorted(planning.ledgers.items())
        if not ledger.over and ledger.slots > 0
    }
    for ticket in planning.tickets.values():
        if ticket.session in hosts:
            hosts[ticket.session].load(ticket.queue, ticket.left, len(ticket.parts))
    return list(hosts.values())


def _busy_groups(planning: Planning) -> set[tuple[str, str]]:
    busy: set[tuple[str, str]] = set()
    for ticket in planning.tickets.values():
        source = parse_source(ticket.parts[0].source)
        if source.group is not None and ticket.left:  # a ticket holds either one message of a group, or none
            busy.add((source.queue, source.group))
    return busy


def _assign_queue(
    planning: Planning, queue: str, line: Line, hosts: list[Host], busy: set[tuple[str, str]], *, share: int
) -> None:
    serving = [host for host in hosts if queue in host.offers]
    rooms = [host.room(queue, share) for host in serving]
    quotas = share_out(line.size, [(min(host.idle, room), room) for host, room in zip(serving, rooms, strict=True)])
    for host, quota in zip(serving, quotas, strict=True):
        left = quota
        shared: list[Part] = []
        while left > 0 and host.ranges + len(shared) < planning.settings.max_ranges:
            if len(shared) == planning.settings.max_parts:
                _ticket(planning, host, queue, tuple(shared))
                shared = []
            taken = _take_next(planning, line, busy, left)
            if taken is None:
                break
            part, alone = taken
            left -= part.stop - part.start
            if alone:
                _ticket(planning, host, queue, (part,))
            else:
                shared.append(part)
        if shared:
            _ticket(planning, host, queue, tuple(shared))


def _take_next(planning: Planning, line: Line, busy: set[tuple[str, str]], most: int) -> tuple[Part, bool] | None:
    """The next messages in dispatch order. One of a group at a time, and none while an earlier one is out."""
    while (source := line.first()) is not None:
        if source.group is not None:
            if (source.queue, source.group) in busy:
                line.drop()
                continue
            most = 1
        if not _has_space(planning, source):
            if source.group is not None:
                busy.add((source.queue, source.group))
            line.drop()
            continue
        taken = planning.draft(source.path).take(most)
        if taken is None:
            line.drop()
            continue
        ready, alone = taken
        line.took(ready.stop - ready.start)
        if source.group is not None:
            busy.add((source.queue, source.group))
            alone = True
        return Part(source.path, ready.start, ready.stop, ready.attempt), alone
    return None


def _ticket(planning: Planning, host: Host, queue: str, parts: tuple[Part, ...]) -> None:
    ticket = planning.ticket(host.session, parts)
    host.load(queue, ticket.size, len(parts))


def _is_new(planning: Planning, path: str) -> bool:
    """Whether the messages of a listed source are nowhere else. Those of a move are still where they come from."""
    board = planning.board
    return path not in planning.sources and path not in board.sources and path not in board.moves


def _has_space(planning: Planning, source: Source) -> bool:
    """Whether the board may grow by a part of this source. It is then charged.

    What is new leaves room for what is there already, so that a board which is full empties.
    """
    most = planning.settings.max_board_bytes
    is_new = source.path not in planning.sources and source.path not in planning.drafts
    size = _PART_BYTES + len(source.path) + (_SOURCE_BYTES + len(source.path) if is_new else 0)
    if planning.bytes + size > (most // 2 if is_new else most * 3 // 4) and (is_new or planning.tickets):
        planning.full.add("board")
        return False
    planning.bytes += size
    return True
