"""What a namespace says of itself when its hosts are gone: one object, one request."""

from __future__ import annotations

from pathlib import Path

from s3queue import stats
from s3queue.store import ObjectStore
from tests.processes.host import drain
from tests.processes.jobs import QUEUE, quick


def test_last_word_of_a_host_that_leaves_is_what_counting_says(store: ObjectStore, tmp_path: Path) -> None:
    for number in range(50):
        quick.enqueue(str(tmp_path / "runs"), number)
    drain(store, queues=[QUEUE], workers=2)
    seen, counted = stats(store), stats(store, exact=True)
    assert seen.requests == {"put": 0, "get": 1, "list": 0, "delete": 0}
    assert seen.as_of is not None
    assert seen.coordinator is None
    assert seen.queues[QUEUE].done == 50
    for name in ("ready", "scheduled", "running", "waiting", "dead", "done", "failed"):
        assert getattr(seen.queues[QUEUE], name) == getattr(counted.queues[QUEUE], name)
    assert seen.queues[QUEUE].at_least, "nobody counts what comes from now on"
