"""A web application that has reports written elsewhere: it enqueues, and tells what became of them.

uvicorn app:app
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from jobs import report
from starlette.requests import Request

import s3queue
from s3queue.contrib.asgi import lifespan, producer
from s3queue.dashboard import Viewer, dashboard


def who(request: Request) -> Viewer | None:
    """Whoever has the key may look at the queues. Your application knows its users in a better way."""
    key = os.environ.get("DASHBOARD_KEY")
    return Viewer("operator") if key and request.headers.get("x-key") == key else None


def make_app() -> FastAPI:
    queues = dashboard(authenticate=who)
    app = FastAPI(lifespan=lifespan(dashboard=queues))
    app.mount("/queues", queues)

    @app.post("/reports", status_code=202)
    async def order(customer: int, month: str, queue: Annotated[s3queue.Producer, Depends(producer)]) -> dict[str, str]:
        return {"id": await queue.aenqueue(report, customer, month)}

    @app.get("/reports/{id}")
    async def look(id: str) -> dict[str, str]:
        try:
            return {"status": "done", "report": await s3queue.message(id).aresult(timeout=0)}
        except TimeoutError:
            return {"status": "not yet"}
        except s3queue.TaskFailed as failed:
            return {"status": "failed", "why": failed.cause}
        except (s3queue.ResultGone, s3queue.ConfigError):
            raise HTTPException(404) from None

    return app


if "S3QUEUE_STORE_URL" in os.environ:
    app = make_app()
