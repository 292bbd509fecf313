"""Server-sent events: the changes of a page after each read of the summary.

One reader serves all streams. A look is rendered once for all viewers of the same page with the same rights.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from s3queue.dashboard.attention import notices
from s3queue.dashboard.desk import Desk
from s3queue.dashboard.reader import Look
from s3queue.observe.stats import QueueStats

#: By page: its regions that are kept up to date.
VIEWS = {
    "overview": ("tiles", "notices", "queues", "causes"),
    "queues": ("notices", "queues"),
    "queue": ("queue_acts", "queue_tiles", "notices", "queue_facts"),
    "dead": ("dead",),
    "hosts": ("hosts",),
    "coordinator": ("coordinator",),
    "store": ("spending",),
    "none": (),
}
#: Milliseconds after which a browser connects again.
_RETRY_MS = 3000
#: Seconds after which a stream ends and the browser asks again: so a viewer who has lost access sees no more.
_LONGEST_S = 600.0


def values_of(view: str, queue: str, look: Look) -> dict[str, Any]:
    """Values that the regions of a page show, in addition to those that every page knows."""
    return {
        "queue": queue,
        "counts": look.seen.queues.get(queue, QueueStats()) if queue else None,
        "notices": notices(look, queue),
    }


class Live:
    """The routes of live updates."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rendered: dict[tuple[str, str, str, frozenset[str]], str] = {}
        self._number = -1

    async def events(self, request: Request) -> Response:
        """A stream of the changed regions of a page."""
        view, queue = request.query_params.get("view", ""), request.query_params.get("queue", "")
        if view not in VIEWS:
            return PlainTextResponse("No such page.", 404)
        if self._desk.reader.is_over:
            return PlainTextResponse("Stopping.", 503)
        root, actions = request.scope.get("root_path", ""), request.state.viewer.actions
        headers = {"x-accel-buffering": "no"}
        return StreamingResponse(self._stream(view, queue, root, actions), 200, headers, "text/event-stream")

    async def series(self, request: Request) -> Response:
        """The last hour of a queue, or of all."""
        chronicle, queue = self._desk.reader.chronicle, request.query_params.get("queue", "")
        series = chronicle.queues.get(queue) if queue else chronicle.everything
        told = series.as_dict() if series is not None else {"at": []}
        return Response(json.dumps(told, separators=(",", ":")), media_type="application/json")

    async def _stream(self, view: str, queue: str, root: str, actions: frozenset[str]) -> AsyncIterator[str]:
        yield f"retry: {_RETRY_MS}\n\n"
        async with aclosing(self._desk.reader.watch()) as looks:
            until = time.monotonic() + _LONGEST_S
            async for look in looks:
                yield self._event(look, view, queue, root, actions)
                if time.monotonic() >= until:
                    return

    def _event(self, look: Look, view: str, queue: str, root: str, actions: frozenset[str]) -> str:
        if self._number != look.number:
            self._number = look.number
            self._rendered.clear()
        key = view, queue, root, actions
        if key not in self._rendered:
            values = values_of(view, queue, look)
            html = "".join(self._desk.region(name, root, actions, look, **values) for name in VIEWS[view])
            chronicle = self._desk.reader.chronicle
            series = chronicle.queues.get(queue) if queue else chronicle.everything
            told = {
                "html": html,
                "point": series.last() if series is not None else {},
                "at": look.at.timestamp(),
                "fault": bool(look.fault),
                "viewers": self._desk.reader.viewers,
                "cost": self._desk.look_cost(),
            }
            self._rendered[key] = f"event: look\ndata: {json.dumps(told, separators=(',', ':'))}\n\n"
        return self._rendered[key]
