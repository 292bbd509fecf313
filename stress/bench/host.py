"""One host in a process of its own: ``python -m stress.bench.host '{"store": …}'``. Prints its summary as JSON."""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module
from typing import Any

import s3queue
from stress.bench import work
from stress.bench.remote import open_remote

QUEUE = "bench"


@s3queue.task(QUEUE, "noop")
def noop(task_s: float = 0.0, data: bytes = b"") -> None:
    work.stamp(task_s)


@s3queue.task(QUEUE, "note")
def note(number: int) -> None:
    work.mark(number)


@s3queue.task(QUEUE, "held", max_attempts=5)
def held(number: int, task_s: float) -> None:
    work.note_start(number, "start")
    time.sleep(task_s)
    work.note_start(number, "end")


def main(spec: dict[str, Any]) -> None:
    settings = dict(spec.get("settings", {}))
    s3queue.configure(store=open_remote(spec["store"], spec.get("far", "")), namespace=spec["namespace"], **settings)
    supervisor = s3queue.Supervisor(workers=spec["workers"], concurrency=spec["concurrency"])
    summary = supervisor.run(until_empty=spec.get("until_empty", True))
    print(json.dumps(summary._asdict()), flush=True)


if __name__ == "__main__":
    # By its own name, so that a child that imports it again finds the tasks that it knows.
    import_module("stress.bench.host").main(json.loads(sys.argv[1]))
