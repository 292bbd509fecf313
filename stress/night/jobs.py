"""The tasks of that night. Files in a folder say which faults there are; each effect leaves a line there."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from s3queue import Backoff, Reject, task

#: Names the folder.
FOLDER = "NIGHT_FOLDER"
#: Files that say what is wrong: the database does not answer; the release with the fault was replaced.
DOWN, DEPLOYED = "ledger.down", "deployed"
#: The one image that ends whoever opens it.
POISON = 77
_AT_ONCE = Backoff(base=0)


def _folder() -> Path:
    return Path(os.environ[FOLDER])


def _effect(what: str, number: int) -> None:
    """One line, in one write."""
    fd = os.open(_folder() / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{what} {number}\n".encode())
    os.close(fd)


@task(queue="orders", name="charge", max_attempts=2, backoff=_AT_ONCE)
def charge(number: int) -> None:
    if number % 10 == 0 and (_folder() / DOWN).exists():
        raise ConnectionError("ledger.internal:5432 refuses connections")
    _effect("charge", number)


@task(queue="mail", name="send", max_attempts=2, backoff=_AT_ONCE)
def send(number: int, to: str) -> None:
    if to.endswith("@exampel.com"):
        raise Reject("no such domain: exampel.com")
    _effect("send", number)


@task(queue="mail", name="render", max_attempts=2, backoff=_AT_ONCE)
def render(number: int, prices: dict[str, int]) -> None:
    """The first release takes every page to have a discount."""
    if not (_folder() / DEPLOYED).exists():
        prices["discount"]
    _effect("render", number)


@task(queue="mail", name="newsletter")
def newsletter(number: int) -> None:
    _effect("newsletter", number)


@task(queue="images", name="resize", max_attempts=2, backoff=_AT_ONCE)
def resize(number: int) -> None:
    if number == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    _effect("resize", number)


@task(queue="reports", name="report")
def report(number: int) -> None:
    _effect("report", number)
