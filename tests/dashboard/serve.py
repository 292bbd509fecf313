"""A dashboard in a thread, on a port of this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import uvicorn
from starlette.types import ASGIApp

from s3queue.dashboard.access import Access
from s3queue.dashboard.app import Dashboard
from s3queue.dashboard.serving import Prefixed, Server, listen
from tests.deadline import DEADLINE_S


class Served(NamedTuple):
    url: str
    app: Dashboard

    @property
    def access(self) -> Access:
        return self.app._access

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=DEADLINE_S, **options)  # type: ignore[arg-type]


@contextmanager
def served(app: Dashboard, *, prefix: str = "", within: ASGIApp | None = None) -> Iterator[Served]:
    """Serve it until the block ends.

    Args:
        within: an application that it is mounted in.
    """
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        Prefixed(app, prefix) if within is None else within,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = Server(config, app)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        listener.close()
        assert not thread.is_alive(), "it does not stop"


def form_token(page: str) -> str:
    """The token that the forms of a page carry."""
    return page.partition('name="form_token" value="')[2].partition('"')[0]
