"""How stores are named: URLs, settings, and that no secret is ever shown."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import multiprocess
import pytest
from s3queue_backends import Boto3Store, MinioStore, ObstoreStore

from s3queue.errors import ConfigError, StoreDenied, StoreUnsupported
from s3queue.store import Found, ObjectStore, open_store
from s3queue.testing.servers import ACCESS_KEY, Server
from tests.stores.mini_s3 import MiniS3

SECRET = "wJalrXUtnFEMI-not-a-real-secret"


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/some/prefix",
        "s3://bucket/prefix?endpoint=http://127.0.0.1:8333&region=eu-central-1",
        "s3://bucket/a%20b?path_style=true",
        "minio://127.0.0.1:9000/bucket/prefix?secure=false",
        "minio://minio.example.org/bucket",
        "minio://minio.example.org/bucket?region=eu",
        "obstore+s3://bucket/prefix?endpoint=http://127.0.0.1:8333&region=eu-central-1",
        "gs://bucket/prefix",
        "az://container/prefix?account=someone",
        "az://container/prefix?endpoint=http://127.0.0.1:10000/devstoreaccount1&account=devstoreaccount1",
    ],
)
def test_url_of_an_opened_store_is_the_url(url: str) -> None:
    store = open_store(url)
    assert store.url == url
    assert url in repr(store)
    assert open_store(store.url).url == url


def test_settings_that_are_not_part_of_the_place_are_not_part_of_its_name() -> None:
    one = open_store("s3://bucket/prefix?connect_timeout_s=1&read_timeout_s=2.5&connections=4&profile=work")
    assert isinstance(one, Boto3Store)
    assert (one.connect_timeout_s, one.read_timeout_s, one.connections) == (1.0, 2.5, 4)
    assert one.url == "s3://bucket/prefix"


def test_time_outs_and_pool_have_defaults() -> None:
    for store in (
        Boto3Store("b"),
        MinioStore("http://localhost:9000", bucket="jobs"),
        ObstoreStore("b"),
    ):
        assert (store.connect_timeout_s, store.read_timeout_s, store.connections) == (5.0, 20.0, 72)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket?endpint=http://h", "did you mean endpoint?"),
        ("s3://bucket?regoin=eu", "did you mean region?"),
        ("minio://host/bucket?secur=false", "did you mean secure?"),
        ("minio:///bucket", "needs a host"),
        ("minio://host", "needs a bucket"),
        ("minio://host/b", "not a bucket: invalid bucket name b .*3 to 63"),
        ("minio://host/a..b", "not a bucket: .*successive"),
        ("minio://host/bucket?secure=perhaps", "true or false"),
        ("s3://", "needs a bucket"),
        ("s3://bucket?endpoint=127.0.0.1:8333", "http://host:port"),
        ("s3://bucket?read_timeout_s=soon", "read_timeout_s"),
        ("gs://bucket?region=eu", "unknown setting"),
        ("az://container?region=eu", "unknown setting"),
        ("ftp://bucket", "known here: .*minio.*s3"),
        ("bucket/prefix", "not a store URL"),
    ],
)
def test_url_that_means_nothing_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        f"s3://AKID:{SECRET}@bucket/prefix",
        f"s3://bucket?secret_key={SECRET}",
        f"s3://bucket?aws_session_token={SECRET}",
        f"s3://bucket?endpoint=http://AKID:{SECRET}@host:9000",
        f"minio://AKID:{SECRET}@host:9000/bucket",
        f"minio://host:9000/bucket?secret_key={SECRET}",
        f"obstore+s3://bucket?secret_access_key={SECRET}",
        f"az://container?sas_token={SECRET}",
        f"az://container?account_key={SECRET}",
        f"gs://bucket?password={SECRET}",
    ],
)
def test_credential_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"credentials|http://host:port|environment") as refused:
        open_store(url)
    assert SECRET not in str(refused.value)
    assert SECRET not in refused.value.hint


OPEN: dict[str, Callable[[str], ObjectStore]] = {
    "boto3": lambda address: Boto3Store("bucket", endpoint=address, access_key=ACCESS_KEY, secret_key=SECRET),
    "minio": lambda address: MinioStore(address, bucket="bucket", access_key=ACCESS_KEY, secret_key=SECRET),
    "obstore": lambda address: ObstoreStore("bucket", endpoint=address, access_key=ACCESS_KEY, secret_key=SECRET),
    "azure": lambda address: ObstoreStore("c", "az", account="a", endpoint=address, options={"account_key": SECRET}),
}


@pytest.mark.parametrize("name", ["boto3", "minio", "obstore"])
def test_failing_login_shows_no_secret(name: str, seaweedfs_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = OPEN[name](seaweedfs_server.address)
    for attempt in (
        lambda: store.get("a"),
        lambda: store.put("a", b"1", if_version=None),
        lambda: store.list(""),
        lambda: store.delete(["a"]),
    ):
        with pytest.raises(StoreDenied, match="403") as denied:
            attempt()
        shown = f"{denied.value!r} {denied.value} {denied.value.__cause__} {caplog.text}"
        assert SECRET not in shown
        assert ACCESS_KEY not in str(denied.value)
    store.close()


@pytest.mark.parametrize("name", OPEN)
def test_description_of_a_store_shows_no_secret(name: str) -> None:
    store = OPEN[name]("http://127.0.0.1:1")
    assert SECRET not in f"{store!r} {store} {store.url}"


def test_missing_credentials_are_denied(monkeypatch: pytest.MonkeyPatch, honest_server: MiniS3) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for store in (
        Boto3Store("bucket", endpoint=honest_server.address),
        MinioStore(honest_server.address, bucket="bucket"),
    ):
        with pytest.raises(StoreDenied, match="no credentials"):
            store.put("a", b"1", if_version=None)
    assert honest_server.requests == []


def test_half_a_login_is_refused() -> None:
    with pytest.raises(ConfigError, match="only one of access_key and secret_key"):
        Boto3Store("bucket", access_key="a")
    with pytest.raises(ConfigError, match="only one of access_key and secret_key"):
        MinioStore("http://localhost:9000", bucket="jobs", secret_key="s")


def test_directory_bucket_is_refused() -> None:
    with pytest.raises(StoreUnsupported, match="order of keys"):
        open_store("s3://jobs--use1-az4--x-s3")


def test_services_that_take_one_write_a_second_are_known() -> None:
    assert open_store("gs://bucket").capabilities.min_rewrite_s == 1.0
    assert open_store("s3://bucket?endpoint=https://x.r2.cloudflarestorage.com").capabilities.min_rewrite_s == 1.0
    assert open_store("minio://storage.googleapis.com/bucket").capabilities.min_rewrite_s == 1.0
    assert open_store("s3://bucket").capabilities.min_rewrite_s == 0.0
    assert open_store("s3://bucket").capabilities.requests_cost


@pytest.mark.parametrize("name", ["boto3", "minio", "obstore"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_store_is_pickled_with_its_settings(name: str, method: str, honest_server: MiniS3) -> None:
    store = OPEN[name](honest_server.address)
    store.get("connected")
    context = multiprocess.get_context(method)
    child = context.Process(target=store.put, args=("a", b"1"), kwargs={"if_version": None})
    child.start()
    child.join()
    assert child.exitcode == 0
    assert isinstance(store.get("a"), Found)
    store.close()


def test_prefix_is_a_folder_of_its_own(honest_server: MiniS3) -> None:
    inner = Boto3Store("bucket", "/jobs/", endpoint=honest_server.address, access_key="a", secret_key="b")
    outer = Boto3Store("bucket", endpoint=honest_server.address, access_key="a", secret_key="b")
    inner.put("a/b", b"1", if_version=None)
    assert [entry.key for entry in outer.list("")] == ["jobs/a/b"]
    assert [entry.key for entry in inner.list("")] == ["a/b"]


def test_importing_the_backends_imports_no_sdk() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, s3queue_backends as b, s3queue.store; b.SqliteStore; b.MemoryStore;"
            "print([m for m in ('boto3', 'botocore', 'minio', 'obstore', 'urllib3', 'multiprocess') if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "[]"
