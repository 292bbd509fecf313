"""The pages. Each shows the last summary, and the cost of everything else that it reads."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from s3queue.core.keys import fencing_token
from s3queue.core.produce import largest_source
from s3queue.dashboard import costs
from s3queue.dashboard.desk import Desk
from s3queue.dashboard.live import values_of
from s3queue.dashboard.looks import Seen
from s3queue.dashboard.settings import QueueSettings, read_settings
from s3queue.errors import ConfigError
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.messages import MessageHandle
from s3queue.observe.stats import QueueStats
from s3queue.operate import letters, looking
from s3queue.operate.asking import parse_since
from s3queue.operate.letters import DeadGroup, DeadLetter
from s3queue.operate.looking import QueuedMessage
from s3queue.operate.schedules import ScheduleInfo, Schedules
from s3queue.operate.status import MessageProgress

#: Rows of a page.
_ROWS = 50
#: Letters that are read for groups, unless a viewer asks for all.
_GROUPED = 500
#: Messages that a filter by task reads through, at most, for one page.
_SEARCHED = 5_000
#: Bytes of a payload that are shown in base64.
_BASE64 = 48_000
#: Seconds for which a look is kept for other viewers.
_KEPT_S = 5.0


class OneMessage(NamedTuple):
    """One message, as its page shows it.

    Attributes:
        queued: while it is neither done nor dead, in its first life, and was not moved off the board.
        letter: of its last death; also while it lives again.
        fencing_token: of its ticket, while it runs.
        progress: the last notes of its attempts.
        payload: the part of it that is shown.
        is_json: whether ``payload`` is JSON; otherwise it is base64.
        size: of the whole payload, in bytes.
    """

    id: str
    queue: str
    status: str
    queued: QueuedMessage | None
    letter: DeadLetter | None
    fencing_token: int | None
    progress: MessageProgress | None = None
    payload: str = ""
    is_json: bool = False
    size: int = 0


class Screens:
    """The routes of the pages."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def overview(self, request: Request) -> Response:
        """The first page: all queues and notices."""
        return await self._live(request, "overview.html", "overview")

    async def queues(self, request: Request) -> Response:
        """The list of queues."""
        return await self._live(request, "queues.html", "queues")

    async def dead(self, request: Request) -> Response:
        """The queues with dead letters."""
        return await self._live(request, "dead.html", "dead")

    async def hosts(self, request: Request) -> Response:
        """The hosts, with their workers and requests."""
        return await self._live(request, "hosts.html", "hosts")

    async def coordinator(self, request: Request) -> Response:
        """The coordinator, the board and the summary."""
        return await self._live(request, "coordinator.html", "coordinator")

    async def store(self, request: Request) -> Response:
        """The store: its requests and their price, and the doctor."""
        report = next((work for work in self._desk.works.newest() if work.result is not None), None)
        capabilities = self._desk.store.capabilities
        return await self._live(
            request, "store.html", "store", capabilities=capabilities, doctor=report, meter=self._desk.reader.meter
        )

    async def works(self, request: Request) -> Response:
        """The works of this dashboard."""
        return await self._desk.page(
            request, "works.html", "works", title="Operations", works=self._desk.works.newest()
        )

    async def schedules(self, request: Request) -> Response:
        """The schedules of the namespace."""
        seen = await self._schedules()
        return await self._desk.page(
            request, "schedules.html", "schedules", schedules=seen.found, cost=self._desk.cost(seen), at=seen.at
        )

    # ---- a queue -------------------------------------------------------------------------------------------

    async def queue(self, request: Request) -> Response:
        """One queue."""
        name = self._name(request)
        return await self._live(request, "queue.html", "queue", queue=name, title=name, tab="queue")

    async def messages(self, request: Request) -> Response:
        """A page of the messages of a queue.

        Raises:
            ConfigError: there is no such state.
        """
        name, asked = self._name(request), request.query_params
        state, task, after = asked.get("state", ""), asked.get("task", ""), asked.get("after", "")
        if state not in ("", *looking.STATES):
            raise ConfigError(f"no state {state!r}", ", ".join(looking.STATES))

        def look(meter: Meter) -> list[QueuedMessage]:
            found = self._desk.queue(name, meter).messages(
                state=state or None,  # type: ignore[arg-type] # checked above
                after=after or None,
                limit=_ROWS + 1 if not task else _SEARCHED,
            )
            wanted = (one for one in found if not task or one.task == task)
            return [replace(one, body=b"", failures=(), headers={}) for one in itertools.islice(wanted, _ROWS + 1)]

        seen = await self._desk.looks.take(("messages", name, state, task, after), _KEPT_S, look)
        rows, more = seen.found[:_ROWS], len(seen.found) > _ROWS
        return await self._list(
            request,
            "messages",
            name,
            rows=rows,
            after=rows[-1].place if more else "",
            filters={"state": state, "task": task},
            is_later=bool(after),
            states=looking.STATES,
            cost=self._desk.cost(seen),
            at=seen.at,
        )

    async def settings(self, request: Request) -> Response:
        """The limits, keys and schedules of a queue."""
        name, layout = self._name(request), self._desk.reader.layout

        def look(meter: Meter) -> QueueSettings:
            return read_settings(Driver(self._desk.store, meter), layout, name, int(time.time() * 1000))

        seen, schedules = await self._desk.looks.take(("settings", name), _KEPT_S, look), await self._schedules()
        return await self._list(
            request,
            "settings",
            name,
            **seen.found._asdict(),
            schedules=[one for one in schedules.found if one.queue == name],
            cost=self._desk.cost(seen._replace(cost=costs.both(seen.cost, schedules.cost))),
            at=seen.at,
        )

    async def letters(self, request: Request) -> Response:
        """A page of the dead letters of a queue."""
        name, asked = self._name(request), request.query_params
        filters = {one: asked.get(one, "").strip() for one in ("task", "cause", "since")}
        after, wanted = asked.get("after", ""), _wanted(filters)

        def look(meter: Meter) -> list[DeadLetter]:
            found = self._desk.queue(name, meter).dead_letters(**wanted, after=after or None, limit=_ROWS + 1)
            return [
                replace(one, body=b"", preview="", failures=one.failures[-1:], headers={}) for one in found
            ]  # what is not shown is not kept: a payload may be large

        seen = await self._desk.looks.take(("letters", name, after, *filters.values()), _KEPT_S, look)
        rows, more = seen.found[:_ROWS], len(seen.found) > _ROWS
        return await self._list(
            request,
            "letters",
            name,
            rows=rows,
            after=rows[-1].id if more else "",
            filters=filters,
            is_later=bool(after),
            cost=self._desk.cost(seen),
            at=seen.at,
        )

    async def groups(self, request: Request) -> Response:
        """The groups of dead letters of a queue: a part of its page of letters."""
        name, asked = self._name(request), request.query_params
        filters = {one: asked.get(one, "").strip() for one in ("task", "cause", "since")}
        limit, wanted = None if asked.get("all") else _GROUPED, _wanted(filters)

        def look(meter: Meter) -> tuple[list[DeadGroup], int]:
            found = letters.group(self._desk.queue(name, meter).dead_letters(**wanted, limit=limit))
            return found, sum(one.count for one in found)

        seen = await self._desk.looks.take(("groups", name, limit, *filters.values()), 2 * _KEPT_S, look)
        found, many = seen.found
        return self._desk.part(
            request,
            "part/groups.html",
            queue=name,
            groups=found,
            many=many,
            is_part=limit is not None and many >= limit,
            filters=filters,
            cost=self._desk.cost(seen),
            at=seen.at,
        )

    # ---- a message -----------------------------------------------------------------------------------------

    async def message(self, request: Request) -> Response:
        """Everything that is known of one message."""
        id = request.query_params.get("id", "").strip()
        if not id:
            return RedirectResponse(request.scope.get("root_path", "") + "/", 303)
        queue = letters.queue_of(id)
        seen = await self._desk.looks.take(
            ("message", id), 1.0, lambda meter: _without_body(self._message(id, queue, meter))
        )
        return await self._desk.page(
            request,
            "message.html",
            "queues",
            title="Message",
            one=seen.found,
            payload=seen.found.payload,
            cost=self._desk.cost(seen),
            at=seen.at,
        )

    def _message(self, id: str, queue: str, meter: Meter) -> OneMessage:
        handle = MessageHandle(id, self._desk.store, namespace=self._desk.reader.layout.root, config=self._desk.config)
        driver = Driver(self._desk.store, meter)
        # In this order: what is not seen in the first has gone on to the next.
        queued = looking.read_message(
            driver,
            handle.layout,
            id,
            now_ms=int(time.time() * 1000),
            largest=largest_source(self._desk.config.max_message_bytes),
        )
        if queued is not None:
            token = fencing_token(queued.ticket) if queued.ticket else None
            progress = handle.progress() if queued.state in ("running", "waiting") else None
            meter.add(handle.meter.usage)
            return OneMessage(id, queue, queued.state, queued, None, token, progress)
        status = handle.status()
        letter = letters.read_one(driver, handle.layout, id)
        meter.add(handle.meter.usage)
        return OneMessage(id, queue, status, None, letter, None)

    # ---- shared --------------------------------------------------------------------------------------------

    async def _live(self, request: Request, template: str, view: str, queue: str = "", **values: Any) -> Response:
        look = await self._desk.reader.fresh()
        live = f"view={view}" + (f"&queue={queue}" if queue else "")
        return await self._desk.page(
            request,
            template,
            "queues" if view == "queue" else view,
            live=live,
            **values_of(view, queue, look),
            **values,
        )

    async def _list(self, request: Request, tab: str, queue: str, **values: Any) -> Response:
        template = f"{tab}.html"
        if request.headers.get("hx-request") and request.headers.get("hx-target") == "rows":
            template = f"part/{tab}.html"
            return self._desk.part(request, template, queue=queue, **values)
        look = await self._desk.reader.fresh()
        counts = look.seen.queues.get(queue, QueueStats())
        return await self._desk.page(
            request,
            template,
            "dead" if tab == "letters" else "queues",
            title=queue,
            queue=queue,
            tab=tab,
            counts=counts,
            live="view=none",
            **values,
        )

    def _name(self, request: Request) -> str:
        name: str = request.path_params["queue"]
        self._desk.queue(name)  # or it is no name
        return name

    async def _schedules(self) -> Seen[list[ScheduleInfo]]:
        def look(meter: Meter) -> list[ScheduleInfo]:
            of = Schedules(self._desk.store, namespace=self._desk.reader.layout.root, config=self._desk.config)
            found = of.all()
            meter.add(of.meter.usage)
            return found

        return await self._desk.looks.take("schedules", _KEPT_S, look)


def _wanted(filters: Mapping[str, str]) -> dict[str, Any]:
    """The filters of a form, as arguments. Raises `ConfigError`."""
    return {
        "task": filters["task"] or None,
        "cause": filters["cause"] or None,
        "since": parse_since(filters["since"]) if filters["since"] else None,
    }


def _without_body(one: OneMessage) -> OneMessage:
    """The message with the part of its payload that is shown: as JSON if it has such a form, otherwise in base64."""
    found = one.letter or one.queued
    if found is None:
        return one
    told = found.preview
    return one._replace(
        payload=told or base64.b64encode(found.body[:_BASE64]).decode(),
        is_json=bool(told),
        size=len(found.body),
        letter=one.letter and replace(one.letter, body=b""),
        queued=one.queued and replace(one.queued, body=b""),
    )
