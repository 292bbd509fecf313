"""The endpoints of metrics, health and scaling: a WSGI application, and a server for it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client.core import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder

__all__ = ["Answers", "Health", "application", "server"]

#: Seconds after which the connection of a silent client is closed.
_PATIENCE_S = 10.0


class Health(NamedTuple):
    """Whether something is well, and the reason as text for people."""

    ok: bool
    checks: dict[str, str]


class Answers(NamedTuple):
    """The functions behind the endpoints. Each is called for each request, in any thread."""

    metrics: Callable[[], Iterable[Metric]]
    healthy: Callable[[], Health]
    ready: Callable[[], Health]
    scale: Callable[[], dict[str, Any]]


class _Collector:
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        yield from self._collect()

    def describe(self) -> list[Metric]:
        return []


def application(answers: Answers) -> Callable[..., list[bytes]]:
    """``/metrics``, ``/healthz``, ``/readyz`` and ``/scale``. An exception in an endpoint is answered by 500 with its
    name only."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(answers.metrics))

    def metrics(environ: dict[str, Any]) -> tuple[str, str, bytes]:
        encode, kind = choose_encoder(environ.get("HTTP_ACCEPT", ""))
        return "200 OK", kind, encode(registry)

    def health(ask: Callable[[], Health]) -> Callable[[dict[str, Any]], tuple[str, str, bytes]]:
        def answer(environ: dict[str, Any]) -> tuple[str, str, bytes]:
            ok, checks = ask()
            return "200 OK" if ok else "503 Service Unavailable", _JSON, _json({"ok": ok, **checks})

        return answer

    pages: dict[str, Callable[[dict[str, Any]], tuple[str, str, bytes]]] = {
        "/metrics": metrics,
        "/healthz": health(answers.healthy),
        "/readyz": health(answers.ready),
        "/scale": lambda environ: ("200 OK", _JSON, _json(answers.scale())),
    }

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is None:
            status, kind, body = "404 Not Found", "text/plain", f"known: {' '.join(pages)}\n".encode()
        elif environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            status, kind, body = "405 Method Not Allowed", "text/plain", b"only GET and HEAD are answered\n"
        else:
            try:
                status, kind, body = page(environ)
            except Exception as fault:  # noqa: BLE001 - of this request only
                status, kind, body = "500 Internal Server Error", "text/plain", f"{type(fault).__name__}\n".encode()
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
        return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]

    return app


_JSON = "application/json"


def _json(told: dict[str, Any]) -> bytes:
    return json.dumps(told).encode() + b"\n"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: scrapes are not worth a line each."""

    def address_string(self) -> str:
        return str(self.client_address[0])  # without asking a name server


def server(door: socket.socket, app: Callable[..., list[bytes]]) -> WSGIServer:
    """A server for a listening socket. `serve_forever` serves until `shutdown`."""
    made = _Server(door.getsockname()[:2], _Handler, bind_and_activate=False)
    made.socket.close()
    made.socket = door
    made.server_name, made.server_port = door.getsockname()[:2]
    made.setup_environ()
    made.set_app(app)
    return made
