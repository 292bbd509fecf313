from __future__ import annotations

import os
import signal
import threading

import multiprocess
import pytest
from s3queue_backends import MemoryStore

from s3queue import store as protocol
from s3queue.errors import ConfigError, OutcomeUnknown, StoreUnavailable, StoreUnsupported
from s3queue.store import Conflict, Found, Missing, Stored, open_store


def in_child(work) -> int:  # type: ignore[no-untyped-def]
    """Exit code of a plain fork that runs ``work``: 0 done, 3 raised."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_stores_of_one_name_share_their_contents() -> None:
    one, other = MemoryStore("shared name"), open_store("memory://shared%20name")
    one.put("a", b"1", if_version=None)
    assert isinstance(other.get("a"), Found)
    assert one.url == "memory://shared%20name"


def test_contents_go_with_the_last_store_of_a_name() -> None:
    one = MemoryStore("short-lived")
    one.put("a", b"1", if_version=None)
    del one
    assert MemoryStore("short-lived").get("a") == Missing()


def test_nameless_stores_are_apart() -> None:
    one, other = open_store("memory://"), open_store("memory://")
    one.put("a", b"1", if_version=None)
    assert other.get("a") == Missing()
    assert one.url != other.url


def test_equal_bodies_have_equal_versions() -> None:
    """As on S3: what does not survive this must not be relied on."""
    store = MemoryStore()
    one = store.put("a", b"same", if_version=None)
    other = store.put("b", b"same", if_version=None)
    assert one == other
    assert isinstance(one, Stored)
    back = store.put("a", b"else", if_version=one.version)
    assert isinstance(back, Stored)
    assert store.put("a", b"same", if_version=back.version) == one
    assert isinstance(store.put("a", b"third", if_version=one.version), Stored)


def test_unshared_store_in_a_forked_child_is_refused() -> None:
    store = MemoryStore()
    store.put("a", b"1", if_version=None)

    def work() -> None:
        for use in (lambda: store.get("a"), lambda: store.list(""), lambda: MemoryStore(store.name).get("a")):
            with pytest.raises(StoreUnsupported, match="share"):
                use()

    assert in_child(work) == 0


def test_unshared_store_is_not_pickled() -> None:
    with pytest.raises(ConfigError, match="share"):
        MemoryStore().__reduce_ex__(4)


def test_shared_store_serves_forked_children_and_plain_forks() -> None:
    store = MemoryStore()
    store.put("before", b"1", if_version=None)
    store.share()
    store.share()
    store.get("before")  # so that a connection exists for the fork to inherit
    assert in_child(lambda: store.put("child", b"2", if_version=None)) == 0
    assert isinstance(store.get("child"), Found)
    assert isinstance(store.get("before"), Found)
    store.close()
    assert isinstance(store.get("child"), Found), "close takes the contents back"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_shared_store_is_pickled_to_other_start_methods(method: str) -> None:
    store = MemoryStore()
    store.share()
    context = multiprocess.get_context(method)
    child = context.Process(target=store.put, args=("child", b"2"), kwargs={"if_version": None})
    child.start()
    child.join()
    assert child.exitcode == 0
    assert isinstance(store.get("child"), Found)
    store.close()


def test_every_thread_has_a_connection_of_its_own() -> None:
    store = MemoryStore()
    store.share()
    threads = [threading.Thread(target=store.put, args=(f"{n}", b"x"), kwargs={"if_version": None}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list("")) == 8
    store.close()


def test_manager_ignores_the_signals_that_a_terminal_sends_to_all() -> None:
    store = MemoryStore()
    store.share()
    pid = store._home.manager._process.pid
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert isinstance(store.put("a", b"1", if_version=None), Stored)
    store.close()


def test_killed_manager_leaves_reads_unavailable_and_writes_unknown() -> None:
    store = MemoryStore()
    store.share()
    store.put("a", b"1", if_version=None)
    process = store._home.manager._process
    process.kill()
    process.join()
    with pytest.raises(OutcomeUnknown):
        store.put("b", b"1", if_version=None)
    with pytest.raises(StoreUnavailable):
        store.get("a")
    with pytest.raises(StoreUnavailable):
        store.put("b", b"1", if_version=None)
    store.close()


def test_manager_ends_with_an_owner_that_was_killed() -> None:
    read, write = os.pipe()

    def own_and_die() -> None:
        store = MemoryStore()
        store.share()
        os.write(write, b"%d" % store._home.manager._process.pid)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(own_and_die) == -signal.SIGKILL
    manager = int(os.read(read, 20))
    # The manager holds the write end too: end of file means that it is gone.
    os.close(write)
    assert os.read(read, 1) == b""
    os.close(read)
    assert manager > 0


def test_refused_put_in_a_manager_is_a_value() -> None:
    store = MemoryStore()
    store.share()
    store.put("a", b"1", if_version=None)
    assert store.put("a", b"2", if_version=None) == Conflict()
    assert type(store.list("")[0]) is protocol.Listed
    store.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [("memory://a?durable=no", "takes none"), ("memory://a#b", "%23"), ("memory://u:p@a", "credential")],
)
def test_urls_that_mean_nothing_are_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_store(url)
