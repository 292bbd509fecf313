"""Requests that an SDK sends through a proxy of the environment."""

from __future__ import annotations

import base64

import pytest

from s3queue.errors import OutcomeUnknown, StoreUnavailable
from s3queue.store import Stored
from tests.stores.replay import CLOSE, RESET, error, refused_address, replay
from tests.stores.test_connections import headers
from tests.stores.test_errors import STORED, connect, outcome

S3 = ["s3", "minio", "obstore+s3"]

pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.mark.parametrize("backend", S3)
def test_requests_go_through_the_proxy_of_the_environment(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with replay(STORED) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        monkeypatch.setenv("http_proxy", proxy.address)
        store = connect(backend, "http://store.invalid:9000")
        assert outcome(store, "create") == Stored("abc")
        assert proxy.requests[0].startswith(b"PUT http://store.invalid:9000/bucket/jobs/k HTTP/1.1\r\n")
        assert headers(proxy.requests[0])["if-none-match"] == "*"
        store.close()


@pytest.mark.parametrize("backend", S3)
def test_hosts_of_no_proxy_are_asked_directly(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with replay(STORED) as server, replay(error(500)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1,localhost")
        store = connect(backend, server.address)
        assert outcome(store, "create") == Stored("abc")
        assert not proxy.requests
        store.close()


def test_login_of_a_proxy_is_sent_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with replay(STORED) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address.replace("://", "://me:p%40ss@"))
        store = connect("minio", "http://store.invalid:9000")
        assert outcome(store, "create") == Stored("abc")
        login = headers(proxy.requests[0])["proxy-authorization"]
        assert base64.b64decode(login.removeprefix("Basic ")) == b"me:p@ss"
        store.close()


@pytest.mark.parametrize("backend", S3)
@pytest.mark.parametrize("breaks", [CLOSE, RESET], ids=["closed", "reset"])
def test_answer_that_a_proxy_loses_leaves_a_put_unknown(
    backend: str, breaks: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with replay(breaks) as proxy:  # type: ignore[arg-type]
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.address)
        store = connect(backend, "http://store.invalid:9000")
        assert outcome(store, "create") == OutcomeUnknown
        assert outcome(store, "get") == StoreUnavailable
        store.close()


@pytest.mark.parametrize("backend", S3)
def test_proxy_that_is_not_there_means_not_sent(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, refused_address())
    store = connect(backend, "http://store.invalid:9000")
    assert outcome(store, "create") == StoreUnavailable
    store.close()
