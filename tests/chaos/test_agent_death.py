"""An agent that led and died is followed at once by the next agent of its supervisor."""

from __future__ import annotations

from collections.abc import Callable

from s3queue.store import ObjectStore
from tests.processes.host import Line, host
from tests.processes.jobs import hold

#: No test waits for it: who needs it fails.
NEVER_S = 3600.0


def test_the_next_agent_does_not_wait_out_the_lease_of_the_one_that_died(
    store: ObjectStore, fifo: Callable[[str], Line]
) -> None:
    """The supervisor has reaped the old one before it starts the new one, so nobody leads, and nobody will."""
    started, release = fifo("started"), fifo("release")
    hold.enqueue(started.path, release.path)
    with host(store, workers=1, leader_lease=NEVER_S, visibility_timeout=NEVER_S) as it:
        attempt, _, session = started.word()
        assert attempt == "1"
        it.children()[0].kill()
        attempt, _, successor = started.word()
        assert attempt == "2"
        assert successor != session
        release.release()
