import os
import re
import subprocess
import sys
from pathlib import Path

import app
import jobs
import pytest


@pytest.fixture(autouse=True)
def empty():
    jobs.outbox.clear()


def test_everything_is_sent_and_what_is_delayed_comes_last(task_queue):
    app.main()
    task_queue.run_ready().check()
    assert (7, "welcome") in jobs.outbox
    assert len(jobs.outbox) == 1001
    task_queue.drain().check()
    assert jobs.outbox[-1] == (8, "hello")


def test_a_mail_that_is_refused_is_tried_again(task_queue, monkeypatch):
    tries = []

    def fails_once(user_id, subject):
        tries.append(user_id)
        if len(tries) == 1:
            raise ConnectionError("the mail server does not answer")

    monkeypatch.setattr(jobs, "deliver", fails_once)
    jobs.send.enqueue(7)
    assert task_queue.drain().check().done == 1
    assert tries == [7, 7]


def test_workers_serve_it_from_the_command_line(tmp_path):
    """With real processes and a store in a file."""
    here = Path(__file__).parent
    environ = os.environ | {"S3QUEUE_STORE_URL": f"sqlite:///{tmp_path}/jobs.db"}
    enqueue = "from jobs import send; send.enqueue(7, subject='welcome'); send.enqueue_many([(8,), (9,)])"
    subprocess.run([sys.executable, "-c", enqueue], cwd=here, env=environ, check=True)
    serve = "import sys; from s3queue.cli import main; main(sys.argv[1:])"
    served = subprocess.run(
        [sys.executable, "-c", serve, "run", "jobs", "--workers", "2", "--until-empty", "--fail-on-dead"],
        cwd=here,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert served.returncode == 0, served.stderr
    told = re.findall(r"to user (\d): (\w+)", served.stdout)
    assert sorted(told) == [("7", "welcome"), ("8", "hello"), ("9", "hello")]
