"""A proxy in front of an HTTP server, which loses, delays and cuts requests as networks do.

::

    with FaultProxy("http://127.0.0.1:8333", seed=1, rate=0.05) as proxy:
        store = open_store(f"s3://bucket?endpoint={proxy.address}&read_timeout_s=1")
        ...
        proxy.go_away(for_s=20)

The fault of a request is drawn from the seed and the number of the request, so the same requests in the same order meet
the same faults. Requests are passed on byte for byte, host name included, so signatures stay valid. In a ``with`` block
of `FaultProxy.lose_answers` and the like every request meets the same fault: so this is a
`s3queue.testing.conformance.Faults`.

The proxy runs in a thread of its own. `FaultProxy.go_away`, `FaultProxy.come_back` and the attributes may be used from
any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from s3queue.testing.http1 import LIMIT, Broken, Message, Server, close, made_up, read_message, reset, write_answer

__all__ = ["FAULTS", "Fault", "FaultProxy", "decide"]

#: The kinds of faults, and what the sender of the request can know.
FAULTS = {
    "refused": "503 at once; not applied",
    "reset": "the connection breaks before the request reaches the server; not applied",
    "cut": "the connection to the server breaks after the headers of a request with a body, or before it; not applied",
    "lost": "applied; the connection breaks instead of an answer",
    "error": "applied; answered with 500",
    "truncated": "applied; the answer ends in the middle, or is lost where it has no body",
    "late_answer": "applied; answered after a delay, when the sender may have given up",
    "late_request": "applied after a delay, when the sender may have given up and tried again",
}


class Fault(NamedTuple):
    """The fault of one request. ``delay_s``: seconds, for the two kinds that are late."""

    kind: str
    delay_s: float = 0.0


def decide(
    seed: int | str, number: int, rate: float, kinds: Sequence[str] = tuple(FAULTS), delay_s: float = 3.0
) -> Fault | None:
    """The fault of request ``number``; None: it is served. The same arguments give the same result, on every machine."""
    draw = random.Random(f"{seed}/{number}")
    if draw.random() >= rate:
        return None
    kind = draw.choice(kinds)
    return Fault(kind, draw.uniform(0.5, 1.5) * delay_s if kind.startswith("late") else 0.0)


class FaultProxy:
    """A context manager; listens on a free port of the loopback interface from ``__enter__`` to ``__exit__``.

    Args:
        upstream: ``http://host:port`` of the server.
        seed: determines the faults, together with the number of a request.
        rate: probability of a fault for each request, from 0 to 1.
        kinds: names of `FAULTS`.
        delay_s: mean delay of late requests and answers, in seconds; choose it beyond the time-out of the client.

    Attributes:
        rate, kinds, delay_s: may be changed at any time.
        faults: number of faults by kind; ``gone`` counts requests that met a server that was away.
        requests: number of requests that were read, whatever their fault.

    Raises:
        ValueError: there is no such kind of fault, or ``upstream`` is no such address.
    """

    def __init__(
        self,
        upstream: str,
        *,
        seed: int | str = 0,
        rate: float = 0.0,
        kinds: Sequence[str] = tuple(FAULTS),
        delay_s: float = 3.0,
    ) -> None:
        if unknown := set(kinds) - FAULTS.keys():
            raise ValueError(f"no such faults: {sorted(unknown)}; known: {sorted(FAULTS)}")
        parts = urlsplit(upstream)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"the proxy takes http://host:port, not {upstream!r}")
        self._upstream = (parts.hostname, parts.port or 80)
        self.seed, self.rate, self.kinds, self.delay_s = seed, rate, kinds, delay_s
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self._port = 0
        self._away = False
        self._listening: socket.socket | None = None
        self._clients: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._return: asyncio.TimerHandle | None = None
        self._departure: tuple[int, float | None] | None = None

    @property
    def address(self) -> str:
        """``http://127.0.0.1:port`` of the proxy."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> FaultProxy:
        self._held = socket.socket()
        if sys.platform == "linux":
            # The port stays bound while we are away, so that no other program can listen there.
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind(("127.0.0.1", 0))
            self._port = self._held.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faultproxy", daemon=True)
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._held.close()

    # ---- away and back -------------------------------------------------------------------------------------

    def go_away(self, for_s: float | None = None, *, at_request: int | None = None) -> None:
        """Refuse connections, break the open ones, and lose what is on its way to the server.

        Args:
            for_s: seconds until it comes back by itself; None: never.
            at_request: go away when this request comes, counted from the first; it is lost as well. None: now.
        """
        if at_request is not None:
            self._departure = at_request, for_s
        else:
            self._call(self._go(for_s))

    def come_back(self) -> None:
        """Listen again, on the same port."""
        self._call(self._listen())

    @property
    def is_away(self) -> bool:
        """Whether it refuses connections now."""
        return self._away

    # ---- the same fault for every request ------------------------------------------------------------------

    @property
    def seen(self) -> int:
        """As `requests`."""
        return self.requests

    def lose_answers(self) -> AbstractContextManager[None]:
        """In the block requests are carried out, but their answers never arrive."""
        return self._always("lost")

    def lose_requests(self) -> AbstractContextManager[None]:
        """In the block no request reaches the server."""
        return self._always("reset")

    def cut_requests(self) -> AbstractContextManager[None]:
        """In the block requests with a body break off after their headers; those without are lost."""
        return self._always("cut")

    @contextlib.contextmanager
    def refuse(self) -> Iterator[None]:
        """In the block no connection is accepted, and open ones break."""
        self.go_away()
        try:
            yield
        finally:
            self.come_back()

    @contextlib.contextmanager
    def _always(self, kind: str) -> Iterator[None]:
        before = self.rate, self.kinds
        self.rate, self.kinds = 1.0, (kind,)
        try:
            yield
        finally:
            self.rate, self.kinds = before

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        if self._return is not None:
            self._return.cancel()
            self._return = None
        self._away = False  # before anybody can come
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self._port), backlog=128)
            self._listening.setblocking(False)
            self._port = self._listening.getsockname()[1]
            self._loop.add_reader(self._listening, self._accept, self._listening)

    def _accept(self, listening: socket.socket) -> None:
        # Not asyncio's server: closed between accepting a connection and serving it, that leaves the connection open.
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            self._spawn(self._serve(listening.accept()[0]))

    async def _go(self, for_s: float | None) -> None:
        self._away = True
        if self._listening is not None:
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        for client in list(self._clients):
            reset(client)
        if for_s is not None:
            self._return = self._loop.call_later(for_s, lambda: self._spawn(self._listen()))

    async def _close(self) -> None:
        await self._go(None)
        if self._return is not None:
            self._return.cancel()
        await asyncio.sleep(0)  # all tasks begin: one that is cancelled before that would not close its connection
        while serving := set(self._serving):
            for task in serving:
                task.cancel()
            await asyncio.wait(serving)
        await asyncio.sleep(0)  # transports that were aborted close in the next turn
        await asyncio.sleep(0)

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    # ---- one connection ------------------------------------------------------------------------------------

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        reader, client = await asyncio.open_connection(sock=connection, limit=LIMIT)
        self._clients.add(client)
        server = Server(self._upstream)
        try:
            while True:
                request = await read_message(reader, client)
                if request is None or not await self._pass_on(request, client, server):
                    return
        except (Broken, OSError, asyncio.CancelledError):
            return
        finally:
            self._clients.discard(client)
            server.close()
            await close(client)

    async def _pass_on(self, request: Message, client: asyncio.StreamWriter, server: Server) -> bool:
        """Serve one request. Returns whether the connection continues."""
        self.requests += 1
        if self._departure is not None and self.requests >= self._departure[0]:
            (_, for_s), self._departure = self._departure, None
            await self._go(for_s)
            self.faults["gone"] += 1
            return False
        fault = decide(self.seed, self.requests, self.rate, self.kinds, self.delay_s)
        kind = fault.kind if fault is not None else ""
        if fault is not None:
            self.faults[kind] += 1
        if kind == "refused":
            return await write_answer(client, made_up("503 Slow Down", "SlowDown", request))
        if kind == "cut" and request.body and not self._away:
            await server.ask_without_body(request)
        if kind in ("reset", "cut"):
            reset(client)
            return False
        if fault is not None and kind == "late_request":
            await asyncio.sleep(fault.delay_s)
        if self._is_lost():
            return False
        answer = await server.ask(request)
        if self._is_lost():
            return False
        if fault is not None and kind == "late_answer":
            await asyncio.sleep(fault.delay_s)
        if kind == "error":
            return await write_answer(client, made_up("500 Internal Server Error", "InternalError", request))
        if kind == "truncated" and len(answer.body) > 1:
            await write_answer(client, Message(answer.head, answer.body[: len(answer.body) // 2]))
            return False
        if kind in ("lost", "truncated"):
            reset(client)
            return False
        return await write_answer(client, answer) and b"connection: close" not in answer.head.lower()

    def _is_lost(self) -> bool:
        if self._away:
            self.faults["gone"] += 1
        return self._away
