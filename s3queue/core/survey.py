"""What the coordinator sees in one cycle: who is alive, what waits at the head of each queue.

One listing of the partition is the whole survey of a small system. Of a queue with a long backlog only the head is
looked at; the rest is skipped over, so that a cycle's cost does not grow with the backlog.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from s3queue.core.keys import END, Layout, Source, parse_source
from s3queue.core.ops import Step, get_all, list_page
from s3queue.core.records import Ledger, decode
from s3queue.errors import CorruptRecord
from s3queue.store import Found, Listed

#: Pages of one queue in one survey. 8,000 sources at the head of one queue are more than hosts can be given at once.
_MAX_PAGES = 8


@dataclass
class Heard:
    """What was last seen of one session.

    Attributes:
        version: of its ledger.
        ledger: None where it could not be decoded.
        since: steady time from which on the ledger is known to have stood unchanged; starts with the cycle after the one
            that saw it first, because a listing may be answered long after its cycle began.
    """

    version: str
    ledger: Ledger | None
    since: float | None = None


@dataclass
class Survey:
    """One cycle's view.

    Attributes:
        sources: listed batches that may run now, in key order: the heads of the queues, and what is due.
        listed: the paths of all batches that were seen, due or not.
        covered: intervals of keys ``(after, last]`` in which everything was seen.
        next_due_ms: when the next scheduled batch is due (wall clock); None where none was seen.
        corrupt: key and reason of everything that could not be read.
    """

    sources: list[Source] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    covered: list[tuple[str, str]] = field(default_factory=list)
    next_due_ms: int | None = None
    corrupt: list[CorruptRecord] = field(default_factory=list)

    def shows_gone(self, key: str, path: str) -> bool:
        """Whether this survey proves that the object did not exist when it was taken."""
        return path not in self.listed and any(after < key <= last for after, last in self.covered)


def survey(
    layout: Layout,
    heard: dict[str, Heard],
    *,
    now: float,
    now_ms: int,
    wanted: Mapping[str, int],
    known: Container[str],
    limit: int = 1000,
) -> Step[Survey]:
    """List the partition, and read the ledgers whose version changed.

    Args:
        heard: by session; brought up to date.
        now: steady time, taken before this step was started.
        wanted: by queue, how many batches not yet ``known`` are worth looking for.
        known: paths of the batches on the board.
        limit: length of one page.

    Asks: one List; one more for each further page of hosts, and for each queue whose head does not fit its page. One Get
        for each ledger that changed.
    """
    seen = Survey()
    hosts: dict[str, str] = {}
    fresh: dict[str, int] = {}
    crowds: set[tuple[str, str]] = set()
    pages: dict[str, int] = {}
    after = layout.board
    while True:
        page = yield from list_page(layout.home, after, limit)
        last = page[-1].key if len(page) == limit else layout.home + END
        seen.covered.append((after, last))
        source: Source | None = None
        for item in page:
            if item.key.startswith(layout.hosts):
                hosts[layout.session(item.key)] = item.version
            else:
                source = _note(seen, layout, item, now_ms)
                if source is None or source.path in known:
                    continue
                if source.group is not None:
                    # A group takes one message at a time: a thousand batches of one group are one that can be assigned.
                    crowd = (source.queue, source.group)
                    if crowd in crowds:
                        continue
                    crowds.add(crowd)
                fresh[source.queue] = fresh.get(source.queue, 0) + 1
        if len(page) < limit:
            break
        after = last
        if source is None:
            continue
        if source.due_ms is not None:
            if source.due_ms > now_ms:
                break
            continue
        pages[source.queue] = pages.get(source.queue, 0) + 1
        if fresh.get(source.queue, 0) >= wanted.get(source.queue, 0) or pages[source.queue] >= _MAX_PAGES:
            after = f"{layout.inbox}{source.queue}/{END}"
    yield from _hear(seen, layout, heard, hosts, now)
    return seen


def _note(seen: Survey, layout: Layout, item: Listed, now_ms: int) -> Source | None:
    """Enter one listed object. None where it is not a batch."""
    path = layout.path(item.key)
    try:
        source = parse_source(path)
    except CorruptRecord as corrupt:
        seen.corrupt.append(corrupt)
        return None
    seen.listed.add(path)
    if source.due_ms is None or source.due_ms <= now_ms:
        seen.sources.append(source)
    elif seen.next_due_ms is None:
        seen.next_due_ms = source.due_ms
    return source


def _hear(seen: Survey, layout: Layout, heard: dict[str, Heard], hosts: dict[str, str], now: float) -> Step[None]:
    for session in heard.keys() - hosts.keys():
        del heard[session]
    changed: list[str] = []
    for session, version in hosts.items():
        before = heard.get(session)
        if before is None or before.version != version:
            changed.append(session)
        elif before.since is None:
            before.since = now
    found = yield from get_all([layout.host(session) for session in changed])
    for session, outcome in zip(changed, found, strict=True):
        if isinstance(outcome, Found):
            heard[session] = read_ledger(seen, layout.host(session), outcome)
        else:
            heard.pop(session, None)


def read_ledger(seen: Survey, key: str, found: Found) -> Heard:
    try:
        return Heard(found.version, decode(Ledger, key, found.body))
    except CorruptRecord as corrupt:
        seen.corrupt.append(corrupt)
        return Heard(found.version, None)
