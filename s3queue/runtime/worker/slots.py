"""The slots of a worker: threads that take messages, wait until they may start, run them, and report the outcome."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue

from s3queue.core.records import Failed
from s3queue.io.clock import clock
from s3queue.runtime.local.journal import OK, Journal, WorkerJournal, state_of
from s3queue.runtime.local.wire import FailedNote, Finished, Note
from s3queue.runtime.worker.attempt import SLOT, Attempts
from s3queue.runtime.worker.batches import Batches, Member
from s3queue.runtime.worker.dealt import Dealt, Item, Piece
from s3queue.runtime.worker.notes import Notes

#: Seconds between a waiting slot's checks of the trust window.
_RECHECK_S = 0.25
#: Seconds of idle time between two messages below which a slot did not wait for a source.
_WAITED_S = 0.0001


class Slots:
    """The threads.

    Args:
        ready: messages to run; None ends one slot.
        send: sends a note to the agent.
        release: called with each piece whose messages are over.
        finished: called with each row that has ended, before the agent is told.
    """

    def __init__(
        self,
        ready: SimpleQueue[Item | None],
        journal: Journal,
        worker: int,
        attempts: Attempts,
        notes: Notes,
        *,
        send: Callable[[Note], None],
        release: Callable[[Piece], None],
        finished: Callable[[Dealt], None],
    ) -> None:
        self._ready = ready
        self._journal: WorkerJournal = journal.worker(worker)
        self._trust = journal.trust
        self._attempts = attempts
        self._notes = notes
        self._batches = Batches(ready, attempts.member)
        self._send = send
        self._release = release
        self._finished = finished
        #: Guards what slots hold; notified when the trust window or the session changes.
        self._gate = threading.Condition()
        self._held: list[Item | None] = [None] * journal.concurrency
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"{SLOT}{slot}", daemon=True)
            for slot in range(journal.concurrency)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    # ---- for the worker's main thread ----------------------------------------------------------------------

    def look_again(self) -> None:
        """The trust window was extended: waiting slots check again."""
        with self._gate:
            self._gate.notify_all()

    def take_back(self) -> list[Item]:
        """Take back messages that slots hold but may not start yet, since the trust window is over."""
        with self._gate:
            items = [item for item in self._held if item is not None]
            self._held = [None] * len(self._held)
            self._gate.notify_all()
        return items

    def stop(self) -> None:
        """End the threads. Nothing is running."""
        for _ in self._threads:
            self._ready.put(None)
        for thread in self._threads:
            thread.join()

    # ---- one slot ------------------------------------------------------------------------------------------

    def _work(self, slot: int) -> None:
        try:
            self.serve(slot)
        except BaseException:  # noqa: BLE001 - a bug of ours: end the whole process; the journal has the rest
            traceback.print_exc()
            os._exit(1)

    def serve(self, slot: int) -> None:
        """Run messages in this thread, until there is a None among them."""
        get, trust, journal, run = self._ready.get, self._trust, self._journal, self._attempts.run
        pages, finish = self._notes.open[slot], journal.finish
        ended = clock()
        while (item := get()) is not None:
            piece, number = item
            dealt = piece.dealt
            started = clock()
            # A slot that had nothing to do while the message was here already waited for its source.
            if started - ended > _WAITED_S and piece.fault is None:
                dealt.wait_s[slot] += started - max(ended, dealt.came)
            if started > trust[0] or dealt.over:
                if not self._trusted(slot, item):
                    continue
                started = clock()
            try:
                failed = run(slot, piece, number, started)
            except Exception:  # noqa: BLE001 - ours, of this one message: the slot goes on
                failed = self._attempts.faulty(piece, number)
            ended = clock()
            if failed is not None and type(failed) is Member:
                self._run_together(slot, failed)
                ended = clock()
                continue
            if pages:
                self._notes.end(slot, failed=failed is not None)
            if dealt.over:
                journal.finish(slot, None)
                self.over(piece)
                continue
            if failed is None:
                finish(slot, OK)
            else:
                # The note first: a state means that the agent was told, or died before it was.
                assert isinstance(failed, Failed)
                self._send(FailedNote(dealt.row, piece.first + number, failed))
                journal.mark(dealt.row, piece.first + number, state_of(failed))
                journal.finish(slot, None)
            dealt.run_s[slot] += ended - started
            self.end(piece)

    def _run_together(self, slot: int, first: Member) -> None:
        """Gather a batch, unless another slot does; run it when it may start, and report the outcomes."""
        members = [first] if first.item[0].dealt.alone else self._batches.gather(first)
        if members is None:
            return
        # Some sessions may have ended while others were waited for. Messages that came since belong to the next one.
        for piece, _ in [one.item for one in members if one.item[0].dealt.over]:
            self.over(piece)
        members = [one for one in members if not one.item[0].dealt.over]
        if not members or not self._trusted_together(members):
            for piece, _ in (one.item for one in members):
                self.over(piece)  # its session is over
            return
        started = clock()
        try:
            found = self._attempts.run_together(slot, members, started)
        except Exception:  # noqa: BLE001 - ours
            found = [self._attempts.faulty(*one.item) for one in members]
        self._notes.end(slot, failed=True)
        run_s = (clock() - started) / len(members)
        for ((piece, number), *_), failed in zip(members, found, strict=True):
            dealt, at = piece.dealt, piece.first + number
            if not dealt.over:
                if failed is not None:
                    self._send(FailedNote(dealt.row, at, failed))
                self._journal.mark(dealt.row, at, OK if failed is None else state_of(failed))
                dealt.run_s[slot] += run_s
        self._journal.finish(slot, None)
        for (piece, _), *_ in members:
            self.over(piece) if piece.dealt.over else self.end(piece)

    def _trusted_together(self, members: list[Member]) -> bool:
        """Wait until these messages may start; False if they never may."""
        with self._gate:
            while not any(one.item[0].dealt.over for one in members):
                if clock() <= self._trust[0]:
                    return True
                self._gate.wait(_RECHECK_S)
            return False

    def end(self, piece: Piece) -> None:
        """A message has ended. The thread that ends the last one of the row reports it."""
        self.over(piece)
        dealt = piece.dealt
        if next(dealt.ended) == dealt.last:
            self._finished(dealt)
            run_s = sum(dealt.run_s)
            self._send(Finished(dealt.row, run_s + sum(dealt.wait_s), run_s))

    def over(self, piece: Piece) -> None:
        """A message of the piece is no longer needed."""
        if piece.last == 0 or next(piece.ended) == piece.last:
            self._release(piece)

    def _trusted(self, slot: int, item: Item) -> bool:
        """Wait until this message may start; False if it never may, since it was taken back or its session is over."""
        piece = item[0]
        with self._gate:
            self._held[slot] = item
            while self._held[slot] is item and not piece.dealt.over:
                if clock() <= self._trust[0]:
                    self._held[slot] = None
                    return True
                self._gate.wait(_RECHECK_S)
            if self._held[slot] is item:  # the session is over, and it was not taken back
                self._held[slot] = None
                self.over(piece)
            return False
