"""Only one status of many that mean a conflict was taken for one; the others were errors that nobody expected.

Every S3 backend of this project is asked here, over real HTTP, what it makes of what services answer to conditional
writes: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.store import Conflict, ObjectStore, Stored, open_store

CONFLICT = Conflict()


class Server(ThreadingHTTPServer):
    """Answers puts with the statuses that it was given, one after the other, and then with success."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[tuple[int, str]] = []
        self.puts = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *args: object) -> None: ...

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.puts += 1
        status, code = self.server.statuses.pop(0) if self.server.statuses else (200, "")
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.fixture(params=["s3", "minio", "obstore+s3"])
def asked(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
        monkeypatch.setenv(name, "test")
    address = f"http://127.0.0.1:{server.server_address[1]}"
    if request.param == "minio":
        store = open_store(f"minio://{urlsplit(address).netloc}/bucket?secure=false")
    else:
        store = open_store(f"{request.param}://bucket?endpoint={address}&region=us-east-1")
    yield store
    store.close()


def create(store: ObjectStore) -> Stored | Conflict:
    return store.put("k", b"body", if_version=None)


def replace(store: ObjectStore) -> Stored | Conflict:
    return store.put("k", b"body", if_version="v0")


@pytest.mark.parametrize(
    ("put", "status", "code"),
    [
        (create, 412, "PreconditionFailed"),
        (replace, 412, "PreconditionFailed"),
        (replace, 404, "NoSuchKey"),  # it was deleted since it was read
    ],
)
def test_every_word_for_somebody_was_faster_is_a_conflict(
    asked: ObjectStore, server: Server, put: Callable[[ObjectStore], object], status: int, code: str
) -> None:
    server.statuses = [(status, code)]
    assert put(asked) == CONFLICT
    assert server.puts == 1


@pytest.mark.parametrize("put", [create, replace])
def test_try_again_is_tried_again_and_is_no_conflict(
    asked: ObjectStore, server: Server, put: Callable[[ObjectStore], object]
) -> None:
    """409: it met another request to the same key, and was not applied. Whether the condition holds is not said."""
    server.statuses = [(409, "ConditionalRequestConflict")] * 2
    assert put(asked) == Stored("v1")
    assert server.puts == 3
    server.statuses = [(409, "ConditionalRequestConflict"), (412, "PreconditionFailed")]
    assert put(asked) == CONFLICT


@pytest.mark.parametrize(("status", "code"), [(429, "TooManyRequests"), (503, "SlowDown")])
def test_too_busy_is_neither_won_nor_lost(asked: ObjectStore, server: Server, status: int, code: str) -> None:
    server.statuses = [(status, code)]
    with pytest.raises(StoreUnavailable):
        create(asked)
    assert server.puts == 1, "whether to try again is not for an SDK to decide"


def test_an_error_of_the_server_is_an_outcome_that_is_not_known(asked: ObjectStore, server: Server) -> None:
    server.statuses = [(500, "InternalError")]
    with pytest.raises(OutcomeUnknown):
        replace(asked)
    assert server.puts == 1
