"""Serves a dashboard as a program of its own, for ``s3queue dashboard``."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterable

import click
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from s3queue.config import Config
from s3queue.dashboard.access import Access, Viewer, chosen, digest, is_loopback, local_hosts, read_people, read_token
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.app import Dashboard
from s3queue.errors import ConfigError
from s3queue.store import ObjectStore

#: Seconds that open requests get at the end.
_STOP_S = 3


def address_of(bind: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``. Raises `ConfigError`: it is no such address."""
    host, _, port = bind.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigError(f"not an address: {bind!r}", "HOST:PORT, for example 127.0.0.1:9292")
    return host.strip("[]"), int(port)


def make_access(
    host: str,
    port: int,
    *,
    allow: Iterable[str] = (),
    token_file: str | None = None,
    access_file: str | None = None,
    hosts: Iterable[str] = (),
) -> Access:
    """The access rules for a dashboard that listens at this address.

    Raises:
        ConfigError: other machines can reach it and no token is asked for; or a file cannot be read.
    """
    allowed = chosen(ACTIONS, allow)
    if token_file and access_file:
        raise ConfigError("--token-file and --access were both given", "give one of them")
    if access_file:
        return Access(ACTIONS, allow=allowed, tokens=read_people(access_file, ACTIONS))
    if token_file:
        viewer = Viewer("token", allowed, "operator" if allowed else "viewer")
        return Access(ACTIONS, allow=allowed, tokens={digest(read_token(token_file)): viewer})
    if not is_loopback(host):
        raise ConfigError(
            f"everyone who reaches {host}:{port} could look",
            "give --token-file or --access, or bind to 127.0.0.1 behind a proxy that asks who it is",
        )
    viewer = Viewer("local", allowed, "operator" if allowed else "viewer")
    return Access(ACTIONS, allow=allowed, anybody=viewer, hosts=local_hosts(hosts))


class Prefixed:
    """Serves an application below a path, whether a proxy cuts that path off or not."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, "/" + prefix.strip("/") if prefix.strip("/") else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        prefix = self._prefix
        if prefix and scope["type"] == "http":
            path: str = scope["path"]
            if path != prefix and not path.startswith(prefix + "/"):
                path = prefix + path
            scope = {**scope, "root_path": prefix, "path": path if path != prefix else prefix + "/"}
        await self._app(scope, receive, send)


class Server(uvicorn.Server):
    """A server that ends the streams when it stops: they would delay its end forever."""

    def __init__(self, config: uvicorn.Config, app: Dashboard) -> None:
        super().__init__(config)
        self._dashboard = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the dashboard, then stop as uvicorn does."""
        await self._dashboard.close()
        await super().shutdown(sockets)


def serve(
    store: ObjectStore,
    config: Config,
    access: Access,
    host: str,
    port: int,
    *,
    prefix: str = "",
    every: float = 2.0,
    always: bool = False,
) -> int:
    """Serve until a signal, and print the address. Returns the exit status.

    Raises:
        ConfigError: the address is in use, or is not of this machine.
    """
    app = Dashboard(store, access, config=config, every=every, always=always)
    listener = listen(host, port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    path = f"/{prefix.strip('/')}/" if prefix.strip("/") else "/"
    allowed = ", ".join(sorted(access.allowed))
    click.echo(f"dashboard of {store.url}, namespace {config.namespace}: http://{shown}:{port}{path}", err=True)
    click.echo(f"allowed: {allowed}" if allowed else "read-only: --allow ACTION allows more", err=True)
    settings = uvicorn.Config(
        Prefixed(app, prefix),
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=_STOP_S,
        ws="none",
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # once it has ended: a wrapper that forwards Ctrl-C sends it twice
    run(settings, app, listener)
    return 0


def run(settings: uvicorn.Config, app: Dashboard, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM. Call it in the main thread."""
    # uvicorn raises again what it has handled, for whoever handled it before: nobody.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        Server(settings, app).run(sockets=[listener])
    finally:
        listener.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: the address is in use, or is not of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as fault:
        raise ConfigError(
            f"cannot listen at {host}:{port}: {fault.strerror or fault}", "give another --bind"
        ) from fault
    return listener
