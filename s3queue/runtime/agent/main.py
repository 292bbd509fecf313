"""The agent process, one per supervisor. Owns the host's ledger, deals to the local workers, stands for election.

Store requests run in threads. Everything else runs in one event loop, so nothing needs a lock. The logic is in
`s3queue.core.agent`; this module connects it to the processes around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from s3queue.core import agent as core
from s3queue.core.agent import TICK_S
from s3queue.core.chores import CHORES_AT_ONCE
from s3queue.core.keys import Layout
from s3queue.core.ledger import Host
from s3queue.core.ops import Program
from s3queue.core.pacing import Pace
from s3queue.core.records import Leader
from s3queue.errors import StoreUnavailable
from s3queue.io.clock import clock
from s3queue.io.drive import Driver
from s3queue.io.knocks import KnockSocket
from s3queue.io.meter import Meter
from s3queue.io.wakeups import WakeSocket
from s3queue.observe.measures import MeasuredStore, Measures
from s3queue.options.timing import declared
from s3queue.runtime.agent.dealing import Dealer
from s3queue.runtime.agent.deaths import journaled_outcomes
from s3queue.runtime.agent.environment import Surroundings, plan_settings
from s3queue.runtime.agent.outage import Outage
from s3queue.runtime.agent.programs import run
from s3queue.runtime.agent.proof import prove
from s3queue.runtime.agent.seats import Seats, WorkerDeath
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.spec import AgentSpec
from s3queue.runtime.local.wire import (
    FENCED,
    Cancel,
    Deframer,
    Died,
    Drain,
    Empty,
    EndWorker,
    Finished,
    Hello,
    Left,
    Note,
    Read,
    Started,
    Trust,
    Waiting,
    frame,
    pack,
    unpack,
)

T = TypeVar("T")

#: Concurrent requests of an agent: the ledger's, the coordinator's, and one for each chore.
_THREADS = 3 + CHORES_AT_ONCE
#: Concurrent reads, remote and local: a cycle reads the ledgers that changed, a new coordinator reads all retired pages.
READERS, LOCAL_READERS = 64, 8
#: Seconds for which a request that was not applied is retried before the loops get an error.
PATIENCE_S = 2.0
#: Seconds after which an agent that has not joined yet tells the supervisor that it waits for the store.
_WAITING_S = 1.0


#: Whose driver performs a program.
_HOST, _COORDINATOR, _CHORES, _PROBE = range(4)


def main(spec: AgentSpec) -> None:
    """Serve until drained, fenced, or the supervisor is gone."""
    sys.exit(asyncio.run(Agent(spec).serve()))


class Agent:
    """The process around `s3queue.core.agent.Agent`: its event loop, threads, pipe and sockets."""

    def __init__(self, spec: AgentSpec) -> None:
        self._spec = spec
        store, config = spec.store, spec.config
        self._journal = Journal(spec.buffer, spec.workers, spec.concurrency)
        layout = Layout(config.namespace)
        host = Host(
            layout,
            spec.session,
            spec.workers * spec.concurrency,
            {queue: spec.tasks.offer(queue) for queue in spec.queues},
            spec.place,
        )
        self._knocks: KnockSocket | None = None
        if config.knock is not None and config.knock_key is not None:
            self._knocks = KnockSocket(config.knock, config.knock_key, config.namespace)
            host.knock = self._knocks.address
        host.limits = {queue: limits for queue in spec.queues if (limits := spec.tasks.limits(queue)) is not None}
        journals = [self._journal.worker(number) for number in range(spec.workers)]
        self._dealer = Dealer(
            host,
            journals,
            spec.concurrency,
            config.max_messages,
            end_worker=lambda worker, messages: self._tell(EndWorker(worker, messages)),
        )
        self._env = Surroundings(
            config,
            store.url,
            spec.session,
            spec.place,
            self._journal,
            trusted=lambda: self._dealer.tell(Trust()),
            empty=lambda: self._tell(Empty()),
            ears=spec.ears,
        )
        self._agent = core.Agent(
            layout,
            host,
            self._dealer,
            Pace(config, store.capabilities),
            plan_settings(config, store.capabilities),
            self._env,
            Leader(spec.session, spec.place, host.knock),
            core.Terms(until_empty=spec.until_empty, declared=declared(spec.tasks, spec.queues)),
        )
        readers = READERS if store.capabilities.requests_cost else LOCAL_READERS
        self._outage = outage = Outage(self._env.events)
        meters = Meter(self._journal.host_usage), Meter(self._journal.coordinator_usage)
        #: Of the host, the coordinator, its chores (what those read and hangs holds up no cycle), and the first look.
        self._measures = None if spec.measured is None else Measures("agent", spec.measured)
        self._joined = False
        self._drivers = [
            Driver(
                store if self._measures is None else MeasuredStore(store, self._measures, role),
                meter,
                readers=readers,
                patience_s=PATIENCE_S,
                on_retry=outage.begins,
                on_answer=outage.ends,
            )
            for role, meter in (
                ("host", meters[0]),
                ("coordinator", meters[1]),
                ("coordinator", meters[1]),
                ("probe", Meter()),
            )
        ]
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3queue-store")
        self._seats = Seats(
            self._dealer,
            later=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call),
            now_ms=self._env.now_ms,
            freed=self._seat_freed,
            leaving=lambda worker, why: self._env.events.emit("leaving", worker=worker, why=why),
            warn=self._env.warn,
        )
        self._env.worker_pids = self._seats.pids
        self._doors: list[asyncio.Task[asyncio.Server]] = []

    async def serve(self) -> int:
        """Returns the exit status."""
        beating = asyncio.create_task(self._beat())
        if not self._spec.proven:
            host = self._drivers[_HOST].meter
            await prove(self._drivers[_PROBE], self._spec.config.namespace, host, self._no_answer)
        if not await self._join():
            return FENCED
        loop = asyncio.get_running_loop()
        self._listen()
        wakes = self._env.wakes = WakeSocket(self._spec.store.url, self._spec.config.namespace, self._spec.session)
        loop.add_reader(wakes.fileno(), self._woken, wakes)
        loop.add_reader(self._spec.conn.fileno(), self._told)
        if (knocks := self._knocks) is not None:
            loop.add_reader(knocks.fileno(), self._knocked, knocks)
        self._tell(Started())
        self._joined = True
        self._env.emit(
            "host_joined", session=self._spec.session, queues=list(self._spec.queues), slots=self._agent.host.slots
        )
        agent = self._agent
        guarding = asyncio.create_task(self._guard())
        beside = [self._start(agent.coordinate(), _COORDINATOR)]
        beside += [self._start(agent.do_chores(number), _CHORES) for number in range(CHORES_AT_ONCE)]
        try:
            if await self._until(self._start(agent.serve()), beating, guarding, *beside) is core.Ending.FENCED:
                # At once, even with requests under way: other hosts may run the claimed messages by now.
                self._cancel()
                os._exit(FENCED)
            await self._leave(beside)
            return 0
        finally:
            for task in (beating, guarding, *beside):
                task.cancel()
            loop.remove_reader(wakes.fileno())
            loop.remove_reader(self._spec.conn.fileno())
            wakes.close()
            if knocks is not None:
                loop.remove_reader(knocks.fileno())
                knocks.close()
            for door in self._doors:
                (await door).close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            for driver in self._drivers:
                driver.close()
            if self._measures is not None:
                self._measures.flush()
            self._env.events.close()

    def _start(self, program: Program[T], role: int = _HOST) -> asyncio.Task[T]:
        return asyncio.create_task(run(program, self._drivers[role], self._threads))

    @staticmethod
    async def _until(first: asyncio.Task[T], *others: asyncio.Task[None]) -> T:
        """The result of the first task. Raises if one of the others fails before it ends."""
        done, _ = await asyncio.wait({first, *others}, return_when=asyncio.FIRST_COMPLETED)
        if first not in done:
            first.cancel()
            for task in done:
                task.result()
        return await first

    async def _guard(self) -> None:
        """End with what runs once this host is silent for too long to count for the limits of its queues."""
        await self._start(self._agent.guard())
        self._env.warn(
            "limit", "no write of the ledger was stored in time; what runs of limited queues ends, and runs again"
        )
        self._cancel()
        os._exit(FENCED)

    async def _beat(self) -> None:
        """Write heartbeats. The supervisor kills an agent whose event loop hangs, so that its ledger is taken over. An
        agent that waits for the store goes on beating."""
        while True:
            self._journal.beat_agent()
            if self._measures is not None:
                self._measures.tick(joined=self._joined, draining=self._agent.host.draining)
            await asyncio.sleep(TICK_S * 5)

    # ---- start ---------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Listen for workers. Called again later, since a cleaner of temporary files may have removed the socket."""
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
        self._outage.begins(fault)
        self._tell(Waiting())

    async def _join(self) -> bool:
        """End the sessions of earlier agents with the outcomes in the journals, clear the journals, and begin a
        session."""
        journals = [self._journal.worker(number) for number in range(self._spec.workers)]
        joining = self._start(self._agent.join(self._spec.orphaned, journaled_outcomes(journals, self._env.now_ms())))
        while not (await asyncio.wait({joining}, timeout=_WAITING_S))[0]:
            self._tell(Waiting())  # only the store takes that long
        joined = await joining
        for journal in journals:
            for row in journal.rows():
                journal.close_row(row)
        return joined

    # ---- notes ---------------------------------------------------------------------------------------------

    def _woken(self, wakes: WakeSocket) -> None:
        wakes.drain()
        self._agent.wake()

    def _knocked(self, knocks: KnockSocket) -> None:
        if knocks.heard():
            self._agent.look()

    def _told(self) -> None:
        """A note from the supervisor, or its end."""
        try:
            note = unpack(self._spec.conn.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
        match note:
            case Died():
                self._seats.died(note)
            case Drain():
                self._agent.drain()
            case _:
                self._env.warn("note", f"ignored an unexpected note from the supervisor: {note}")
        self._agent.heard()

    def _seat_freed(self, it: WorkerDeath) -> None:
        """A worker died and its journal was read: report it, and allow the supervisor to replace it."""
        if it.expected or self._agent.host.over:  # it was told to stop
            self._env.emit("worker_left", worker=it.worker)
        else:
            self._env.deaths[it.cause] = self._env.deaths.get(it.cause, 0) + 1
            for kind, fields in it.events():
                self._env.events.emit(kind, **fields)
        with contextlib.suppress(OSError):  # then its successor cannot connect, but a later one can
            self._listen()
        self._tell(Read(it.worker))
        self._agent.heard()

    def _tell(self, note: Note) -> None:
        with contextlib.suppress(OSError):
            self._spec.conn.send_bytes(pack(note))

    def heard(self, link: _Link, note: Note) -> None:
        """A note of a worker."""
        self._seats.heard(link, note)
        if isinstance(note, Hello | Finished):
            self._dealer.deal(clock())
        self._agent.heard()

    def hung_up(self, link: _Link) -> None:
        self._seats.hung_up(link)
        self._agent.heard()

    # ---- the end -------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        """Tell the workers that their host was fenced. The supervisor kills them as soon as it has reaped us."""
        self._dealer.tell(Cancel())

    async def _leave(self, beside: list[asyncio.Task[None]]) -> None:
        """End after the ledger says that this session left: stop the workers, run a last cycle, resign."""
        self._seats.stop()
        for task in beside:
            task.cancel()
        await asyncio.wait(beside)
        await self._start(self._agent.hand_over(), _COORDINATOR)
        self._env.emit("host_left", session=self._spec.session)
        self._tell(Left(self._agent.host.tally()))


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
            self.close()  # not from a worker of ours
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
