"""A task that takes several messages at once, and whose process dies."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3queue.errors import TaskFailed
from s3queue.queue import Queue
from s3queue.store import ObjectStore
from tests.processes.host import host
from tests.processes.jobs import batched, summed


@pytest.mark.parametrize(("how", "cause"), [("exit", "exited"), ("hang", "time_limit")])
def test_message_that_ends_the_process_of_its_batch_dies_alone_and_the_others_are_done(
    store: ObjectStore, tmp_path: Path, how: str, cause: str
) -> None:
    out = str(tmp_path / "out")
    ids = batched.enqueue_many([(out,), (out,), (f"{out} {how}",), (out,)])  # fewer would be waited for
    with host(store, until_empty=True, workers=1, concurrency=1) as it:
        assert it.summary().drained
    (letter,) = Queue(batched.queue, store).dead_letters()
    assert letter.id == ids[2]
    assert letter.failures[-1].cause == cause
    assert Queue(batched.queue, store).stats(exact=True).done == 3
    # Together at first: as far as the one that ended it. Then each by itself, and that one until it is dead.
    assert Path(out).read_text().split() == ["4"] * 3 + ["1"] * 5


def test_each_message_of_a_batch_has_its_own_result(store: ObjectStore) -> None:
    ids = summed.enqueue_many([((1, 2),), ((3, 0),), ((5, 6),)])
    with host(store, until_empty=True, workers=1, concurrency=1) as it:
        assert it.summary().drained
    assert [ids[0].result(), ids[2].result()] == [3, 11]
    with pytest.raises(TaskFailed, match="a number is 0"):
        ids[1].result()
