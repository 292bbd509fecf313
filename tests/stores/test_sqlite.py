from __future__ import annotations

import os
import resource
import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import multiprocess
import pytest
from s3queue_backends import SqliteStore
from s3queue_backends._sqlite_errors import ERRORS, translated
from s3queue_backends.sqlite import _successor

from s3queue.errors import ConfigError, OutcomeUnknown, StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.store import Conflict, Found, Missing, Stored, open_store
from tests.stores.test_connections import no_file_left


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "bucket.db", busy_timeout_s=0.1)


def stored(store: SqliteStore, key: str, body: bytes, version: str | None = None) -> str:
    outcome = store.put(key, body, if_version=version)
    assert isinstance(outcome, Stored)
    return outcome.version


def test_version_never_comes_back_even_after_a_delete(store: SqliteStore) -> None:
    seen = set()
    for _ in range(3):
        for _ in range(5):
            seen.add(stored(store, "a", b"same"))
            store.delete(["a"])
        store.close()
    assert len(seen) == 15


def test_versions_do_not_repeat_among_processes_and_threads(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "bucket.db")

    def write(name: str) -> None:
        for n in range(20):
            stored(store, f"{name}/{n}", b"same")

    context = multiprocess.get_context("fork")
    children = [context.Process(target=write, args=(f"p{n}",)) for n in range(3)]
    for child in children:
        child.start()
    threads = [threading.Thread(target=write, args=(f"t{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for worker in (*threads, *children):
        worker.join()
    assert len({entry.version for entry in store.list("")}) == 120


def test_many_processes_open_a_new_file_at_once(tmp_path: Path) -> None:
    context = multiprocess.get_context("fork")
    barrier = context.Barrier(8)

    def create(n: int) -> None:
        barrier.wait()
        stored(SqliteStore(tmp_path / "new.db"), f"{n}", b"x")

    children = [context.Process(target=create, args=(n,)) for n in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    assert len(SqliteStore(tmp_path / "new.db").list("")) == 8


def test_connection_of_the_parent_is_neither_used_nor_closed_by_a_forked_child(store: SqliteStore) -> None:
    first = stored(store, "a", b"1")
    inherited = store._connection()
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            assert store.get("a") == Found(b"1", first)
            assert store._connection() is not inherited
            store.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert store._connection() is inherited
    assert stored(store, "a", b"2", first)


def test_connection_of_a_thread_is_closed_when_the_thread_ends(store: SqliteStore) -> None:
    stored(store, "a", b"1")
    opened: list[sqlite3.Connection] = []

    def read() -> None:
        assert isinstance(store.get("a"), Found)
        opened.append(store._connection())

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
    assert isinstance(store.get("a"), Found), "another thread's is open"


def test_connection_of_a_thread_that_a_forked_child_does_not_have_is_not_closed_by_it(store: SqliteStore) -> None:
    """Closing it there could remove the log that the parent still writes."""
    stored(store, "a", b"1")
    opened: list[sqlite3.Connection] = []
    there, over = threading.Event(), threading.Event()

    def read() -> None:
        assert isinstance(store.get("a"), Found)
        opened.append(store._connection())
        there.set()
        over.wait()

    thread = threading.Thread(target=read)
    thread.start()
    there.wait()
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            assert isinstance(store.get("a"), Found)
            assert opened[0].total_changes == 0, "it is open"
            code = 0
        finally:
            os._exit(code)
    over.set()
    thread.join()
    assert os.waitpid(pid, 0)[1] == 0


def test_writer_that_holds_the_file_makes_others_unavailable(store: SqliteStore) -> None:
    made = stored(store, "a", b"1")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        store.put("a", b"2", if_version=made)
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        store.delete(["a"])
    assert store.get("a") == Found(b"1", made), "readers do not wait for writers"
    other.execute("ROLLBACK")
    other.close()
    assert stored(store, "a", b"2", made)


def test_full_file_is_unavailable_and_nothing_was_applied(store: SqliteStore) -> None:
    made = stored(store, "a", b"1")
    pages = store._connection().execute("PRAGMA page_count").fetchone()[0]
    store._connection().execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        store.put("b", b"x" * 100_000, if_version=None)
    with pytest.raises(StoreUnavailable, match="SQLITE_FULL"):
        store.put("a", b"x" * 100_000, if_version=made)
    assert store.get("b") == Missing()
    assert store.get("a") == Found(b"1", made)


def test_write_error_in_the_middle_of_a_commit_is_unknown(store: SqliteStore) -> None:
    """With a real one: the operating system refuses to let the log grow."""
    stored(store, "a", b"1")
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            try:
                store.put("b", os.urandom(500_000), if_version=None)
            except OutcomeUnknown as unknown:
                code = 0 if "SQLITE_IOERR" in str(unknown) else 4
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert store.get("b") == Missing()
    assert isinstance(store.get("a"), Found)


def test_file_that_is_no_database_is_denied(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, and longer than a page header would be " * 20)
    with pytest.raises(StoreDenied, match="not a SQLite database"):
        SqliteStore(tmp_path / "text").get("a")


def test_missing_folder_is_denied(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "no such folder" / "bucket.db")
    for ask in (lambda: store.get("a"), lambda: store.put("a", b"1", if_version=None)):
        with pytest.raises(StoreDenied, match=r"no such folder does not exist \(create it"):
            ask()


def test_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreDenied, match="this is a folder"):
        SqliteStore(tmp_path).put("a", b"1", if_version=None)


def test_process_without_a_file_left_to_open_is_told_so(store: SqliteStore) -> None:
    stored(store, "a", b"1")
    store.close()
    with no_file_left(), pytest.raises(StoreUnavailable, match="too many open files"):
        store.put("b", b"2", if_version=None)
    stored(store, "b", b"2")


def test_reads_create_no_file(store: SqliteStore) -> None:
    assert store.get("a") == Missing()
    assert store.list("") == []
    store.delete(["a"])
    assert not os.path.exists(store.path)
    stored(store, "a", b"1")
    assert isinstance(store.get("a"), Found)


def test_file_that_is_removed_in_use_is_told_and_not_made_anew(store: SqliteStore) -> None:
    stored(store, "a", b"1")
    os.unlink(store.path)
    for ask in (
        lambda: store.put("b", b"2", if_version=None),
        lambda: in_a_thread(lambda: store.put("c", b"3", if_version=None)),
        lambda: in_a_thread(lambda: store.get("a")),
    ):
        with pytest.raises(StoreUnsupported, match="was removed while it was in use"):
            ask()
    assert not os.path.exists(store.path)
    store.close()
    assert store.get("a") == Missing(), "closed and opened again, it is another store"


def test_file_that_is_replaced_in_use_is_told(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of versions begin anew there: a write that names one of the old file must not match."""
    old = stored(store, "board", b"1")
    os.unlink(store.path)
    another = SqliteStore(store.path)
    assert stored(another, "board", b"other") == old
    with pytest.raises(StoreUnsupported, match="was replaced while it was in use"):
        store.put("board", b"2", if_version=old)
    monkeypatch.setattr("s3queue_backends.sqlite._LOOK_S", 0.0)
    with pytest.raises(StoreUnsupported, match="was replaced"):
        store.get("board")
    assert another.get("board") == Found(b"other", old)
    another.close()


def in_a_thread(work: Callable[[], object]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_children_forked_while_threads_write_find_nothing_locked(tmp_path: Path) -> None:
    """A fork that cut a statement in two would leave the child with a lock that nobody ever gives back."""
    store = SqliteStore(tmp_path / "bucket.db", busy_timeout_s=60.0)
    over = threading.Event()

    def write(name: int) -> None:
        number = 0
        while not over.is_set():
            stored(store, f"{name}/{number}", b"same")
            number += 1

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, name) for name in range(4)]
        try:
            for number in range(25):
                pid = os.fork()
                if pid == 0:
                    code = 3
                    try:
                        child = SqliteStore(store.path, busy_timeout_s=60.0) if number % 2 else store
                        stored(child, f"child/{number}", b"mine")
                        code = 0
                    finally:
                        os._exit(code)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, f"child {number}"
        finally:
            over.set()
        for writer in writers:
            writer.result()
    assert len(store.list("child/")) == 25


def test_read_only_database_denies_writes(store: SqliteStore) -> None:
    stored(store, "a", b"1")
    store._connection().execute("PRAGMA query_only = ON")
    with pytest.raises(StoreDenied, match="SQLITE_READONLY"):
        store.put("b", b"1", if_version=None)


def test_body_beyond_the_limit_is_denied(store: SqliteStore) -> None:
    store._connection().setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    with pytest.raises(StoreDenied, match="SQLITE_TOOBIG"):
        store.put("a", b"x" * 2000, if_version=None)


def test_version_of_another_store_is_a_conflict(store: SqliteStore) -> None:
    stored(store, "a", b"1")
    assert store.put("a", b"2", if_version="5d41402abc4b2a76b9719d911017c592") == Conflict()
    assert store.put("a", b"2", if_version="") == Conflict()


def test_closed_by_another_thread_is_unavailable(store: SqliteStore) -> None:
    stored(store, "a", b"1")
    connection = store._connection()
    store.close()
    with pytest.raises(sqlite3.ProgrammingError) as closed:
        connection.execute("SELECT 1")
    assert type(translated(closed.value, "get", "a")) is StoreUnavailable


@pytest.mark.parametrize("code", sorted(ERRORS))
@pytest.mark.parametrize("operation", ["get", "put", "delete", "list"])
def test_error_table(code: int, operation: str) -> None:
    error = sqlite3.OperationalError("as SQLite words it")
    error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_X"  # type: ignore[misc]
    unknown = operation == "put" and code == sqlite3.SQLITE_IOERR
    assert type(translated(error, operation, "k")) is (OutcomeUnknown if unknown else ERRORS[code])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_READ, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_SHMMAP, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_WRITE, OutcomeUnknown),
        (sqlite3.SQLITE_IOERR_FSYNC, OutcomeUnknown),
        (sqlite3.SQLITE_READONLY_DBMOVED, StoreDenied),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreDenied),
    ],
)
def test_extended_codes_of_a_put(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("as SQLite words it")
    error.sqlite_errorcode = code  # type: ignore[misc]
    assert type(translated(error, "put", "k")) is kind


def test_durable_by_default_and_not_when_told(tmp_path: Path) -> None:
    def synchronous(store: SqliteStore) -> int:
        return int(store._connection().execute("PRAGMA synchronous").fetchone()[0])

    assert synchronous(SqliteStore(tmp_path / "a.db")) == 2
    relaxed = open_store(f"sqlite:///{tmp_path}/a.db?durable=false")
    assert isinstance(relaxed, SqliteStore)
    assert synchronous(relaxed) == 1
    assert relaxed.url == f"sqlite:///{tmp_path}/a.db?durable=false"
    assert relaxed._connection().execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_url_of_a_relative_path_is_absolute_and_opens_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = open_store("sqlite:///some%20where.db")
    relative.put("a", b"1", if_version=None)
    monkeypatch.chdir("/")
    assert relative.url == f"sqlite:///{tmp_path}/some%20where.db"
    assert isinstance(open_store(relative.url).get("a"), Found)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://jobs.db", "three slashes"),
        ("sqlite:///", "needs a file"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite:///a.db?durabel=no", "did you mean durable"),
        ("sqlite:///a.db?durable=perhaps", "true or false"),
        ("sqlite:///a.db?durable=no&durable=yes", "twice"),
        ("sqlite:///a.db?busy_timeout_s=-1", "above 0"),
    ],
)
def test_urls_that_mean_nothing_are_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_store(url)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("", ""), ("a", "b"), ("a/", "a0"), ("é", "ê"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", "")],
)
def test_successor_is_the_least_string_above_a_prefix(prefix: str, end: str) -> None:
    assert _successor(prefix) == end
