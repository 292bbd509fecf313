"""State that the screens of one dashboard share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from s3queue.config import Config
from s3queue.dashboard import costs, render
from s3queue.dashboard.looks import Looks, Seen
from s3queue.dashboard.reader import Look, Reader
from s3queue.dashboard.works import Works
from s3queue.io.meter import Meter
from s3queue.observe.events import Events
from s3queue.queue import Queue
from s3queue.store import ObjectStore

if TYPE_CHECKING:
    from s3queue.dashboard.access import Access, Viewer

#: The pages, by the name of their link.
SCREENS = {
    "overview": ("/", "Overview", "o"),
    "queues": ("/queues", "Queues", "q"),
    "dead": ("/dead", "Dead letters", "d"),
    "schedules": ("/schedules", "Schedules", "s"),
    "hosts": ("/hosts", "Hosts", "h"),
    "coordinator": ("/coordinator", "Coordinator", "c"),
    "store": ("/store", "Store", "b"),
}


class Desk:
    """One dashboard: its store, its reader, and its templates."""

    def __init__(self, store: ObjectStore, config: Config, access: Access, reader: Reader) -> None:
        self.store, self.config, self.access, self.reader = store, config, access, reader
        self.looks, self.works = Looks(), Works()
        self.events = Events("dashboard", config.history)
        self.prices = reader.prices
        self.requests_cost = any(self.prices.values())
        self._templates = render.make_environment()
        self._version = render.fingerprint()

    def queue(self, name: str, meter: Meter | None = None) -> Queue:
        """A queue of this namespace. Raises `ConfigError`: the name cannot be that of a queue."""
        found = Queue(name, self.store, config=self.config)
        if meter is not None:
            found.meter = meter
        return found

    def cost(self, seen: Seen[Any]) -> str:
        """The cost of a look, as text for people."""
        return costs.told(seen.cost, self.prices)

    # ---- pages ---------------------------------------------------------------------------------------------

    async def page(
        self, request: Request, template: str, screen: str, *, status: int = 200, title: str = "", **values: Any
    ) -> HTMLResponse:
        """A whole page. At most one GET, for the summary; none if it was read lately."""
        look = await self.reader.fresh()
        viewer: Viewer = request.state.viewer
        told = {
            **self._common(request.scope.get("root_path", ""), viewer.actions, look),
            "viewer": viewer,
            "form_token": self.access.form_token(request.state.session),
            "screen": screen,
            "screens": SCREENS,
            "title": title or SCREENS.get(screen, ("", screen))[1],
            "theme": _theme(request),
            "has_login": bool(self.access.tokens),
            "live": "",
            **values,
        }
        return HTMLResponse(self._templates.get_template(template).render(told), status)

    def part(self, request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A part of a page, for a dialog or for one place in it. No request."""
        viewer: Viewer = request.state.viewer
        told = {
            **self._common(request.scope.get("root_path", ""), viewer.actions, self.reader.last),
            "viewer": viewer,
            "form_token": self.access.form_token(request.state.session),
            **values,
        }
        return HTMLResponse(self._templates.get_template(template).render(told), status)

    def region(self, name: str, root: str, actions: frozenset[str], look: Look, **values: Any) -> str:
        """The content of a place in a page that is kept up to date."""
        told = {**self._common(root, actions, look), **values}
        return self._templates.get_template(f"live/{name}.html").render(told)

    def bare(self, request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """A page for a sender without access."""
        told = {
            "root": request.scope.get("root_path", ""),
            "version": self._version,
            "theme": _theme(request),
            "form_token": self.access.form_token(request.state.session),
            **values,
        }
        return HTMLResponse(self._templates.get_template(template).render(told), status)

    def _common(self, root: str, actions: frozenset[str], look: Look) -> dict[str, Any]:
        return {
            "root": root,
            "version": self._version,
            "namespace": self.reader.layout.root,
            "store_url": self.store.url,
            "actions": actions,
            "look": look,
            "seen": look.seen,
            "requests_cost": self.requests_cost,
            "prices": self.prices,
            "every_s": self.reader.every_s,
            "viewers": self.reader.viewers,
            "look_cost": self.look_cost(),
        }

    def look_cost(self) -> str:
        """The cost of watching, for all viewers together."""
        every = f"one GET every {self.reader.every_s:g} s"
        if not self.requests_cost:
            return every
        return f"{every}, {costs.money(86_400 / self.reader.every_s * self.prices['get'] / 1e6)} a day"


def _theme(request: Request) -> str:
    theme = request.cookies.get("s3queue_theme", "")
    return theme if theme in ("light", "dark") else "auto"
