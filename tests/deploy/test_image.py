"""The container image: built from a base of this machine, run read-only with next to no shared memory, stopped at work."""

from __future__ import annotations

import gc
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from s3queue import Queue, open_store
from s3queue.testing.containers import docker
from s3queue.testing.servers import Server
from tests.deadline import DEADLINE_S
from tests.deploy.base import build_base
from tests.deploy.tasks import resize

ROOT = Path(__file__).parents[2]
IMAGE = "s3queue-test"

pytestmark = [
    pytest.mark.xdist_group("servers"),
    # Docker's SDK forgets the socket of a log that it follows.
    pytest.mark.filterwarnings(r"ignore:unclosed <socket.*docker\.sock:ResourceWarning"),
]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with docker(tmp_path_factory.mktemp("docker")) as address:
        client = import_module("docker").DockerClient(base_url=address, timeout=DEADLINE_S)
        yield client
        client.close()
        with warnings.catch_warnings():  # of sockets that it forgets, here and not in another test
            warnings.simplefilter("ignore")
            gc.collect()


@pytest.fixture(scope="module")
def image(client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Built as deploy/Dockerfile says, by the commands at its top."""
    context = tmp_path_factory.mktemp("context")
    (context / "Dockerfile").write_bytes((ROOT / "deploy/Dockerfile").read_bytes())
    wheel = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--wheel-dir",
        str(context / "wheels"),
        f"{ROOT}[obstore,metrics]",
    ]
    subprocess.run(wheel, check=True)
    base = build_base(client, tmp_path_factory.mktemp("base"))
    client.images.build(path=str(context), tag=IMAGE, rm=True, buildargs={"BASE": base})
    return IMAGE


def start(client: Any, url: str, *arguments: str, **variables: str) -> Any:
    """As a careful operator runs it: not root, nothing to write but /tmp, 64 KiB of shared memory."""
    tasks = ROOT / "tests/deploy/tasks.py"
    return client.containers.run(
        IMAGE,
        ["run", "tasks", *arguments],
        detach=True,
        network_mode="host",
        read_only=True,
        tmpfs={"/tmp": "rw,size=16m"},
        shm_size="64k",
        cap_drop=["ALL"],
        volumes={str(tasks): {"bind": "/app/tasks.py", "mode": "ro"}},
        environment={"S3QUEUE_STORE_URL": url, **variables},
    )


def attempts(container: Any) -> list[tuple[str, int]]:
    """What has begun in a container, in order."""
    return _attempts(container.logs(stdout=True, stderr=False).decode())


def _attempts(text: str) -> list[tuple[str, int]]:
    return [(name, int(number)) for number, name in re.findall(r"^attempt (\d+) of (\S+)$", text, re.M)]


def wait_for_attempts(container: Any, *names: str) -> None:
    text = ""
    lines = container.logs(stream=True, follow=True)
    try:
        for line in lines:
            text += line.decode()
            if " ERROR " in text:
                break
            if set(names) <= {name for name, _ in _attempts(text)}:
                return
    finally:
        lines.close()
        lines._response.close()  # Docker's SDK closes the socket, not the file that holds it open
    pytest.fail(f"the container ended before, or failed: {container.logs().decode()}")


def test_image_that_is_stopped_at_work_loses_nothing_and_spends_no_attempt(
    client: Any, image: str, seaweedfs_server: Server
) -> None:
    url = seaweedfs_server.url("obstore+s3", "docker-stop")
    queue = Queue("images", open_store(url))
    names = ["slow", *(f"picture-{number}" for number in range(60))]
    for name in names:
        queue.send(resize.name, [resize.encode((name,), {})])
    first = start(client, url, SLOW="600", **seaweedfs_server.env)
    try:
        wait_for_attempts(first, "slow", "picture-5")
        first.stop(timeout=60)  # as an operator does who gives it time: a busy machine may take longer than 10 s
        assert first.wait()["StatusCode"] == 0
        begun = attempts(first)
    finally:
        first.remove(force=True)
    second = start(client, url, "--until-empty", **seaweedfs_server.env)
    try:
        assert second.wait(timeout=DEADLINE_S)["StatusCode"] == 0, second.logs().decode()
        ran = begun + attempts(second)
    finally:
        second.remove(force=True)
    # One that had spent its only attempt would be dead.
    assert sorted(name for name, _ in ran) == sorted([*names, "slow"]), "only the one that was ended runs again"
    counts = queue.stats(exact=True)
    assert (counts.done, counts.dead) == (len(names), 0)


def test_image_runs_as_nobody_and_its_first_process_is_the_supervisor(client: Any, image: str) -> None:
    told = client.containers.run(
        image, ["-c", "import os; print(os.getuid(), os.getpid())"], entrypoint="python3", remove=True
    )
    assert told.decode().split() == ["10001", "1"]
