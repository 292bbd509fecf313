"""The connection of a put broke after its headers, the server stored an empty object, and a message was lost.

The producer sent its batch again, was told that the key exists, took that for its own earlier try, and returned an id. Now
every put carries a checksum and a type, so that the server refuses what is cut short (SeaweedFS 4.48 did not), and a
producer that meets a conflict looks at what stands there. A register that was kept so is told, not taken for corrupt.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from s3queue.config import Config
from s3queue.core.keys import Layout
from s3queue.core.ops import write
from s3queue.core.records import decode_batch
from s3queue.errors import StoreUnsupported
from s3queue.io.drive import Driver
from s3queue.queue import Queue
from s3queue.store import Found, ObjectStore, open_store
from s3queue.testing.faultproxy import FaultProxy
from s3queue.testing.servers import Server
from tests.stores.mini_s3 import MiniS3, mini_s3

BACKENDS = ["s3", "minio", "obstore+s3"]


class CutsOnce(FaultProxy):
    """Cuts one request, whenever it is told to."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, kinds=("cut",))

    def arm(self) -> None:
        self.faults.clear()
        self.rate = 1.0

    async def _pass_on(self, *request: Any) -> bool:
        try:
            return await super()._pass_on(*request)
        finally:
            if self.faults["cut"]:
                self.rate = 0.0


def through(proxy: FaultProxy, backend: str) -> ObjectStore:
    prefix = f"cut-{backend.replace('+', '-')}"
    if backend == "minio":
        return open_store(f"minio://{urlsplit(proxy.address).netloc}/s3queue-test/{prefix}?secure=false")
    return open_store(f"{backend}://s3queue-test/{prefix}?endpoint={proxy.address}")


@pytest.fixture(params=["seaweedfs", "a server that keeps what arrives"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server | MiniS3]:
    if request.param == "seaweedfs":
        yield request.getfixturevalue("seaweedfs_server")
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    with mini_s3(keeps_cut=True) as mini:
        yield mini


@pytest.mark.parametrize("backend", BACKENDS)
def test_message_whose_put_was_cut_short_is_accepted_only_when_it_is_stored_whole(
    backend: str, server: Server | MiniS3
) -> None:
    with CutsOnce(server.address) as proxy:
        store = through(proxy, backend)
        queue = Queue("jobs", store, config=Config())
        queue.enqueue("first")  # the settings of the queue are stored before
        proxy.arm()
        queue.enqueue("second")
        assert proxy.faults["cut"] == 1
        entries = store.list(Layout().inbox)
        assert len(entries) == 2
        for entry in entries:
            found = store.get(entry.key)
            assert isinstance(found, Found)
            assert len(decode_batch(entry.key, found.body).messages) == 1
        store.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_register_whose_put_was_cut_short_is_written_or_the_store_is_refused(
    backend: str, server: Server | MiniS3
) -> None:
    with CutsOnce(server.address) as proxy:
        store = through(proxy, backend)
        driver = Driver(store)
        key, body = "registers/one", b'{"nonce":"ours"}'
        proxy.arm()
        if isinstance(server, MiniS3):
            with pytest.raises(StoreUnsupported, match="0 of 16 bytes"):
                driver.run(write(key, body, nonce="ours", if_version=None))
        else:
            driver.run(write(key, body, nonce="ours", if_version=None))
            found = store.get(key)
            assert isinstance(found, Found)
            assert found.body == body
        store.close()
