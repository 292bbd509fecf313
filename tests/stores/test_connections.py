"""What travels between each SDK and a server: headers, proxies, TLS, connections that were idle, and none left to open.

Every backend speaks to real sockets here.
"""

from __future__ import annotations

import base64
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import md5, sha256
from pathlib import Path

import pytest
from s3queue_backends import _s3

from s3queue.errors import OutcomeUnknown, StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.store import Found, ObjectStore, Stored
from tests.stores.mini_s3 import MiniS3
from tests.stores.replay import error, refused_address, replay, reply, stop_listening
from tests.stores.test_errors import FOUND, STORED, connect, outcome

S3 = ["s3", "minio", "obstore+s3"]

pytestmark = pytest.mark.usefixtures("plain_environment")


def headers(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


# ---- what a put carries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", S3)
@pytest.mark.parametrize("if_version", [None, "abc"])
@pytest.mark.parametrize("body", [b"", b"body", b"\0" * 100_000])
def test_every_put_says_what_its_body_must_be(backend: str, if_version: str | None, body: bytes) -> None:
    """Without the checksum, or without a type, SeaweedFS stores an empty object where a put breaks off."""
    with replay(STORED) as server:
        store = connect(backend, server.address)
        assert store.put("k", body, if_version=if_version) == Stored("abc")
        (request,) = server.requests
        sent = headers(request)
        store.close()
    if backend == "obstore+s3":
        checksum = sent["x-amz-checksum-sha256"], base64.b64encode(sha256(body).digest()).decode()
    else:
        checksum = sent["content-md5"], base64.b64encode(md5(body, usedforsecurity=False).digest()).decode()
    assert checksum[0] == checksum[1]
    assert sent["content-type"] == "application/octet-stream"
    assert sent["content-length"] == str(len(body))


@pytest.mark.parametrize("backend", ["gs", "az"])
def test_every_put_has_a_type(backend: str) -> None:
    with replay(STORED) as server:
        store = connect(backend, server.address)
        assert outcome(store, "create") == Stored("abc")
        sent = headers(server.requests[0])
        assert sent["x-ms-blob-content-type" if backend == "az" else "content-type"] == "application/octet-stream"
        store.close()


@pytest.mark.parametrize("backend", S3)
@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "BadDigest"), (400, "IncompleteBody"), (400, "XAmzContentSHA256Mismatch"), (499, "ClientDisconnected")],
)
def test_body_that_did_not_arrive_whole_was_not_stored(backend: str, status: int, code: str) -> None:
    with replay(error(status, code)) as server:
        store = connect(backend, server.address)
        assert outcome(store, "create") == StoreUnavailable
        assert outcome(store, "replace") == StoreUnavailable
        store.close()


# ---- answers without a version -----------------------------------------------------------------------------------


ENTRY = "<Contents><Key>jobs/k</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>{}<Size>4</Size></Contents>"
LISTING = "<?xml version='1.0'?><ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{}</ListBucketResult>"


@pytest.mark.parametrize("backend", S3)
@pytest.mark.parametrize("etag", ["", "<ETag></ETag>"], ids=["absent", "empty"])
def test_listing_without_etags_is_named(backend: str, etag: str) -> None:
    with replay(reply(200, LISTING.format(ENTRY.format(etag)), Content_Type="application/xml")) as server:
        store = connect(backend, server.address)
        with pytest.raises(StoreUnsupported, match="a listing carries no ETag") as refused:
            store.list("")
        assert refused.value.capability == "versions"
        store.close()


@pytest.mark.parametrize("backend", ["s3", "minio"])
def test_answers_without_an_etag_are_named_and_a_put_is_looked_for(backend: str) -> None:
    with replay(reply(200, "body", Last_Modified="Tue, 24 Nov 2026 04:36:30 GMT")) as server:
        store = connect(backend, server.address)
        assert outcome(store, "get") == StoreUnsupported
        assert outcome(store, "create") == OutcomeUnknown
        store.close()


# ---- idle connections --------------------------------------------------------------------------------------------


class Forgetful:
    """A proxy that drops a connection, without a word to anybody, once it was idle for a while."""

    def __init__(self, upstream: MiniS3) -> None:
        self._upstream = upstream.server_address
        self.idle = threading.Event()
        self.swallowed = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream[:2])
                threading.Thread(target=self._pass_on, args=(client, server, self.idle), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, None), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, idle: threading.Event | None) -> None:
        dropped = idle
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if dropped is not None and dropped.is_set():
                    self.swallowed += 1
                else:
                    sink.sendall(data)

    def forget(self) -> None:
        """Every connection there is. New ones work."""
        self.idle.set()
        self.idle = threading.Event()

    def close(self) -> None:
        stop_listening(self._listener, self._accepting)


@pytest.mark.parametrize("backend", S3)
def test_connection_that_was_dropped_while_idle_is_not_used_again(
    backend: str, honest_server: MiniS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_s3, "IDLE_S", 0.05)
    monkeypatch.setattr("s3queue_backends._pools.IDLE_S", 0.05)
    proxy = Forgetful(honest_server)
    store = connect(backend, proxy.address)
    made = store.put("a", b"1", if_version=None)
    assert isinstance(made, Stored)
    threading.Event().wait(0.3)  # the idle time itself
    proxy.forget()
    assert store.get("a") == Found(b"1", made.version)
    assert isinstance(store.put("b", b"2", if_version=None), Stored)
    assert proxy.swallowed == 0
    store.close()
    proxy.close()


@pytest.mark.parametrize("backend", S3)
def test_connection_that_is_in_use_is_kept(backend: str) -> None:
    with counting() as (address, connections):
        store = connect(backend, address)
        for _ in range(20):
            assert isinstance(store.get("k"), Found)
        store.close()
    assert len(connections) < 5, "obstore may ask again before the last one is back"


@pytest.mark.parametrize("backend", ["s3", "minio"])
def test_connections_of_many_requests_at_once_are_closed_when_they_were_idle(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """obstore's library closes them by itself."""
    monkeypatch.setattr("s3queue_backends._pools.IDLE_S", 0.05)
    together = threading.Barrier(4)
    with replay(FOUND) as server:
        serve = server._serve

        def wait_for_all(client: socket.socket) -> None:
            if not together.broken:
                with suppress(threading.BrokenBarrierError):
                    together.wait()
            serve(client)

        server._serve = wait_for_all  # type: ignore[method-assign]
        store = connect(backend, server.address)
        with ThreadPoolExecutor(4) as threads:
            assert all(isinstance(found, Found) for found in threads.map(store.get, "abcd"))
        assert established(server.address) == 4
        together.abort()
        threading.Event().wait(0.3)  # the idle time itself
        assert isinstance(store.get("k"), Found)
        assert established(server.address) <= 1
        store.close()


def established(address: str) -> int:
    """Connections of this machine to a server that are open on the client's side."""
    port = f"{int(address.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port}") and row[3] == "01" for row in rows)


@contextmanager
def counting() -> Iterator[tuple[str, list[object]]]:
    """A server that keeps connections open, and lists them."""
    made: list[object] = []
    with replay(FOUND) as server:
        serve = server._serve

        def count(client: socket.socket) -> None:
            made.append(client)
            serve(client)

        server._serve = count  # type: ignore[method-assign]
        yield server.address, made


# ---- proxies -----------------------------------------------------------------------------------------------------


# ---- what a person has to do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", S3)
@pytest.mark.parametrize("operation", ["create", "get", "list"])
def test_missing_bucket_is_named_with_its_place_and_what_to_do(backend: str, operation: str) -> None:
    with replay(error(404, "NoSuchBucket")) as server:
        store = connect(backend, server.address)
        told = complaint(store, operation)
        assert isinstance(told, StoreDenied)
        assert "there is no such bucket" in str(told)
        assert told.hint == "create it, or correct its name"
        assert store.url in str(told)
        assert "bucket/jobs" in store.url
        store.close()


def complaint(store: ObjectStore, operation: str) -> Exception:
    try:
        if operation == "create":
            store.put("k", b"body", if_version=None)
        elif operation == "get":
            store.get("k")
        else:
            store.list("")
    except Exception as told:  # noqa: BLE001 - whatever it is
        return told
    raise AssertionError("no complaint")


@pytest.mark.parametrize("backend", S3)
def test_nothing_listening_is_named_with_its_place(backend: str) -> None:
    store = connect(backend, refused_address())
    told = complaint(store, "create")
    assert isinstance(told, StoreUnavailable)
    assert "no connection" in str(told)
    assert store.url in str(told)


@pytest.mark.parametrize("backend", S3)
def test_process_without_a_file_left_to_open_is_told_so(backend: str) -> None:
    """Sockets are files. Nothing was sent, and it may be better in a moment."""
    store = connect(backend, refused_address())
    assert outcome(store, "create") == StoreUnavailable  # and all modules and certificates are loaded
    with no_file_left():
        told = complaint(store, "create")
    assert isinstance(told, StoreUnavailable), repr(told)
    assert "too many open files" in str(told)
    assert "too many open files" not in str(complaint(store, "create"))


@contextmanager
def no_file_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(socket.socket())
        yield
    finally:
        for one in taken:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
