"""What an application starts and stops with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI
from s3queue_backends.memory import MemoryStore
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

import s3queue
from s3queue.contrib.asgi import lifespan, producer
from s3queue.dashboard import Viewer, dashboard
from s3queue.registry import registry
from s3queue.store import open_store


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_tasks", {})
    yield
    s3queue.configure()


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """As a server does: the lifespan, and its state in each request."""
    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            yield client


def test_requests_of_a_moment_share_a_put() -> None:
    store = MemoryStore()
    s3queue.configure(store=store)

    @s3queue.task("q")
    def send(user: int) -> None: ...

    app = FastAPI(lifespan=lifespan(linger=0.5))

    @app.post("/{user}")
    async def post(user: int, queue: Annotated[s3queue.Producer, Depends(producer)]) -> dict[str, str]:
        return {"id": await queue.aenqueue(send, user)}

    async def run() -> list[str]:
        async with started(app) as client:
            await client.post("/0")  # the settings of the queue
            answers = await asyncio.gather(*(client.post(f"/{user}") for user in range(1, 11)))
        return [answer.json()["id"] for answer in answers]

    ids = asyncio.run(run())
    assert len(set(ids)) == 10
    assert s3queue.message(ids[0]).status() == "ready"
    batches = {id.rpartition("~")[0] for id in ids}
    assert len(batches) < 10, "they would have had one each"


def test_at_the_end_the_producer_takes_nothing_more_and_a_store_of_its_own_is_closed(tmp_path: Path) -> None:
    @s3queue.task("q")
    def send() -> None: ...

    url = f"sqlite:///{tmp_path}/queue.db"
    seen: list[s3queue.Producer] = []

    async def post(request: Request) -> Response:
        seen.append(producer(request))
        return JSONResponse({"id": await producer(request).aenqueue(send)})

    app = Starlette(routes=[Route("/", post)], lifespan=lifespan(url))

    async def run() -> str:
        async with started(app) as client:
            return str((await client.get("/")).json()["id"])

    id = asyncio.run(run())
    with pytest.raises(s3queue.ConfigError, match="closed"):
        seen[0].enqueue(send)
    store = open_store(url)
    assert s3queue.message(id, store).status() == "ready"
    store.close()


def test_another_lifespan_runs_inside_and_its_state_is_there_too() -> None:
    s3queue.configure(store=MemoryStore())
    order: list[str] = []

    @asynccontextmanager
    async def within(app: object) -> AsyncIterator[dict[str, str]]:
        order.append("begins")
        yield {"name": "mine"}
        order.append("ends")

    async def get(request: Request) -> Response:
        assert isinstance(producer(request), s3queue.Producer)
        return JSONResponse(request.state.name)

    app = Starlette(routes=[Route("/", get)], lifespan=lifespan(within=within))

    async def run() -> str:
        async with started(app) as client:
            return str((await client.get("/")).json())

    assert asyncio.run(run()) == "mine"
    assert order == ["begins", "ends"]


def test_streams_of_a_mounted_dashboard_end_with_the_application() -> None:
    s3queue.configure(store=MemoryStore())
    queues = dashboard(authenticate=lambda request: Viewer("anna"))
    app = Starlette(routes=[Mount("/queues", queues)], lifespan=lifespan(dashboard=queues))

    async def run() -> int:
        async with started(app) as client:
            return (await client.get("/queues/")).status_code

    assert asyncio.run(run()) == 200
    assert queues.reader.is_over


def test_without_the_lifespan_a_request_says_what_is_missing() -> None:
    async def get(request: Request) -> Response:
        producer(request)
        return Response()

    app = Starlette(routes=[Route("/", get)])

    async def run() -> None:
        async with started(app) as client:
            await client.get("/")

    s3queue.configure(store=MemoryStore())
    with pytest.raises(RuntimeError, match="lifespan="):
        asyncio.run(run())


def test_an_application_without_a_store_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("S3QUEUE_STORE_URL", raising=False)
    s3queue.configure()
    app = Starlette(lifespan=lifespan())

    async def run() -> None:
        async with started(app):
            pass

    with pytest.raises(s3queue.ConfigError, match="no store"):
        asyncio.run(run())
