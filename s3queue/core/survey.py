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

#: Pages of one queue in one survey, and of what is due in ``later/``. 8,000 sources at the head of one queue are more than
#: hosts can be given at once.
_MAX_PAGES = 8
#: Length of every page but the first of a queue: who has to look further looks as far as one request can.
_FULL_PAGE = 1000


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
class Sweep:
    """How far the surveys have looked through the batches that are due, where those do not fit one survey.

    They lie in the order of their due times, whatever their queue, so a crowd of them that no host serves cannot be
    skipped. Each survey goes on where the last one stopped, and so gets behind it.

    Attributes:
        after: the last key that was looked at; "" at the beginning.
        crowds: groups that have a batch before it. Their later ones have to wait for the next sweep.
    """

    after: str = ""
    crowds: frozenset[tuple[str, str]] = frozenset()


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
        return path not in self.listed and self.covers(key)

    def covers(self, key: str) -> bool:
        """Whether this survey looked where the object would be."""
        return any(after < key <= last for after, last in self.covered)


def survey(
    layout: Layout,
    heard: dict[str, Heard],
    *,
    now: float,
    now_ms: int,
    wanted: Mapping[str, int],
    known: Container[str],
    limit: int = _FULL_PAGE,
    sweep: Sweep | None = None,
) -> Step[Survey]:
    """List the partition, and read the ledgers whose version changed.

    Args:
        heard: by session; brought up to date.
        now: steady time, taken before this step was started.
        wanted: by queue, how many batches not yet ``known`` are worth looking for.
        known: paths of the batches on the board.
        limit: length of the first page of anything.
        sweep: brought up to date.

    Asks: one List; one more for each further page of hosts, for each queue whose head does not fit its page, and for each
        further page of what is due, up to a bound. One Get for each ledger that changed.
    """
    sweep = sweep or Sweep()
    at_start = {session: state.version for session, state in heard.items()}
    seen = Survey()
    hosts: dict[str, str] = {}
    fresh: dict[str, int] = {}
    crowds: set[tuple[str, str]] = set()
    due_crowds: set[tuple[str, str]] = set()
    pages: dict[str, int] = {}
    after, size, swept = layout.board, limit, ""
    hosts_prefix, hosts_size = layout.hosts, len(layout.hosts)
    while True:
        page = yield from list_page(layout.home, after, size)
        last = page[-1].key if len(page) == size else layout.home + END
        seen.covered.append((after, last))
        source: Source | None = None
        for item in page:
            if item.key.startswith(hosts_prefix):
                hosts[item.key[hosts_size:]] = item.version
                continue
            source = _read_key(seen, layout, item)
            if source is None:
                continue
            crowd = None if source.group is None else (source.queue, source.group)
            if source.due_ms is not None:
                if source.due_ms > now_ms:
                    seen.next_due_ms = seen.next_due_ms or source.due_ms
                    continue
                if crowd is not None:
                    due_crowds.add(crowd)
                    if crowd in sweep.crowds and item.key > sweep.after:
                        continue
            seen.sources.append(source)
            if crowd is not None:
                if crowd in crowds:
                    continue
                # A group takes one message at a time: a thousand batches of one group are one that can be assigned, and
                # none while an earlier one is on the board.
                crowds.add(crowd)
            if source.path not in known:
                fresh[source.queue] = fresh.get(source.queue, 0) + 1
        if len(page) < size:
            break
        after, size = last, _FULL_PAGE
        if source is None:
            continue
        if source.due_ms is not None:
            if source.due_ms > now_ms:
                break
            pages["later/"] = pages.get("later/", 0) + 1
            if pages["later/"] >= _MAX_PAGES:
                swept = last
                break
            after = max(last, sweep.after)
            continue
        pages[source.queue] = pages.get(source.queue, 0) + 1
        if fresh.get(source.queue, 0) >= wanted.get(source.queue, 0) or pages[source.queue] >= _MAX_PAGES:
            after, size = layout.queue(source.queue) + END, limit
    yield from _hear(seen, layout, heard, hosts, at_start, now)
    sweep.after, sweep.crowds = swept, (sweep.crowds | due_crowds) if swept else frozenset()
    return seen


def _read_key(seen: Survey, layout: Layout, item: Listed) -> Source | None:
    """Enter one listed object. None where it is not a batch."""
    path = layout.path(item.key)
    try:
        source = parse_source(path)
    except CorruptRecord as corrupt:
        seen.corrupt.append(corrupt)
        return None
    seen.listed.add(path)
    return source


def _hear(
    seen: Survey, layout: Layout, heard: dict[str, Heard], hosts: dict[str, str], at_start: dict[str, str], now: float
) -> Step[None]:
    for session in heard.keys() - hosts.keys():
        del heard[session]
    changed: list[str] = []
    for session, version in hosts.items():
        before = heard.get(session)
        if before is None or before.version != version:
            changed.append(session)
        elif before.since is None and at_start.get(session) == version:
            before.since = now  # what a host of this process entered after that is younger
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
