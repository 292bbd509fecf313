from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from s3queue import Queue, stats
from tests.cli.conftest import Invoke
from tests.deadline import DEADLINE_S
from tests.stores.mini_s3 import MiniS3

MAIN = [sys.executable, "-c", "from s3queue.cli import main; main()"]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.02)


class TestRun:
    def test_it_serves_until_the_queue_is_empty(
        self, s3queue: Invoke, url: str, jobs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for user in range(5):
            assert s3queue("enqueue", "jobs:send", user, "--store", url) == 0
        capsys.readouterr()
        command = [sys.executable, "-c", "from s3queue.cli import main; main()"]
        command += ["run", "jobs", "--store", url, "--workers", "1", "--until-empty", "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=DEADLINE_S)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["messages"] == 5
        assert sorted((tmp_path / "sent.txt").read_text().splitlines()) == [f"{user} hello" for user in range(5)]
        assert stats(Queue("mail", url).store, exact=True).queues["mail"].done == 5

    def test_a_store_that_cannot_hold_a_queue_is_told_in_one_line(
        self, jobs: str, tmp_path: Path, ignoring_server: MiniS3
    ) -> None:
        command = [sys.executable, "-c", "from s3queue.cli import main; main()"]
        command += ["run", "jobs", "--store", f"obstore+s3://bucket?endpoint={ignoring_server.address}"]
        env = os.environ | {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=env, check=False, timeout=DEADLINE_S
        )
        assert done.returncode == 3
        assert done.stderr.count("\n") == 1
        assert "exclusive create: 2 of 2 writers could create one key" in done.stderr

    @pytest.mark.parametrize(("more", "status"), [([], 0), (["--fail-on-dead"], 5)])
    def test_a_message_that_died_is_a_status_of_its_own_for_who_asks(
        self, url: str, tmp_path: Path, more: list[str], status: int
    ) -> None:
        (tmp_path / "dies.py").write_text(
            "import s3queue\n"
            "@s3queue.task('dies', max_attempts=1)\n"
            "def die() -> None:\n"
            "    raise ValueError('no such user')\n"
        )
        subprocess.run([*MAIN, "enqueue", "dies:die", "--store", url], cwd=tmp_path, check=True)
        done = self._start(
            "run",
            "dies",
            "--store",
            url,
            "--workers",
            "1",
            "--until-empty",
            "--log-format",
            "json",
            *more,
            cwd=tmp_path,
        )
        _, said = done.communicate(timeout=DEADLINE_S)
        assert done.returncode == status
        lines = [json.loads(line) for line in said.splitlines()]
        (dead,) = [line for line in lines if line.get("kind") == "dead"]
        assert (dead["level"], dead["task"], dead["queue"], dead["attempt"]) == ("ERROR", "die", "dies", 1)
        assert dead["text"].endswith("ValueError: no such user\n")
        (ended,) = [line for line in lines if line.get("kind") == "ended"]
        assert (ended["done"], ended["dead"], ended["text"]) == (0, 1, "dies: 0 done, 1 dead")

    def test_one_that_is_asked_twice_to_end_has_a_status_of_its_own(self, url: str, tmp_path: Path) -> None:
        (tmp_path / "slow.py").write_text(
            "import s3queue, signal\n"
            "@s3queue.task('slow')\n"
            "def wait() -> None:\n"
            "    open('started', 'w').close()\n"
            "    while True: signal.pause()\n"
        )
        done = self._start("run", "slow", "--store", url, "--workers", "1", "--drain-timeout", "600", cwd=tmp_path)
        subprocess.run([*MAIN, "enqueue", "slow:wait", "--store", url], cwd=tmp_path, check=True)
        wait_until((tmp_path / "started").exists)
        done.send_signal(signal.SIGINT)
        while done.poll() is None:  # within a second they are one wish
            done.send_signal(signal.SIGINT)
            time.sleep(0.05)
        assert done.stderr is not None
        said = done.stderr.read().decode()
        done.stderr.close()
        assert done.returncode == 130
        assert "draining why=SIGINT running=1" in said
        assert "a second Ctrl-C ends at once" in said

    def test_a_store_that_does_not_answer_is_waited_for_and_said(self, jobs: str, tmp_path: Path) -> None:
        with socket.socket() as closed:  # bound, and nobody listens
            closed.bind(("127.0.0.1", 0))
            where = f"minio://127.0.0.1:{closed.getsockname()[1]}/bucket?secure=false"
            done = self._start("run", "jobs", "--store", where, "--workers", "1", cwd=tmp_path)
            assert done.stderr is not None
            first = done.stderr.readline().decode()
            assert "the store does not answer; trying again" in first
            done.send_signal(signal.SIGTERM)
            rest = done.stderr.read().decode()
            done.stderr.close()
            assert done.wait(DEADLINE_S) == 4
        assert "the store did not answer before the host was told to end" in rest.splitlines()[-1]

    @staticmethod
    def _start(*args: str, cwd: Path) -> subprocess.Popen[bytes]:
        env = os.environ | {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
        return subprocess.Popen([*MAIN, *args], cwd=cwd, env=env, stderr=subprocess.PIPE)
