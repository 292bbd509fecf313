"""pail (on PyPI: pailq) on S3: 2 worker processes, which poll every 10 ms while nothing is pending.

It has one way to run: ``Pail.work`` claims the oldest message, one at a time. Its poll interval (20 s by default) is the
only setting for speed.
"""

from __future__ import annotations

from typing import Any

from pail import Pail  # type: ignore[import-not-found, unused-ignore]

from stress.bench.work import stamp
from stress.peers import program


def _pail() -> Any:
    key, secret = program.login()
    return Pail.connect(
        program.bucket(),
        endpoint_url=program.url(),
        access_key_id=key,
        secret_access_key=secret,
        region="us-east-1",
    )


def enqueue(count: int) -> None:
    pail = _pail()
    for _ in range(count):
        pail.enqueue({})


def work() -> None:
    def noop(payload: dict[str, Any]) -> None:
        stamp()

    _pail().work(noop, poll_interval=0.01)


if __name__ == "__main__":
    program.main(enqueue, work)
