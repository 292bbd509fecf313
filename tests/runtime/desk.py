"""The agent's end of the socket, worked by hand: deals messages to a real worker process and hears what it says."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import multiprocess
from msgspec import Raw
from multiprocess import connection

from s3queue.config import Config
from s3queue.core.keys import Layout, batch_id, source_path
from s3queue.core.records import Failed, Message, Part, encode_batch, encode_message
from s3queue.io.clock import clock
from s3queue.registry import registry
from s3queue.runtime.child import Sealed, enter
from s3queue.runtime.local.journal import Journal, WorkerJournal, state_of
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import (
    Cancel,
    Deal,
    Deframer,
    FailedNote,
    Finished,
    Hello,
    Note,
    Recall,
    Started,
    Stop,
    Trust,
    frame,
    unpack,
)
from s3queue.store import ObjectStore
from tests.deadline import DEADLINE_S
from tests.runtime import jobs

N = TypeVar("N")


class Desk:
    def __init__(self, store: ObjectStore, *, concurrency: int = 1, method: str = "fork", **settings: Any) -> None:
        self.store = store
        self.config = Config(**settings)
        self.layout = Layout(self.config.namespace)
        self.context = multiprocess.get_context(method)
        self.life = Life.create()
        self.buffer = self.context.RawArray("b", Journal.size(1, concurrency))
        self.shared = Journal(self.buffer, 1, concurrency)
        self.journal: WorkerJournal = self.shared.worker(0)
        self.concurrency = concurrency
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.life.rundir / "agent.sock"))
        self.listener.listen()
        self.listener.settimeout(DEADLINE_S)
        self.agent: socket.socket | None = None
        self.conn: Any = None
        self.process: Any = None
        self._deframer = Deframer()
        self._notes: deque[Note] = deque()
        self._sources = 0

    # ---- the worker ----------------------------------------------------------------------------------------

    def start(self) -> None:
        self.conn, theirs = self.context.Pipe()
        fields = {
            "store": self.store,
            "config": self.config,
            "worker": 0,
            "workers": 1,
            "concurrency": self.concurrency,
            "rundir": str(self.life.rundir),
            "session": "session-1",
            "buffer": self.buffer,
            "tasks": registry,
        }
        others = (self.conn, self.listener) if self.context.get_start_method() == "fork" else ()
        self.journal.reset()
        self.process = self.context.Process(target=enter, args=("worker", Sealed(fields), theirs, self.life, others))
        self.process.start()
        theirs.close()

    def seat(self) -> None:
        """Start the worker, and hear that it is there."""
        self.start()
        self.agent, _ = self.listener.accept()
        self.agent.settimeout(DEADLINE_S)
        assert self.expect(Hello) == Hello(0, self.process.pid)
        assert isinstance(unpack(self.conn.recv_bytes()), Started)

    def trust(self, seconds: float = 3600.0) -> None:
        self.shared.trust_until = clock() + seconds
        self.send(Trust())

    def stop(self) -> int:
        """The worker's exit status after `Stop`."""
        self.send(Stop())
        return self.exit_status()

    def exit_status(self) -> int:
        assert connection.wait([self.process.sentinel], DEADLINE_S), "the worker does not end"
        self.process.join()
        status: int = self.process.exitcode
        return status

    # ---- notes ---------------------------------------------------------------------------------------------

    def send(self, note: Note) -> None:
        assert self.agent is not None
        self.agent.sendall(frame(note))

    def next(self) -> Note | None:
        """The next note of the worker; None when it has hung up."""
        assert self.agent is not None
        while not self._notes:
            data = self.agent.recv(65536)
            if not data:
                return None
            self._notes.extend(self._deframer.feed(data))
        return self._notes.popleft()

    def expect(self, kind: type[N]) -> N:
        """The next note, which must be of this kind."""
        note = self.next()
        assert isinstance(note, kind), f"{note} instead of {kind.__name__}"
        return note

    def obeyed(self) -> None:
        """Return once the worker has handled every note that was sent: after the second heartbeat from now, since the first
        may be of a round that read none of them."""
        for _ in range(2):
            before = self.journal.last_beat
            while self.journal.last_beat == before:
                assert self.process.is_alive()
                time.sleep(0.001)

    # ---- messages ------------------------------------------------------------------------------------------

    def message(self, task: str, *args: Any, headers: dict[str, str] | None = None) -> Raw:
        found = registry.find(jobs.QUEUE, task)
        payload = found.encode(args, {}) if found else Raw(b"\x80")
        return encode_message(Message(task, payload, headers or {}))

    def put(self, messages: list[Raw]) -> str:
        """Store a batch; its path."""
        return self.put_body(encode_batch(messages, 1), len(messages))

    def put_body(self, body: bytes, count: int) -> str:
        path = self.missing(count)
        self.store.put(self.layout.source(path), body, if_version=None)
        return path

    def missing(self, count: int) -> str:
        """The path of a batch that is not there."""
        self._sources += 1
        return source_path(jobs.QUEUE, sent_ms=1, batch=batch_id(self._sources, 1), count=count)

    def deal(self, row: int, *parts: Part, ticket: str = "1-7") -> None:
        self.journal.open_row(row, ticket, 0, sum(part.stop - part.start for part in parts))
        self.send(Deal(row, ticket, jobs.QUEUE, parts))

    def deal_new(self, row: int, *messages: Raw, attempt: int = 1, ticket: str = "1-7") -> str:
        path = self.put(list(messages))
        self.deal(row, Part(path, 0, len(messages), attempt), ticket=ticket)
        return path

    def recall(self) -> None:
        self.send(Recall())

    def cancel(self) -> None:
        self.send(Cancel())

    def states(self, row: int) -> list[int]:
        return list(self.journal.states(row))

    def close(self) -> None:
        if self.process is not None:
            if self.process.is_alive():
                self.process.kill()
            self.process.join()
            self.process.close()
            self.conn.close()
        if self.agent is not None:
            self.agent.close()
        self.listener.close()
        self.life.close(remove=True)


@contextmanager
def desk(store: ObjectStore, **settings: Any) -> Iterator[Desk]:
    """A desk with a worker that is seated and trusted."""
    it = Desk(store, **settings)
    try:
        it.seat()
        it.trust()
        yield it
    finally:
        it.close()


class Pipe:
    """A fifo on which a task in another process tells the test something, or waits for it."""

    def __init__(self, path: Any) -> None:
        self.path = str(path)
        os.mkfifo(self.path)
        # Both ends: opening never waits, and the fifo never ends.
        self.fd = os.open(self.path, os.O_RDWR)

    def line(self) -> str:
        assert connection.wait([self.fd], DEADLINE_S), f"nothing came through {self.path}"
        return os.read(self.fd, 65536).decode().strip()

    def release(self) -> None:
        os.write(self.fd, b".")

    def close(self) -> None:
        os.close(self.fd)


def outcome(it: Desk) -> Failed:
    """Of a row with one message."""
    note = it.expect(FailedNote)
    assert it.expect(Finished).row == note.row
    assert note.index == 0
    assert it.states(note.row) == [state_of(note.outcome)]
    return note.outcome
