"""A worker that was killed after it had connected and before its agent read its `Hello` was seated when it was dead, and
what was dealt to it never ended."""

from __future__ import annotations

import socket
from pathlib import Path

from s3queue_backends.sqlite import SqliteStore

from s3queue.core.held import Held
from s3queue.core.keys import Layout
from s3queue.core.ledger import Host
from s3queue.core.records import Offer, Part, Ticket
from s3queue.io.clock import clock
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.seats import Seats, WorkerDeath
from s3queue.runtime.local.wire import Deframer, Died, Finished, Note, frame
from tests.deadline import DEADLINE_S
from tests.runtime import jobs
from tests.runtime.desk import Desk


class Link:
    """A worker's connection, as the agent has it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._connection.settimeout(DEADLINE_S)
        self._deframer = Deframer()
        self.closed = False

    def notes(self) -> list[Note]:
        """The next ones; none where it has ended."""
        data = self._connection.recv(65536)
        return self._deframer.feed(data)

    def send(self, note: Note) -> None:
        self._connection.sendall(frame(note))

    def close(self) -> None:
        self._connection.close()
        self.closed = True


def test_worker_killed_before_its_hello_is_read_frees_its_seat(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    desk = Desk(store)
    try:
        host = Host(Layout(), "session-1", 1, {jobs.QUEUE: Offer()})
        dealer = Dealer(host, [desk.journal], 1)
        freed: list[WorkerDeath] = []
        seats = Seats(
            dealer,
            later=lambda seconds, call: None,
            now_ms=lambda: 1,
            freed=freed.append,
            leaving=lambda worker, why: None,
            warn=lambda key, text: None,
        )
        path = desk.put([desk.message("noop")])
        host.tickets["1-0"] = Held(Ticket("session-1", (Part(path, 0, 1, 1),)))

        desk.start()
        unheard, _ = desk.listener.accept()  # it has connected
        unheard.recv(1, socket.MSG_PEEK)  # it has said Hello, which nobody reads
        pid = desk.process.pid
        desk.process.kill()
        desk.process.join()
        seats.died(Died(0, pid, "killed", "killed by SIGKILL"))
        assert [one.pid for one in freed] == [pid], "it may be replaced"
        ghost = Link(unheard)
        for note in ghost.notes():
            seats.heard(ghost, note)
        assert ghost.closed

        desk.process.close()
        desk.conn.close()
        desk.start()
        connection, _ = desk.listener.accept()
        link = Link(connection)
        desk.agent = connection  # the desk closes it
        desk.shared.trust_until = clock() + 3600.0
        dealer.claimed(["1-0"])
        ended = False
        while not ended:
            for note in link.notes():
                seats.heard(link, note)
                ended = ended or isinstance(note, Finished)
            dealer.deal(clock())
        assert host.tickets["1-0"].ok == (0, 1)
    finally:
        desk.close()
        store.close()
