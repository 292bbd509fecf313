"""``s3queue dashboard`` as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.deadline import DEADLINE_S

ROOT = Path(__file__).parents[2]


def start(*arguments: str, url: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from s3queue.cli import main; main()",
            "dashboard",
            "--store",
            url,
            "--bind",
            "127.0.0.1:0",
            *arguments,
        ],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*arguments: str, url: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it says."""
    process = start(*arguments, url=url)
    try:
        assert process.stderr is not None
        said = re.search(r"http://[^ ]+", process.stderr.readline())
        assert said is not None
        yield process, said[0].strip()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=DEADLINE_S)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal_though_somebody_looks(url: str, number: signal.Signals) -> None:
    with running("--allow", "pause", url=url) as (process, address):
        with httpx.Client(base_url=address, timeout=DEADLINE_S) as client:
            assert client.get("/healthz").text == "ok"
            assert "May: pause" in client.get("/").text
            with client.stream("GET", "/events?view=overview") as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith("retry:")
                process.send_signal(number)
                for _ in lines:  # it ends
                    pass
        assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_come_while_it_ends_are_the_same_wish(url: str, number: signal.Signals) -> None:
    with running(url=url) as (process, address):
        assert httpx.get(f"{address}healthz", timeout=DEADLINE_S).text == "ok"
        while process.poll() is None:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        assert process.returncode == 0


def test_beyond_this_machine_it_does_not_start_without_a_token(url: str) -> None:
    process = start("--bind", "0.0.0.0:0", url=url)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert "--token-file" in said


def test_an_address_that_is_taken_is_said(url: str) -> None:
    with running(url=url) as (_, address):
        port = address.rstrip("/").rpartition(":")[2]
        process = start("--bind", f"127.0.0.1:{port}", url=url)
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 2
        assert f"cannot listen at 127.0.0.1:{port}" in said
