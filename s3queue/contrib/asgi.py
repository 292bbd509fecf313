"""For Starlette and FastAPI: a `Producer` that all requests of an application share, and a dashboard that ends with it.

::

    app = FastAPI(lifespan=lifespan())

    @app.post("/orders", status_code=202)
    async def order(number: int, queue: Annotated[Producer, Depends(producer)]) -> dict[str, str]:
        return {"message": await queue.aenqueue(confirm, number)}

This runs no tasks: ``s3queue run`` serves them, in processes of its own. A web server restarts its workers, or has many
of them, and so is no place for tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from starlette.requests import HTTPConnection

from s3queue.config import current_store
from s3queue.producer import Producer
from s3queue.store import ObjectStore, as_store

__all__ = ["lifespan", "producer"]

_Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
_Within = _Lifespan | Callable[[Any], AbstractAsyncContextManager[None]]


class _Dashboard(Protocol):
    """What `s3queue.dashboard.dashboard` makes."""

    async def close(self) -> None: ...


#: Name in the state of a request.
_STATE = "s3queue"


def lifespan(
    store: ObjectStore | str | None = None,
    *,
    linger: float = 0.005,
    dashboard: _Dashboard | None = None,
    within: _Within | None = None,
) -> _Lifespan:
    """A lifespan of an application: the producer exists before the first request, and at the end all enqueues are
    stored.

    Args:
        store: a store or its URL; by default that of the process. A store given by its URL is closed at the end.
        linger: seconds that a call may wait for others, to share a PUT: see `Producer`.
        dashboard: a dashboard that the application mounts. Its streams end with the application: mounted applications
            do not get lifespan events.
        within: another lifespan, which begins after this one and ends before it. Its state is kept, too.

    Raises:
        ConfigError: at the start: no store was named.

    Asks: nothing, so the application starts while its store is away.
    """

    @asynccontextmanager
    async def live(app: Any) -> AsyncIterator[dict[str, Any]]:
        opened = current_store() if store is None else as_store(store)
        shared = Producer(opened, linger=linger)
        async with AsyncExitStack() as stack:
            if isinstance(store, str):
                stack.callback(opened.close)
            if dashboard is not None:
                stack.push_async_callback(dashboard.close)
            stack.push_async_callback(asyncio.to_thread, shared.close)
            more = await stack.enter_async_context(within(app)) if within is not None else None
            yield {**(more or {}), _STATE: shared}

    return live


def producer(connection: HTTPConnection) -> Producer:
    """The producer of the application, for a request: with FastAPI ``Depends(producer)``, with Starlette
    ``producer(request)``.

    Raises:
        RuntimeError: the application was not started with `lifespan`.
    """
    found = getattr(connection.state, _STATE, None)
    if found is None:
        raise RuntimeError("this application has no producer; give it lifespan=s3queue.contrib.asgi.lifespan()")
    assert isinstance(found, Producer)
    return found
