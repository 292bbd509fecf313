"""Huey on SQLite: 2 worker processes, no results, a write-ahead log, no fsync (its default), a shorter poll.

``fsync=False`` and ``journal_mode="wal"`` are its fast settings (https://huey.readthedocs.io/en/latest/api.html#SqliteHuey).
With them, unlike in s3queue, a message is not on the disk when ``enqueue`` returns. ``-d 0.01``: an idle worker polls
every 10 ms.
"""

from __future__ import annotations

from huey import SqliteHuey  # type: ignore[import-not-found, import-untyped, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program

app = SqliteHuey("bench", filename=program.url(), results=False, fsync=False, journal_mode="wal", cache_mb=64)
noop = app.task(name="noop")(stamp)


def enqueue(count: int) -> None:
    for _ in range(count):
        noop()


if __name__ == "__main__":
    program.main(enqueue)
