"""The board while a plan is being made: the one place that changes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

from msgspec.structs import replace

from s3queue.core.keys import parse_source, ticket_id
from s3queue.core.plan.planned import Planned
from s3queue.core.plan.room import Room
from s3queue.core.plan.settings import Settings
from s3queue.core.records import Board, Ledger, Part, SourceState, Ticket, Totals
from s3queue.core.settle import Draft


class Planning:
    """The board that is to be committed, as far as it is decided. Each source that changes is a `Draft` until the end."""

    def __init__(
        self,
        board: Board,
        ledgers: Mapping[str, Ledger],
        now_ms: int,
        settings: Settings,
        heard_ms: int | None,
        board_bytes: int,
    ) -> None:
        self.board, self.ledgers, self.now_ms, self.settings = board, ledgers, now_ms, settings
        self.heard_ms = now_ms if heard_ms is None else heard_ms
        self.tickets = dict(board.tickets)
        self.sources = dict(board.sources)
        self.totals = dict(board.totals)
        self.moves = dict(board.moves)
        self.sequence = board.sequence
        #: By path, how many messages wait.
        self.waiting: dict[str, int] = {}
        #: How many bytes the board will have, without what is taken over.
        self.bytes = board_bytes
        #: Bounds that were reached.
        self.full: set[str] = set()
        self.drafts: dict[str, Draft] = {}
        ended = frozenset(session for session, ledger in ledgers.items() if ledger.over)
        self.planned = Planned(board, ended=ended)

    @cached_property
    def room(self) -> Room:
        """What is left for failures."""
        return Room(self.board, self.settings, self.full)

    def draft(self, path: str) -> Draft:
        draft = self.drafts.get(path)
        if draft is None:
            state, source = self.sources.get(path), parse_source(path)
            draft = Draft.admitted(source.count, source.attempt) if state is None else Draft(state)
            draft.alone = source.alone
            self.drafts[path] = draft
            self.planned.changed = True
        return draft

    def state(self, path: str) -> Draft | SourceState:
        """Where the messages of a source are by now. Changes nothing."""
        return self.drafts.get(path) or self.sources[path]

    def states(self) -> Iterator[tuple[str, Draft | SourceState]]:
        """Of all sources that were on the board."""
        return ((path, self.drafts.get(path) or state) for path, state in self.sources.items())

    def next_number(self) -> int:
        """Of a ticket or a move; never used again in this epoch."""
        self.sequence += 1
        return self.sequence - 1

    def result(self) -> Planned:
        full = tuple(sorted(self.full))
        self.planned.changed = self.planned.changed or full != self.board.full
        for path, draft in self.drafts.items():
            draft.trim()
            self.sources[path] = draft.freeze()
        if self.planned.changed:
            self.planned.board = replace(
                self.board,
                sequence=self.sequence,
                tickets=self.tickets,
                sources=self.sources,
                totals=self.totals,
                moves=self.moves,
                full=full,
            )
        return self.planned

    def count(self, part: Part, what: str, many: int) -> None:
        """Add to the totals of the part's queue."""
        queue = parse_source(part.source).queue
        totals = self.totals.get(queue, Totals())
        self.totals[queue] = replace(totals, **{what: getattr(totals, what) + many})

    def ticket(self, session: str, parts: tuple[Part, ...]) -> Ticket:
        """Give these messages, which are in no list any more, to a host."""
        ticket = Ticket(session, parts)
        self.tickets[ticket_id(self.board.epoch, self.next_number())] = ticket
        self.planned.assigned += ticket.size
        self.planned.changed = True
        return ticket

    # ---- what stands in no ledger --------------------------------------------------------------------------

    def bury(self, buried: Collection[tuple[str, int]]) -> None:
        graves: dict[str, set[int]] = {}
        for path, index in buried:
            if path in self.sources and index in self.board.sources[path].dying:
                graves.setdefault(path, set()).add(index)
        for path, indexes in graves.items():
            self.draft(path).buried(indexes)

    def retire(self, retired: Collection[str]) -> None:
        for path in retired:
            if path in self.sources:
                del self.sources[path]
                self.planned.changed = True

    def wake(self) -> None:
        for path in [path for path, state in self.sources.items() if state.waiting or path in self.drafts]:
            waiting = self.drafts[path].waiting if path in self.drafts else self.sources[path].waiting
            if any(one.due_ms <= self.now_ms for one in waiting):
                draft = self.draft(path)
                draft.wake(self.now_ms)
                waiting = draft.waiting
            if waiting:
                self.waiting[path] = len(waiting)
            due = min((one.due_ms for one in waiting), default=None)
            if due is not None and (self.planned.next_due_ms is None or due < self.planned.next_due_ms):
                self.planned.next_due_ms = due
