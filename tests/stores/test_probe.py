"""The probe finds what is broken, on real servers that are broken, and clears those that are not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from s3queue_backends import MemoryStore, SqliteStore

from s3queue.errors import StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.probe import HasClock, Report, probe, require_safe
from s3queue.store import Capabilities, Conflict, ObjectStore, Stored, open_store
from s3queue.testing.servers import Server
from tests.conformance import broken
from tests.stores.mini_s3 import MiniS3
from tests.stores.replay import error, refused_address, replay


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")


def bad(report: Report) -> set[str]:
    return {row.check for row in report.rows if row.verdict == "bad"}


def url(backend: str, server: MiniS3) -> str:
    if backend == "minio":
        return f"minio://127.0.0.1:{server.server_address[1]}/bucket/jobs?secure=false"
    return f"{backend}://bucket/jobs?endpoint={server.address}"


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_ignores_conditions_is_refused(backend: str, ignoring_server: MiniS3) -> None:
    store = open_store(url(backend, ignoring_server))
    with pytest.raises(StoreUnsupported, match="4 of 4 writers could create one key") as refused:
        require_safe(store, "probe/")
    assert refused.value.capability == "exclusive create"
    assert bad(probe(store, "probe/")) == {
        "exclusive create",
        "atomic replace",
        "stale replace refused",
        "replace of a missing object refused",
    }
    store.close()


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_checks_and_then_acts_is_refused(backend: str, racing_server: MiniS3) -> None:
    store = open_store(url(backend, racing_server))
    with pytest.raises(StoreUnsupported) as refused:
        require_safe(store, "probe/")
    assert refused.value.capability == "exclusive create"
    assert bad(probe(store, "probe/", short=True)) == {"exclusive create", "atomic replace"}
    store.close()


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_keeps_its_promises_is_safe(backend: str, honest_server: MiniS3) -> None:
    store = open_store(url(backend, honest_server))
    require_safe(store, "probe/")
    report = probe(store, "probe/")
    assert report.safe, str(report)
    assert honest_server.objects == {}, "nothing is left behind"
    clock = next(row for row in report.rows if row.check == "clock difference")
    assert clock.measured == "within a second"
    store.close()


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_seaweedfs_is_safe(backend: str, seaweedfs_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweedfs_server.env.items():
        monkeypatch.setenv(name, value)
    store = open_store(seaweedfs_server.url(backend, "probed"))
    require_safe(store, "probe/")
    store.close()


@pytest.mark.parametrize("open_", [MemoryStore, lambda: SqliteStore("probe.db")], ids=["memory", "sqlite"])
def test_embedded_stores_are_safe(
    open_: Callable[[], ObjectStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_()
    assert probe(store, "probe/").safe
    require_safe(store, "probe/")
    assert list(store.list("")) == []
    store.close()


@pytest.mark.parametrize(
    ("store", "check"),
    [
        (broken.IgnoresIfVersion, "stale replace refused"),
        (broken.CreatesOverExisting, "exclusive create"),
        (broken.ChecksThenActs, "atomic replace"),
        (broken.CreatesOnReplace, "replace of a missing object refused"),
        (broken.RetriesInside, "conditional put"),
        (broken.ReadsStale, "read after write"),
        (broken.ListsEventually, "list after write"),
        (broken.ListsUnordered, "order of listing"),
        (broken.ListsFromInclusive, "order of listing"),
        (broken.AlwaysUnchanged, "conditional get"),
    ],
)
def test_broken_store_is_told_by_the_property_it_lacks(store: type[MemoryStore], check: str) -> None:
    assert check in bad(probe(store(), "probe/"))
    assert check in bad(probe(store(), "probe/", short=True))
    with pytest.raises(StoreUnsupported):
        require_safe(store(), "probe/")


def test_store_that_ignores_unless_is_safe_and_told() -> None:
    report = probe(broken.NeverUnchanged(), "probe/")
    assert report.safe
    assert next(row.verdict for row in report.rows if row.check == "conditional get") == "info"


def test_store_without_an_order_is_refused_unasked() -> None:
    class Unordered(MemoryStore):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities("unordered", list_is_ordered=False)

    with pytest.raises(StoreUnsupported, match=r"order of (listing|keys)"):
        require_safe(Unordered(), "probe/")


def test_clock_that_is_wrong_is_told() -> None:
    class Late(MemoryStore):
        def clock(self, key: str) -> float:
            return time.time() - 3600

    assert isinstance(Late(), HasClock)
    row = next(row for row in probe(Late(), "probe/").rows if row.check == "clock difference")
    assert row.verdict == "info"
    assert "-360" in row.measured or "-3599" in row.measured


def test_race_whose_writers_are_throttled_is_run_again() -> None:
    class Throttled(MemoryStore):
        """Refuses every put of its first race."""

        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            if key.endswith("-0-0") and if_version is None and b"writer" in body:
                raise StoreUnavailable("put", key)
            return super().put(key, body, if_version=if_version)

    assert probe(Throttled(), "probe/", short=True).safe


def test_store_that_cannot_be_asked_says_why() -> None:
    with pytest.raises(StoreUnavailable):
        require_safe(open_store(f"obstore+s3://bucket?endpoint={refused_address()}"), "probe/")
    with replay(error(403, "AccessDenied")) as server, pytest.raises(StoreDenied):
        require_safe(open_store(f"obstore+s3://bucket?endpoint={server.address}"), "probe/")


def test_report_is_a_table_for_people_and_plain_data_for_programs() -> None:
    report = probe(MemoryStore(), "probe/")
    text = str(report)
    assert text.endswith("safe")
    assert "1 of 16 writers could create one key" in text
    data = msgspec.to_builtins(report)
    assert set(data["rows"][0]) == {"check", "verdict", "measured", "promise"}
    assert msgspec.convert(data, Report) == report
