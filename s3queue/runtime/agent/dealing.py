"""Deals the messages that the stored ledger claims to the workers of this host, and gathers their outcomes.

Messages lie in a pool until a slot is about to be free for them. A worker gets so many at a time that it is busy for some
tens of milliseconds, and one for each free slot where they take longer, so that no message waits in one worker behind a
long task while another is idle. What got stuck behind one nevertheless is recalled.

A suspect, which may have killed its process, is dealt to a worker that has nothing else, and that is given nothing else
until it has ended.

Whatever happens to a message is entered in the `Host`; each message of the pool and of the open journal rows is in
exactly one place. The dealer knows no store and no socket: notes go out through the function it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from s3queue.core import ranges
from s3queue.core.held import Held
from s3queue.core.ledger import Host
from s3queue.core.ranges import Ranges
from s3queue.core.records import Failed, Memo, Part
from s3queue.runtime.agent.deaths import Affected, Death, Suspect, affected, judge, suspects_in
from s3queue.runtime.agent.gates import Gates, is_limited, line_of, may_start, queue_of
from s3queue.runtime.agent.interrupts import EndWorker, Interrupts
from s3queue.runtime.agent.loads import Load, Row
from s3queue.runtime.agent.pool import Piece, Pool, pieces_of
from s3queue.runtime.local.journal import MOVED, READING, READY, ROW_STATES, WorkerJournal
from s3queue.runtime.local.wire import Deal, Halted, Note

#: Seconds of work handed to a worker in one deal: long against a round trip between processes (0.2 ms), short against
#: what a person notices.
PORTION_S = 0.05
#: The same where keys take turns: a key that comes waits behind that much of others.
_TURN_S = 0.02
#: Seconds without a worker after which a host gives back its messages: longer than a worker takes to be replaced.
ABSENT_S = 1.0
#: States of messages that may go to another worker. (A message being read may have killed its process.)
_NOT_BEGUN = frozenset({READY, READING})
#: Weight of the newest measurement in the mean time of a queue's messages.
_NEWEST = 0.3


class Dealer:
    """
    Args:
        max_messages: that a worker process starts before it leaves. None: any number.
        end_worker: ends the process of a worker for these messages, by row and index, if they still run there.

    Attributes:
        loads: by worker, what it was dealt.
        unfinished: messages with a worker that have no outcome yet.
    """

    def __init__(
        self,
        host: Host,
        journals: Iterable[WorkerJournal],
        concurrency: int,
        max_messages: int | None = None,
        *,
        end_worker: EndWorker = lambda worker, messages: None,
    ) -> None:
        self.host = host
        self.concurrency = concurrency
        self.loads = [Load(host, journal, concurrency, max_messages) for journal in journals]
        self._pool = Pool()
        #: By queue, seconds of a message in a slot with what it waited for its source, and without.
        self._means: dict[str, float] = {}
        self._runs: dict[str, float] = {}
        #: By queue, when it was last dealt from, counted in deals.
        self._turns: dict[str, int] = {}
        self._turn = 0
        self._interrupts = Interrupts(host, self.loads, self._pool, end_worker)
        self._is_clearing = False
        self._absent_since: float | None = None
        #: Paused tasks that workers know of.
        self._halted: dict[str, tuple[str, ...]] = {}

    # ---- workers -------------------------------------------------------------------------------------------

    def comes(self, worker: int, send: Callable[[Note], None]) -> None:
        """A worker process has connected."""
        self.loads[worker].begin(send)
        if self._halted:
            send(Halted(self._halted))

    def leaves(self, worker: int) -> None:
        """The worker takes no more, and gives back messages not started."""
        self.loads[worker].leaving = True
        self.loads[worker].recall()

    def goes(self, worker: int) -> None:
        """The worker gets no more notes."""
        self.loads[worker].send = None

    def tell(self, note: Note) -> None:
        """Send a note to all connected workers."""
        for load in self.loads:
            if load.send is not None:
                load.send(note)

    # ---- claimed messages ----------------------------------------------------------------------------------

    def claimed(self, names: Iterable[str]) -> None:
        """A stored ledger claims these tickets now. Messages with an earlier attempt go first: they have waited
        longest."""
        for name in names:
            held = self.host.tickets.get(name)
            if held is None:
                continue
            if held.ticket.parts[0].attempt > 1:
                self._put_back(held.ticket.queue, name, held.open)
            else:
                line = line_of(self.host, held.ticket.queue, name)
                self._pool.add(line, pieces_of(name, held, held.open))

    def _put_back(self, queue: str, ticket: str, offsets: Ranges) -> None:
        held, line = self.host.tickets.get(ticket), line_of(self.host, queue, ticket)
        pieces = pieces_of(ticket, held, offsets)
        if held is not None and held.suspect:
            for piece in pieces:
                self._pool.suspect(line, piece)
        else:
            self._pool.put_back(line, pieces)

    @property
    def pooled(self) -> int:
        """Messages that no worker has."""
        return self._pool.size

    @property
    def unfinished(self) -> int:
        """Messages with a worker that have no outcome yet."""
        return sum(load.unfinished for load in self.loads)

    def release_pool(self) -> None:
        """Give back the messages that no worker has."""
        for piece in self._pool.drain():
            self.host.release(piece.ticket, (piece.start, piece.stop))

    # ---- dealing -------------------------------------------------------------------------------------------

    def interrupt(self, now: float) -> None:
        """See to it that messages which operators have cancelled, or whose task they have paused, do not begin; and tell
        those that run and are cancelled."""
        if self.host.halted != self._halted:
            self._tell_halted()
        if self.host.marked or self._interrupts.is_open:
            self._interrupts.heed(now)

    def _tell_halted(self) -> None:
        """Before anything is dealt that came with the same board."""
        self._halted = self.host.halted
        self.tell(Halted(self._halted))

    def deal(self, now: float) -> None:
        """Deal the messages that can start soon."""
        self.interrupt(now)
        if not any(load.send is not None for load in self.loads):
            self._bear_absence(now)
            return
        if self._absent_since is not None:
            self._absent_since = None
            self.host.resize(self.concurrency * len(self.loads))
        limited = self.host.allowed and self._pool.size
        if limited and not (self._pool.suspects or self._is_clearing or self._is_wanted(now)):
            return
        gates = Gates(self.host, self.loads, self.concurrency) if limited else None
        if self._pool.suspects or self._is_clearing:
            self._deal_suspects(gates)
        queues = self._pool.queues()
        if gates is not None:
            queues = [line for line in queues if may_start(gates, line)]
            self._pool.forget()
        if not queues:
            return
        if self._pool.is_long:
            self._turns = {queue: self._turns[queue] for queue in queues if queue in self._turns}
        kept: list[Load] = []
        for queue in sorted(queues, key=lambda queue: self._turns.get(queue, 0)):
            able = [load for load in self.loads if load.takes and load not in kept]
            able.sort(key=lambda load: load.unfinished)
            if self._deal_queue(queue, able, now, gates):
                self._turn += 1
                self._turns[queue] = self._turn
            elif is_limited(queue):
                if not self._is_wanted(now):
                    break
            elif able:
                # A queue of short tasks fills workers up before they have a free slot. One is left to this queue.
                kept.append(min(able, key=lambda load: load.is_stuck(now)))

    def _is_wanted(self, now: float) -> bool:
        """Whether any worker would take messages of any queue. That is soon known; to look at every line takes long where
        there are thousands, each of a key with a limit."""
        able = [load for load in self.loads if load.takes and load.has_room]
        return any(
            self._wants(load, self._runs.get(queue, 0.0), now, offer.batch, PORTION_S)
            for load in able
            for queue, offer in self.host.offers.items()
        )

    def _bear_absence(self, now: float) -> None:
        """There is no worker. If that lasts, give back the claimed messages."""
        if self._absent_since is None:
            self._absent_since = now
        elif self._pool.size and now - self._absent_since >= ABSENT_S:
            self.release_pool()
            self.host.resize(0)

    def _deal_suspects(self, gates: Gates | None) -> None:
        """Clear workers for suspects, and deal one suspect to each clear worker. Other messages keep a worker, or a
        turn."""
        able = [load for load in self.loads if load.is_able and load.has_room]
        most = len(able)
        if self._pool.queues():
            most -= most > 1 or (most == 1 and able[0].had_suspect and not able[0].unfinished)
        wanted = min(len(self._pool.suspects), most - sum(load.suspect for load in able))
        rest = sorted(
            (load for load in able if not load.suspect), key=lambda load: (not load.clearing, load.unfinished)
        )
        for load in self.loads:
            load.clearing = False
        for load in rest[: max(0, wanted)]:
            load.clearing = True
            if load.unfinished:
                load.recall()
            elif not load.recalled:
                suspect = self._pool.take_suspect(lambda line: gates is None or may_start(gates, line))
                if suspect is None:
                    break
                line, piece = suspect
                held = self.host.tickets.get(piece.ticket)
                if held is not None:
                    load.clearing, load.suspect = False, True
                    parts = tuple(held.ticket.spans((piece.start, piece.stop)))
                    self._send(load, queue_of(line), held, piece, parts)
                    if gates is not None:
                        gates.deals(line, load, piece.size)
        self._is_clearing = any(load.clearing for load in self.loads)

    def _deal_queue(self, queue: str, able: list[Load], now: float, gates: Gates | None) -> int:
        """Deal to these workers, of which the first have the least to do. Returns how many messages."""
        dealt = 0
        mean = self._runs.get(queue_of(queue), 0.0)
        limited = gates if is_limited(queue) else None
        turns = self._pool.has_turns(queue)
        offer = self.host.offers.get(queue_of(queue))
        batch = 0 if offer is None else offer.batch
        for place, load in enumerate(able):
            most = self._wants(load, mean, now, batch, _TURN_S if turns else PORTION_S)
            if limited is not None:
                most = min(most, limited.most(queue, load))
            if most > self.concurrency and not batch:
                # Towards the end each worker gets a share of the rest.
                most = min(most, max(self.concurrency, -(-self._pool.left(queue) // (len(able) - place))))
            while most > 0 and load.has_room and (piece := self._pool.take(queue)) is not None:
                many = self._deal_piece(queue, piece, load, most)
                most -= many
                dealt += many
                if limited is not None:
                    limited.deals(queue, load, many)
        return dealt

    def _wants(self, load: Load, mean: float, now: float, batch: int, portion_s: float) -> int:
        """Messages to deal to this worker: one for each free slot, more if they are short, never more than its process
        may run. Of tasks that take several at once, as many as its slots can take, and as many behind them."""
        free = self.concurrency - load.unfinished
        if batch:
            whole = batch * self.concurrency
            wants = whole if load.unfinished <= whole and not load.is_stuck(now) else 0
        elif mean <= 0.0 or mean >= portion_s:
            wants = max(0, free)
        else:
            portion = min(ROW_STATES, max(1, int(portion_s / mean) * self.concurrency))
            if load.unfinished >= 2 * portion or load.is_stuck(now):
                wants = 0
            else:
                wants = max(free, portion if load.unfinished <= portion else 0)
        quota = load.quota
        return wants if quota is None else min(wants, quota)

    def _deal_piece(self, queue: str, piece: Piece, load: Load, most: int) -> int:
        """Deal part of a piece, and put back the rest. Returns the number dealt."""
        held = self.host.tickets.get(piece.ticket)
        if held is None:  # taken from us; the next flush tells
            return 0
        cut = min(piece.stop, piece.start + min(most, ROW_STATES))
        parts = tuple(held.ticket.spans((piece.start, cut)))
        tail = parts[-1].stop - parts[-1].start
        if len(parts) > 1 and 2 * tail <= cut - piece.start and len(tuple(held.ticket.spans((cut - 1, cut + 1)))) == 1:
            # The cut goes through a batch, which is better left whole to one worker.
            cut, parts = cut - tail, parts[:-1]
        if cut < piece.stop:
            self._pool.rest(queue, piece._replace(start=cut))
        self._send(load, queue_of(queue), held, Piece(piece.ticket, piece.start, cut), parts)
        return cut - piece.start

    @staticmethod
    def _send(load: Load, queue: str, held: Held, piece: Piece, parts: tuple[Part, ...]) -> None:
        assert load.send is not None
        load.had_suspect = load.suspect
        memos = {}
        if held.given:
            memos = {at - piece.start: memo for at, memo in held.given.items() if piece.start <= at < piece.stop}
        row = load.open(piece, queue)
        load.send(Deal(row, piece.ticket, queue, parts, held.spared, memos, held.begun, load.suspect))

    # ---- outcomes ------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Enter the messages that workers have finished since the last call."""
        for load in self.loads:
            load.look()

    def failed(self, worker: int, number: int, index: int, outcome: Failed) -> bool:
        """A note: this message did not end with ok. False: the note is not valid now."""
        load = self.loads[worker]
        row = load.rows.get(number)
        if row is None or not 0 <= index < row.size or index in row.told or load.is_over(number, index):
            return False
        load.fail(row, index, outcome)
        return True

    def noted(self, worker: int, number: int, index: int, memo: Memo) -> bool:
        """A note: what a message that runs has noted. False: the note is not valid now."""
        row = self.loads[worker].rows.get(number)
        if row is None or not 0 <= index < row.size:
            return False
        self.host.note(row.ticket, row.base + index, memo)
        return True

    def finished(self, worker: int, number: int, busy_s: float, run_s: float = 0.0) -> bool:
        """A note: all messages of the row have ended. False: the note is not valid now."""
        load = self.loads[worker]
        row = load.rows.get(number)
        if row is None or row.finished:
            return False
        load.look_at(number, row)
        load.finish(row)
        if (ran := row.ok + len(row.told) - row.halted) > 0:
            self._measure(self._means, row.queue, busy_s / ran)
            self._measure(self._runs, row.queue, (run_s or busy_s) / ran)
        return True

    @staticmethod
    def _measure(means: dict[str, float], queue: str, seconds: float) -> None:
        seconds = max(seconds, 1e-7)
        before = means.get(queue)
        means[queue] = seconds if before is None else before + _NEWEST * (seconds - before)

    def returned(self, worker: int, messages: Iterable[tuple[int, int]]) -> bool:
        """A note: the worker has not started these messages, and will not. False: the note is not valid."""
        load = self.loads[worker]
        load.recalled = False
        given: dict[int, list[int]] = {}
        for number, index in messages:
            given.setdefault(number, []).append(index)
        lawful = True
        for number in sorted(given, reverse=True):
            row = load.rows.get(number)
            if row is None or not all(0 <= index < row.size for index in given[number]):
                lawful = False
                continue
            states = load.journal.states(number)  # what went to somebody else when the worker died stays there
            still = (at for at in given[number] if states[at] in _NOT_BEGUN and at not in row.told)
            self._move(load, number, row, ranges.of(still))
        return lawful

    def _move(self, load: Load, number: int, row: Row, indexes: Ranges) -> None:
        """Back into the pool, before everything that was never dealt."""
        states = load.journal.states(number)
        for index in ranges.members(indexes):
            states[index] = MOVED
        load.move(row, ranges.size(indexes))
        offsets = ranges.union((row.base + a, row.base + b) for a, b in ranges.pairs(indexes))
        self._put_back(row.queue, row.ticket, offsets)

    # ---- deaths --------------------------------------------------------------------------------------------

    def died(self, worker: int, death: Death) -> list[Affected]:
        """The process of this worker was reaped. Finished messages count, running ones are judged, the rest go to other
        workers. Returns the running ones."""
        load = self.loads[worker]
        load.end()
        rows = [(number, row) for number, row in sorted(load.rows.items(), reverse=True) if row.ended_at is None]
        suspects: list[Suspect] = []
        for number, row in rows:
            suspects.extend(suspects_in(self.host, load, number, row, death.at_ms))
        judged = judge(suspects, death)
        for one, outcome in judged.items():
            load.fail(load.rows[one.row], one.at, outcome)
        for row in load.rows.values():
            row.finished = True
        for number, row in rows:
            load.look_at(number, row)
            states = bytes(load.journal.states(number))
            left = ranges.of(at for at, state in enumerate(states) if state in _NOT_BEGUN and at not in row.told)
            self._move(load, number, row, left)
        return [affected(self.host, load.rows[one.row], one, outcome) for one, outcome in judged.items()]

    def stored(self) -> None:
        """The ledger was stored: close the rows whose outcomes are all in it."""
        for load in self.loads:
            load.close_stored()

    # ---- long tasks ----------------------------------------------------------------------------------------

    def recall(self, now: float, *, everything: bool = False) -> bool:
        """Ask workers to give back messages that are stuck behind long tasks, or all that they have not started. Returns
        whether messages are stuck in the pool, too, because every slot of the host has been busy for a while."""
        present = [load for load in self.loads if load.send is not None]
        stuck = [load for load in present if load.is_stuck(now)]
        for load in present if everything else stuck:
            load.recall()
        return bool(present) and self._pool.size > 0 and all(load in stuck for load in present if load.is_able)

    def mean_s(self, queue: str, now: float) -> float:
        """Measured time of one message of the queue in a slot; 0 until known. While every slot is at a long task, at
        least as long as the youngest of them has been running."""
        mean = self._means.get(queue, 0.0)
        running = [one for load in self.loads for one in load.journal.running()]
        if mean and len(running) >= self.concurrency * len(self.loads):
            mean = max(mean, min(now - one.started for one in running))
        return mean
