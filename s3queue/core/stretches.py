"""Where the keys of a partition are divided, so that one survey lists them with several requests at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from s3queue.core.keys import END, INBOX, LATER, Layout
from s3queue.core.sweeps import Sweep


@dataclass
class Stretch:
    """An interval of keys ``(after, upto]`` that is listed page by page, at the same time as others.

    Attributes:
        number: of the interval, in the order of keys.
    """

    number: int
    after: str
    upto: str
    size: int


def divide(
    layout: Layout,
    heard: Collection[str],
    known: Collection[str],
    deep: Collection[str],
    sweep: Sweep,
    begin: Mapping[str, str],
    limit: int,
    full: int,
) -> list[Stretch]:
    """Intervals of keys, each expected to fit one page. Lanes before those to begin with are left out, and so are requests
    that the last survey has looked at, where it has passed over others.

    ``later/`` is in the last one, since it is listed in order.

    Args:
        heard: sessions whose ledgers are expected; ``known``: paths of batches that are.
        deep: queues of which the last survey saw only the head.
        begin: by queue, the key after which to begin with its lanes.
        limit: keys of the first page of each. full: keys that one request can list.
    """
    ends = [layout.lanes(queue) for queue in {*deep, *sweep.scans, *begin}]
    skipped = {layout.lanes(queue): layout.lane(queue, key) + END for queue, key in begin.items()}
    if sweep.asked:
        ends.append(layout.requests)
        skipped[layout.requests] = sweep.asked
    ends += skipped.values()
    ends += [layout.home + scan.after for scan in sweep.scans.values() if scan.after]
    if len(heard) + len(known) > full:
        expected = [layout.host(session) for session in sorted(heard)]
        expected += sorted(layout.key(path) for path in known if INBOX <= path < LATER)
        stride = max(1, full * 9 // 10)  # the rest is for keys not known yet
        ends += expected[stride - 1 :: stride]
    cuts = [layout.board, *sorted(set(ends)), layout.home + END]
    left_out = [cut for cut in cuts if any(after < cut < upto for after, upto in skipped.items())] if skipped else []
    kept = [(after, upto) for after, upto in pairwise(cuts) if after not in skipped and after not in left_out]
    return [Stretch(number, after, upto, limit) for number, (after, upto) in enumerate(kept)]


def joined(intervals: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Intervals of keys in order, those that meet as one."""
    whole: list[tuple[str, str]] = []
    for after, last in sorted(intervals):
        if whole and whole[-1][1] == after:
            whole[-1] = whole[-1][0], last
        else:
            whole.append((after, last))
    return whole
