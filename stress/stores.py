"""Stores by name: servers that are started for a run and end with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from s3queue.testing import containers, servers

HELP = "URL, or sqlite, seaweedfs, seaweedfs+s3, seaweedfs+minio, minio (in a container)."


@contextmanager
def store_url(store: str, folder: Path) -> Iterator[str]:
    """The URL of a store.

    Args:
        store: a URL, which is taken as it is; ``sqlite`` for a fresh file per repetition, whose number replaces ``{n}``;
            ``seaweedfs``, through obstore or the backend after the plus sign; ``minio`` for a container: MinIO where its
            image can be had, SeaweedFS otherwise, through MinIO's SDK.
        folder: for what the server stores; empty.

    Raises:
        Unavailable: the server cannot be had on this machine.
    """
    name, _, backend = store.partition("+")
    if store == "sqlite":
        yield f"sqlite:///{folder}/{{n}}.db"
    elif name in ("seaweedfs", "minio") and "://" not in store:
        start = servers.seaweedfs if name == "seaweedfs" else containers.container
        with start(folder / "server") as server:
            os.environ.update(server.env)
            yield server.url(backend or ("obstore+s3" if name == "seaweedfs" else "minio"))
    else:
        yield store
