"""The pytest plugin: a queue in memory, on a clock of its own, drained in the test's own process.

::

    def test_welcome(task_queue, monkeypatch):
        monkeypatch.setattr("shop.mail.smtp", fake)
        shop.sign_up("ada@example.com")                      # enqueues shop.mail.welcome, delayed by an hour
        task_queue.assert_enqueued(shop.mail.welcome, "ada@example.com")
        task_queue.drain().check()                           # the hour passes at once; check: nothing is dead
        assert fake.sent == ["ada@example.com"]

Messages go the production path: they are encoded and stored, a coordinator assigns them, a worker's slot decodes and runs
them, failures are retried with their backoff, dead letters are written. Only the processes, the sockets and the waiting
are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from s3queue.testing.plugin.desk import TaskQueue

__all__ = ["pytest_addoption", "task_queue"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option ``--s3queue-crash``."""
    parser.getgroup("s3queue").addoption(
        "--s3queue-crash",
        metavar="POINT",
        help="End the process of each message once, and run it again, in every drain of task_queue: 'end', or the import "
        "path of a function, when that has returned. Tasks that are not idempotent fail their tests.",
    )


@pytest.fixture
def task_queue(request: pytest.FixtureRequest) -> Iterator[TaskQueue]:
    """A queue in memory, which is the store of this process during the test: an `s3queue.testing.TaskQueue`."""
    from s3queue.config import configured, current_config
    from s3queue.observe.subscribing import here
    from s3queue.testing.plugin.desk import TaskQueue

    config = current_config().replace(history=None)
    queue = TaskQueue(config, crash=request.config.getoption("--s3queue-crash", None))
    with configured(queue.store, config), here.at_once(), queue.shown():
        yield queue
