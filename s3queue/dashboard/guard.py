"""Checks every request: who sends it, whether it is allowed, and what a browser may do with the answer."""

from __future__ import annotations

import inspect
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3queue.dashboard.access import SESSION_S, Access, Session, Viewer

COOKIE = "s3queue_session"

#: No inline scripts or styles, nothing from other sites, no framing.
_POLICY = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
#: Paths that need no login.
_OPEN = ("/static/", "/login", "/healthz")


class Guard:
    """ASGI middleware. A request that passes has ``viewer`` and ``session`` in its state."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        session = self._access.session(request.cookies.get(COOKIE, ""))
        is_new = session is None
        session = session or Session(secrets.token_urlsafe(16))
        refusal = self._refusal(request) or await self._admit(request, session)
        app = refusal if refusal is not None else self._app

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
                if is_new and refusal is None and not path_of(request).startswith("/static/"):
                    _set_cookie(headers, request, self._access.cookie(session))
            await send(message)

        await app(scope, receive, send_safely)

    def _refusal(self, request: Request) -> Response | None:
        if not self._access.knows_host(request.headers.get("host", "")):
            return PlainTextResponse("This dashboard is not known under this name. Start it with --host NAME.", 400)
        if request.method not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Method not allowed.", 405)
        if request.method == "POST" and not _is_same_origin(request):
            return PlainTextResponse("A page of another site sent this form. Nothing was done.", 403)
        return None

    async def _admit(self, request: Request, session: Session) -> Response | None:
        viewer = await self._viewer(request, session)
        request.state.viewer, request.state.session = viewer, session
        if viewer is not None or path_of(request).startswith(_OPEN):
            return None
        if self._access.authenticate is not None:
            return PlainTextResponse("You may not look at this dashboard.", 403)
        login = request.scope.get("root_path", "") + "/login"
        if request.headers.get("hx-request"):
            return PlainTextResponse("Log in again.", 401, {"hx-redirect": login})
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(login, 303)
        return PlainTextResponse("Log in first.", 401)

    async def _viewer(self, request: Request, session: Session) -> Viewer | None:
        access = self._access
        if access.authenticate is None:
            return access.viewer(session)
        found = access.authenticate(request)
        if inspect.isawaitable(found):
            found = await found
        return None if found is None else access.narrowed(found)


def path_of(request: Request) -> str:
    """The path below which the application is mounted."""
    path: str = request.scope["path"]
    root: str = request.scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root) else path


def _is_same_origin(request: Request) -> bool:
    """Whether a page of this dashboard sent the request, as browsers report it. A client that reports nothing is no
    browser, or an old one: then the token of the form decides.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def set_session(response: Response, request: Request, cookie: str) -> None:
    """Give this session to the browser; empty: end its session."""
    _set_cookie(response.headers, request, cookie)


def _set_cookie(headers: MutableHeaders, request: Request, value: str) -> None:
    path = request.scope.get("root_path", "") or "/"
    secure = "; Secure" if request.url.scheme == "https" else ""
    age = SESSION_S if value else 0
    cookie = f"{COOKIE}={value}; HttpOnly; Max-Age={age}; Path={path}; SameSite=Lax{secure}"
    headers.append("set-cookie", cookie)
