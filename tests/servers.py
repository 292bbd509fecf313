"""Fixtures for real servers. One of each kind a run; see `s3queue.testing.servers` for what they are.

A server that cannot be had skips its tests on a desk, with the reason, and fails them where ``CI`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from s3queue.testing import containers, servers
from s3queue.testing.programs import Unavailable
from s3queue.testing.servers import Server
from tests.stores.mini_s3 import MiniS3, mini_s3


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where the tests run in several processes, one of them starts the servers that need a machine's only Docker or npm."""
    for item in items:
        wanted = set(getattr(item, "fixturenames", ())) & {"container_server", "azurite_server", "minio_server"}
        names = wanted or {name for name in ("container", "azurite", "minio_server") if name in item.nodeid}
        if names:
            item.add_marker(pytest.mark.xdist_group("servers"))


def _serve(
    start: Callable[[Path], AbstractContextManager[Server]],
    folders: pytest.TempPathFactory,
    *,
    optional: bool = False,
) -> Iterator[Server]:
    patch = pytest.MonkeyPatch()
    try:
        with start(folders.mktemp(start.__name__)) as server:
            for name, value in server.env.items():
                patch.setenv(name, value)
            yield server
    except Unavailable as why:
        if os.environ.get("CI") and not optional:
            pytest.fail(f"required in CI: {why}", pytrace=False)
        pytest.skip(str(why))
    finally:
        patch.undo()


@pytest.fixture(scope="session")
def seaweedfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """SeaweedFS from its package."""
    yield from _serve(servers.seaweedfs, tmp_path_factory)


@pytest.fixture(scope="session")
def container_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 server in a container: MinIO where its image can be pulled, SeaweedFS otherwise."""
    yield from _serve(containers.container, tmp_path_factory)


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """MinIO's own server, where somebody put it on this machine. Not required anywhere: no registry has it."""
    yield from _serve(servers.minio, tmp_path_factory, optional=True)


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The emulator of Azure Blob Storage."""
    yield from _serve(servers.azurite, tmp_path_factory)


@pytest.fixture
def honest_server() -> Iterator[MiniS3]:
    """A small S3 server that keeps its promises."""
    with mini_s3() as server:
        yield server


@pytest.fixture
def ignoring_server() -> Iterator[MiniS3]:
    """A small S3 server that takes the conditional headers of a put and ignores them."""
    with mini_s3("ignored") as server:
        yield server


@pytest.fixture
def racing_server() -> Iterator[MiniS3]:
    """A small S3 server that checks the condition of a put, and acts a moment later."""
    with mini_s3("raced") as server:
        yield server
