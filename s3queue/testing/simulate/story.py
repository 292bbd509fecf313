"""A history, made readable: the way of each message, who ran it, and its outcome."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from s3queue.core import ranges
from s3queue.core.halts import is_given_back
from s3queue.core.keys import parse_message_id, parse_source
from s3queue.core.records import (
    CANCEL,
    PURGE,
    RUN_NOW,
    Board,
    Failed,
    Ticket,
    Totals,
)
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate.chronicle import Chronicle, LedgerAt, Run, process
from s3queue.testing.simulate.posts import DYING, SETTLED, Message, Move, Offset, Post, posts
from s3queue.testing.simulate.world import SKEW_MS


class Outcome(NamedTuple):
    """What a stored ledger said first of a message in a ticket."""

    n: int
    kind: str
    failed: Failed | None


class Story(Chronicle):
    """What became of each message, told from what was stored.

    Attributes:
        doubled: messages that a board has in two places.
    """

    # ---- what was asked for ------------------------------------------------------------------------------

    def ending(self, move: Move) -> str:
        """How it has ended, of a message that is dying then."""
        path, index = move.message
        endings = self.board_at(move.n).sources[path].endings
        return endings[index].kind if index in endings else "dead"

    def born(self, message: Message) -> Message:
        """What it was called in its first life."""
        if not message[0].startswith("dead/"):
            return self.first(message)
        ref = parse_message_id(parse_source(message[0]).message)
        return ref.path, ref.index

    @cached_property
    def lives(self) -> dict[Message, list[Message]]:
        """Further lives of messages, by what they were called first; in the order in which boards named them."""
        found: dict[Message, list[Message]] = {}
        for move in self.moves:
            if move.old is None and move.message[0].startswith("dead/"):
                found.setdefault(self.born(move.message), []).append(move.message)
        return found

    def is_called_off(self, message: Message, n: int) -> bool:
        """Whether somebody had asked before to cancel it."""
        return self._was_asked(CANCEL, message, n) or self.is_purged(parse_source(message[0]).queue, n)

    def is_hastened(self, message: Message, n: int) -> bool:
        """Whether somebody had asked before to run it now."""
        return self._was_asked(RUN_NOW, message, n)

    def _was_asked(self, kind: str, message: Message, n: int) -> bool:
        names = {message, self.first(message), self.born(message)}
        return any(at < n and kind == one and about in names for at, one, about in self.asked.values())

    def is_purged(self, queue: str, n: int) -> bool:
        """Whether the board of this time, or the one before it, names a purge of this queue that somebody asked for."""
        boards = self.board_before(n), self.board_before(n + 1)
        named = {board.purges[queue].request for board in boards if board is not None and queue in board.purges}
        return any(self.asked[one][0] < n and self.asked[one][1:] == (PURGE, (queue, 0)) for one in named)

    def may_expire(self, move: Move) -> bool:
        """Whether it ends without a run, of a batch of which it may be time, by some clock."""
        expires_ms = parse_source(move.message[0]).expires_ms
        if expires_ms is None or (move.old is not None and move.old.attempt > 1):
            return False
        return self.wall_ms(move.n) + SKEW_MS >= expires_ms

    def _called_off(self, move: Move) -> str:
        queue = parse_source(move.message[0]).queue
        if self.may_expire(move):
            counted = self._counted(queue, move.n)
            if counted == {"expired"} or not self.is_called_off(move.message, move.n):
                return "expired"
            if "expired" in counted and not self._is_told(move):
                return "expired"
        return "purged" if self.is_purged(queue, move.n) else "cancelled"

    def _counted(self, queue: str, n: int) -> set[str]:
        """As what the board that was stored then has ended messages of a queue that did not run to their end."""
        before = self.board_before(n)
        old = Totals() if before is None else before.totals.get(queue, Totals())
        new = self.board_at(n).totals.get(queue, Totals())
        return {how for how in ("expired", "cancelled", "purged") if getattr(new, how) > getattr(old, how)}

    def _is_told(self, move: Move) -> bool:
        """Whether the board tells somebody with that commit that this message is cancelled, or its mark ends."""
        before, board = self.board_before(move.n), self.board_at(move.n)
        path, index = move.message
        if before is not None and index in before.marks.get(path, ()):
            return True
        told = board.answers.keys() - (() if before is None else before.answers.keys())
        return any(
            board.answers[one] == "cancelled" and self.asked[one][1:] == (CANCEL, move.message)
            for one in told & self.asked.keys()
        )

    # ---- messages ------------------------------------------------------------------------------------------

    @cached_property
    def landed(self) -> dict[str, int]:
        """Paths of batches that were stored, and when first."""
        batches = {}
        for path, states in self.sources.items():
            try:
                parse_source(path)
            except CorruptRecord:
                continue
            batches[path] = states[0][0]
        return batches

    @cached_property
    def outcomes(self) -> dict[Offset, Outcome]:
        return self._outcomes[0]

    @cached_property
    def changed_outcomes(self) -> list[str]:
        """Outcomes that a later ledger contradicts."""
        return self._outcomes[1]

    @cached_property
    def _outcomes(self) -> tuple[dict[Offset, Outcome], list[str]]:
        first: dict[Offset, Outcome] = {}
        changed: list[str] = []

        def enter(ticket: str, offset: int, n: int, kind: str, failed: Failed | None) -> None:
            known = first.setdefault((ticket, offset), Outcome(n, kind, failed))
            if known.kind != kind or known.failed != failed:
                changed.append(f"offset {offset} of ticket {ticket}: {known.kind}, then {kind}")

        for states in self.ledgers.values():
            for state in states:
                for ticket, report in state.ledger.reports.items() if state.ledger is not None else ():
                    for offset in ranges.members(report.ok):
                        enter(ticket, offset, state.n, "ok", None)
                    for offset in ranges.members(report.released):
                        enter(ticket, offset, state.n, "released", None)
                    for offset, failed in report.failed.items():
                        kind = "held" if is_given_back(failed) else failed.kind
                        enter(ticket, offset, state.n, kind, failed)
        return first, changed

    @cached_property
    def ended(self) -> dict[str, LedgerAt]:
        """The ledgers of sessions that are over, as they were when that became so."""
        over: dict[str, LedgerAt] = {}
        for session, states in self.ledgers.items():
            for state in states:
                if state.ledger is not None and state.ledger.over:
                    over.setdefault(session, state)
        return over

    @cached_property
    def tickets(self) -> dict[str, tuple[int, Ticket]]:
        """Every ticket that was ever on a board, and since when."""
        known: dict[str, tuple[int, Ticket]] = {}
        for state in self.boards:
            for name, ticket in state.board.tickets.items():
                known.setdefault(name, (state.n, ticket))
        return known

    @cached_property
    def targets(self) -> dict[str, tuple[Message, ...]]:
        """Every source that a board had messages moved to, and where each of them came from."""
        return {path: members for state in self.boards for path, members in state.board.moves.items()}

    def first(self, message: Message) -> Message:
        """What this message was called when it was enqueued."""
        while message[0] in self.targets:
            message = self.targets[message[0]][message[1]]
        return message

    @cached_property
    def moved_off(self) -> dict[Message, int]:
        """Messages that were settled because another source holds them, by their name before, and when."""
        return {
            move.message: move.n
            for move in self.moves
            if move.new == SETTLED and move.old is not None and move.old.kind == "moving"
        }

    def is_moved_in(self, message: Message, n: int) -> bool:
        """Whether a board up to then took it to be where it was moved to, and not where it came from."""
        return self.moved_off.get(self.targets[message[0]][message[1]], n + 1) <= n

    @cached_property
    def by_message(self) -> dict[Message, list[Run]]:
        runs: dict[Message, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(self.first(run.message), []).append(run)
        return runs

    @cached_property
    def by_offset(self) -> dict[Offset, list[Run]]:
        runs: dict[Offset, list[Run]] = {}
        for run in self.runs:
            runs.setdefault((run.started.ticket, run.started.offset), []).append(run)
        return runs

    @cached_property
    def interruptions(self) -> dict[Message, list[tuple[int, str]]]:
        """When ledgers said that a message was only interrupted, and of which sessions."""
        found: dict[Message, list[tuple[int, str]]] = {}
        for (name, offset), outcome in self.outcomes.items():
            if outcome.kind == "interrupted" and name in self.tickets:
                ticket = self.tickets[name][1]
                for part in ticket.spans((offset, offset + 1)):  # none: two tickets of one name, which I5 tells
                    found.setdefault((part.source, part.start), []).append((outcome.n, ticket.session))
        return found

    def spared(self, message: Message, n: int) -> int:
        """How many attempts of the message before do not count."""
        return sum(at < n for at, _ in self.interruptions.get(message, ()))

    def is_spared_for_certain(self, message: Message, n: int) -> bool:
        """Whether no ledger that spared it was removed by hand."""
        return not any(damaged(self, session, n) for at, session in self.interruptions.get(message, ()) if at < n)

    def company(self, run: Run) -> list[Run]:
        """What else was running in the same process when it died."""
        return [other for other in self.killed.get(process(run.started.who), ()) if other is not run]

    def overran_in(self, run: Run) -> bool:
        """Whether its process was killed for a time limit, of whichever message."""
        return any(one.overran for one in self.killed.get(process(run.started.who), ()))

    def beside(self, run: Run) -> Iterator[Run]:
        """What else was running in the same process meanwhile."""
        for other in self.by_process[process(run.started.who)]:
            if other is run:
                continue
            earlier, later = sorted((run, other), key=lambda one: one.n)
            if earlier.ended_n is None or earlier.ended_n > later.n:
                yield other

    @cached_property
    def by_process(self) -> dict[str, list[Run]]:
        runs: dict[str, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(process(run.started.who), []).append(run)
        return runs

    @cached_property
    def killed(self) -> dict[str, list[Run]]:
        """By process, what was running when it died. A process dies once."""
        found: dict[str, list[Run]] = {}
        for run in self.runs:
            if run.outcome == "killed":
                found.setdefault(process(run.started.who), []).append(run)
        return found

    def is_bequeathed(self, session: str, over: LedgerAt) -> bool:
        """Whether the next agent of the same host ended it, and not as a coordinator."""
        heir = process(over.who)
        return over.who.endswith("/host") and heir != session and self.hosts.get(heir) == self.hosts[session]

    def is_will(self, ticket: str, n: int) -> bool:
        """Whether what was stored then is how another agent ended this ticket's session."""
        session = self.tickets[ticket][1].session
        over = self.ended.get(session)
        return over is not None and over.n == n and self.is_bequeathed(session, over)

    # ---- moves ---------------------------------------------------------------------------------------------

    @cached_property
    def moves(self) -> list[Move]:
        return self._moves[0]

    @cached_property
    def doubled(self) -> list[str]:
        return self._moves[1]

    @cached_property
    def _moves(self) -> tuple[list[Move], list[str]]:
        moves: list[Move] = []
        doubled: list[str] = []
        before: dict[str, dict[int, Post]] = {}
        last: Board | None = None
        for state in self.boards:
            if (
                last is not None
                and last.tickets == state.board.tickets
                and last.sources == state.board.sources
                and (last.moves == state.board.moves)
            ):
                continue
            now = posts(state.board, doubled)
            last = state.board
            for path in {**before, **now}:
                old, new = before.get(path), now.get(path)
                if old == new:
                    continue
                source = parse_source(path)
                for index in range(source.count):
                    was, comes = old and old.get(index), new and new.get(index)
                    if comes is None and source.is_borrowed:
                        comes = SETTLED  # it leaves the board with that commit
                    if was != comes:
                        moves.append(Move(state.n, (path, index), was or None, comes or None))
            before = now
        return moves, doubled

    @cached_property
    def committed(self) -> dict[Message, list[tuple[int, str]]]:
        """When a board counted a message as done or dead. One that is dying is dead."""
        commits: dict[Message, list[tuple[int, str]]] = {}
        for move in self.moves:
            path, _ = move.message
            if move.new == DYING:
                how = self.ending(move)
            elif move.new != SETTLED or (move.old is not None and move.old.kind in ("dying", "moving")):
                continue
            elif move.old is None:
                if path in self.targets and not self.is_moved_in(move.message, move.n):
                    continue  # nothing came of that move
                absent = (one for one, what in self.board_at(move.n).answers.items() if what == "absent")
                is_absent = parse_source(path).count == 1 and any(
                    one in self.asked and self.asked[one][1:] == (CANCEL, move.message) for one in absent
                )
                if is_absent and self.first(move.message) in commits:
                    continue  # it has ended and was forgotten
                how = "absent" if is_absent else self._called_off(move)
            else:
                outcome = self.outcomes.get((move.old.ticket, move.old.offset))
                how = "done" if outcome is not None and outcome.kind == "ok" else self._called_off(move)
            commits.setdefault(self.first(move.message), []).append((move.n, how))
        return commits


def damaged(story: Story, session: str, n: int) -> bool:
    """Whether somebody removed the ledger of this session by hand before."""
    return story.damaged.get(story.layout.host(session), n) < n
