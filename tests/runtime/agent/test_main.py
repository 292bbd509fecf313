"""An agent process with the test in the place of its supervisor and its workers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import multiprocess
import pytest
from multiprocess import connection
from s3queue_backends.sqlite import SqliteStore

from s3queue.config import Config
from s3queue.core.keys import Layout
from s3queue.core.records import Ledger, Place, decode, encode
from s3queue.registry import registry
from s3queue.runtime.child import Sealed, enter
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.wire import (
    FENCED,
    Cancel,
    Deal,
    Deframer,
    Died,
    Drain,
    Finished,
    Hello,
    Left,
    Note,
    Read,
    Returned,
    Started,
    Stop,
    Waiting,
    frame,
    pack,
    unpack,
)
from s3queue.runtime.supervisor.household import new_session
from s3queue.store import Found, Stored
from tests.deadline import DEADLINE_S
from tests.runtime import jobs

N = TypeVar("N")


class House:
    """What is around an agent of one worker."""

    def __init__(self, path: Path) -> None:
        self.store = SqliteStore(str(path / "store.db"))
        self.layout = Layout()
        self.life = Life.create()
        self.session = new_session()  # the name of a socket that outlives an agent that is killed
        self.sockets: list[socket.socket] = []
        self.context = multiprocess.get_context("fork")
        self.buffer = self.context.RawArray("b", Journal.size(1, 1))
        self.journal = Journal(self.buffer, 1, 1)
        self.conn, theirs = self.context.Pipe()
        fields = {
            "store": self.store,
            "config": Config(visibility_timeout=2.0, leader_lease=1.0),
            "queues": (jobs.QUEUE,),
            "workers": 1,
            "concurrency": 1,
            "rundir": str(self.life.rundir),
            "place": Place("m", self.life.rundir.name, "host:1"),
            "session": self.session,
            "orphaned": (),
            "buffer": self.buffer,
            "tasks": registry,
        }
        self.process: Any = self.context.Process(
            target=enter, args=("agent", Sealed(fields), theirs, self.life, (self.conn,))
        )
        self.process.start()
        theirs.close()

    def hear(self, kind: type[N]) -> N:
        """The next note to the supervisor of this kind. Others than that the store is waited for are errors."""
        while True:
            assert self.conn.poll(DEADLINE_S), f"no {kind.__name__}"
            note = unpack(self.conn.recv_bytes())
            if isinstance(note, kind):
                return note
            assert isinstance(note, Waiting), note

    def tell(self, note: Note) -> None:
        self.conn.send_bytes(pack(note))

    def ledger(self) -> tuple[Ledger, str]:
        found = self.store.get(self.layout.host(self.session))
        assert isinstance(found, Found)
        return decode(Ledger, "ledger", found.body), found.version

    def status(self) -> int:
        assert connection.wait([self.process.sentinel], DEADLINE_S), "the agent does not end"
        self.process.join()
        status: int = self.process.exitcode
        return status

    def close(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.process.close()
        self.conn.close()
        for one in self.sockets:
            one.close()
        self.store.close()
        self.life.close(remove=True)


class Worker:
    """The worker's end of its socket."""

    def __init__(self, house: House, *, says_hello: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        house.sockets.append(self.socket)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(str(house.life.rundir / "agent.sock"))
        self._deframer, self._notes = Deframer(), list[Note]()
        if says_hello:
            self.say(Hello(0, 77))

    def say(self, note: Note) -> None:
        self.socket.sendall(frame(note))

    def hear(self) -> Note | None:
        """None: the agent has hung up."""
        while not self._notes:
            data = self.socket.recv(65536)
            if not data:
                return None
            self._notes += self._deframer.feed(data)
        return self._notes.pop(0)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    it = House(tmp_path)
    yield it
    it.close()


def test_agent_deals_what_its_ledger_claims_and_leaves_when_it_is_told_to_drain(house: House) -> None:
    house.hear(Started)
    worker = Worker(house)
    message = jobs.plain.noop.options(store=house.store).enqueue()
    deal = worker.hear()
    assert isinstance(deal, Deal)
    assert message.endswith(f"{deal.parts[0].source.split('/')[-1]}~0")
    assert deal.ticket in house.ledger()[0].claims
    journal = house.journal.worker(0)
    journal.start(0, deal.row, 0, 0.0)
    journal.finish(0, 2)
    worker.say(Finished(deal.row, 0.001, 0.001))
    house.tell(Drain())
    while not isinstance(note := worker.hear(), Stop):
        worker.say(Returned(()))
        assert note is not None
    assert house.hear(Left).settled == {jobs.QUEUE: (1, 0)}
    assert house.status() == 0
    found = house.store.get(house.layout.host(house.session))  # its own leader may have swept it by then
    assert not isinstance(found, Found) or decode(Ledger, "ledger", found.body).left


def test_fenced_agent_tells_its_workers_and_ends_with_its_own_status(house: House) -> None:
    house.hear(Started)
    worker = Worker(house)
    ledger, version = house.ledger()
    while not isinstance(house.store.put(house.layout.host(house.session), fenced(ledger), if_version=version), Stored):
        ledger, version = house.ledger()
    while not isinstance(note := worker.hear(), Cancel | None):
        pass
    assert house.status() == FENCED
    assert isinstance(note, Cancel | None)


def fenced(ledger: Ledger) -> bytes:
    from msgspec.structs import replace

    return encode(replace(ledger, fenced=True, nonce="fence"))


def test_agent_whose_supervisor_is_gone_ends_at_once(house: House) -> None:
    house.hear(Started)
    house.conn.close()
    assert house.status() == 1


def test_connection_that_speaks_another_language_is_closed_and_the_agent_goes_on(house: House) -> None:
    house.hear(Started)
    stranger = Worker(house, says_hello=False)
    stranger.socket.sendall(b"\x02\x00\x00\x00\xc1\xc1")
    assert stranger.hear() is None
    Worker(house)
    jobs.plain.noop.options(store=house.store).enqueue()
    house.tell(Died(0, 1234, "killed", "a process that nobody knows"))
    assert house.hear(Read) == Read(0)


def test_worker_that_died_is_read_and_may_be_replaced(house: House) -> None:
    house.hear(Started)
    worker = Worker(house)
    jobs.plain.noop.options(store=house.store).enqueue()
    deal = worker.hear()
    assert isinstance(deal, Deal)
    worker.socket.close()
    house.tell(Died(0, 77, "killed", "SIGKILL"))
    assert house.hear(Read) == Read(0)
    again = Worker(house).hear()
    assert isinstance(again, Deal)
    assert again.parts == deal.parts


def test_socket_that_a_cleaner_has_removed_is_there_again_for_the_next_worker(house: House) -> None:
    house.hear(Started)
    worker = Worker(house)
    os.unlink(house.life.rundir / "agent.sock")
    worker.socket.close()
    house.tell(Died(0, 77, "killed", "SIGKILL"))
    house.hear(Read)
    assert Worker(house).socket.fileno() >= 0
