"""A coordinator of a newer release among those of this one, and the checker of what becomes of what it has entered."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from msgspec.structs import replace

from s3queue.core import elect
from s3queue.core.elect import View
from s3queue.core.keys import ticket_id
from s3queue.core.ops import get, put, write
from s3queue.core.records import Board, Leader, Ledger, Mark, Memo, Part, Ready, SourceState, Ticket, Waiting, decode
from s3queue.errors import CorruptRecord, StoreError
from s3queue.store import Found, Stored
from s3queue.testing.simulate.chronicle import process
from s3queue.testing.simulate.producers import NEWCOMER, QUEUES
from s3queue.testing.simulate.story import Story, damaged
from s3queue.testing.simulate.verdicts import Verdict, first, unknown
from s3queue.testing.simulate.world import Doing, Machine, Process, Program, Sleep, World

#: Terms that one newcomer leads.
_TERMS = 3
#: Names of sources that this release cannot read: of a kind of their own, and with a field that it does not know.
_KINDS = (
    "wish/{queue}/5/{number:x}",
    "in/{queue}/5/1700000000000-{number:x}-2;hue=1",
    "later/soon-{queue}/{number:x}-1",
)


class Newcomer(Process):
    """Is elected now and then, enters what only its own release knows with that same write, and resigns."""

    def __init__(self, world: World, machine: Machine) -> None:
        super().__init__(world, NEWCOMER, machine)
        self.spawn("main", self._main())

    def _main(self) -> Program:
        world = self.world
        for _ in range(_TERMS):
            yield Sleep(world.choices.choose((0.7, 2.0, 3.5)))
            with contextlib.suppress(StoreError):
                yield from self._lead()

    def _lead(self) -> Doing[None]:
        world, view = self.world, View()
        yield from elect.look(view, world.layout, self.steady())
        if view.board is None:
            return
        sessions = yield from self._living()
        board = self._entered(view.board, sessions)
        for path in sorted(board.sources.keys() - view.board.sources.keys()):
            yield from put(world.layout.source(path), b"of a newer release", None)
        body = view.encoded(board)
        outcome = yield from write(world.layout.board, body, nonce=board.nonce, if_version=view.version, tries=1)
        if isinstance(outcome, Stored):
            world.mark("a newer release led")
            view.learn(board, outcome.version)
            yield from elect.resign(view, world.layout, world.nonce())

    def _living(self) -> Doing[list[str]]:
        """Sessions that were not over when this board stood already."""
        layout, found = self.world.layout, []
        for key in self.world.store.keys(layout.hosts):
            one = yield from get(key)
            with contextlib.suppress(CorruptRecord):
                if isinstance(one, Found) and not decode(Ledger, key, one.body).over:
                    found.append(layout.session(key))
        return found

    def _entered(self, board: Board, sessions: list[str]) -> Board:
        world = self.world
        kind, queue = world.choices.choose(_KINDS), world.choices.choose(QUEUES)
        mine = [kind.format(queue=queue, number=world.number()) for _ in range(3)]
        states = {mine[0]: SourceState(ready=(Ready(0, 1, 1),)), mine[1]: SourceState(waiting=(Waiting(0, 2, 1),))}
        tickets = {}
        if sessions:
            tickets[ticket_id(board.epoch + 1, 0)] = Ticket(world.choices.choose(sessions), (Part(mine[0], 1, 2, 1),))
        return replace(
            board,
            nonce=world.nonce(),
            epoch=board.epoch + 1,
            turn=board.turn + 1,
            leader=Leader(self.name),
            sequence=len(tickets),
            sources={**board.sources, **states},
            tickets={**board.tickets, **tickets},
            moves={**board.moves, mine[2]: ((mine[1], 1),)},
            marks={**board.marks, mine[0]: {0: Mark(reason="newer")}},
            memos={**board.memos, mine[1]: {0: Memo(done=1.0)}},
        )


def what_a_newer_release_has_entered_stays(story: Story) -> Verdict:
    """No other coordinator drops or changes it, no host claims a ticket of it, and nobody deletes the ledger that tells
    what became of such a ticket."""

    def faults() -> Iterator[str]:
        names: set[str] = set()
        before = story.boards[0].foreign
        for state in story.boards:
            if process(state.who) != NEWCOMER and state.foreign != before:
                yield f"event {state.n}: {state.who} has changed what a newer release has entered"
            before = state.foreign
            names |= state.foreign.tickets.keys()
        for session, states in story.ledgers.items():
            for ledger in states:
                if ledger.ledger is not None and not names.isdisjoint(ledger.ledger.claims):
                    yield f"event {ledger.n}: {session} has claimed a ticket of a newer release"
                if ledger.ledger is None and not damaged(story, session, ledger.n + 1):
                    boards = [state for state in story.boards if state.n < ledger.n]
                    if boards and any(one.session == session for one in boards[-1].foreign.tickets.values()):
                        yield f"event {ledger.n}: {ledger.who} has deleted the ledger of a ticket of a newer release"

    if not any(state.foreign.sources for state in story.boards):
        return unknown("no newer release led")
    return first(faults())
