"""The probe finds what is broken, on real servers that are broken, and clears those that are not."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import msgspec
import pytest
from botocore.config import Config
from s3queue_backends import MemoryStore, SqliteStore

from s3queue.errors import OutcomeUnknown, StoreDenied, StoreUnavailable, StoreUnsupported
from s3queue.io.drive import Driver
from s3queue.observe.ears import Ear
from s3queue.observe.measures import MeasuredStore, Measures
from s3queue.operate.probe import Effort, Report, power, probe, require_safe
from s3queue.store import (
    Capabilities,
    Conflict,
    Found,
    HasClock,
    KeepsVersions,
    Missing,
    ObjectStore,
    Stored,
    Unchanged,
    open_store,
)
from s3queue.testing.faultproxy import FaultProxy
from s3queue.testing.servers import Server
from tests.conformance import broken
from tests.deadline import DEADLINE_S
from tests.stores.mini_s3 import MiniS3, mini_s3
from tests.stores.replay import error, refused_address, replay


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")


def bad(report: Report) -> set[str]:
    return {row.check for row in report.rows if row.verdict == "bad"}


def url(backend: str, server: MiniS3 | FaultProxy) -> str:
    if backend == "minio":
        return f"minio://{urlsplit(server.address).netloc}/bucket/jobs?secure=false"
    return f"{backend}://bucket/jobs?endpoint={server.address}"


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_ignores_conditions_is_refused(backend: str, ignoring_server: MiniS3) -> None:
    store = open_store(url(backend, ignoring_server))
    with pytest.raises(StoreUnsupported, match="2 of 2 writers could create one key") as refused:
        require_safe(Driver(store), "probe/")
    assert refused.value.capability == "exclusive create"
    assert bad(probe(Driver(store), "probe/")) == {
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
        require_safe(Driver(store), "probe/")
    assert refused.value.capability == "exclusive create"
    assert bad(probe(Driver(store), "probe/", short=True)) == {"exclusive create", "atomic replace"}
    store.close()


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_keeps_its_promises_is_safe(backend: str, honest_server: MiniS3) -> None:
    store = open_store(url(backend, honest_server))
    require_safe(Driver(store), "probe/")
    report = probe(Driver(store), "probe/")
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
    require_safe(Driver(store), "probe/")
    store.close()


@pytest.mark.parametrize("open_", [MemoryStore, lambda: SqliteStore("probe.db")], ids=["memory", "sqlite"])
def test_embedded_stores_are_safe(
    open_: Callable[[], ObjectStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_()
    assert probe(Driver(store), "probe/").safe
    require_safe(Driver(store), "probe/")
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
    assert check in bad(probe(Driver(store()), "probe/"))
    assert check in bad(probe(Driver(store()), "probe/", short=True))
    with pytest.raises(StoreUnsupported):
        require_safe(Driver(store()), "probe/")


def test_store_that_ignores_unless_is_safe_and_told() -> None:
    report = probe(Driver(broken.NeverUnchanged()), "probe/")
    assert report.safe
    assert next(row.verdict for row in report.rows if row.check == "conditional get") == "info"


def test_store_without_an_order_is_refused_unasked() -> None:
    class Unordered(MemoryStore):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities("unordered", list_is_ordered=False)

    with pytest.raises(StoreUnsupported, match=r"order of (listing|keys)"):
        require_safe(Driver(Unordered()), "probe/")


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_server_that_keeps_what_is_cut_short_is_refused(backend: str) -> None:
    with mini_s3(keeps_cut=True) as server:
        store = open_store(url(backend, server))
        with pytest.raises(StoreUnsupported, match="kept 0 bytes of 27") as refused:
            require_safe(Driver(store), "probe/")
        assert refused.value.capability == "whole puts"
        measured = MeasuredStore(store, Measures("agent", Ear("/nowhere")), "probe")
        with pytest.raises(StoreUnsupported, match="kept 0 bytes of 27"):
            require_safe(Driver(measured), "probe/")
        store.close()


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_put_that_is_cut_short_is_tried_where_there_is_http(backend: str, honest_server: MiniS3) -> None:
    store = open_store(url(backend, honest_server))
    row = next(row for row in probe(Driver(store), "probe/", short=True).rows if row.check == "whole puts")
    assert (row.verdict, row.measured) == ("ok", "a put that breaks off after its headers: stores nothing of it")
    store.close()
    row = next(row for row in probe(Driver(MemoryStore()), "probe/", short=True).rows if row.check == "whole puts")
    assert (row.verdict, row.measured) == ("info", "not asked: this store takes no plain HTTP request")


def test_server_that_fails_one_race_in_twenty_is_found() -> None:
    """As S3Proxy and S3Mock do: they compare and then write, and seldom two at once are in between."""

    class Seldom(broken.ChecksThenActs):
        draw = random.Random(1)

        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            with self.lock:
                races = self.draws.setdefault(key, self.draw.random() < 0.05)
            if races:
                return super().put(key, body, if_version=if_version)
            return MemoryStore.put(self, key, body, if_version=if_version)

        def __init__(self) -> None:
            super().__init__()
            self.lock, self.draws = threading.Lock(), dict[str, bool]()

    assert bad(probe(Driver(Seldom()), "probe/", effort=Effort(400, 60.0, whole=False))) == {
        "exclusive create",
        "atomic replace",
    }


@pytest.mark.parametrize(("races", "one_in"), [(1, 1), (48, 10), (192, 42), (6000, 1303)])
def test_power_is_said_as_it_is(races: int, one_in: int) -> None:
    assert power(races).endswith(f"one race in {one_in}")
    assert (1 - 1 / one_in) ** races <= 0.01 < (1 - 1 / (one_in + 1)) ** races


def test_races_end_when_their_time_is_over() -> None:
    class Slow(MemoryStore):
        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            time.sleep(0.05)
            return super().put(key, body, if_version=if_version)

    report = probe(Driver(Slow()), "probe/", effort=Effort(1_000_000, 0.2, whole=False))
    assert report.safe


def test_store_whose_delete_removes_nothing_is_named_and_ends_the_probe() -> None:
    for short in (True, False):
        report = probe(Driver(broken.DeletesNothing()), "probe/", short=short)
        assert {"delete", "read after write", "list after write"} <= bad(report)
    with pytest.raises(StoreUnsupported):
        require_safe(Driver(broken.DeletesNothing()), "probe/")


def test_bucket_that_keeps_old_versions_is_told() -> None:
    class Versioned(MemoryStore):
        def keeps_versions(self, key: str) -> bool:
            return True

    for store, said in ((Versioned(), "turn versioning off"), (MemoryStore(), "does not tell")):
        row = next(row for row in probe(Driver(store), "probe/").rows if row.check == "old versions")
        assert (row.verdict, said in row.measured) == ("info", True)


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
@pytest.mark.parametrize("versioned", [True, False])
def test_versioned_bucket_is_known_from_a_real_server(
    backend: str, versioned: bool, seaweedfs_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweedfs_server.env.items():
        monkeypatch.setenv(name, value)
    bucket = f"{backend.replace('+', '-')}-{'versioned' if versioned else 'plain'}"
    config = Config(s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=seaweedfs_server.address, region_name="us-east-1", config=config)
    client.create_bucket(Bucket=bucket)
    if versioned:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client.close()
    store = open_store(seaweedfs_server._replace(bucket=bucket).url(backend))
    assert isinstance(store, KeepsVersions)
    store.put("k", b"1", if_version=None)
    assert store.keeps_versions("k") == versioned
    store.close()


def test_clock_that_is_wrong_is_told() -> None:
    class Late(MemoryStore):
        def clock(self, key: str) -> float:
            return time.time() - 3600

    assert isinstance(Late(), HasClock)
    row = next(row for row in probe(Driver(Late()), "probe/").rows if row.check == "clock difference")
    assert row.verdict == "info"
    assert "-360" in row.measured or "-3599" in row.measured


def test_what_the_network_does_to_requests_is_no_verdict() -> None:
    class Lossy(MemoryStore):
        """Refuses the first read of each key, and loses the answers of some puts, half of them applied."""

        def __init__(self) -> None:
            super().__init__()
            self.met: set[str] = set()
            self.draw = random.Random(1)
            self.lost = 0

        def get(self, key: str, *, unless: str | None = None) -> Found | Unchanged | Missing:
            if key not in self.met:
                self.met.add(key)
                raise StoreUnavailable("get", key)
            return super().get(key, unless=unless)

        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            fate = self.draw.random()
            outcome = super().put(key, body, if_version=if_version) if fate < 0.95 else None
            if outcome is None or fate > 0.9:
                self.lost += 1
                raise OutcomeUnknown("put", key)
            return outcome

    store = Lossy()
    require_safe(Driver(store), "probe/")
    assert store.lost > 0


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_a_lossy_network_is_no_verdict(backend: str, seed: int, honest_server: MiniS3) -> None:
    with FaultProxy(honest_server.address, seed=seed, rate=0.1, delay_s=1.0) as proxy:
        store = open_store(f"{url(backend, proxy)}&read_timeout_s=0.5")
        require_safe(Driver(store, patience_s=DEADLINE_S), "probe/")
        store.close()
        assert proxy.faults.total() > 0


def test_a_store_that_loses_every_answer_cannot_be_asked() -> None:
    class Mute(MemoryStore):
        def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
            raise OutcomeUnknown("put", key)

    with pytest.raises(StoreUnavailable, match="answers were lost"):
        require_safe(Driver(Mute()), "probe/")


def test_store_that_cannot_be_asked_says_why() -> None:
    store = open_store(f"obstore+s3://bucket?endpoint={refused_address()}")
    with pytest.raises(StoreUnavailable):
        require_safe(Driver(store, patience_s=0), "probe/")
    with replay(error(403, "AccessDenied")) as server, pytest.raises(StoreDenied):
        require_safe(Driver(open_store(f"obstore+s3://bucket?endpoint={server.address}")), "probe/")


def test_report_is_a_table_for_people_and_plain_data_for_programs() -> None:
    report = probe(Driver(MemoryStore()), "probe/")
    text = str(report)
    assert text.endswith("safe")
    assert "1 of 2 writers could create one key, in each of 192 races; finds with 99 % a store that" in text
    data = msgspec.to_builtins(report)
    assert set(data["rows"][0]) == {"check", "verdict", "measured", "promise"}
    assert msgspec.convert(data, Report) == report
