"""The board while a plan is being made: the one place that changes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec.structs import replace

from s3queue.core.keys import BORROWED, LATER, LETTER, Source, parse_source, ticket_id
from s3queue.core.plan.planned import Planned, Settled
from s3queue.core.plan.room import Room
from s3queue.core.plan.settings import Settings
from s3queue.core.records import (
    Board,
    Control,
    Ending,
    Failed,
    Failure,
    Ledger,
    Memo,
    Part,
    SourceState,
    Ticket,
    Totals,
)
from s3queue.core.settle import Draft

#: Bytes of a source on the board besides its path.
_SOURCE_BYTES = 40
#: Of a source of one message that is settled.
_OVER = SourceState(settled=1)

#: Characters of the name of a host in the history of a message.
_HOST = 60


class Planning:
    """The next board, as far as it is decided. Each source that changes is a `Draft` until the end."""

    def __init__(
        self,
        board: Board,
        ledgers: Mapping[str, Ledger],
        now_ms: int,
        settings: Settings,
        heard_ms: int | None,
        board_bytes: int,
        control: Control | None,
        uptime_ms: int | None = None,
    ) -> None:
        self.board, self.ledgers, self.now_ms, self.settings = board, ledgers, now_ms, settings
        self.heard_ms = now_ms if heard_ms is None else heard_ms
        self.control = control
        #: The coordinator's clock, see `Board.uptime_ms`.
        self.uptime_ms = board.uptime_ms if uptime_ms is None else uptime_ms
        self.allowed, self.buckets = board.allowed, board.buckets
        self.fuses = dict(board.fuses)
        self.tickets = dict(board.tickets)
        self.sources = dict(board.sources)
        self.totals = dict(board.totals)
        self.moves = dict(board.moves)
        self.answers = dict(board.answers)
        self.edits = dict(board.edits)
        self.marks = {path: dict(marked) for path, marked in board.marks.items()}
        self.purges = dict(board.purges)
        self.memos = {path: dict(noted) for path, noted in board.memos.items()}
        self.ticked = dict(board.schedules)
        self.halted = board.halted if control is None else _halted(control, now_ms)
        self.sequence = board.sequence
        #: By path, how many messages wait.
        self.waiting: dict[str, int] = {}
        #: Bytes that the board will have, before failures are taken over.
        self.bytes = board_bytes
        #: Bounds that were reached.
        self.full: set[str] = set()
        self.drafts: dict[str, Draft] = {}
        #: Sources without an object whose one message is settled: nothing is to be deleted, or remembered.
        self.leaving: list[str] = []
        #: By queue, messages that wait for a host that they fit, or for the end of a pause of their task.
        self.unfit: dict[str, int] = {}
        for path, state in [one for one in board.sources.items() if one[1].unfit]:
            queue = parse_source(path).queue
            waiting = sum(Draft(state).marked().values())  # those in tickets have found a host
            self.unfit[queue] = self.unfit.get(queue, 0) + waiting
        ended = frozenset(session for session, ledger in ledgers.items() if ledger.over)
        self.planned = Planned(board, ended=ended)

    @cached_property
    def room(self) -> Room:
        """The room for failures."""
        return Room(self.board, self.settings, self.full)

    def draft(self, path: str) -> Draft:
        draft = self.drafts.get(path)
        if draft is None:
            state, source = self.sources.get(path), parse_source(path)
            if state is None:
                draft = Draft.admitted(source.count, source.attempt, alone=source.alone)
                self.bytes += _SOURCE_BYTES + len(path)
            else:
                draft = Draft(state, alone=source.alone)
            self.drafts[path] = draft
            self.planned.changed = True
            if state is None and path in self.marks:
                self._cancel_marked(path, source, draft)
        return draft

    def _cancel_marked(self, path: str, source: Source, draft: Draft) -> None:
        """A batch is admitted of which some messages were cancelled before."""
        for index, mark in self.marks.pop(path).items():
            if draft.withdraw(index) is not None:
                part = Part(path, index, index + 1, source.attempt)
                self.end(part, mark.how, began=source.moved, reason=mark.reason)

    def states(self) -> Iterator[tuple[str, Draft | SourceState]]:
        """Of all sources that were on the board."""
        return ((path, self.drafts.get(path) or state) for path, state in self.sources.items())

    def open_states(self) -> list[tuple[str, Draft | SourceState]]:
        """As `states`, of those that may have messages which are ready or wait. Most sources of a busy board have none:
        theirs are in tickets, or wait for their letters."""
        drafts = self.drafts
        return [
            (path, drafts.get(path) or state)
            for path, state in self.sources.items()
            if state.ready or state.waiting or path in drafts
        ]

    def next_number(self) -> int:
        """Of a ticket or a move; never used again in this epoch."""
        self.sequence += 1
        return self.sequence - 1

    def result(self) -> Planned:
        full = tuple(sorted(self.full))
        turn = self.board.control if self.control is None else self.control.turn
        self.planned.changed = (
            self.planned.changed
            or full != self.board.full
            or turn != self.board.control
            or self.halted != self.board.halted
        )
        for path, draft in self.drafts.items():
            draft.trim()
            self.sources[path] = draft.freeze()
            if draft.settled and path.startswith(BORROWED):
                self.leaving.append(path)
        for path in self.leaving:
            self.sources.pop(path, None)
        if self.planned.changed:
            self.planned.board = replace(
                self.board,
                sequence=self.sequence,
                tickets=self.tickets,
                sources=self.sources,
                totals=self.totals,
                moves=self.moves,
                full=full,
                control=turn,
                answers=self.answers,
                edits=self.edits,
                marks={path: marked for path, marked in self.marks.items() if marked},
                purges=self.purges,
                memos=self._kept_memos() if self.memos else {},
                schedules=self.ticked,
                # While the control is not read nothing is assigned, and tickets end all the same.
                allowed={name: one for name, one in self.allowed.items() if name in self.tickets},
                buckets=self.buckets,
                fuses=self.fuses,
                halted=self.halted,
            )
        return self.planned

    def _kept_memos(self) -> dict[str, dict[int, Memo]]:
        """Those of messages that will start again. Asked when every source is frozen."""
        live: dict[str, set[int]] = {path: set() for path in self.memos if path in self.sources}
        for path, indexes in live.items():
            state = self.sources[path]
            indexes.update(at for ready in state.ready for at in range(ready.start, ready.stop))
            indexes.update(one.index for one in state.waiting)
        for members in self.moves.values():
            for path, index in members:
                if path in live:
                    live[path].add(index)
        for ticket in self.tickets.values():
            if any(part.source in live for part in ticket.parts):
                for part in ticket.spans(ticket.left_ranges):
                    live.get(part.source, set()).update(range(part.start, part.stop))
        kept = {
            path: {at: self.memos[path][at] for at in indexes & self.memos[path].keys()}
            for path, indexes in live.items()
        }
        return {path: noted for path, noted in kept.items() if noted}

    def done(self, parts: Sequence[Part], ticket: str) -> None:
        """These messages of a ticket ended well. One of a further life has a letter, which is to say so first."""
        draft, settled, many, ending = self.draft, self.planned.settled, 0, None
        for part in parts:
            source, start, stop = part.source, part.start, part.stop
            if source.startswith(LETTER):
                ending = ending or Ending("done", ticket)
                draft(source).ends(start, ending)
            else:
                draft(source).done(start, stop)
            many += stop - start
            settled.append(Settled(ticket, source, start, stop, part.attempt, "done"))
        if many:
            self.count(parts[0], "done", many)

    def state(self, path: str) -> Draft | SourceState:
        """Where the messages of a source on the board are by now."""
        draft = self.drafts.get(path)
        return self.sources[path] if draft is None else draft

    def count(self, part: Part, what: str, many: int) -> None:
        """Add to the totals of the part's queue."""
        queue = parse_source(part.source).queue
        totals = self.totals.get(queue, Totals())
        self.totals[queue] = replace(totals, **{what: getattr(totals, what) + many})

    def count_moved(self, source: Source, many: int) -> None:
        """So many messages more are in sources that were moved off the board."""
        totals = self.totals.get(source.queue, Totals())
        self.totals[source.queue] = replace(totals, moved=max(0, totals.moved + many))

    def ticket(self, session: str, parts: tuple[Part, ...]) -> str:
        """Give these messages, which are in no list any more, to a host. Returns the ticket's name."""
        ticket, name = Ticket(session, parts), ticket_id(self.board.epoch, self.next_number())
        self.tickets[name] = ticket
        self.planned.assigned += ticket.size
        self.planned.changed = True
        return name

    # ---- what fits no host ---------------------------------------------------------------------------------

    def gave_back(self, part: Part, outcome: Failed) -> None:
        """A host does not know the task of this message, or not with its arguments. The message waits for another host.

        Up to ``max_parked`` wait on the board; others are snoozed.
        """
        queue = parse_source(part.source).queue
        draft = self.draft(part.source)
        if part.start not in draft.unfit and self.unfit.get(queue, 0) >= self.settings.max_parked:
            later = Failed("snooze", self.settings.unfit_pause)
            draft.failed(part.start, part.attempt, later, max_attempts=part.attempt + 1, now_ms=self.now_ms)
            return
        self.unfit[queue] = self.unfit.get(queue, 0) + 1
        draft.gave_back(part.start, part.attempt, outcome, self.now_ms)

    def expire(self) -> None:
        """Make dead the messages that have waited too long for a host that fits."""
        before_ms = self.now_ms - int(self.settings.unfit_timeout * 1000)
        if not self.unfit:
            return
        for path in [path for path in self.sources if self.state(path).unfit]:
            state = self.sources[path]
            if path not in self.drafts and all(one.since_ms > before_ms for one in state.unfit):
                continue
            draft = self.drafts.get(path) or Draft(state, alone=parse_source(path).alone)
            gone = draft.expire(before_ms)
            if gone:
                self.drafts[path], self.planned.changed = draft, True
            for index, attempt, token in gone:
                draft.remember(index, _unfit_failure(draft, index, attempt, token, self.now_ms))
                part = Part(path, index, index + 1, attempt)
                self.count(part, "dead", 1)
                self.planned.settled.append(Settled("", path, index, index + 1, attempt, "dead"))

    # ---- what operators ask for ----------------------------------------------------------------------------

    def answer(self, request: str, answer: str) -> None:
        self.answers[request] = answer
        self.planned.changed = True

    def is_marked(self, part: Part) -> bool:
        """Whether this one message is to be cancelled."""
        return part.start in self.marks.get(part.source, ())

    def ends(self, part: Part, how: str) -> None:
        """Marked messages of this part have ended. Whoever asked for it is told."""
        marked = self.marks.get(part.source)
        for index in [index for index in marked or () if part.start <= index < part.stop]:
            assert marked is not None
            for request in marked.pop(index).requests:
                if all(request != purge.request for purge in self.purges.values()):
                    self.answer(request, how)

    def cancel(self, part: Part, ticket: str = "", *, began: bool, reason: str = "") -> None:
        """This one message, which is in no list any more, does not run again."""
        self.end(part, "cancelled", ticket, began=began, reason=reason)

    def end(self, part: Part, how: str, ticket: str = "", *, began: bool, reason: str = "") -> None:
        """This one message, which is in no list any more, ends otherwise than by its task.

        Args:
            how: ``cancelled``, ``expired`` or ``purged``.
            began: a ledger has claimed it once, so that it leaves a tombstone. One of a further life always does.
            reason: for people.
        """
        draft = self.draft(part.source)
        if began or parse_source(part.source).kind == "dead":
            draft.remember(part.start, self.signed(Failure(part.attempt, how, reason, self.now_ms), ticket))
            draft.ends(part.start, Ending(how))
        else:
            draft.done(part.start, part.start + 1)
        self.ended(part, how, ticket)

    def signed(self, failure: Failure, name: str) -> Failure:
        """The failure of an attempt, with the host and the ticket by which it ran."""
        if (ticket := self.board.tickets.get(name)) is None:
            return failure
        ledger = self.ledgers.get(ticket.session)
        host = (ledger.place.name if ledger is not None else "") or ticket.session
        return replace(failure, host=host[:_HOST], ticket=name)

    def ended(self, part: Part, how: str, ticket: str = "") -> None:
        many, queue = part.stop - part.start, parse_source(part.source).queue
        self.count(part, how, many)
        self.planned.settled.append(Settled(ticket, part.source, part.start, part.stop, part.attempt, how))
        if how == "purged" and queue in self.purges:
            self.purges[queue] = replace(self.purges[queue], count=self.purges[queue].count + many)

    # ---- what stands in no ledger --------------------------------------------------------------------------

    def settle_dead(self, letters_written: Collection[tuple[str, int]]) -> None:
        by_path: dict[str, set[int]] = {}
        for path, index in letters_written:
            if path in self.sources and index in self.board.sources[path].dying:
                by_path.setdefault(path, set()).add(index)
        for path, indexes in by_path.items():
            endings = self.state(path).endings
            if any(endings[index].kind == "edited" for index in indexes & endings.keys()):
                self.draft(path).edited(0, 1)
            elif path.startswith(BORROWED) and path not in self.drafts:
                self.sources[path], self.planned.changed = _OVER, True
                self.leaving.append(path)
            else:
                self.draft(path).letters_written(indexes)

    def retire(self, retired: Collection[str]) -> None:
        for path in retired:
            if path in self.sources:
                del self.sources[path]
                self.planned.changed = True
                if path.startswith(LATER) and (source := parse_source(path)).moved:
                    self.count_moved(source, -source.count)
            elif self.answers.pop(path, None) is not None:
                self.planned.changed = True

    def wake(self) -> None:
        for path in [path for path, state in self.open_states() if state.waiting]:
            waiting = self.drafts[path].waiting if path in self.drafts else self.sources[path].waiting
            if any(one.due_ms <= self.now_ms for one in waiting):
                draft = self.draft(path)
                draft.wake(self.now_ms)
                waiting = draft.waiting
            if waiting:
                self.waiting[path] = len(waiting)
            self.comes(one.due_ms for one in waiting)

    def comes(self, due_ms: Iterable[int]) -> None:
        """Something is to be decided at these times."""
        due = min(due_ms, default=None)
        if due is not None and (self.planned.next_due_ms is None or due < self.planned.next_due_ms):
            self.planned.next_due_ms = due

    def is_held(self, queue: str) -> bool:
        """Whether nothing of this queue is assigned now."""
        return self.control is None or self.control.holds(queue, self.now_ms) or self.is_emptied(queue)

    def is_emptied(self, queue: str) -> bool:
        """Whether a purge holds this queue: nothing of it is assigned, admitted or moved."""
        return queue in self.purges and not self.purges[queue].is_open


def _halted(control: Control, now_ms: int) -> dict[str, tuple[str, ...]]:
    return control.halted(now_ms) if control.paused_tasks else {}


def _unfit_failure(draft: Draft, index: int, attempt: int, token: str, now_ms: int) -> Failure:
    task, _, digests = token.rpartition("@")
    if not any(digests.split(",")):
        return Failure(attempt, "unknown_task", f"no host knew the task {task!r}", now_ms)
    why = next((one.text for one in reversed(draft.failures.get(index, ())) if one.cause == "signature"), "")
    text = f"no host had a task {task!r} that takes these arguments"
    return Failure(attempt, "signature", f"{text}: {why}" if why else text, now_ms)
