"""A census began its listing after ``…/in/``. SeaweedFS leaves out a folder that a listing begins after, and all below it,
so there a long backlog was never counted."""

from __future__ import annotations

from s3queue import Queue
from s3queue.core.chores.census import Census
from s3queue.core.chores.troubles import Troubles
from s3queue.core.keys import Layout
from s3queue.core.records import Board
from s3queue.io.drive import Driver
from s3queue.store import ObjectStore


def test_a_census_counts_what_waits(server_store: ObjectStore) -> None:
    layout = Layout("counted")
    queue = Queue("mail", server_store, namespace=layout.root)
    for _ in range(3):
        queue.enqueue_many([1, 2])
    census = Census(layout, 0.0, Troubles())
    census.follow(Board("n", 1), True, 0.0, 0)
    step = census.take(0.0, 0)
    assert step is not None
    Driver(server_store).run(step)
    assert {name: tally.ready for name, tally in census.at_least(0).items()} == {"mail": 6}
