"""The agent process: one per supervisor. Owns the host's ledger, deals to the local workers, stands for election.

One event loop; requests to the store run in threads, everything else runs here, so nothing needs a lock. This module
connects the parts to each other and to the processes around them: `Hosting` and `Leading` do the work, `Dealer` knows
the workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path

import msgspec

from s3queue.core import elect, ledger
from s3queue.core.ledger import Host, Refused
from s3queue.errors import StoreError, StoreUnavailable
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import testament
from s3queue.runtime.agent.hosting import TICK_S, Fenced, Hosting
from s3queue.runtime.agent.leading import Leading
from s3queue.runtime.agent.proof import prove
from s3queue.runtime.agent.seats import Crew, Obituary
from s3queue.runtime.agent.station import Station
from s3queue.runtime.local import wakeups
from s3queue.runtime.local.clock import clock
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.spec import AgentSpec
from s3queue.runtime.local.wire import (
    Cancel,
    Deframer,
    Died,
    Drain,
    Empty,
    Finished,
    Hello,
    Left,
    Note,
    Read,
    Started,
    Waiting,
    frame,
    pack,
    unpack,
)
from s3queue.runtime.meter import Meter

#: Exit status of an agent whose session was fenced: the supervisor ends the workers, which may be running what is
#: somebody else's now, and starts a new session.
FENCED = 75
#: How many times to try to end the session of an agent that died, before its claims are left to the coordinator.
_TRIES = 5


def main(spec: AgentSpec) -> None:
    """Serve until drained, fenced, or the supervisor is gone."""
    sys.exit(asyncio.run(Agent(spec).serve()))


class Agent:
    def __init__(self, spec: AgentSpec) -> None:
        self._spec = spec
        self._journal = Journal(spec.buffer, spec.workers, spec.concurrency)
        self._station = Station(
            spec.store,
            spec.config,
            spec.session,
            spec.place,
            Meter(self._journal.host_usage),
            Meter(self._journal.coordinator_usage),
        )
        host = Host(
            self._station.layout,
            spec.session,
            spec.workers * spec.concurrency,
            {queue: spec.tasks.offer(queue) for queue in spec.queues},
            spec.place,
        )
        journals = [self._journal.worker(number) for number in range(spec.workers)]
        self._dealer = Dealer(host, journals, spec.concurrency, spec.config.max_messages)
        self._leading = Leading(self._station, self._board_committed)
        self._hosting = Hosting(
            self._station,
            host,
            self._dealer,
            self._journal,
            self._leading,
            (lambda: self._tell(Empty())) if spec.until_empty else None,
        )
        self._wakes: wakeups.WakeSocket | None = None
        self._crew = Crew(
            self._dealer,
            later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            now_ms=self._station.now_ms,
            buried=self._buried,
            leaving=lambda worker, why: self._station.events.emit("leaving", worker=worker, why=why),
            warn=self._station.events.warn,
        )
        self._doors: list[asyncio.Task[asyncio.Server]] = []

    async def serve(self) -> int:
        """Returns the exit status."""
        beating = asyncio.create_task(self._beat())
        if not self._spec.proven:
            await prove(self._station.driver, self._spec.config.namespace, self._no_answer)
        await self._bequeath()
        if not await self._join():
            return FENCED
        loop = asyncio.get_running_loop()
        self._listen()
        wakes = self._wakes = wakeups.WakeSocket(self._station.url, self._spec.config.namespace, self._spec.session)
        loop.add_reader(wakes.fileno(), self._woken, wakes)
        loop.add_reader(self._spec.conn.fileno(), self._told)
        self._tell(Started())
        coordinating = asyncio.create_task(self._leading.serve())
        try:
            end = await self._until(self._hosting.serve(), coordinating, beating)
            if isinstance(end, Fenced):
                await self._cancel()
                return FENCED
            await self._leave(coordinating)
            return 0
        finally:
            for task in (coordinating, beating):
                task.cancel()
            loop.remove_reader(wakes.fileno())
            loop.remove_reader(self._spec.conn.fileno())
            wakes.close()
            for door in self._doors:
                (await door).close()
            self._station.close()

    @staticmethod
    async def _until(serving: Coroutine[None, None, Fenced | None], *others: asyncio.Task[None]) -> Fenced | None:
        """The end of the first, unless one of the others fails before it: then that."""
        first = asyncio.create_task(serving)
        done, _ = await asyncio.wait({first, *others}, return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            first.cancel()
            for task in done:
                task.result()
        return await first

    async def _beat(self) -> None:
        """The supervisor kills an agent that shows no life: one that hangs is not to keep the ledger alive."""
        while True:
            self._journal.beat_agent()
            await asyncio.sleep(TICK_S * 5)

    # ---- the beginning -------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Be there for workers that come. Also again: whoever cleans temporary files may have removed the socket."""
        path = Path(self._spec.rundir) / "agent.sock"
        if self._doors and path.exists():
            return
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(path))
        door.listen(self._spec.workers)
        serving = asyncio.get_running_loop().create_unix_server(lambda: _Link(self), sock=door)
        self._doors.append(asyncio.create_task(serving))

    def _no_answer(self, fault: StoreUnavailable) -> None:
        self._station.unavailable(fault)
        self._tell(Waiting())

    async def _bequeath(self) -> None:
        """End the sessions of the agents that died before this one, with what the journals say; then clear those."""
        station = self._station
        journals = [self._journal.worker(number) for number in range(self._spec.workers)]
        outcomes = testament(journals, station.now_ms())
        waiting = list(self._spec.orphaned)
        while waiting:
            try:
                await station.run(elect.look(station.view, station.layout, clock()))
                nonces = [station.nonce() for _ in range(_TRIES)]
                if await station.run(ledger.bequeath(station.view, station.layout, waiting[0], outcomes, nonces)):
                    del waiting[0]
            except StoreUnavailable as fault:
                self._no_answer(fault)
        for journal in journals:
            for row in journal.rows():
                journal.close_row(row)

    async def _join(self) -> bool:
        """Store the first ledger; wait while the store does not answer. False: nobody knows whether it is there, and a
        session that is in doubt is not used."""
        host, station = self._hosting.host, self._station
        while host.version == "":
            try:
                if await station.run(host.flush(clock(), station.nonce())) is Refused.FENCED:
                    return False
            except StoreUnavailable as fault:
                self._no_answer(fault)
        self._journal.trust_until = host.trusted_until(self._spec.config.visibility_timeout)
        return True

    # ---- what reaches us -----------------------------------------------------------------------------------

    def _board_committed(self) -> None:
        self._hosting.ring()
        lead = self._leading.lead
        if lead is not None and any(t.session != self._spec.session for t in lead.board.tickets.values()):
            wakeups.wake(self._station.url, self._spec.config.namespace, but=self._wakes)

    def _woken(self, wakes: wakeups.WakeSocket) -> None:
        wakes.drain()
        if self._leading.lead is not None:
            self._leading.ring()
        elif self._leading.is_local:
            self._hosting.look_soon()

    def _told(self) -> None:
        """A note from the supervisor, or its end."""
        try:
            note = unpack(self._spec.conn.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
        match note:
            case Died():
                self._crew.died(note)
            case Drain():
                self._hosting.host.draining = True
                self._hosting.host.changes += 1
            case _:
                raise AssertionError(f"not for an agent: {note}")
        self._hosting.ring()

    def _buried(self, it: Obituary) -> None:
        """A worker is dead, and its journal was read: it may be replaced."""
        if not (it.expected or self._hosting.host.over):  # else it was told to stop
            was_at = [str(casualty) for casualty in it.casualties]
            self._station.events.emit("died", worker=it.worker, cause=it.cause, text=it.text, was_at=was_at)
        with contextlib.suppress(OSError):  # then its successor waits in vain, and the next one is let in
            self._listen()
        self._tell(Read(it.worker))
        self._hosting.ring()

    def _tell(self, note: Note) -> None:
        with contextlib.suppress(OSError):
            self._spec.conn.send_bytes(pack(note))

    def heard(self, link: _Link, note: Note) -> None:
        """A note of a worker."""
        self._crew.heard(link, note)
        if isinstance(note, Hello | Finished):
            self._dealer.deal(clock())
        self._hosting.ring()

    def hung_up(self, link: _Link) -> None:
        self._crew.hung_up(link)
        self._hosting.ring()

    # ---- the end -------------------------------------------------------------------------------------------

    async def _cancel(self) -> None:
        """Tell the workers that their host was fenced. The supervisor kills them as soon as it has reaped us."""
        self._dealer.tell(Cancel())
        await asyncio.sleep(0)

    async def _leave(self, coordinating: asyncio.Task[None]) -> None:
        """The ledger says that we left. Settle what we can for others, and make room for the next leader."""
        self._crew.stop()
        coordinating.cancel()
        await asyncio.wait({coordinating})
        await self._leading.stop()
        with contextlib.suppress(StoreError):
            if self._leading.lead is not None:
                await self._leading.cycle(apart=False)
            await self._leading.resign()
        self._tell(Left())


class _Link(asyncio.Protocol):
    """The connection of one worker."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._deframer = Deframer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connection = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def data_received(self, data: bytes) -> None:
        try:
            notes = self._deframer.feed(data)
        except msgspec.DecodeError:
            self.close()  # no worker of ours says that
            return
        for note in notes:
            if self._transport is not None:
                self._agent.heard(self, note)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._agent.hung_up(self)

    def send(self, note: Note) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(frame(note))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
