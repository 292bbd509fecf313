"""What the fault proxy does to requests is what it says, and the same for the same seed."""

from __future__ import annotations

import gc
import http.client
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread
from urllib.parse import urlsplit

import pytest
from s3queue_backends.boto3 import Boto3Store

from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.store import Conflict, Found, ObjectStore, Stored, open_store
from s3queue.testing.faultproxy import FAULTS, Fault, FaultProxy, decide
from tests.deadline import DEADLINE_S
from tests.stores.mini_s3 import MiniS3

#: What is late comes after this; far later than any client here waits.
LATE_S = 3.0
SOON_S = 0.3

APPLIED = {"lost", "error", "truncated", "late_answer", "late_request"}


class Echo(ThreadingHTTPServer):
    """Answers every request with its own body, and puts what it was asked into a queue."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.cut: SimpleQueue[str] = SimpleQueue()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        self._answer(b"what was asked for")

    def do_PUT(self) -> None:
        size = int(self.headers["Content-Length"])
        body = self.rfile.read(size)
        if len(body) < size:
            self.server.cut.put(f"{self.command} {self.path}")
            self.close_connection = True
        else:
            self._answer(body)

    def do_HEAD(self) -> None:
        self._answer(b"not sent")

    def _answer(self, body: bytes) -> None:
        self.server.asked.put(f"{self.command} {self.path} {self.headers['Host']}")
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (body[:4], body[4:]):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@contextmanager
def connected(proxy: FaultProxy, timeout_s: float = DEADLINE_S) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(proxy.address).netloc, timeout=timeout_s)
    try:
        yield connection
    finally:
        connection.close()


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


# ---- what it hands on --------------------------------------------------------------------------------------------


def test_without_faults_requests_and_answers_pass_as_they_are(echo: Echo) -> None:
    with FaultProxy(echo.address) as proxy, connected(proxy) as connection:
        assert ask(connection, "PUT", "/a", b"\r\n\r\nbody") == (200, b"\r\n\r\nbody")
        assert ask(connection, "GET", "/chunked") == (200, b"what was asked for")
        assert ask(connection, "HEAD", "/a") == (200, b"")
        assert ask(connection, "GET", "/a") == (200, b"what was asked for")
        own_name = urlsplit(proxy.address).netloc
        assert echo.asked.get() == f"PUT /a {own_name}", "the name that a signature covers"
        assert proxy.requests == 4
        assert not proxy.faults


@pytest.mark.parametrize("scheme", ["s3", "minio", "obstore+s3"])
def test_every_sdk_works_through_it(
    scheme: str, honest_server: MiniS3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with FaultProxy(honest_server.address) as proxy:
        store = opened(scheme, proxy)
        request.addfinalizer(store.close)
        stored = store.put("k", b"x" * 100_000, if_version=None)
        assert isinstance(stored, Stored)
        assert store.put("k", b"other", if_version=None) == Conflict()
        assert store.get("k") == Found(b"x" * 100_000, stored.version)
        assert [item.key for item in store.list("")] == ["k"]
        store.delete(["k"])
        assert store.list("") == []


def opened(scheme: str, proxy: FaultProxy, read_timeout_s: float = DEADLINE_S) -> ObjectStore:
    if scheme == "minio":
        return open_store(
            f"minio://{urlsplit(proxy.address).netloc}/bucket?secure=false&read_timeout_s={read_timeout_s}"
        )
    return open_store(f"{scheme}://bucket?endpoint={proxy.address}&read_timeout_s={read_timeout_s}")


# ---- what it does ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_seen_by_its_sender_and_by_the_server_as_described(kind: str, echo: Echo) -> None:
    timeout_s = SOON_S if kind.startswith("late") else DEADLINE_S
    with (
        FaultProxy(echo.address, rate=1.0, kinds=(kind,), delay_s=LATE_S) as proxy,
        connected(proxy, timeout_s) as connection,
    ):
        match kind:
            case "refused":
                assert ask(connection, "PUT", "/k", b"body")[0] == 503
            case "error":
                assert ask(connection, "PUT", "/k", b"body")[0] == 500
            case "truncated":
                with pytest.raises(http.client.IncompleteRead):
                    ask(connection, "PUT", "/k", b"a body that is answered")
            case _:
                with pytest.raises((ConnectionError, http.client.BadStatusLine, TimeoutError)):
                    ask(connection, "PUT", "/k", b"body")
        if kind == "cut":
            assert echo.cut.get(timeout=DEADLINE_S) == "PUT /k"
        if kind in APPLIED:  # of what is late, too, though its sender has gone
            connection.close()
            assert echo.asked.get(timeout=DEADLINE_S).startswith("PUT /k")
        else:
            proxy.rate = 0.0
            with connected(proxy) as another:
                ask(another, "GET", "/after")
            assert echo.asked.get(timeout=DEADLINE_S).startswith("GET /after")
        assert proxy.faults == {kind: 1}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_store_knows_what_it_can_know_of_a_put(
    kind: str, honest_server: MiniS3, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with FaultProxy(honest_server.address, rate=1.0, kinds=(kind,), delay_s=LATE_S) as proxy:
        timeout_s = SOON_S if kind.startswith("late") else DEADLINE_S
        store = Boto3Store("bucket", endpoint=proxy.address, read_timeout_s=timeout_s)
        request.addfinalizer(store.close)
        with pytest.raises(StoreUnavailable if kind == "refused" else OutcomeUnknown):
            store.put("k", b"body", if_version=None)
        with pytest.raises(StoreUnavailable):
            store.get("k")


def test_a_server_that_is_away_refuses_and_comes_back_under_the_same_address(echo: Echo) -> None:
    with FaultProxy(echo.address) as proxy:
        address = proxy.address
        with connected(proxy) as connection:
            assert ask(connection, "GET", "/")[0] == 200
            proxy.go_away()
            assert proxy.is_away
            with pytest.raises((ConnectionError, http.client.BadStatusLine)):
                ask(connection, "GET", "/")
            with connected(proxy) as another, pytest.raises(ConnectionRefusedError):
                ask(another, "GET", "/")
            with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
                stranger.bind(("127.0.0.1", urlsplit(address).port or 0))
        proxy.come_back()
        assert proxy.address == address
        with connected(proxy) as connection:
            assert ask(connection, "GET", "/")[0] == 200


def test_a_server_that_is_away_for_a_while_comes_back_by_itself(echo: Echo) -> None:
    with FaultProxy(echo.address) as proxy:
        proxy.go_away(for_s=0.2)
        answers = (reachable(proxy) for _ in range(100_000))
        assert any(answers)
        assert not proxy.is_away


def test_a_connection_that_came_as_the_proxy_ended_is_closed(echo: Echo, recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    for _ in range(50):
        with FaultProxy(echo.address) as proxy:
            late = socket.create_connection(("127.0.0.1", urlsplit(proxy.address).port or 0), DEADLINE_S)
        late.close()
        gc.collect()
    assert not recwarn.list


def test_a_server_goes_away_at_the_request_that_was_named(echo: Echo) -> None:
    with FaultProxy(echo.address) as proxy:
        proxy.go_away(at_request=3)
        with connected(proxy) as connection:
            assert ask(connection, "GET", "/1")[0] == 200
            assert ask(connection, "GET", "/2")[0] == 200
            with pytest.raises((ConnectionError, http.client.BadStatusLine)):
                ask(connection, "GET", "/3")
        assert proxy.is_away
        assert proxy.faults == {"gone": 1}
        assert [echo.asked.get().split()[1] for _ in range(2)] == ["/1", "/2"]
        assert echo.asked.empty()


def reachable(proxy: FaultProxy) -> bool:
    try:
        socket.create_connection(("127.0.0.1", urlsplit(proxy.address).port or 0), DEADLINE_S).close()
    except OSError:
        return False
    return True


def test_what_waits_at_the_proxy_is_lost_with_the_server_that_goes_away(echo: Echo) -> None:
    with (
        FaultProxy(echo.address, rate=1.0, kinds=("late_request",), delay_s=SOON_S) as proxy,
        connected(proxy) as connection,
    ):
        connection.request("GET", "/late")
        while not proxy.requests:
            pass
        proxy.go_away()
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            connection.getresponse()
        assert echo.asked.empty()


# ---- how it decides ----------------------------------------------------------------------------------------------


def test_the_same_seed_decides_the_same() -> None:
    fates = [decide(1, number, 0.5) for number in range(200)]
    assert fates == [decide(1, number, 0.5) for number in range(200)]
    assert fates != [decide(2, number, 0.5) for number in range(200)]
    assert {fate.kind for fate in fates if fate} == FAULTS.keys()


def test_decisions_do_not_depend_on_the_machine_or_the_process() -> None:
    assert [decide("7/b", number, 0.9) for number in (1, 2, 3, 4)] == PINNED


@pytest.mark.parametrize(("rate", "faults"), [(0.0, 0), (1.0, 50)])
def test_the_rate_is_a_probability(rate: float, faults: int) -> None:
    assert sum(decide(3, number, rate) is not None for number in range(50)) == faults


def test_only_the_two_that_are_late_have_a_delay() -> None:
    for number in range(200):
        fate = decide(5, number, 1.0, delay_s=2.0)
        assert fate is not None
        assert (1.0 <= fate.delay_s <= 3.0) if fate.kind.startswith("late") else fate.delay_s == 0.0


@pytest.mark.parametrize(
    ("upstream", "kinds"), [("https://127.0.0.1", ("lost",)), ("127.0.0.1:80", ("lost",)), ("http://h", ("gremlins",))]
)
def test_what_it_cannot_do_is_said_at_once(upstream: str, kinds: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        FaultProxy(upstream, kinds=kinds)


PINNED: list[Fault | None] = [
    Fault(kind="truncated", delay_s=0.0),
    Fault(kind="late_request", delay_s=2.8608955527696684),
    Fault(kind="truncated", delay_s=0.0),
    Fault(kind="late_request", delay_s=1.8944858975820136),
]
