"""Chores: the work that follows from a committed board, done beside the cycles.

A cycle decides, a chore acts. Fences, dead letters, moves of waiting messages, retired pages and deletions rest on facts
that stay true. So they may take any time and run concurrently, and their results go into the next plan. An object that
cannot be read or written has a back-off of its own: it delays no other object, and no chore can stop a cycle.

For the same reason a coordinator that was replaced may finish its chores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from s3queue.core.chores.answers import Answers
from s3queue.core.chores.asides import Asides
from s3queue.core.chores.fences import Fences
from s3queue.core.chores.garbage import Garbage
from s3queue.core.chores.gates import Gates, gated
from s3queue.core.chores.letters import Letters
from s3queue.core.chores.moves import Moves
from s3queue.core.chores.pages import Pages
from s3queue.core.chores.purges import Purges
from s3queue.core.chores.redrives import Redrives
from s3queue.core.chores.results import Results
from s3queue.core.chores.retention import Retention
from s3queue.core.chores.revisions import Revisions
from s3queue.core.chores.summaries import Summaries
from s3queue.core.chores.troubles import Troubles
from s3queue.core.hearing import Heard
from s3queue.core.keys import Layout
from s3queue.core.ops import Step
from s3queue.core.pacing import Backoffs
from s3queue.core.plan import Settings, Settled, is_finished
from s3queue.core.records import NOTHING_FOREIGN, Board, Control, Foreign
from s3queue.core.survey import Survey

__all__ = ["CHORES_AT_ONCE", "Chores", "Facts"]

#: Starts a chore, if one is due: steady time, wall clock in milliseconds, a fresh nonce.
_Take: TypeAlias = Callable[[float, int, str], "Step[bool] | None"]
#: Seconds of the first and the longest pause of a kind of chore after an unexpected error.
_FIRST_S, _LONGEST_S = 1.0, 60.0
#: Visibility timeouts for which a request that nobody can read waits to be completed.
_PATIENCES = 2
#: Chores that run concurrently.
CHORES_AT_ONCE = 4


class Facts(NamedTuple):
    """The facts for chores, after one cycle.

    Attributes:
        board: the last one that this coordinator committed.
        seen: the survey of the cycle; None where it made none.
        now: steady time, before the cycle.
        refused: paths of listed batches and requests that were finished before.
        ended: sessions that were over before ``board`` was sent, and that get no more tickets.
        uptime_ms: of the board's clock, now.
        now_ms: wall clock.
        settled: messages that this board settled; empty where it was committed before. control: what operators have set;
        None: not known.
        board_bytes: size of the board.
        opening: paths of batches that are admitted when their gate is free.
        foreign: what stands on the board besides.
    """

    board: Board
    seen: Survey | None
    now: float
    refused: Collection[str]
    ended: Collection[str]
    uptime_ms: int
    now_ms: int = 0
    settled: Sequence[Settled] = ()
    control: Control | None = None
    board_bytes: int = 0
    opening: Sequence[str] = ()
    foreign: Foreign = NOTHING_FOREIGN


def drops(heard: Mapping[str, Heard], queue: str, task: str) -> bool:
    """Whether all hosts that know this task declare that its dead messages leave no letter."""
    ledgers = [one.ledger for one in heard.values() if one.ledger is not None and not one.ledger.over]
    offers = [ledger.offers[queue] for ledger in ledgers if queue in ledger.offers]
    know = [offer for offer in offers if task in offer.tasks]
    return bool(know) and all(task in offer.drops for offer in know)


class Chores:
    """Owns all work beside the cycles of one epoch.

    Attributes:
        troubles: objects that could not be read or written, and when each is tried again.
    """

    def __init__(
        self, layout: Layout, epoch: int, heard: dict[str, Heard], now: float, settings: Settings | None = None
    ) -> None:
        self._layout, settings = layout, settings or Settings()
        self.troubles = Troubles()
        self.fences = Fences(layout, heard, self.troubles)
        self.asides = Asides(layout, _PATIENCES * settings.visibility_timeout, self.troubles)
        self.redrives = Redrives(layout, self.troubles, self.asides)
        self.retention = Retention(layout, now, settings, self.troubles, self.redrives)
        self.letters = Letters(
            layout,
            self.troubles,
            self.redrives,
            lambda queue, task: drops(heard, queue, task),
            settings.letters_at_once,
        )
        self.moves = Moves(layout, self.troubles)
        self.pages = Pages(layout, epoch, now, self.troubles)
        self.purges = Purges(layout, settings.purge_page, self.troubles)
        self.answers = Answers(layout, now, self.troubles)
        self.garbage = Garbage(self.troubles)
        self.revisions = Revisions(layout, now, self.troubles)
        self.summaries = Summaries(layout, epoch, heard, settings, self.troubles, self.asides)
        self.gates = Gates(layout, now, self.troubles)
        self.results = Results(layout, now, settings, self.troubles)
        self._faulty = Backoffs(_FIRST_S, _LONGEST_S)
        #: By kind, in the order in which they are taken.
        self._takes: dict[str, _Take] = {
            "fences": lambda now, _, nonce: self.fences.take(now, nonce),
            "letters": self.letters.take,
            "moves": lambda now, *_: self.moves.take(now),
            "redrives": lambda now, *_: self.redrives.take(now),
            "retention": lambda now, now_ms, _: self.retention.take(now, now_ms),
            "answers": lambda now, *_: self.answers.take(now),
            "asides": lambda now, *_: self.asides.take(now),
            "purges": lambda now, *_: self.purges.take(now),
            "pages": lambda now, *_: self.pages.take(now),
            "summaries": self.summaries.take,
            "gates": self.gates.take,
            "garbage": lambda now, *_: self.garbage.take(now, self._deleted),
            "revisions": lambda now, now_ms, _: self.revisions.take(now, now_ms),
            "results": lambda now, now_ms, _: self.results.take(now, now_ms),
        }

    def follow(self, facts: Facts, heard: Mapping[str, Heard], window_s: float) -> None:
        """Find the chores of a newly committed board."""
        board, layout, pages = facts.board, self._layout, self.pages
        self.letters.follow(board)
        self.redrives.follow(board, facts.seen, pages.window)
        self.moves.follow(board)
        self.purges.follow(board)
        self.answers.follow(board)
        self.asides.follow(board)
        self.results.follow(board, facts.foreign.pinned)
        self.summaries.follow(facts)
        if (seen := facts.seen) is None:
            return
        over = [path for path, state in board.sources.items() if state.settled and is_finished(path, state)]
        self.gates.follow(board, gated(over), [*facts.opening, *gated(facts.refused)])
        if self.gates.held:
            over = [path for path in over if path not in self.gates.held]
        over += [path for path in board.answers if path in self.answers.stored]
        pages.follow(board, over, seen, facts.uptime_ms)
        keys = [layout.source(path) for path in facts.refused]
        for path in over:
            key = layout.key(path)
            if seen.shows(path) or (path not in pages.swept and not seen.covers(key)):
                keys.append(key)
        busy = {ticket.session for ticket in board.tickets.values()}.union(facts.foreign.sessions)
        # Not a session that was fenced since: if we were replaced, a later board may have given it tickets before the
        # fence.
        keys += [layout.host(session) for session in heard if session in facts.ended and session not in busy]
        keys += pages.expired(board.uptime_ms, window_s)
        if board.schedules or self.revisions.deleted or (facts.control is not None and facts.control.schedules):
            keys += self.revisions.follow(board, facts.control, is_whole=facts.foreign is NOTHING_FOREIGN)
        self.garbage.follow(keys)
        self.troubles.keep_for(facts.now)

    def take(self, now: float, now_ms: int, nonce: str) -> Step[bool] | None:
        """Start the next chore that is due: a step that returns whether its result matters to the next plan. None: no
        chore is due.

        Args:
            now: steady time. now_ms: wall clock. nonce: fresh; every write of the chore derives its own from it.
        """
        for kind, take in self._takes.items():
            if self._faulty.is_due(kind, now) and (step := take(now, now_ms, nonce)) is not None:
                return self._guarded(kind, step, now)
        return None

    def _guarded(self, kind: str, step: Step[bool], now: float) -> Step[bool]:
        """After an unexpected error all chores of this kind pause; otherwise this one would be taken first for ever."""
        try:
            news = yield from step
        except Exception:
            self._faulty.failed(kind, now)
            raise
        self._faulty.worked(kind)
        return news

    def next_at(self, now: float) -> float:
        """Steady time at which `take` may have a chore, if nothing else happens; infinity if unknown."""
        known = self.pages.next_at(), self.summaries.next_at(), self.results.next_at(), self.retention.next_at()
        return min(self.troubles.next_at(now), self._faulty.next_at(now), *known)

    def _deleted(self, keys: Collection[str]) -> None:
        self.pages.deleted(keys)
        self.revisions.over(keys)
