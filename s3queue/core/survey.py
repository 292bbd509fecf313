"""The coordinator's view in one cycle: living sessions, and the batches at the head of each queue.

In a small system one listing of the partition is the whole survey. Of a queue with a long backlog only the head is
listed, so that the cost of a cycle does not grow with the backlog.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from s3queue.core.hearing import Heard, hear
from s3queue.core.keys import END, Layout, Source, Spot, parse_source, spot_of
from s3queue.core.ops import List, Step, list_pages
from s3queue.core.stretches import Stretch, divide, joined
from s3queue.core.sweeps import Scan, Seen, Sweep, look_behind
from s3queue.errors import CorruptRecord
from s3queue.store import Listed

#: Pages of one queue in one survey besides those of batches on the board, and pages of what is due in ``later/``.
_MAX_PAGES = 8
#: Of a page of a lane, the least that it counts for: those of batches on the board cost a request, too.
_LEAST = 0.25
#: Requests that one survey looks at before it passes over the others. The next one begins with those.
MOST_REQUESTS = 100
#: Keys of one survey that name no batch, and that are told.
_MOST_STRANGE = 100
#: Keys in every page but the first of a queue: further listings are as long as one request allows.
_FULL_PAGE = 1000


@dataclass
class Survey:
    """One cycle's view.

    Attributes:
        sources: listed batches that may run now: at the heads of the queues, behind crowds, and due ones.
        listed: the paths of all listed batches, due or not.
        covered: intervals of keys ``(after, last]`` that were listed completely.
        deep: queues of which only the head was listed, with the last listed key.
        next_due_ms: when the next scheduled batch is due (wall clock); None if none was listed.
        corrupt: key and reason of everything that could not be decoded.
        empty: batches without a body: truncated puts. They never run; those with an id in the window are late.
        missed: keys of ledgers that could not be read in time, and why.
        lanes: queues of which not every lane was looked at: the key with which that ended.
        control: version of the control; None where there is none.
        requests: paths of requests, oldest first: as many as one cycle may look at.
        strange: keys that name no batch, or one that only a newer release can read. The first of them are in ``corrupt``.
    """

    sources: list[Source] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)
    covered: list[tuple[str, str]] = field(default_factory=list)
    deep: dict[str, str] = field(default_factory=dict)
    next_due_ms: int | None = None
    corrupt: list[CorruptRecord] = field(default_factory=list)
    empty: list[Source] = field(default_factory=list)
    missed: list[tuple[str, Exception | None]] = field(default_factory=list)
    control: str | None = None
    lanes: dict[str, str] = field(default_factory=dict)
    requests: dict[str, None] = field(default_factory=dict)
    strange: int = 0

    def shows(self, path: str) -> bool:
        """Whether the batch or request with this path was listed."""
        return path in self.listed or path in self.requests

    def shows_gone(self, key: str, path: str) -> bool:
        """Whether this survey proves that the object did not exist when it was taken."""
        return not self.shows(path) and self.covers(key)

    def covers(self, key: str) -> bool:
        """Whether this survey looked where the object would be."""
        for after, last in self.covered:  # noqa: SIM110 - once for each finished source: a generator costs three times as much
            if after < key <= last:
                return True
        return False


def survey(
    layout: Layout,
    heard: dict[str, Heard],
    *,
    now: float,
    now_ms: int,
    wanted: Mapping[str, int],
    known: Collection[str],
    limit: int = _FULL_PAGE,
    sweep: Sweep | None = None,
    deep: Collection[str] = (),
    within_s: float = math.inf,
    may_read: Callable[[str], bool] = lambda key: True,
    largest: float = math.inf,
    moved_ms: float = math.inf,
    handled: Collection[str] = (),
    lanes: Mapping[str, str] | None = None,
    ageing: Collection[str] = (),
) -> Step[Survey]:
    """List the partition, and read the ledgers whose version changed.

    If one request is not enough, several are sent at once: known keys say where to divide.

    Args:
        heard: by session; brought up to date.
        now: steady time, taken before this step was started.
        wanted: by queue, how many batches not yet ``known`` are worth looking for.
        known: paths of the batches on the board.
        limit: length of the first page of anything.
        sweep: brought up to date.
        deep: queues of which the last survey saw only the head.
        within_s: time-out in seconds for reads of ledgers. A ledger that fails or times out is missed, and delays no
            other.
        may_read: whether to read the ledger under a key; other changed ledgers are missed.
        largest: bytes of the largest batch that may run. A larger one could kill its reader: it is left in place,
            reported.
        moved_ms: the time by which messages that were moved off the board are due, if it is before ``now_ms``: they are
            retries, which a step of the wall clock does not start.
        handled: paths of requests that boards have named: they are passed over.
        lanes: by queue, the key after which to begin with its lanes. ageing: queues in which every priority is looked at.

    Asks: one List; one more for each further page of hosts and of known batches, for each queue whose head does not fit
        its page, and for each further page of what is due, up to a bound. One Get for each ledger that changed.
    """
    sweep = sweep or Sweep()
    at_start = {session: state.version for session, state in heard.items()}
    listing = _Listing(layout, now_ms, wanted, known, limit, sweep, largest, moved_ms, handled, ageing)
    stretches = divide(layout, heard, known, deep, sweep, lanes or {}, limit, _FULL_PAGE)
    while stretches:
        pages = yield from list_pages([List(layout.home, one.after, one.size) for one in stretches])
        for stretch, page in zip(stretches, pages, strict=True):
            listing.enter(stretch, page)
        stretches = [one for one in stretches if one.after < one.upto]
    missed, corrupt = yield from hear(layout, heard, listing.hosts, at_start, now, within_s, may_read)
    listing.seen.missed += missed
    listing.seen.corrupt += corrupt
    seen = listing.result()
    sweep.asked = listing.passed
    sweep.after = listing.swept
    sweep.scans = listing.scans
    sweep.crowds = (sweep.crowds | listing.due_crowds) if listing.swept else frozenset()
    return seen


class _Listing:
    """Collects the pages of one survey, in any order.

    Attributes:
        hosts: versions of the ledgers, by session.
        scans: how far the queues were listed behind crowds.
        passed: the last request that was looked at, where others were passed over; "": none were.
        swept: last key of ``later/`` where its listing was cut off; "" if it was complete.
        due_crowds: groups with a due batch.
    """

    def __init__(
        self,
        layout: Layout,
        now_ms: int,
        wanted: Mapping[str, int],
        known: Collection[str],
        limit: int,
        sweep: Sweep,
        largest: float,
        moved_ms: float,
        handled: Collection[str],
        ageing: Collection[str],
    ) -> None:
        self._ageing = ageing
        #: By queue: of each key, batches that are not on the board, and pages of them.
        self._by_key: dict[str, dict[str, int]] = {}
        self._turned_over: dict[str, float] = {}
        self._largest, self._moved_ms, self._handled = largest, moved_ms, handled
        self._layout, self._now_ms, self._wanted, self._known = layout, now_ms, wanted, known
        self._limit, self._sweep = limit, sweep
        self.seen = Survey()
        self.hosts: dict[str, str] = {}
        self.swept = self.passed = ""
        self.scans: dict[str, Scan] = {}
        self.due_crowds: set[tuple[str, str]] = set()
        self._crowds: set[tuple[str, str]] = set()
        self._asked = 0
        #: By queue and stretch: batches that are not on the board, and pages of them.
        self._fresh: dict[str, dict[int, int]] = {}
        self._pages: dict[tuple[str, bool], dict[int, float]] = {}
        #: By queue: where the look behind its head ended; and those whose head was left for lack of pages.
        self._ends: dict[str, str] = {}
        self._crowded: set[str] = set()

    def enter(self, stretch: Stretch, page: Sequence[Listed]) -> None:
        """Enter a page, and move the stretch to the start of its next one."""
        last = page[-1].key if len(page) == stretch.size and page[-1].key < stretch.upto else stretch.upto
        began = stretch.after
        self.seen.covered.append((began, last))
        new = self._read(stretch, page, last)
        stretch.after, stretch.size = last, _FULL_PAGE
        if last.startswith(self._layout.requests) and self._asked >= MOST_REQUESTS and last < stretch.upto:
            self.passed, stretch.after = last, self._layout.requests + END
            return
        if last == stretch.upto or (spot := spot_of(self._layout.path(last))) is None:
            return
        if spot.due_ms is not None:
            if spot.due_ms > self._now_ms:
                stretch.after = stretch.upto
            elif self._turned(("later/", False), stretch, 1.0) >= _MAX_PAGES:
                self.swept, stretch.after = last, stretch.upto
            else:
                stretch.after = max(last, self._sweep.after)
            return
        queue = spot.queue
        if spot.key:
            self._enter_lane(stretch, spot, last, new / len(page))
            return
        scan = self._sweep.scans.get(queue)
        active = scan is not None and scan.after != ""
        behind = active and scan is not None and began >= self._layout.home + scan.after
        # A page of batches that are on the board already does not count: it found nothing new.
        pages = self._turned((queue, behind), stretch, new / len(page))
        enough = _upto(stretch, self._fresh.get(queue, {})) >= self._wanted.get(queue, 0)
        if enough or pages >= (_MAX_PAGES if not active else max(1, _MAX_PAGES - 1) if behind else 1):
            ends = self._ends if behind else self.seen.deep
            ends[queue] = min(last, ends.get(queue, last))
            if not enough:
                self._crowded.add(queue)
            stretch.after, stretch.size = self._behind(spot, last), self._limit

    def _behind(self, spot: Spot, last: str) -> str:
        """The key after which to go on, once enough of a folder was listed."""
        folder = self._layout.queue(spot.queue)
        if spot.priority is None:  # no batch has such a key; behind the lanes there is none at all
            return last if last < f"{folder}k/" else folder + END
        return f"{folder}{spot.priority}/{END}" if spot.queue in self._ageing else self._layout.lanes(spot.queue)

    def _enter_lane(self, stretch: Stretch, spot: Spot, last: str, new: float) -> None:
        """A page ended within the lane of a key: go on behind it once that is enough of it, and leave the others for the
        next survey once there are enough of them."""
        layout, queue, wanted = self._layout, spot.queue, max(1, self._wanted.get(spot.queue, 0))
        turned = self._turned_over[queue] = self._turned_over.get(queue, 0.0) + max(new, _LEAST)
        found = self._by_key.get(queue, {})
        enough = found.get(spot.key, 0) >= wanted
        if turned >= _MAX_PAGES or sum(min(many, 1) for many in found.values()) >= max(wanted, _FULL_PAGE):
            self.seen.lanes[queue] = spot.key
            stretch.after, stretch.size = layout.queue(queue) + END, self._limit
        elif enough:
            stretch.after = layout.lane(queue, spot.key) + END

    def _turned(self, what: tuple[str, bool], stretch: Stretch, pages: float) -> float:
        turned = self._pages.setdefault(what, {})
        turned[stretch.number] = turned.get(stretch.number, 0.0) + pages
        return _upto(stretch, turned)

    def _read(self, stretch: Stretch, page: Sequence[Listed], last: str) -> int:
        """Enter the keys up to ``last``. Returns how many are not on the board."""
        layout, seen, known, crowds = self._layout, self.seen, self._known, self._crowds
        hosts_prefix, hosts_size = layout.hosts, len(layout.hosts)
        inbox, new = layout.inbox, len(page)
        for item in page:
            key = item.key
            if key > last:
                break
            if key < inbox:  # few are
                if key.startswith(hosts_prefix):
                    self.hosts[key[hosts_size:]] = item.version
                    continue
                if key < hosts_prefix and self._enter(item):
                    continue
            source = _read_key(seen, layout, item)
            if source is None:
                continue
            is_known = source.path in known
            new -= is_known
            if item.size > self._largest and not is_known:
                why = f"{item.size} bytes; max_message_bytes allows {self._largest} in one object"
                seen.corrupt.append(CorruptRecord(item.key, why))
                continue
            crowd = None if source.group is None else (source.queue, source.group)
            if source.due_ms is not None:
                if source.due_ms > self._now_ms:
                    seen.next_due_ms = seen.next_due_ms or source.due_ms
                    continue
                if source.moved and source.due_ms > self._moved_ms:
                    continue
                if crowd is not None:
                    self.due_crowds.add(crowd)
                    if crowd in self._sweep.crowds and item.key > self._sweep.after:
                        continue
            seen.sources.append(source)
            if crowd is not None:
                if crowd in crowds:
                    continue
                # A group takes one message at a time: a thousand batches of one group are one that can be assigned, and
                # none while an earlier one is on the board.
                crowds.add(crowd)
            if source.key:
                if not is_known:
                    found = self._by_key.setdefault(source.queue, {})
                    found[source.key] = found.get(source.key, 0) + 1
            elif not is_known:
                fresh = self._fresh.setdefault(source.queue, {})
                fresh[stretch.number] = fresh.get(stretch.number, 0) + 1
        return new

    def _enter(self, item: Listed) -> bool:
        """What operators have stored. Returns whether it is that."""
        layout, seen = self._layout, self.seen
        if item.key == layout.control:
            seen.control = item.version
        elif item.key.startswith(layout.requests):
            path = layout.path(item.key)
            seen.requests[path] = None
            self._asked += path not in self._handled
        else:
            return False
        return True

    def result(self) -> Survey:
        """The survey, in order. In a queue with a gap, no batch behind the gap may run before its turn."""
        seen, layout = self.seen, self._layout
        seen.covered = joined(seen.covered)
        seen.sources.sort(key=attrgetter("path"))
        gaps = seen.deep.keys() | self._ends.keys()
        self.scans = {}
        if not gaps:
            return seen
        found: dict[str, tuple[list[Source], list[Source]]] = {queue: ([], []) for queue in gaps}
        rest: list[Source] = []
        for source in seen.sources:
            is_free = source.key or (source.group is None and source.queue in self._ageing)
            lists = None if is_free else found.get(source.queue)
            (rest if lists is None else lists[source.due_ms is not None]).append(source)
        for queue, (inbox, due) in sorted(found.items()):
            head, end = (
                None if key is None else layout.path(key) for key in (seen.deep.get(queue), self._ends.get(queue))
            )
            view = Seen(queue, inbox, due, head, end, queue in self._crowded)
            offered, scan = look_behind(self._sweep.scans.get(queue), view, self._known)
            rest += offered
            if scan is not None:
                self.scans[queue] = scan
        seen.sources = sorted(rest, key=attrgetter("path"))
        return seen


def _upto(stretch: Stretch, counts: Mapping[int, float]) -> float:
    """The sum of this stretch and those before it. Finds of later lanes do not count: batches behind the first place at
    which a queue was left are not offered."""
    return sum(count for number, count in counts.items() if number <= stretch.number)


def _read_key(seen: Survey, layout: Layout, item: Listed) -> Source | None:
    """Enter one listed object. None where it is not a batch."""
    path = item.key.removeprefix(layout.home)  # as `Layout.path`, at half its cost: a survey reads up to 1,000 keys
    try:
        source = parse_source(path)
        if source.is_borrowed:
            raise CorruptRecord(item.key, "not the key of a batch")
    except CorruptRecord as corrupt:
        seen.strange += 1
        if seen.strange <= _MOST_STRANGE:
            seen.corrupt.append(corrupt)
        return None
    seen.listed.add(path)
    if item.size == 0:  # admitted, its messages would be dead letters without a payload
        seen.corrupt.append(CorruptRecord(item.key, "an empty object: a put was cut short; its producer repeats it"))
        seen.empty.append(source)
        return None
    return source
