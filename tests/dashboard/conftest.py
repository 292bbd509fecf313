from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from s3queue_backends.memory import MemoryStore

from s3queue.config import Config, configure
from s3queue.core.keys import Layout
from s3queue.core.records import HostTally, Summary, Tally, Usage, encode
from s3queue.dashboard.access import Access, Viewer, digest, local_hosts
from s3queue.dashboard.actions import ACTIONS
from s3queue.dashboard.app import Dashboard
from tests.dashboard.serve import Served, served

TOKEN, OTHER = "0123456789abcdef-operator", "0123456789abcdef-viewer"

Serve = Callable[..., Served]


@pytest.fixture
def store() -> Iterator[MemoryStore]:
    it = MemoryStore()
    configure(store=it)
    yield it
    configure()


@pytest.fixture
def serve(store: MemoryStore) -> Iterator[Serve]:
    """Serve a dashboard of the store. Local and read-only, unless told otherwise."""
    with ExitStack() as stack:

        def start(
            *,
            allow: Any = (),
            people: bool = False,
            prefix: str = "",
            hosts: Any = None,
            config: Config | None = None,
            of: Any = None,
            **options: Any,
        ) -> Served:
            if people:
                tokens = {
                    digest(TOKEN): Viewer("olga", frozenset(ACTIONS), "operator"),
                    digest(OTHER): Viewer("vera", frozenset(), "viewer"),
                }
                access = Access(ACTIONS, allow=allow, tokens=tokens)
            else:
                viewer = Viewer("local", frozenset(ACTIONS), "operator")
                access = Access(ACTIONS, allow=allow, anybody=viewer, hosts=local_hosts(hosts or ()))
            app = Dashboard(of or store, access, config=config, **options)
            return stack.enter_context(served(app, prefix=prefix))

        yield start


def say(store: Any, *, written_ms: int = 1_800_000_000_000, nonce: str = "n", **queues: Tally) -> None:
    """What a coordinator would have written."""
    host = HostTally("session-1", "box:1", 4, 2, tuple(queues), usage={"host": Usage(put=10, get=100)})
    summary = Summary(
        nonce, 3, written_ms, coordinator="session-1", board_bytes=1234, queues=dict(queues), hosts=(host,)
    )
    key = Layout().summary
    found = store.get(key)
    store.put(key, encode(summary), if_version=getattr(found, "version", None))
