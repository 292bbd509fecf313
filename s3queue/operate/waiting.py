"""Waits for results. All waiters of a process for one namespace share their reads of the board."""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import threading
import time
from collections import OrderedDict
from typing import Any

from s3queue.core.keys import Layout
from s3queue.core.ops import get
from s3queue.core.records import Board, decode
from s3queue.core.results import Look, Looked, Pause, wait_for
from s3queue.io.drive import Driver
from s3queue.io.wakeups import WakeSocket, waiters
from s3queue.operate.asking import check_timeout
from s3queue.store import Found, Missing

__all__ = ["await_end", "wait_for_end"]

#: Seconds of the first pause, and of the longest at a free and at a billed store. In between, a tenth of the time waited.
_FIRST_S, _LONGEST_S, _LONGEST_BILLED_S = 0.05, 1.0, 5.0
#: A look that was begun so much of a pause ago is shared.
_SHARED = 0.5
#: Boards that are kept.
_KEPT = 8


def wait_for_end(driver: Driver, layout: Layout, message: str, timeout: float) -> Looked | None:
    """Wait until the message has ended. None: not in time. See `wait_for`."""
    check_timeout(timeout)
    watch, patience = _watch(driver, layout), _Patience(driver, timeout)
    step = wait_for(layout, message)
    answer: Any = None
    try:
        while True:
            match step.send(answer):
                case Pause():
                    if (pause_s := patience.pause_s()) is None:
                        return None
                    patience.paused(watch.bell.wait(pause_s), pause_s)
                    answer = None
                case Look(since):
                    answer = watch.look(driver, patience.since(since))
                case op:
                    answer = driver.perform(op)
    except StopIteration as end:
        looked: Looked = end.value
        return looked
    finally:
        _leave(watch)


async def await_end(driver: Driver, layout: Layout, message: str, timeout: float) -> Looked | None:
    """As `wait_for_end`, for callers on an event loop. Requests are made in its executor."""
    check_timeout(timeout)
    run = asyncio.get_running_loop().run_in_executor
    watch, patience = await run(None, _watch, driver, layout), _Patience(driver, timeout)
    step = wait_for(layout, message)
    answer: Any = None
    try:
        while True:
            match step.send(answer):
                case Pause():
                    if (pause_s := patience.pause_s()) is None:
                        return None
                    patience.paused(await watch.bell.hear(pause_s), pause_s)
                    answer = None
                case Look(since):
                    answer = await run(None, watch.look, driver, patience.since(since))
                case op:
                    answer = await run(None, driver.perform, op)
    except StopIteration as end:
        looked: Looked = end.value
        return looked
    finally:
        _leave(watch)


class _Patience:
    """For how long somebody waits, and how often he looks."""

    def __init__(self, driver: Driver, timeout: float) -> None:
        self._longest = _LONGEST_BILLED_S if driver.store.capabilities.requests_cost else _LONGEST_S
        self._began, self._timeout, self._lately = time.monotonic(), timeout, 0.0

    def pause_s(self) -> float | None:
        """Seconds until the next look. None: the time is over."""
        waited = time.monotonic() - self._began
        if waited >= self._timeout:
            return None
        return min(max(_FIRST_S, waited / 10), self._longest, self._timeout - waited)

    def paused(self, rung: bool, pause_s: float) -> None:
        """The pause is over. One that was cut short is followed by a look of its own."""
        self._lately = time.monotonic() - (0.0 if rung else pause_s * _SHARED)

    def since(self, since: str) -> float:
        """The time from which on the board must have been read."""
        return {"ever": 0.0, "lately": self._lately}.get(since, time.monotonic())


class _Watch:
    """The board of one namespace, as this process has read it last."""

    def __init__(self, url: str, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._board: Board | None = None
        self._version: str | None = None
        self._began = -1.0
        #: Those that wait. Guarded by `_gate`.
        self.users = 0
        self.bell = _Bell(url, layout.root)

    def look(self, driver: Driver, since: float) -> Board | None:
        """The board, by a read that was begun since then, ours or that of another waiter. One GET, or none."""
        with self._lock:
            if self._began >= since:
                return self._board
            began = time.monotonic()
            found = driver.run(get(self._layout.board, self._version))
            if isinstance(found, Found):
                self._board, self._version = decode(Board, self._layout.board, found.body), found.version
            elif isinstance(found, Missing):
                self._board = self._version = None
            self._began = began
            return self._board


class _Bell:
    """Rung by the agents of this machine when messages were settled."""

    def __init__(self, url: str, root: str) -> None:
        try:
            self._socket: WakeSocket | None = WakeSocket(url, waiters(root), os.urandom(8).hex())
        except (OSError, RuntimeError):  # no temporary directory, no descriptor: whoever waits looks now and then
            self._socket = None
        self._ears: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}

    def wait(self, seconds: float) -> bool:
        """Until it rings, or for so long. Whether it has rung."""
        if self._socket is None:
            time.sleep(seconds)
        else:
            ear = select.poll()  # select() takes no descriptor above 1023
            ear.register(self._socket, select.POLLIN)
            if ear.poll(seconds * 1000):
                self._socket.drain()
                return True
        return False

    async def hear(self, seconds: float) -> bool:
        """As `wait`."""
        loop = asyncio.get_running_loop()
        rung: asyncio.Future[None] = loop.create_future()
        ears = self._ears.setdefault(loop, set())
        if self._socket is not None and not ears:
            loop.add_reader(self._socket.fileno(), self._ring, loop)
        ears.add(rung)
        try:
            await asyncio.wait([rung], timeout=seconds)
            return rung.done()
        finally:
            ears.discard(rung)
            if not ears:
                self._ears.pop(loop, None)
                if self._socket is not None:
                    loop.remove_reader(self._socket.fileno())

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        assert self._socket is not None
        self._socket.drain()
        for rung in self._ears.get(loop, ()):
            if not rung.done():
                rung.set_result(None)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()


_gate = threading.Lock()
_watches: OrderedDict[tuple[str, str, str], _Watch] = OrderedDict()


def _watch(driver: Driver, layout: Layout) -> _Watch:
    name = driver.store.url, layout.root, layout.part
    with _gate:
        watch = _watches.get(name)
        if watch is None:
            watch = _watches[name] = _Watch(name[0], layout)
        _watches.move_to_end(name)
        watch.users += 1
        return watch


def _leave(watch: _Watch) -> None:
    """Somebody waits no more. Boards that nobody waits for are forgotten, the oldest first."""
    with _gate:
        watch.users -= 1
        idle = [name for name, one in _watches.items() if not one.users]
        for name in idle[: max(0, len(_watches) - _KEPT)]:
            _watches.pop(name).bell.close()


def _close_all() -> None:
    with _gate:
        while _watches:
            _watches.popitem()[1].bell.close()


def _after_fork() -> None:
    global _gate
    _gate = threading.Lock()
    _watches.clear()  # their sockets are the parent's


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_close_all)
