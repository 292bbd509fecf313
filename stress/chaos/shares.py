"""The verdict on what boards assign: within a rate, and to each key in its turn. Tasks run only what was assigned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from s3queue.core.keys import parse_message_id, parse_source
from stress.chaos.accounts import Accounts
from stress.chaos.notes import Assigned
from stress.chaos.plan import PACED, RATE, SHARED
from stress.chaos.steering import called_off

#: Seconds of a rate that may be assigned at once, where messages have waited for it: as the documentation says.
_BURST_S = 2.0
#: Messages of one key that a board may assign while it gives none to another key that waits.
_TURN = 2


class OnBoard(NamedTuple):
    """
    Attributes:
        turn: of the board that has the first ticket of a message.
        planned_after: when the board before it was sent, by the same leader: it was planned after that. Minus infinity
            where another one led.
    """

    turn: int
    planned_after: float


def rates(accounts: Accounts) -> Iterator[str]:
    """Between any two boards no more is assigned than the rate allows in that time, besides what was saved up for it."""
    boards = _planned(accounts)
    assigned = [(turn, many) for turn, one in sorted(accounts.assigned.items()) if (many := _of(one, PACED).total())]
    for at, (first, _) in enumerate(assigned):
        since = boards[first].after
        total = 0
        for last, many in assigned[at:]:
            total += many
            allowed = (boards[last].until - since) * RATE + max(1.0, RATE * _BURST_S)
            if total > allowed + 1e-6:
                yield f"turns {first} to {last} of the board assigned {total} messages, {allowed:.1f} are allowed"
                return  # those that follow are no news
    known = {name for one in accounts.assigned.values() for name in one.tickets}
    for run in accounts.runs:
        if _queue_of(run.start.message) == PACED and run.ticket not in known:
            yield f"ran without a ticket of a board: {run}"


def turns(accounts: Accounts) -> Iterator[str]:
    """A key with messages that a plan has seen is not left out while another one gets several."""
    off = called_off(accounts)
    ticketed = first_on_board(accounts)
    boards = _planned(accounts)
    ready: dict[str, list[tuple[float, int]]] = {}
    for message, at in accounts.sent_at.items():
        source = parse_source(parse_message_id(message).path)
        if source.queue == SHARED and message not in off and message in ticketed:
            ready.setdefault(source.key, []).append((at, ticketed[message].turn))
    for turn, one in sorted(accounts.assigned.items()):
        served = _of(one, SHARED)
        if not served or not boards[turn].is_known:
            continue
        most = max(served, key=lambda key: served[key])
        since = boards[turn].after
        for key, waits in ready.items():
            if served[most] > _TURN and not served[key] and any(at < since and turn < to for at, to in waits):
                yield f"turn {turn} of the board gave {served[most]} of key {most}, and none of {key}, which waited"


def first_on_board(accounts: Accounts) -> dict[str, OnBoard]:
    """By message, of the queues whose tickets are written down."""
    boards = _planned(accounts)
    found: dict[str, OnBoard] = {}
    ids = {(parse_message_id(one).path, parse_message_id(one).index): one for one in accounts.sent | accounts.uncertain}
    for turn, one in sorted(accounts.assigned.items()):
        for parts in one.tickets.values():
            for source, start, stop, _ in parts:
                for index in range(start, stop):
                    if message := ids.get((source, index)):
                        board = boards[turn]
                        found.setdefault(message, OnBoard(turn, board.after if board.is_known else float("-inf")))
    return found


class _Planned(NamedTuple):
    """When a board was planned. ``is_known``: the board before is of the same leader, who was at no plan then."""

    after: float
    until: float
    is_known: bool


def _planned(accounts: Accounts) -> dict[int, _Planned]:
    nonces = accounts.boards()
    sent: dict[int, tuple[float, int]] = {}
    for ruled in accounts.ruled:
        if nonces.get(ruled.turn) == ruled.nonce:
            at, epoch = sent.get(ruled.turn, (ruled.at, ruled.epoch))
            sent[ruled.turn] = min(at, ruled.at), epoch
    found: dict[int, _Planned] = {}
    nothing = float("-inf"), -1
    for turn, (at, epoch) in sent.items():
        before, before_epoch = sent.get(turn - 1, nothing)
        found[turn] = _Planned(before, at, before_epoch == epoch)
    return found


def _of(assigned: Assigned, queue: str) -> Counter[str]:
    """Messages by key."""
    found: Counter[str] = Counter()
    for parts in assigned.tickets.values():
        for path, start, stop, _ in parts:
            source = parse_source(path)
            if source.queue == queue:
                found[source.key] += stop - start
    return found


def _queue_of(message: str) -> str:
    return parse_source(parse_message_id(message).path).queue
