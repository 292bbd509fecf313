"""What Starlette and FastAPI start and stop: a `Producer` that all requests share, and the dashboard.

::

    app = FastAPI(lifespan=lifespan())

    @app.post("/orders", status_code=202)
    async def order(number: int, queue: Annotated[Producer, Depends(producer)]) -> dict[str, str]:
        return {"message": await queue.aenqueue(confirm, number)}

Nothing is run here: ``s3queue run`` serves the tasks, in processes of its own. A web server that restarts its workers, or
that has many, is no place for them.
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
    """A lifespan: before the first request the store is opened, and at the end all that was enqueued is stored.

    Args:
        store: a store or its URL; by default that of the process. One that is given by its URL is closed at the end.
        linger: of the `Producer`: seconds that a call may wait for others, to share a PUT.
        dashboard: one that the application mounts. Its streams end with the application; a mounted application is told of
            no lifespan.
        within: another lifespan, which begins after this one and ends before it. What it yields is in the state, too.

    Raises:
        ConfigError: at the start: nothing names a store.

    Asks for nothing: an application also starts while its store is away.
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
    """The producer of the application, for its requests: with FastAPI ``Depends(producer)``, with Starlette
    ``producer(request)``.

    Raises:
        RuntimeError: the application has not been started with `lifespan`.
    """
    found = getattr(connection.state, _STATE, None)
    if found is None:
        raise RuntimeError("this application has no producer; give it lifespan=s3queue.contrib.asgi.lifespan()")
    assert isinstance(found, Producer)
    return found
