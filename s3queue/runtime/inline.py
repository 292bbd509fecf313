"""A host in one process: agent and worker are threads, and one message runs at a time. For debuggers.

Breakpoints work, and the agent goes on with its heartbeats while one waits at them. A debugger that stops all threads stops
those, too: after ``visibility_timeout`` another host takes over. Nothing is killed: a time limit of a sync task is not
enforced, a task that ends the process ends the host, and a drain waits for what runs.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import multiprocess
from multiprocess import connection

from s3queue.io.clock import clock
from s3queue.io.meter import total
from s3queue.observe.events import Events
from s3queue.runtime.agent.main import Agent
from s3queue.runtime.local.journal import Journal
from s3queue.runtime.local.life import Life
from s3queue.runtime.local.spec import AgentSpec, WorkerSpec
from s3queue.runtime.local.wire import Drain, Empty, Left, Started, pack, unpack
from s3queue.runtime.supervisor.household import Household, Summary, new_session
from s3queue.runtime.worker.main import Worker

__all__ = ["serve"]

#: Exit status of a host that is told to end a second time; the same as of the command line.
_INTERRUPTED = 130
#: Seconds between two looks at the requests to end.
_TICK_S = 0.5


def serve(what: Household, until_empty: bool) -> Summary:
    """Serve until drained, as `s3queue.runtime.supervisor.loop.Host.serve`. A second request ends the process at once.

    Raises:
        QueueError: what the agent or the worker raises.
    """
    return _Inline(what, until_empty).serve()


class _Inline:
    def __init__(self, what: Household, until_empty: bool) -> None:
        self._what, self._until_empty = what, until_empty
        self._life = Life.create()
        self._journal = Journal(bytearray(Journal.size(1, 1)), 1, 1)
        self._events = Events("supervisor", what.config.history, subscribers=what.subscribers)
        self._session = new_session()
        self._agent, self._agent_end = multiprocess.Pipe()
        self._worker, self._worker_end = multiprocess.Pipe()
        self._threads: list[threading.Thread] = []
        self._faults: list[BaseException] = []
        #: Readable once a thread has ended.
        self._ended, self._bell = multiprocess.Pipe(duplex=False)
        self._settled: dict[str, tuple[int, int]] = {}
        self._is_draining = self._left = False

    def serve(self) -> Summary:
        try:
            self._start("agent", self._run_agent)
            while not self._left:
                connection.wait([self._what.wishes.bell, self._agent, self._ended], _TICK_S)
                self._heed_wishes()
                self._hear()
                if self._faults:
                    raise self._faults[0]
            for thread in self._threads:
                thread.join()
            if self._faults:
                raise self._faults[0]
        finally:
            self._life.close(remove=True)
            for end in (self._agent, self._agent_end, self._worker, self._worker_end, self._ended, self._bell):
                end.close()
        return self._summary()

    def _start(self, name: str, run: Callable[[], object]) -> None:
        def guarded() -> None:
            try:
                run()
            except BaseException as fault:  # noqa: BLE001 - raised again, in the main thread
                self._faults.append(fault)
            self._bell.send_bytes(b"\0")

        thread = threading.Thread(target=guarded, name=f"s3queue-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _common(self) -> dict[str, Any]:
        what = self._what
        return {
            "store": what.store,
            "config": what.config,
            "workers": 1,
            "concurrency": 1,
            "rundir": str(self._life.rundir),
            "session": self._session,
            "buffer": self._journal.buffer,
            "life": self._life,
            "tasks": what.tasks,
        }

    def _run_agent(self) -> None:
        more: dict[str, Any] = {
            "queues": self._what.queues,
            "place": self._life.place(),
            "orphaned": (),
            "until_empty": self._until_empty,
        }
        asyncio.run(Agent(AgentSpec(**self._common(), **more, conn=self._agent_end)).serve())

    def _run_worker(self) -> None:
        Worker(WorkerSpec(**self._common(), worker=0, conn=self._worker_end)).serve()

    def _heed_wishes(self) -> None:
        wishes = self._what.wishes
        count = wishes.count(clock())
        if count >= 1:
            self._drain(wishes.why)
        if count >= 2:
            self._events.emit("ending", why=f"{wishes.why}, while draining")
            os._exit(_INTERRUPTED)

    def _drain(self, why: str) -> None:
        if not self._is_draining:
            self._is_draining = True
            running = len(self._journal.worker(0).running())
            again = "a second Ctrl-C ends at once"
            self._events.emit("draining", why=why, running=running, until="what runs has ended", text=again)
            self._agent.send_bytes(pack(Drain()))

    def _hear(self) -> None:
        while self._agent.poll(0):
            match unpack(self._agent.recv_bytes()):
                case Started():
                    told = self._what.described() | {"start_method": "inline"}
                    self._events.emit("serving", **told)
                    self._start("worker", self._run_worker)
                case Empty():
                    self._drain("the queues are empty")
                case Left(settled):
                    self._left, self._settled = True, settled

    def _summary(self) -> Summary:
        usage = self._journal.usage()
        requests = total(list(usage.values())).requests()
        by_role = {role: asked.as_dict() for role, asked in usage.items()}
        messages = self._journal.worker(0).messages
        done = sum(done for done, _ in self._settled.values())
        dead = sum(dead for _, dead in self._settled.values())
        self._events.emit("ended", drained=True, messages=messages, deaths=0, done=done, dead=dead)
        self._events.close()
        return Summary(0, 0, requests, messages, True, by_role, False, self._settled)
