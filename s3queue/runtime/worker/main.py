"""A worker process: takes deals from the agent, reads their sources, runs their messages in its slots.

Guarantees to the agent, beyond those in `s3queue.runtime.local.wire`:

- For every `Deal` there is exactly one `Finished`, when each of its messages has ended or was returned, whatever came
  first; it is the last note about the row. Only `Cancel` ends a row without one.
- A `Recall` is answered by exactly one `Returned`, perhaps empty. Returned messages are ``READY`` in the journal and are
  never started; the others of the row are running or have ended. `Finished` of rows with nothing left follows it.
- A message that is not ok has sent its `FailedNote` before its state says so. Messages may fail without ever having been
  ``RUNNING``: their source is gone, or cannot be read or decoded, their task is unknown, or they were out of attempts.
- A source that stays unreadable costs its messages no attempt: they come back as ``snooze``, with one `Unreadable`.
- After `Cancel` nothing is sent about earlier rows, and no state of them is written, save by a message that was ending in
  the very moment. Slots may still be at work on them (`WorkerJournal.running` tells): new rows should have other numbers.
- The end of the agent's socket or of the supervisor's pipe ends this process at once, whatever is running.
- No thread ends silently: an unhandled error ends the process with a traceback.

Threads: this one, which reads notes and writes heartbeats; one per slot; the readers; a loop for async tasks.
"""

from __future__ import annotations

import os
import resource
import select
import socket
import sys
import threading
import time
import traceback
from queue import SimpleQueue

from s3queue.core.keys import Layout
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.observe import tracing
from s3queue.observe.events import Events
from s3queue.observe.measures import MeasuredStore, Measures
from s3queue.options.resources import close_resources
from s3queue.payloads.lazy import refuse_lazy
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.spec import WorkerSpec
from s3queue.runtime.local.wire import (
    ORPHANED,
    Cancel,
    Deal,
    Deframer,
    Halted,
    Hello,
    Interrupt,
    Leaving,
    Note,
    Recall,
    Returned,
    Started,
    Stop,
    Trust,
    frame,
    pack,
)
from s3queue.runtime.worker.attempt import Attempts
from s3queue.runtime.worker.awaiting import Awaiting
from s3queue.runtime.worker.dealt import Dealt, Item
from s3queue.runtime.worker.loop import TaskLoop
from s3queue.runtime.worker.notes import Notes
from s3queue.runtime.worker.results import Results
from s3queue.runtime.worker.slots import Slots
from s3queue.runtime.worker.sources import Sources
from s3queue.runtime.worker.stdio import survive_broken_output
from s3queue.runtime.worker.telling import Telling

#: Seconds between heartbeats of a worker, and between checks of its memory.
TICK_S = 0.9
#: Seconds for which a reader retries one read before it turns to other sources.
PATIENCE_S = 0.5


def main(spec: WorkerSpec) -> None:
    """Serve until the note `Stop` of the agent."""
    Worker(spec).serve()


class Worker:
    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._limit = spec.config.max_messages
        self._limit_bytes = spec.config.max_rss_bytes
        journal = Journal(spec.buffer, spec.workers, spec.concurrency)
        self._journal = journal.worker(spec.worker)
        self._run_before = self._journal.messages
        self._events = Events("worker", spec.config.history, spec.ears)
        layout = Layout(spec.config.namespace)
        ready: SimpleQueue[Item | None] = SimpleQueue()
        #: Receives measurements, if this host serves metrics.
        self._measures = None if spec.measured is None else Measures(f"worker {spec.worker}", spec.measured)
        store = spec.store if self._measures is None else MeasuredStore(spec.store, self._measures, "worker")
        self._driver = Driver(store, Meter(self._journal.usage), patience_s=PATIENCE_S)
        self._sources = Sources(
            self._driver,
            layout,
            self._journal,
            spec.config.prefetch_bytes,
            ready=ready,
            send=self._send,
            events=self._events,
        )
        self._notes = Notes(self._send, spec.concurrency)
        self._attempts = Attempts(
            self._journal,
            layout=layout,
            session=spec.session,
            find=spec.tasks.find,
            telling=Telling(layout, self._events, self._measures),
            awaiting=Awaiting(TaskLoop(refuse_lazy)),
            results=Results(self._driver, layout, journal.trust, self._events),
            notes=self._notes,
            measures=self._measures,
            middleware=(*tracing.middleware(spec.config.tracing), *spec.tasks.middleware),
        )
        self._slots = Slots(
            ready,
            journal,
            spec.worker,
            self._attempts,
            self._notes,
            send=self._send,
            release=self._sources.release,
            finished=self._row_ended,
        )
        self._live: dict[int, Dealt] = {}
        self._cancelled = threading.Event()
        self._leaving = False
        self._sending = threading.Lock()

    def serve(self) -> None:
        try:
            self._serve()
        except Exception:  # noqa: BLE001 - other threads might keep what is left of the process alive
            traceback.print_exc()
            os._exit(1)

    def _serve(self) -> None:
        survive_broken_output()
        self._journal.pid = os.getpid()
        self._journal.beat()
        self._socket = self._connect()
        self._send(Hello(self._spec.worker, os.getpid()))
        self._slots.start()
        self._spec.conn.send_bytes(pack(Started()))
        self._read()
        self._slots.stop()
        close_resources()
        tracing.flush()
        self._sources.stop()
        self._driver.close()
        if self._measures is not None:
            self._measures.flush()
        self._events.close()

    # ---- the agent -----------------------------------------------------------------------------------------

    def _connect(self) -> socket.socket:
        agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        while True:
            try:
                agent.connect(f"{self._spec.rundir}/agent.sock")
                return agent
            except (FileNotFoundError, ConnectionRefusedError):
                # Not listening yet. Readable means that the supervisor is gone.
                if self._spec.conn.poll(0.05):
                    os._exit(ORPHANED)

    def _send(self, note: Note) -> None:
        data = frame(note)
        try:
            with self._sending:
                self._socket.sendall(data)
        except OSError:  # the agent is gone, so no outcome of this process can count
            os._exit(ORPHANED)

    def _read(self) -> None:
        """Handle notes of the agent until `Stop`, and write heartbeats in between."""
        agent, supervisor = self._socket.fileno(), self._spec.conn.fileno()
        poll = select.poll()
        poll.register(agent, select.POLLIN)
        poll.register(supervisor, select.POLLIN)
        deframer = Deframer()
        next_tick = 0.0
        while True:
            for fd, _ in poll.poll((self._sources.tick() or TICK_S) * 1000):
                if fd == supervisor:  # the pipe carries no data, so this is its end
                    os._exit(ORPHANED)
                try:
                    data = self._socket.recv(262_144)
                except OSError:
                    data = b""
                if not data:
                    os._exit(ORPHANED)
                for note in deframer.feed(data):
                    if isinstance(note, Stop):
                        return
                    self._obey(note)
            now = time.monotonic()
            self._notes.tick()
            if now >= next_tick:
                next_tick = now + TICK_S / 2
                self._journal.beat()
                self._look_at_memory()
                if self._measures is not None:
                    self._measures.tick()

    def _obey(self, note: Note) -> None:
        match note:
            case Deal():
                dealt = Dealt(note, self._spec.concurrency, self._cancelled)
                self._live[note.row] = dealt
                self._sources.add(dealt, note.parts)
            case Recall():
                # Messages in the queue first: what is given back later cannot reach a slot.
                items = self._sources.take_back() + self._slots.take_back()
                self._send(Returned(tuple((piece.dealt.row, piece.first + number) for piece, number in items)))
                for piece, _ in items:
                    self._slots.end(piece)
            case Trust():
                self._slots.look_again()
            case Halted(tasks):
                self._attempts.halted = tasks
            case Interrupt(row, messages):
                if (marked := self._live.get(row)) is not None:
                    marked.marked |= set(messages)
                    self._attempts.interrupt(marked)
            case Cancel():
                running = list(self._live.values())
                self._live.clear()
                for dealt in running:
                    dealt.over = True
                for piece, _ in self._sources.take_back() + self._slots.take_back():
                    self._slots.over(piece)
                self._cancelled.set()
                self._attempts.cancel()
                self._cancelled = threading.Event()
                self._events.emit("fenced", session=self._spec.session, worker=self._spec.worker)
            case _:
                raise AssertionError(f"not for a worker: {note}")

    # ---- leaving -------------------------------------------------------------------------------------------

    def _row_ended(self, dealt: Dealt) -> None:
        """Called in the thread that ended the row, before the agent is told."""
        if self._live.get(dealt.row) is dealt:  # else the agent has seen the end in the journal, and reused the row
            del self._live[dealt.row]
        if self._limit is not None and self._journal.messages - self._run_before >= self._limit:
            self._leave(f"ran {self._limit} messages")

    def _look_at_memory(self) -> None:
        if self._limit_bytes is not None and (rss := rss_bytes()) > self._limit_bytes:
            self._leave(f"uses {rss} bytes of memory")

    def _leave(self, why: str) -> None:
        if not self._leaving:
            self._leaving = True
            self._send(Leaving(why))


def rss_bytes() -> int:
    """Bytes of resident memory of this process; if the system does not tell, the largest value so far."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
