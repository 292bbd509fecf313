"""What obstore makes necessary: a runtime of its own in every process."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from s3queue_backends import ObstoreStore
from s3queue_backends._errors import NoLogin, Silence
from s3queue_backends._obstore_errors import read

from s3queue.errors import ConfigError
from s3queue.store import Found
from tests.stores.mini_s3 import MiniS3


def forked(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_children_and_grandchildren_of_a_process_that_used_it_can_use_it(honest_server: MiniS3) -> None:
    """With the runtime that they inherit every call would hang."""
    store = ObstoreStore("bucket", endpoint=honest_server.address, access_key="a", secret_key="b")
    store.put("parent", b"1", if_version=None)

    def grandchild() -> None:
        assert isinstance(store.get("child"), Found)
        store.put("grandchild", b"3", if_version=None)

    def child() -> None:
        assert isinstance(store.get("parent"), Found)
        store.put("child", b"2", if_version=None)
        assert forked(grandchild) == 0
        assert isinstance(store.get("grandchild"), Found)

    assert forked(child) == 0
    assert forked(lambda: store.get("parent")) == 0, "a second child"
    assert [entry.key for entry in store.list("")] == ["child", "grandchild", "parent"]


def test_credentials_that_cannot_be_fetched_are_not_an_answer_of_the_store() -> None:
    """A 404 of the metadata service is no missing object."""
    asked = "Error performing PUT http://169.254.169.254/latest/api/token in 1ms - "
    status = "Server returned non-2xx status code: 404 Not Found: \n\nDebug source:\nNotFound { status: 404 }"
    assert isinstance(read(FileNotFoundError(f"Object at location a not found: {asked}{status}")), NoLogin)
    busy = "Server returned non-2xx status code: 503 Service Unavailable: \n\nDebug source:\nx"
    assert read(FileNotFoundError(asked + busy)) == Silence(
        False, "no connection to the service that gives credentials"
    )


def test_unknown_option_is_a_mistake_of_the_caller(honest_server: MiniS3) -> None:
    store = ObstoreStore("bucket", endpoint=honest_server.address, options={"acess_key_id": "x"})
    with pytest.raises(ConfigError, match="acess_key_id"):
        store.get("a")


def test_error_that_is_not_the_servers_is_raised_again() -> None:
    with pytest.raises(RuntimeError, match="out of cheese"):
        read(RuntimeError("out of cheese"))
