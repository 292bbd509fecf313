"""What the summary and counting say of a town, and what a store is asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from s3queue_backends.memory import MemoryStore

from s3queue.core.records import Failed, Failure, Summary, decode
from s3queue.observe.stats import QueueStats, Stats
from s3queue.operate.inspection import stats
from s3queue.store import Conflict, Found, Stored
from tests.regressions.town import QUEUE, SETTINGS, Member, Town

EVERY = SETTINGS._replace(summary_s=2.0, census_s=1.0)


#: Operation and key.
Asked = list[tuple[str, str]]


class Watched(MemoryStore):
    """Notes what is asked of it.

    Attributes:
        lose: what becomes of a put of the summary, before it is done as usual.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: Asked = []
        self.lose: Callable[[], None] | None = None

    def get(self, key: str, *, unless: str | None = None) -> Any:
        self.asked.append(("get", key))
        return super().get(key, unless=unless)

    def list(self, prefix: str, *, after: str = "", limit: int = 1000) -> Any:
        self.asked.append(("list", prefix))
        return super().list(prefix, after=after, limit=limit)

    def put(self, key: str, body: bytes, *, if_version: str | None) -> Stored | Conflict:
        self.asked.append(("put", key))
        if "/summary/" in key and (lose := self.lose) is not None:
            lose()
        return super().put(key, body, if_version=if_version)

    def take(self, *words: str) -> Asked:
        """What was asked for since this was last asked, of keys with these words."""
        asked, self.asked = self.asked, []
        return [one for one in asked if all(word in one[1] for word in words)]


def summary(town: Town) -> Summary:
    found = town.store.get(town.layout.summary)
    assert isinstance(found, Found)
    return decode(Summary, "summary", found.body)


def told(town: Town, *, exact: bool = False) -> Stats:
    return stats(town.store, "town", exact=exact)


def of_queue(town: Town, *, exact: bool = False) -> QueueStats:
    return told(town, exact=exact).queues[QUEUE]


def fail_all(member: Member, *, kind: str = "retry", cause: str = "error", delay_s: float = 1e6) -> None:
    for ticket in member.claim():
        for offset, _ in enumerate(member.messages(ticket)):
            member.fail(ticket, offset, Failed(kind, delay_s, Failure(1, cause, "no", 1)))
    member.flush()
