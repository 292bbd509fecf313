"""How surveys get past crowds: many batches that cannot be assigned now, in front of others that can.

A survey lists a bounded number of keys. Each survey lists the head again and also goes on where the last one stopped, so
it gets past any crowd. There are two kinds:

- Due batches in ``later/`` are in the order of their due times, whatever their queue: a crowd is a queue that no host
  serves.
- In a queue, a crowd is a group with thousands of batches: a group runs one message at a time.

Order within a group holds although no survey sees everything. A batch behind a gap may run only if the scan found no
earlier batch of its group, and only when it is seen for the second time, in a scan that began after the first sight.
Every earlier batch of its group that was stored before it was then stored before the scan passed its place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from s3queue.core.keys import Source, parse_source

#: Batches of a queue remembered from one scan to the next.
_MOST_SIGHTED = 20_000
#: Factor on the surveys that a scan took to find something; after that many the scan begins anew. A batch that waits for
#: its second sight then need not wait for the whole backlog.
_ANEW = 8
#: Surveys without a crowd after which a scan is forgotten.
_FORGOTTEN_AFTER = 100


@dataclass
class Sweep:
    """What one coordinator remembers of its surveys.

    Attributes:
        after: the last listed key of ``later/``; "" at the beginning.
        crowds: groups with a due batch before it. Their later batches wait for the next sweep.
        scans: by queue, for queues with a crowd.
        asked: the last request that was read, where others were skipped; "": none were.
    """

    after: str = ""
    crowds: frozenset[tuple[str, str]] = frozenset()
    scans: dict[str, Scan] = field(default_factory=dict)
    asked: str = ""


@dataclass
class Scan:
    """How far the surveys have listed behind the head of one queue.

    Attributes:
        after: path after which the next survey goes on; "" where it begins with the head.
        first: by group, the path of the earliest batch that was found since the scan began.
        seen: first batches of their groups, as an earlier scan found them; ``sighted``: as this one did.
        surveys: since it began. ``found``: surveys until there was something to offer; 0: nothing yet.
        idle: surveys without a crowd.
    """

    after: str = ""
    first: dict[str, str] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    sighted: set[str] = field(default_factory=set)
    surveys: int = 0
    found: int = 0
    idle: int = 0

    def is_behind(self, group: str, place: str) -> bool:
        """Whether one of the group was found before this place."""
        return group in self.first and self.first[group] < place

    def note(self, group: str, place: str) -> bool:
        """Enter a batch of a group. Returns whether none of the group was found before it."""
        if self.is_behind(group, place):
            return False
        self.first[group] = place
        return True

    def sight(self, source: Source) -> bool:
        """Enter a batch that is the first of its group. Returns whether it was seen before this scan began."""
        if len(self.sighted) < _MOST_SIGHTED:
            self.sighted.add(source.path)
        return source.path in self.seen


@dataclass
class Seen:
    """The part of a queue that one survey saw.

    Attributes:
        queue: its name.
        inbox: its batches in ``in/``, in order; ``due``: those in ``later/``.
        head: everything up to this path was seen; None: the whole queue.
        end: path at which listing behind the head ended; None: at the end of the queue.
        crowded: the head did not hold as many batches as wanted.
    """

    queue: str
    inbox: Sequence[Source]
    due: Sequence[Source]
    head: str | None
    end: str | None
    crowded: bool


def place_of(source: Source) -> str:
    """The place of a batch in its queue; for a scheduled one the place that it would have if unscheduled."""
    return source.path if source.due_ms is None else "in/" + source.path.partition("-")[2]


def look_behind(scan: Scan | None, seen: Seen, known: Collection[str]) -> tuple[list[Source], Scan | None]:
    """The batches of a queue that may be offered, and the scan to go on with.

    Args:
        scan: as the last survey left it.
        known: paths of the batches on the board.
    """
    head = seen.head
    if scan is not None and scan.after and head is None:
        head = seen.end  # the head reached to where the last survey had stopped: there is no gap
    if head is None:
        return [*seen.inbox, *seen.due], None
    if scan is None and not seen.crowded:
        due = [source for source in seen.due if source.group is None or place_of(source) <= head]
        return [*(source for source in seen.inbox if source.path <= head), *due], None
    gap = scan is not None and scan.after != "" and seen.head is not None
    if scan is None or not gap:
        scan = Scan() if scan is None else Scan(seen=scan.seen, idle=scan.idle)
    scan.surveys += 1
    busy = {source.group for source in map(parse_source, known) if source.group and source.queue == seen.queue}
    reached = seen.end if gap else head
    offered: list[Source] = []
    cursor, last = None, ""
    for source in seen.inbox:
        inside = source.path <= head
        if not inside and not (gap and scan.after < source.path and (reached is None or source.path <= reached)):
            continue
        usable = source.path not in known
        if source.group is not None:
            first = scan.note(source.group, source.path)
            usable = usable and first and source.group not in busy and (scan.sight(source) or inside)
        if inside or usable:
            offered.append(source)
        if usable and cursor is None and not (gap and inside):
            cursor = max(last, scan.after)
        last = source.path
    for source in seen.due:
        place = place_of(source)
        if source.group is None or place <= head:
            offered.append(source)
        elif scan.is_behind(source.group, place):
            pass
        elif scan.sight(source) and gap and (reached is None or place <= reached):
            offered.append(source)
    return offered, _next(scan, seen, gap, cursor, reached)


def _next(scan: Scan, seen: Seen, gap: bool, cursor: str | None, reached: str | None) -> Scan | None:
    if not gap and not seen.crowded:
        scan.idle += 1
        return Scan(seen=scan.seen, idle=scan.idle) if scan.seen and scan.idle < _FORGOTTEN_AFTER else None
    scan.idle = 0
    if cursor is not None and not scan.found:
        scan.found = scan.surveys
    place = reached if cursor is None else cursor
    if place is None or (scan.found and scan.surveys >= _ANEW * (scan.found + 1)):
        return Scan(seen=frozenset(scan.sighted))
    scan.after = place
    return scan
