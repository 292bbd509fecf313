"""Certificates, and connections that break while they are read."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from s3queue.errors import OutcomeUnknown, StoreDenied, StoreUnavailable
from tests.stores.replay import stop_listening
from tests.stores.test_errors import connect, outcome

S3 = ["s3", "minio", "obstore+s3"]

pytestmark = pytest.mark.usefixtures("plain_environment")


class Certificates(NamedTuple):
    """Files: of an authority, and of a server that it vouches for."""

    authority: Path
    server: Path
    key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no program openssl")
    folder = tmp_path_factory.mktemp("tls")
    authority, authority_key, server, key = (folder / name for name in ("ca.pem", "ca.key", "server.pem", "server.key"))

    def make(*arguments: object) -> None:
        words = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *map(str, arguments)]
        subprocess.run(words, check=True, capture_output=True)

    make("-subj", "/CN=test authority", "-keyout", authority_key, "-out", authority)
    make(
        *("-CA", authority, "-CAkey", authority_key, "-subj", "/CN=localhost", "-keyout", key, "-out", server),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
    )
    return Certificates(authority, server, key)


@contextmanager
def breaking(certificates: Certificates) -> Iterator[str]:
    """Speaks TLS up to the request, and then sends garbage: the put may have been applied."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=converse, args=(plain,), daemon=True).start()

    def converse(plain: socket.socket) -> None:
        with plain, suppress(OSError):
            secure = context.wrap_socket(plain, server_side=True)
            while secure.recv(1 << 16):
                with socket.socket(fileno=secure.detach()) as raw:
                    raw.sendall(b"HTTP/1.1 200 OK\r\n\r\nthis is no record of TLS" * 50)
                    raw.recv(1 << 16)
                return

    accepting = threading.Thread(target=serve, daemon=True)
    accepting.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop_listening(listener, accepting)


@pytest.mark.parametrize("backend", S3)
def test_tls_that_breaks_while_an_answer_is_read_leaves_a_put_unknown(
    backend: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates.authority))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    with breaking(certificates) as address:
        store = connect(backend, address)
        assert outcome(store, "create") == OutcomeUnknown
        assert outcome(store, "replace") == OutcomeUnknown
        assert outcome(store, "get") == StoreUnavailable
        store.close()


@pytest.mark.parametrize("backend", S3)
def test_certificate_that_is_not_trusted_is_named_and_waits_for_a_person(
    backend: str, certificates: Certificates
) -> None:
    with breaking(certificates) as address:
        store = connect(backend, address)
        with pytest.raises(StoreDenied, match="certificate is not trusted"):
            store.put("k", b"body", if_version=None)
        with pytest.raises(StoreDenied, match="certificate is not trusted"):
            store.get("k")
        store.close()
