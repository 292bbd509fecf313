"""The application: its routes and middleware."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from s3queue.config import Config, current_config, current_store
from s3queue.core.keys import check_name
from s3queue.dashboard.access import Access, Viewer, digest
from s3queue.dashboard.acting import Acting
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.desk import Desk
from s3queue.dashboard.guard import Guard, set_session
from s3queue.dashboard.live import Live
from s3queue.dashboard.reader import Reader
from s3queue.dashboard.screens import Screens
from s3queue.errors import ConfigError, QueueError, StoreDenied, StoreError
from s3queue.store import ObjectStore, as_store

if TYPE_CHECKING:
    from s3queue.dashboard.access import Authenticate

__all__ = ["Dashboard", "dashboard"]

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def dashboard(
    store: ObjectStore | str | None = None,
    *,
    namespace: str | None = None,
    config: Config | None = None,
    authenticate: Authenticate | None = None,
    tokens: dict[str, Viewer] | None = None,
    allow: Iterable[str] = (),
    every: float = 2.0,
    always: bool = False,
    secret: str | None = None,
) -> Dashboard:
    """A dashboard, to mount in an ASGI application.

    ::

        app.mount("/queues", dashboard("s3://jobs", authenticate=who, allow=["pause", "resume"]))

    Args:
        store, namespace, config: as of `s3queue.Queue`.
        authenticate: called with each request (of Starlette); returns a `Viewer`, or None for a sender without access.
            May be a coroutine function. A viewer may perform actions that both ``Viewer.actions`` and ``allow`` name.
        tokens: instead of ``authenticate``: the viewer of each token. People log in with a token.
        allow: names of `ACTIONS`, or ``all``. None by default: the dashboard is read-only.
        every: seconds between two looks at the summary, above 0, for all viewers together.
        always: look also while nobody watches, so that charts have no gaps.
        secret: signs cookies; the same for all processes behind one address. By default a new one for each process.

    Raises:
        ConfigError: neither ``authenticate`` nor ``tokens`` was given, there is no such action, or ``every`` is out of
            range.

    Asks: nothing before the first viewer. Then one GET for each look. Pages of messages, letters and settings ask as
    the methods of `s3queue.Queue` do, and show what they cost.
    """
    if authenticate is None and not tokens:
        raise ConfigError(
            "nothing says who may look at this dashboard", "give authenticate=, or tokens={TOKEN: Viewer(NAME)}"
        )
    known = {digest(token): viewer for token, viewer in (tokens or {}).items()}
    access = Access(ACTIONS, allow=allow, tokens=known, authenticate=authenticate, secret=secret)
    return Dashboard(store, access, namespace=namespace, config=config, every=every, always=always)


class Dashboard:
    """The ASGI application of a dashboard. From `dashboard`.

    Attributes:
        reader: reads the summary, for all viewers.
    """

    def __init__(
        self,
        store: ObjectStore | str | None,
        access: Access,
        *,
        namespace: str | None = None,
        config: Config | None = None,
        every: float = 2.0,
        always: bool = False,
    ) -> None:
        config = config or current_config()
        found = current_store() if store is None else as_store(store)
        name = check_name(namespace or config.namespace, "namespace")
        if every <= 0:
            raise ConfigError(f"every is {every!r}", "seconds between two looks, above 0")
        self.reader = Reader(found, name, every_s=every, always=always, prices=config.prices)
        self._access = access
        self._desk = Desk(found, config.replace(namespace=name), access, self.reader)
        self._app = Guard(self._make(), access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        await self._app(scope, receive, send)

    async def close(self) -> None:
        """End all streams, and ask works to stop."""
        self._desk.works.cancel_all()
        await self.reader.close()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})

    # ---- routes --------------------------------------------------------------------------------------------

    def _make(self) -> ASGIApp:
        desk = self._desk
        screens, acting, live = Screens(desk), Acting(desk), Live(desk)
        get = partial(Route, methods=["GET"])
        post = partial(Route, methods=["POST"])
        routes = [
            get("/", screens.overview),
            get("/queues", screens.queues),
            get("/queues/{queue}", screens.queue),
            get("/queues/{queue}/messages", screens.messages),
            get("/queues/{queue}/dead", screens.letters),
            get("/queues/{queue}/groups", screens.groups),
            get("/queues/{queue}/settings", screens.settings),
            get("/dead", screens.dead),
            get("/message", screens.message),
            get("/schedules", screens.schedules),
            get("/hosts", screens.hosts),
            get("/coordinator", screens.coordinator),
            get("/store", screens.store),
            get("/works", screens.works),
            get("/works/{work}", acting.work),
            post("/works/{work}/cancel", acting.cancel_work),
            get("/act/{action}", acting.ask),
            post("/act/{action}", acting.perform),
            get("/events", live.events),
            get("/series", live.series),
            get("/login", self._login),
            post("/login", self._log_in),
            post("/logout", self._log_out),
            get("/healthz", _healthy),
            get("/static/{file:path}", _static),
        ]
        handlers: dict[Any, Any] = {QueueError: self._failed, 404: self._missing}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def _login(self, request: Request) -> Response:
        if request.state.viewer is not None:
            return RedirectResponse(request.scope.get("root_path", "") + "/", 303)
        return self._desk.bare(request, "login.html", problem="")

    async def _log_in(self, request: Request) -> Response:
        form = await Acting(self._desk).form(request)
        if form is None:
            return self._desk.bare(request, "login.html", problem="The page was too old. Try again.", status=403)
        session = self._access.admit(form.get("token", ""))
        address = request.client.host if request.client else ""
        if session is None:
            self._desk.events.emit("login_refused", address=address)
            return self._desk.bare(request, "login.html", problem="No one has this token.", status=403)
        response = RedirectResponse(request.scope.get("root_path", "") + "/", 303)
        set_session(response, request, self._access.cookie(session))
        return response

    async def _log_out(self, request: Request) -> Response:
        if await Acting(self._desk).form(request) is None:
            return PlainTextResponse("This form is not from this session. Nothing was done.", 403)
        response = RedirectResponse(request.scope.get("root_path", "") + "/login", 303)
        set_session(response, request, "")
        return response

    async def _failed(self, request: Request, fault: Exception) -> Response:
        """The page for a look that failed: a mistake of the caller, or an error of the store."""
        is_mistake = isinstance(fault, ConfigError)
        status = 400 if is_mistake else 503 if isinstance(fault, StoreError) else 500
        hint = fault.hint if isinstance(fault, ConfigError | StoreError) else ""
        if isinstance(fault, StoreDenied) and not hint:
            hint = "check the permissions and credentials of this dashboard"
        what = fault.message if isinstance(fault, ConfigError | StoreError) else str(fault)
        if request.headers.get("hx-request"):
            return self._desk.part(request, "part/problem.html", status=status, what=what, hint=hint)
        title = "Not found" if is_mistake else "The store does not answer"
        return await self._desk.page(request, "problem.html", "", status=status, title=title, what=what, hint=hint)

    async def _missing(self, request: Request, _fault: Exception) -> Response:
        if getattr(request.state, "viewer", None) is None:
            return PlainTextResponse("Not found.", 404)
        return await self._desk.page(request, "gone.html", "", status=404, title="Nothing here")


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _static(request: Request) -> Response:
    """A file of the wheel. Browsers may keep it, because its address changes with its contents."""
    path = request.path_params["file"]
    parts = path.split("/")
    kind = _TYPES.get(path.rpartition(".")[2])
    if kind is None or len(parts) > 2 or any(part in ("", ".", "..") or "\\" in part for part in parts):
        return PlainTextResponse("Not found.", 404)
    file = files("s3queue.dashboard").joinpath("static", *parts)
    if not file.is_file():
        return PlainTextResponse("Not found.", 404)
    return Response(
        file.read_bytes(), media_type=kind, headers={"cache-control": "public, max-age=31536000, immutable"}
    )
