"""One cycle of the coordinator: survey, fence, bury, retire, plan, commit, clean up.

Whatever is decided becomes true with one compare-and-swap of the board, and what follows from a committed board is done
after it. So a coordinator that was replaced may still finish its clean-up: it rests on facts that stay true.

Windows are measured in `Board.uptime_ms`, which a leader advances by its own steady clock: it never runs ahead of real
time and survives a change of leader, so no wall clock decides how long a finished source is remembered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from s3queue.core.chores.park import park
from s3queue.core.elect import View
from s3queue.core.keys import Layout, parse_message_id, parse_source
from s3queue.core.letters import dead_letter
from s3queue.core.ops import Overtaken, Step, Unknown, delete, get_all, list_all, put, write
from s3queue.core.plan import Parking, Planned, Settings, Settled, is_finished, plan
from s3queue.core.records import Board, Ledger, RetiredPage, decode, encode
from s3queue.core.rounds import Rounds
from s3queue.core.survey import Heard, Survey, Sweep, read_ledger, survey
from s3queue.errors import CorruptRecord, StoreUnavailable
from s3queue.store import Conflict, Found, Missing, Stored

#: Dead letters written in one cycle; they are written one after the other, and the cycle must stay shorter than a lease.
_BURIED_A_CYCLE = 20
#: Finished sources share a retired page: it is written when so many are waiting, or after so long.
_PAGE_SIZE = 500
_PAGE_AFTER_S = 1.0
#: New batches of one queue that a survey looks for at most. A thousand hosts of four slots start so many in five seconds.
_MOST_WANTED = 20_000
#: Finished sources that are read in one cycle to see that they are gone; few are ever out of every survey's sight.
_HIDDEN_A_CYCLE = 100


class Page(NamedTuple):
    key: str
    uptime_ms: int
    sources: tuple[str, ...]


@dataclass
class Lead:
    """What the coordinator of one epoch knows.

    Attributes:
        view: the board that was committed last, and its version. Shared with the host's side of the same process, which
            thus needs not read what this process wrote.
        since: steady time of the election; `Board.uptime_ms` counts on from there.
        heard: by session, see `Heard`. A process that leads and is a host enters its own ledger as it stores it.
        pages: retired pages, oldest first; ``window`` holds the ids on them.
        buried: messages whose dead letter is stored, and which the board does not yet count as settled.
        parking: what came of the moves on the board.
        board_bytes: its size; None before the first that we wrote.
        ended: sessions that were over before the committed board was sent. Nobody gives them a ticket any more, and those
            that it still lists are the last ones they have.
        pending: a board that was sent and not answered, and the version that it replaces. It is sent again, against that
            version, before anything else is decided.
        epoch: the term that this is about. The view may have learned of a later one.
        wanted: by queue, how many new batches the next survey looks for.
        deep: queues of which the last one saw only the head.
        sweep: how far it looks through what is due.
        swept: finished sources that were deleted where no survey looks; a read has to show that they are gone.
        rounds: how long hosts live on what they hold.
        corrupt: retired pages that could not be read.
    """

    layout: Layout
    view: View
    settings: Settings
    since: float
    uptime_base_ms: int
    heard: dict[str, Heard] = field(default_factory=dict)
    pages: deque[Page] = field(default_factory=deque)
    window: set[str] = field(default_factory=set)
    buried: set[tuple[str, int]] = field(default_factory=set)
    parking: Parking = field(default_factory=Parking)
    board_bytes: int | None = None
    ended: frozenset[str] = frozenset()
    pending: tuple[Planned, str] | None = None
    wanted: dict[str, int] = field(default_factory=dict)
    deep: Collection[str] = ()
    sweep: Sweep = field(default_factory=Sweep)
    swept: set[str] = field(default_factory=set)
    rounds: Rounds = field(default_factory=Rounds)
    corrupt: list[CorruptRecord] = field(default_factory=list)
    next_page: int = 0
    paged_at: float = 0.0
    written_at: float = 0.0
    epoch: int = field(init=False)

    def __post_init__(self) -> None:
        self.epoch = self.board.epoch

    @property
    def board(self) -> Board:
        assert self.view.board is not None
        return self.view.board

    def uptime_ms(self, now: float) -> int:
        return self.uptime_base_ms + int((now - self.since) * 1000)

    def remember(self, page: Page) -> None:
        self.pages.append(page)
        self.window.update(page.sources)


class Cycled(NamedTuple):
    """The cycle is over and we still lead.

    Attributes:
        committed: whether a new board stands.
        planned: what was decided.
        fenced: sessions that were ended in this cycle.
        next_due_ms: wall clock at which a message becomes due; None where none is known.
        corrupt: what could not be read.
        rest: the clean-up, if it was to be done apart.
    """

    committed: bool
    planned: Planned
    fenced: tuple[str, ...] = ()
    next_due_ms: int | None = None
    corrupt: tuple[CorruptRecord, ...] = ()
    rest: Step[None] | None = None

    @property
    def settled(self) -> list[Settled]:
        return self.planned.settled if self.committed else []


class Deposed(NamedTuple):
    """Somebody else leads. Become a candidate."""


class Doubt(NamedTuple):
    """The commit was not answered, and has left no trace yet. The next cycle begins by sending it again."""


def take_office(view: View, layout: Layout, settings: Settings, now: float) -> Step[Lead]:
    """Learn what may not be admitted again. Only then may anything be assigned.

    The pages are listed after the election, so that none of a replaced coordinator's that counts is missed: it cannot
    take a source off the board any more.

    Args:
        view: holds the board that `s3queue.core.elect.stand` stored.
        now: steady time, taken before this step was started.

    Asks: one List per 1,000 retired pages, and one Get for each.
    """
    assert view.board is not None
    lead = Lead(layout, view, settings, now, view.board.uptime_ms, written_at=now, paged_at=now)
    listed = yield from list_all(layout.retired)
    found = yield from get_all([item.key for item in listed])
    for item, outcome in zip(listed, found, strict=True):
        if isinstance(outcome, Found):
            try:
                page = decode(RetiredPage, item.key, outcome.body)
            except CorruptRecord as corrupt:
                lead.corrupt.append(corrupt)  # reported, and never deleted
            else:
                lead.remember(Page(item.key, page.uptime_ms, page.sources))
    return lead


def cycle(
    lead: Lead, *, now: float, now_ms: int, nonce: str, gone: Collection[str] = (), apart: bool = False
) -> Step[Cycled | Deposed | Doubt]:
    """Look once, decide once, commit at most once.

    Args:
        now: steady time, taken before this step was started.
        now_ms: wall clock.
        nonce: fresh; every write of the cycle derives its own from it.
        gone: sessions of this machine whose processes are known to be gone: fenced without waiting.
        apart: leave the clean-up to the caller, who may run `Cycled.rest` beside later cycles, or drop it: they find the
            same garbage again. Deleting thousands of objects takes seconds, and nobody is to wait for that. One at a time,
            or the same is deleted twice, which costs and does no harm.

    Returns:
        Cycled: still leading. Deposed, Doubt: see there.

    Asks: the survey (one List or more, a Get for each changed ledger); one Put for each fenced session, each dead letter
        and at most one retired page; one Put of the board, unless nothing changed and no sign of life is due; at most one
        Delete.
    """
    try:
        outcome = yield from _cycle(lead, now, now_ms, nonce, gone)
        if isinstance(outcome, Cycled) and outcome.rest is not None and not apart:
            yield from outcome.rest
            outcome = outcome._replace(rest=None)
    except StoreUnavailable:
        _count_silence_anew(lead)
        raise
    if isinstance(outcome, Doubt):
        _count_silence_anew(lead)
    return outcome


def show_life(lead: Lead, *, now: float, nonce: str) -> Step[Cycled | Deposed | Doubt]:
    """Write the board as it stands, so that nobody takes its leader for dead. Looks at nothing and decides nothing.

    For a leader that has reason to look less often than it has to be seen, and has no board in doubt.

    Args:
        now: steady time, taken before this step was started.
        nonce: fresh.

    Returns:
        As `cycle`.

    Asks: one Put; where that is refused or not answered, one Get; at most three of both.
    """
    assert lead.pending is None, "the same board is sent again, and before anything else: by a cycle"
    if lead.board.epoch != lead.epoch:
        return Deposed()
    board = replace(lead.board, nonce=nonce, turn=lead.board.turn + 1, uptime_ms=lead.uptime_ms(now))
    # As good as a plan: once it is stored, nobody has led since we heard of them who could have given them a ticket. If
    # only plans counted, and nothing but signs of life were written, what they left would lie there until there is work.
    ended = frozenset(
        session for session, heard in lead.heard.items() if heard.ledger is not None and heard.ledger.over
    )
    return (yield from _commit(lead, Planned(board, ended=ended), lead.view.version, now, Survey(), ()))


def _count_silence_anew(lead: Lead) -> None:
    """Who did not reach the store itself cannot tell who is silent from who did not reach it either. After an outage that
    was longer than the visibility timeout, all hosts would be fenced by whoever is back first."""
    for heard in lead.heard.values():
        heard.since = None


def _cycle(lead: Lead, now: float, now_ms: int, nonce: str, gone: Collection[str]) -> Step[Cycled | Deposed | Doubt]:
    if lead.pending is not None:
        return (yield from _commit(lead, *lead.pending, now, Survey(), ()))
    seen = yield from _survey(lead, now, now_ms)
    fenced = yield from _fence(lead, seen, now, nonce, gone)
    yield from _bury(lead, now_ms, nonce)
    for path in lead.parking.open(lead.board):
        lead.parking.done(path, (yield from park(lead.layout, lead.board, path)))
    retired = yield from _retire(lead, seen, now)
    if lead.board.epoch != lead.epoch:
        return Deposed()  # the view has learned it; our window does not hold what the other leader retired
    ledgers = {session: heard.ledger for session, heard in lead.heard.items() if heard.ledger is not None}
    lead.rounds.see(ledgers, now)
    target = max(lead.settings.ticket_target, lead.rounds.work_s(lead.settings.ack_s))
    planned = plan(
        lead.board,
        ledgers,
        seen.sources,
        now_ms=now_ms,
        settings=lead.settings._replace(ticket_target=target),
        window=lead.window,
        buried=lead.buried,
        parking=lead.parking,
        board_bytes=lead.board_bytes,
        retired=retired,
    )
    _look_ahead(lead, seen, planned)
    if planned.changed or now - lead.written_at >= lead.settings.leader_lease / 3:
        planned.board = replace(planned.board, nonce=nonce, turn=lead.board.turn + 1, uptime_ms=lead.uptime_ms(now))
        return (yield from _commit(lead, planned, lead.view.version, now, seen, fenced))
    return _cycled(lead, False, planned, seen, fenced)


def _cycled(lead: Lead, committed: bool, planned: Planned, seen: Survey, fenced: tuple[str, ...]) -> Cycled:
    due = [at for at in (planned.next_due_ms, seen.next_due_ms) if at is not None]
    rest = _clean_up(lead, planned, seen)
    return Cycled(committed, planned, fenced, min(due, default=None), tuple(seen.corrupt), rest)


# ---- survey ------------------------------------------------------------------------------------------------------


def _survey(lead: Lead, now: float, now_ms: int) -> Step[Survey]:
    known = lead.board.sources
    limit = min(1000, len(lead.heard) + len(known) + sum(lead.wanted.values()) + 64)
    return (
        yield from survey(
            lead.layout,
            lead.heard,
            now=now,
            now_ms=now_ms,
            wanted=lead.wanted,
            known=known,
            limit=limit,
            sweep=lead.sweep,
            deep=lead.deep,
        )
    )


def _look_ahead(lead: Lead, seen: Survey, planned: Planned) -> None:
    """Choose how far the next survey looks: twice what this cycle started, and at once as far as hosts have room."""
    started: dict[str, int] = {}
    for path in planned.board.sources:
        if path not in lead.board.sources:
            queue = parse_source(path).queue
            started[queue] = started.get(queue, 0) + 1
    lead.deep = seen.deep
    lead.wanted = {
        queue: min(_MOST_WANTED, max(32, 2 * started.get(queue, 0), room)) for queue, room in planned.room.items()
    }


# ---- fence -------------------------------------------------------------------------------------------------------


def _fence(lead: Lead, seen: Survey, now: float, nonce: str, gone: Collection[str]) -> Step[tuple[str, ...]]:
    """End the sessions that fell silent, and those that left no readable ledger, so that their tickets are free."""
    tickets: dict[str, list[str]] = {}
    for name, ticket in lead.board.tickets.items():
        tickets.setdefault(ticket.session, []).append(name)
    fenced: list[str] = []
    for session in sorted(lead.heard.keys() | tickets.keys()):
        heard = lead.heard.get(session)
        own_nonce = f"{nonce}.{len(fenced)}"
        # Without a readable ledger nobody knows what was claimed: all of it counts as claimed, so that no attempt can run
        # twice. That goes for tickets, too, that a later coordinator has given it, if we were replaced.
        ledger = Ledger(own_nonce, session, fenced=True, claims=tuple(tickets.get(session, ())), unread=True)
        if heard is not None:
            silent = heard.since is not None and now - heard.since > lead.settings.visibility_timeout
            if not silent and session not in gone:
                continue
            if heard.ledger is not None:
                if heard.ledger.over:
                    continue
                ledger = replace(heard.ledger, fenced=True, nonce=own_nonce)
        key = lead.layout.host(session)
        outcome = yield from write(
            key, encode(ledger), nonce=own_nonce, if_version=None if heard is None else heard.version, tries=2
        )
        match outcome:
            case Stored(version):
                lead.heard[session] = Heard(version, ledger)
                fenced.append(session)
            case Overtaken(Found() as found):
                lead.heard[session] = read_ledger(seen, key, found)  # it lives
            case Overtaken(Missing()):
                lead.heard.pop(session, None)
            case Unknown():
                pass  # the next cycle sees what came of it
    return tuple(fenced)


# ---- bury --------------------------------------------------------------------------------------------------------


def _bury(lead: Lead, now_ms: int, nonce: str) -> Step[None]:
    """Write the dead letters of messages that the committed board says are dying."""
    board = lead.board
    doomed = [
        (path, index)
        for path, state in board.sources.items()
        for index in state.dying
        if (path, index) not in lead.buried
    ][:_BURIED_A_CYCLE]
    paths = list(dict.fromkeys(path for path, _ in doomed))
    bodies = dict(zip(paths, (yield from get_all([lead.layout.source(path) for path in paths])), strict=True))
    for number, (path, index) in enumerate(doomed):
        if (path, index) in lead.buried:
            continue
        failures = board.sources[path].failures.get(index, ())
        letter = dead_letter(lead.layout, path, index, bodies[path], failures, f"{nonce}.d{number}", now_ms)
        outcome = yield from put(lead.layout.dead(letter.queue, letter.message), encode(letter), None)
        if not isinstance(outcome, (Stored, Conflict)):  # a Conflict: it was written before
            continue
        lead.buried.add((path, index))
        body = bodies[path]
        if isinstance(body, Found) and letter.raw and letter.payload == body.body:
            # One letter for all that cannot be read from this message's on; not for others that happen to die beside it.
            first = parse_message_id(letter.message).index
            lead.buried.update((path, other) for other in board.sources[path].dying if other >= first)


# ---- retire ------------------------------------------------------------------------------------------------------


def _retire(lead: Lead, seen: Survey, now: float) -> Step[tuple[str, ...]]:
    """Put the ids of finished sources that a listing shows gone on a page. Only then do they leave the board.

    Of a source that lies behind the head of its queue, where no survey looks, a read has to show it.
    """
    layout = lead.layout
    gone: list[str] = []
    hidden: list[str] = []
    for path, state in lead.board.sources.items():
        if is_finished(path, state):
            if seen.shows_gone(layout.source(path), path):
                gone.append(path)
            elif path in lead.swept and not seen.covers(layout.source(path)):
                hidden.append(path)
    del hidden[_HIDDEN_A_CYCLE:]
    many = len(gone) + len(hidden)
    if not many or (many < _PAGE_SIZE and now - lead.paged_at < _PAGE_AFTER_S):
        return ()
    looked = yield from get_all([layout.source(path) for path in hidden])
    for path, found in zip(hidden, looked, strict=True):
        if isinstance(found, Missing):
            gone.append(path)
        else:
            lead.swept.discard(path)  # a late request of its producer: delete it again
    if not gone:
        return ()
    ids = tuple(parse_source(path).id for path in gone)
    key = layout.page(lead.epoch, lead.next_page)
    lead.next_page += 1
    uptime_ms = lead.uptime_ms(now)
    outcome = yield from put(key, encode(RetiredPage(ids, uptime_ms)), None)
    if not isinstance(outcome, Stored):
        # It may have landed, or may yet: it says only what is true. To be deleted in its time, whether it is there or not.
        lead.pages.append(Page(key, uptime_ms, ()))
        return ()
    lead.remember(Page(key, uptime_ms, ids))
    lead.paged_at = now
    return tuple(gone)


# ---- commit ------------------------------------------------------------------------------------------------------


def _commit(
    lead: Lead, planned: Planned, replaces: str, now: float, seen: Survey, fenced: tuple[str, ...]
) -> Step[Cycled | Deposed | Doubt]:
    lead.pending = planned, replaces
    board = planned.board
    body = encode(board)
    outcome = yield from write(lead.layout.board, body, nonce=board.nonce, if_version=replaces)
    match outcome:
        case Unknown():
            return Doubt()
        case Overtaken():
            return Deposed()
        case Stored(version):
            lead.pending = None
            lead.board_bytes = len(body)
            lead.parking.committed(board)
            lead.rounds.commit(lead.board, board, now)
            lead.ended = planned.ended
            lead.view.learn(board, version)
            lead.written_at = now
            lead.buried = {
                one for one in lead.buried if one[0] in board.sources and one[1] in board.sources[one[0]].dying
            }
            return _cycled(lead, True, planned, seen, fenced)


def _clean_up(lead: Lead, planned: Planned, seen: Survey) -> Step[None]:
    """Delete what the committed board made garbage. Every one of these facts stays true for ever, so what cannot be deleted
    now is deleted by a later cycle, and it does no harm if later boards are committed meanwhile."""
    layout, board = lead.layout, lead.board
    finished = [path for path, state in board.sources.items() if is_finished(path, state)]
    hidden = [path for path in finished if path not in lead.swept and not seen.covers(layout.source(path))]
    keys = [layout.source(path) for path in finished if path in seen.listed]
    keys += [layout.source(path) for path in hidden]
    keys += [layout.source(path) for path in planned.refused]
    busy = {ticket.session for ticket in board.tickets.values()}
    # Not one that was fenced since: if we were replaced, a later board may have given it tickets before.
    keys += [layout.host(session) for session in lead.heard if session in lead.ended and session not in busy]
    expired = [page for page in lead.pages if page.uptime_ms + lead.settings.window_s * 1000 <= board.uptime_ms]
    keys += [page.key for page in expired]
    try:
        yield from delete(keys)
    except StoreUnavailable:
        return
    lead.swept.update(hidden)
    lead.swept &= board.sources.keys()
    for page in expired:
        if page in lead.pages:
            lead.pages.remove(page)
        lead.window.difference_update(page.sources)
