"""Every check on every backend that needs a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from s3queue_backends import ObstoreStore

from s3queue.store import Capabilities, ObjectStore, open_store
from s3queue.testing import conformance
from s3queue.testing.faultproxy import FaultProxy
from s3queue.testing.servers import Server
from tests.stores.mini_s3 import mini_s3

PAIRS = [
    "s3 on seaweedfs",
    "minio on seaweedfs",
    "obstore+s3 on seaweedfs",
    "minio on container",
    "s3 on minio",
    "minio on minio",
    "obstore+s3 on minio",
    "az on azurite",
    "gs on imitation",
]

#: What a server gets wrong, found by these checks. None of it is relied on by the queue. Strict: if it is put right,
#: the test says so; but MinIO does it right at times.
WRONG = {
    ("seaweedfs", "a_folder_orders_by_its_slash"): "lists a folder where its bare name sorts",
    ("seaweedfs-container", "a_folder_orders_by_its_slash"): "lists a folder where its bare name sorts",
    ("minio", "a_listing_in_pages_spans_folders_that_begin_alike"): "gives an empty page between two of them",
    ("minio-container", "a_listing_in_pages_spans_folders_that_begin_alike"): "gives an empty page between two of them",
    ("azurite", "a_listing_is_complete_and_in_byte_order"): "sorts by UTF-16, so names beyond U+FFFF come too early",
}


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[str, ObjectStore]]:
    backend, server_name = request.param.split(" on ")
    if server_name == "imitation":
        with mini_s3(gcs=True) as mini:
            login = {"gcs_base_url": mini.address, "disable_oauth": True, "client_email": "", "private_key": ""}
            options = {"service_account_key": json.dumps(login | {"private_key_id": ""})}
            store = ObstoreStore("bucket", "gs", prefix="jobs", endpoint=mini.address, options=options)
            # The imitation takes more than one write per second for each key, which would make this a slow test.
            store._capabilities = Capabilities("gcs")
            yield server_name, store
            store.close()
        return
    server: Server = request.getfixturevalue(f"{server_name}_server")
    opened = open_store(server.url(backend, "jobs"))
    yield server.name, opened
    opened.close()


@pytest.mark.parametrize("check", [*conformance.CHECKS, *conformance.STRICTER], ids=lambda check: check.__name__)
def test_conforms(pair: tuple[str, ObjectStore], check: conformance.Check, request: pytest.FixtureRequest) -> None:
    server_name, store = pair
    if why := WRONG.get((server_name, check.__name__)):
        strict = not server_name.startswith("minio")
        request.applymarker(pytest.mark.xfail(reason=why, raises=conformance.NotConforming, strict=strict))
    conformance.run(check, store)


@pytest.fixture(
    scope="module", params=["s3 on seaweedfs", "minio on seaweedfs", "obstore+s3 on seaweedfs", "az on azurite"]
)
def lossy(request: pytest.FixtureRequest) -> Iterator[tuple[ObjectStore, FaultProxy]]:
    backend, server_name = request.param.split(" on ")
    server: Server = request.getfixturevalue(f"{server_name}_server")
    with FaultProxy(server.address) as proxy:
        store = open_store(server._replace(address=proxy.address).url(backend, "lossy"))
        yield store, proxy
        store.close()


@pytest.mark.parametrize("check", conformance.FAULT_CHECKS, ids=lambda check: check.__name__)
def test_conforms_when_requests_are_lost(lossy: tuple[ObjectStore, FaultProxy], check: Any) -> None:
    store, proxy = lossy

    def with_faults(store: ObjectStore, prefix: str) -> None:
        check(store, prefix, proxy)

    with_faults.__name__ = check.__name__
    conformance.run(with_faults, store)
