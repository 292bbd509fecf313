"""Each shop with s3queue, on SQLite: its program enqueues, `s3queue run` works it off, one order is a dead letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.migrate.conftest import EXAMPLES, REPORTED, SOLD, left

ROOT = Path(__file__).parents[2]
#: The queue of the orders, by folder.
QUEUES = {"celery": "shop", "rq": "shop", "dramatiq": "shop", "sqs": "orders"}
COMMAND = ("-c", "from s3queue.cli import main; main()")


def python(folder: str, tmp_path: Path, *args: str) -> str:
    env = os.environ | {
        "S3QUEUE_STORE_URL": f"sqlite:///{tmp_path}/jobs.db?durable=false",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")]),
    }
    command = [sys.executable, *args]
    ran = subprocess.run(command, cwd=EXAMPLES / folder, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("folder", QUEUES)
def test_the_shop_sells_what_it_sold_before(folder: str, outbox: Path, tmp_path: Path) -> None:
    ids = python(folder, tmp_path, "after.py").split()
    assert len(ids) == 3

    python(folder, tmp_path, *COMMAND, "run", "after", "--until-empty", "--workers", "1")
    assert left(outbox) == SOLD
    (letter,) = map(json.loads, python(folder, tmp_path, *COMMAND, "dead", "ls", QUEUES[folder], "--json").splitlines())
    assert (letter["id"], letter["payload"]["order"], letter["attempt"]) == (ids[2], "C", 1)
    (schedule,) = map(json.loads, python(folder, tmp_path, *COMMAND, "cron", "ls", "--json").splitlines())
    assert (schedule["cron"], schedule["tz"]) == ("30 2 * * *", "Europe/Berlin")

    if folder in ("celery", "rq"):  # they kept results
        assert python(folder, tmp_path, *COMMAND, "result", ids[0]) == '"paid 1999"\n'
    if folder == "dramatiq":  # it had a middleware that saw each failed attempt
        assert sorted((outbox / "audit").read_text().splitlines()) == ["charge CardDeclined", "charge ConnectionError"]

    python(folder, tmp_path, "-c", "import after; after.report()")
    assert left(outbox) == REPORTED
