"""Restoring a deleted board.

Running hosts notice the deletion and assign and start nothing new. Each stores a copy of the last board that it knew,
under its own key. An operator restores the newest copy. Tickets keep their numbers, so claims and reports of the hosts
stay valid, and nothing runs twice.

The copy of the leading session is the deleted board. If that host died, too, the newest copy of the others may be older,
and messages settled since then run again; this needs an explicit option. Without any copy a new board is founded: every
session is ended first, and epochs begin above all that ledgers and retired pages name.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core import ranges
from s3queue.core.keys import Layout, is_source, parse_source
from s3queue.core.ops import Step, Unknown, delete, get, get_all, get_within, list_all, list_page, put, write
from s3queue.core.records import Board, Ledger, RetiredPage, Totals, decode, encode
from s3queue.errors import ConfigError, CorruptRecord
from s3queue.store import Conflict, Found, Listed, Stored

#: Epochs left free above the newest known one, for unknown ones.
_EPOCHS_SPARE = 1000
#: Ledgers read at a time before a board is founded, and seconds of their time-out.
_LEDGERS, _READ_S = 100, 5.0


class Copy(NamedTuple):
    """A board as one session knew it last.

    Attributes:
        is_exact: it is the session's own board, and no other copy is newer.
    """

    session: str
    board: Board
    is_exact: bool


class Restored(NamedTuple):
    """There is a board again; the first agent to read it stands for election.

    Attributes:
        fenced: sessions that were ended for it.
    """

    board: Board
    fenced: tuple[str, ...] = ()


class Stands(NamedTuple):
    """There is a board already. Nothing was changed."""


def was_led(layout: Layout, me: str) -> Step[bool]:
    """Whether this namespace had a board before. Then it has to be restored, not begun anew: tickets of a new board would
    have the numbers of old ones.

    Asks: three Lists, and one Get for each ledger but our own.
    """
    for prefix in (layout.lost(""), layout.retired):
        if (yield from list_page(prefix, "", 1)):
            return True
    listed = yield from list_page(layout.hosts, "", _LEDGERS)
    found = yield from get_within([item.key for item in listed if layout.session(item.key) != me], _READ_S)
    for outcome in found:
        if isinstance(outcome, Found):
            with contextlib.suppress(CorruptRecord):
                if decode(Ledger, layout.hosts, outcome.body).claims:
                    return True
    return False


def keep_copy(layout: Layout, session: str, board: Board) -> Step[bool]:
    """Keep what this session knew of a deleted board. Returns whether it is kept: once is enough for each deletion.

    Asks: one Put; where a copy was left from an earlier time, one Get and one Put more.
    """
    key, body = layout.lost(session), encode(board)
    outcome = yield from put(key, body, None)
    if isinstance(outcome, Conflict):
        left = yield from get(key)
        if not isinstance(left, Found):
            return False
        if left.body == body:
            return True
        outcome = yield from put(key, body, left.version)
    return isinstance(outcome, Stored)


def stands(layout: Layout) -> Step[str | None]:
    """Why the board that is there cannot be read; empty where it can be. None: there is no board.

    Asks: one Get.
    """
    found = yield from get(layout.board)
    if not isinstance(found, Found):
        return None
    try:
        decode(Board, layout.board, found.body)
    except CorruptRecord as fault:
        return str(fault)
    return ""


def copies(layout: Layout) -> Step[list[Copy]]:
    """The copies that hosts have kept, newest first.

    Asks: one List, and one Get for each copy.
    """
    prefix = layout.lost("")
    listed = yield from list_all(prefix)
    found = yield from get_all([item.key for item in listed])
    boards: list[tuple[str, Board]] = []
    for item, outcome in zip(listed, found, strict=True):
        if isinstance(outcome, Found):
            boards.append((item.key.removeprefix(prefix), decode(Board, item.key, outcome.body)))
    boards.sort(key=lambda one: (one[1].epoch, one[1].turn), reverse=True)
    newest = (boards[0][1].epoch, boards[0][1].turn) if boards else (0, 0)
    return [
        Copy(
            session,
            board,
            (board.epoch, board.turn) == newest and board.leader is not None and board.leader.session == session,
        )
        for session, board in boards
    ]


def put_back(layout: Layout, copy: Copy, nonce: str) -> Step[Restored | Stands]:
    """Put this copy back, one term later and without a leader, and remove all copies.

    A copy that is not exact is stored without the sources that finished since: a retired page names them.

    Raises: ConfigError: the copy is not exact and names messages on their way off the board. It is unknown whether they
        arrived: begin anew.

    Asks: one Put, one List, one Delete; where the copy is not exact, one List and one Get for each retired page, and one
    List per 1,000 scheduled batches.
    """
    old = copy.board
    if not copy.is_exact:
        if old.moves:
            raise ConfigError("this copy names messages that were being moved", "begin anew: --anew")
        old = _without(old, (yield from _retired(layout)))
        old = replace(old, totals=_counted(old.totals, (yield from _moved(layout))))
    board = replace(old, nonce=nonce, epoch=old.epoch + 1, turn=old.turn + 1, leader=None, sequence=0)
    return (yield from _create(layout, board, ()))


def _retired(layout: Layout) -> Step[set[str]]:
    pages = yield from list_all(layout.retired)
    found = yield from get_all([item.key for item in pages])
    ids: set[str] = set()
    for item, outcome in zip(pages, found, strict=True):
        if isinstance(outcome, Found):
            ids.update(decode(RetiredPage, item.key, outcome.body).sources)
    return ids


def _moved(layout: Layout) -> Step[Counter[str]]:
    """By queue, messages in batches that were moved off the board. A reader that waits for a message looks for such batches
    only where the board counts some."""
    moved: Counter[str] = Counter()
    for item in (yield from list_all(layout.later)):
        with contextlib.suppress(CorruptRecord):
            source = parse_source(layout.path(item.key))
            if source.moved:
                moved[source.queue] += source.count
    return moved


def _counted(totals: Mapping[str, Totals], moved: Mapping[str, int]) -> dict[str, Totals]:
    queues = totals.keys() | moved.keys()
    return {queue: replace(totals.get(queue, Totals()), moved=moved.get(queue, 0)) for queue in sorted(queues)}


def _without(board: Board, finished: set[str]) -> Board:
    """The board without these sources: their messages count as taken over from the tickets that hold them."""
    sources = {
        path: state
        for path, state in board.sources.items()
        if not is_source(path) or parse_source(path).id not in finished
    }
    tickets = {}
    for name, ticket in board.tickets.items():
        gone: list[tuple[int, int]] = []
        base = 0
        for part in ticket.parts:
            size = part.stop - part.start
            if part.source not in sources:
                gone.append((base, base + size))
            base += size
        kept = replace(ticket, taken=ranges.union(ranges.pairs(ticket.taken), gone)) if gone else ticket
        if kept.left:
            tickets[name] = kept
    return replace(board, sources=sources, tickets=tickets)


def found_anew(layout: Layout, nonce: str) -> Step[Restored | Stands]:
    """Begin a new board without tickets, with numbers above all that ledgers and pages name. It does not know what is
    settled. Every session is ended first, so that nothing that runs now can count beside what is assigned next. Messages
    that ended and whose batch is still there run again.

    Asks: one List per 1,000 ledgers, retired pages, and scheduled batches; one Get and one Put for each ledger; two Gets
    and one Put.
    """
    if isinstance((yield from get(layout.board)), Found):
        return Stands()  # read first: its sessions may be at work
    listed = yield from list_all(layout.hosts)
    found = yield from get_all([item.key for item in listed])
    epochs, fenced = [0], []
    for number, (item, outcome) in enumerate(zip(listed, found, strict=True)):
        session = layout.session(item.key)
        ledger = Ledger("", session, unread=True)
        if not isinstance(outcome, Found):
            continue
        with contextlib.suppress(CorruptRecord):
            ledger = decode(Ledger, item.key, outcome.body)
        epochs += _epochs(ledger)
        if ledger.over:
            continue
        own = f"{nonce}.{number}"
        ended = yield from write(
            item.key, encode(replace(ledger, fenced=True, nonce=own)), nonce=own, if_version=outcome.version
        )
        if not isinstance(ended, Stored):
            # It wrote just now, or there was no answer: a session that lives would go on beside the new board.
            return (yield from found_anew(layout, f"{nonce}+"))
        fenced.append(session)
    pages = yield from list_all(layout.retired)
    names = (item.key.removeprefix(layout.retired).partition("-")[0] for item in pages)
    epochs += [int(name) for name in names if name.isascii() and name.isdigit()]
    uptime_ms = yield from _newest_uptime(pages[-1:])
    totals = _counted({}, (yield from _moved(layout)))
    board = Board(nonce, epoch=max(epochs) + _EPOCHS_SPARE, turn=1, uptime_ms=uptime_ms, totals=totals)
    return (yield from _create(layout, board, tuple(fenced)))


def _newest_uptime(pages: Sequence[Listed]) -> Step[int]:
    """The clock of the deleted board, from its newest page. With a clock that begins at 0, pages would be kept for as long
    as the deleted board had been led."""
    found = yield from get_all([item.key for item in pages])
    for item, outcome in zip(pages, found, strict=True):
        if isinstance(outcome, Found):
            with contextlib.suppress(CorruptRecord):
                return decode(RetiredPage, item.key, outcome.body).uptime_ms
    return 0


def _epochs(ledger: Ledger) -> Iterator[int]:
    for ticket in ledger.claims:
        epoch = ticket.partition("-")[0]
        if epoch.isascii() and epoch.isdigit():
            yield int(epoch)


def _create(layout: Layout, board: Board, fenced: tuple[str, ...]) -> Step[Restored | Stands]:
    outcome = yield from write(layout.board, encode(board), nonce=board.nonce, if_version=None)
    if not isinstance(outcome, Stored):
        assert not isinstance(outcome, Conflict)
        return Stands() if not isinstance(outcome, Unknown) else (yield from _create(layout, board, fenced))
    kept = yield from list_all(layout.lost(""))
    yield from delete([item.key for item in kept])
    return Restored(board, fenced)
