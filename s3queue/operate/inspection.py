"""How many messages are where: from the summary of the coordinator, or counted from the outside.

Where it is counted, the parts are read one after the other while the queue goes on, so the figures are those of slightly
different moments. The board is read first: whatever finishes meanwhile is then counted where it was, and nothing is counted
twice.
"""

from __future__ import annotations

import time

from s3queue.config import current_config, current_store
from s3queue.core import ranges
from s3queue.core.keys import Layout, parse_source
from s3queue.core.ops import get, get_all, list_all
from s3queue.core.produce import largest_source
from s3queue.core.records import Board, Control, HostTally, Ledger, Summary, Tally, decode, known_of
from s3queue.core.tally import count_batch, count_board
from s3queue.errors import CorruptRecord
from s3queue.io.drive import Driver
from s3queue.io.meter import Meter
from s3queue.observe.stats import HostStats, QueueStats, RunningStats, Stats
from s3queue.operate.views import time_of
from s3queue.store import Found, Listed, ObjectStore

__all__ = ["stats"]


def stats(
    store: ObjectStore | None = None,
    namespace: str | None = None,
    *,
    exact: bool = False,
    meter: Meter | None = None,
) -> Stats:
    """The counts of a namespace, from the last summary of its coordinator. One GET, however long the backlog.

    Args:
        store: by default that of the process.
        namespace: by default the setting of that name.
        exact: count now, which is also done if there is no summary yet. Costs one GET for the board, one for each host, and
            one if operators have set anything; one LIST per 1,000 objects, and one for copies of damaged requests.
        meter: counts the requests, too.

    Raises:
        ConfigError: no store was named.
        StoreUnavailable, StoreDenied: the store cannot be read.
    """
    store = current_store() if store is None else store
    layout = Layout(namespace or current_config().namespace)
    driver = Driver(store, meter or Meter())
    before = driver.meter.as_dict()
    seen = Stats(store.url, layout.root)
    if exact or not read_summary(seen, layout, driver):
        _count(seen, layout, driver)
    seen.queues = dict(sorted(seen.queues.items()))
    seen.requests = {kind: count - before[kind] for kind, count in driver.meter.as_dict().items()}
    return seen


# ---- as the coordinator says it --------------------------------------------------------------------------------------


def read_summary(seen: Stats, layout: Layout, driver: Driver) -> bool:
    """Fill in the last summary of the coordinator. False: there is none, or it cannot be decoded. One GET."""
    found = driver.run(get(layout.summary))
    if not isinstance(found, Found):
        return False
    try:
        summary = decode(Summary, layout.summary, found.body)
    except CorruptRecord:
        seen.unreadable.append(layout.summary)
        return False
    now_ms = time.time() * 1000
    seen.coordinator, seen.epoch = summary.coordinator or None, summary.epoch
    seen.queues = {queue: _queue_stats(tally, now_ms) for queue, tally in summary.queues.items()}
    seen.hosts = [_host_stats(host) for host in summary.hosts]
    if any(host.session == summary.coordinator and host.over for host in summary.hosts):
        seen.coordinator = None  # it resigns as it leaves
    seen.unreadable, seen.full = list(summary.unreadable), list(summary.full)
    seen.as_of, seen.board_bytes = time_of(summary.written_ms), summary.board_bytes
    seen.cycle_s, seen.fences = summary.cycle_s, summary.fences
    seen.past = {role: usage.as_dict() for role, usage in summary.past.items()}
    seen.census_at = time_of(summary.census_ms) if summary.census_ms else None
    if seen.is_unattended:
        for counts in seen.queues.values():
            counts.at_least = True
    return True


def _queue_stats(tally: Tally, now_ms: float) -> QueueStats:
    return QueueStats(
        ready=tally.ready,
        scheduled=tally.scheduled,
        running=tally.running,
        waiting=tally.waiting,
        dead=tally.dead,
        done=tally.done,
        failed=tally.failed,
        oldest_s=max(0.0, (now_ms - tally.oldest_ms) / 1000) if tally.oldest_ms else None,
        unfit=tally.unfit,
        paused=tally.paused,
        at_least=tally.at_least,
        hosts=tally.hosts,
        in_per_s=tally.in_per_s,
        out_per_s=tally.out_per_s,
        mean_s=tally.mean_s or None,
        died=tally.died,
        limited=list(tally.limited),
        expired=tally.expired,
        deaths=tally.deaths,
        cancelled=tally.cancelled,
        purged=tally.purged,
        redriven=tally.redriven,
        held=tally.held,
        paused_tasks=list(tally.paused_tasks),
    )


def _host_stats(host: HostTally) -> HostStats:
    return HostStats(
        host.session,
        host.name,
        host.slots,
        list(host.queues),
        host.assigned,
        host.over,
        {role: usage.as_dict() for role, usage in host.usage.items()},
        min(host.slots, host.assigned),
        [RunningStats(one.message, one.done, one.total, one.text) for one in host.progress],
        host.fenced,
        host.about.release,
        host.about.workers,
        dict(host.about.deaths),
        host.about.rss_bytes,
    )


# ---- counted ---------------------------------------------------------------------------------------------------------


def _count(seen: Stats, layout: Layout, driver: Driver) -> None:
    board = _read_board(seen, layout, driver)
    listing = driver.run(list_all(layout.home))
    now_ms = time.time() * 1000
    tallies: dict[str, Tally] = {}
    if board is not None:
        seen.unreadable += [item.key for item in driver.run(list_all(layout.aside("")))]  # a coordinator has led
        seen.epoch, seen.full = board.epoch, list(board.full)
        seen.coordinator = board.leader.session if board.leader else None
        tallies, unreadable = count_board(board, layout)
        seen.unreadable += unreadable
    _count_batches(seen, tallies, layout, board, listing, int(now_ms))
    for queue, tally in tallies.items():
        seen.queues[queue] = _queue_stats(tally, now_ms)
        seen.queues[queue].out_per_s = None
    _read_hosts(seen, layout, board, listing, driver)
    _read_control(seen, layout, listing, driver)
    if board is None:  # the board counts decided letters
        for queue, counts in seen.queues.items():
            counts.dead = len(driver.run(list_all(layout.dead(queue))))


def _read_board(seen: Stats, layout: Layout, driver: Driver) -> Board | None:
    found = driver.run(get(layout.board))
    if not isinstance(found, Found):
        return None
    try:
        board = known_of(decode(Board, layout.board, found.body))
    except CorruptRecord:
        seen.unreadable.append(layout.board)
        return None
    seen.board_bytes = len(found.body)
    return board


def _count_batches(
    seen: Stats, tallies: dict[str, Tally], layout: Layout, board: Board | None, listing: list[Listed], now_ms: int
) -> None:
    """Batches that are not on the board yet."""
    known = {**board.sources, **board.moves} if board else {}
    largest = largest_source(current_config().max_message_bytes)
    for item in listing:
        path = layout.path(item.key)
        if path in known or not item.key.startswith((layout.inbox, layout.later)):
            continue
        try:
            source = parse_source(path)
        except CorruptRecord:
            seen.unreadable.append(item.key)
            continue
        if item.size > largest:
            seen.unreadable.append(item.key)
            continue
        count_batch(tallies, source, now_ms)


def _read_control(seen: Stats, layout: Layout, listing: list[Listed], driver: Driver) -> None:
    if not any(item.key == layout.control for item in listing):
        return
    found = driver.run(get(layout.control))
    if not isinstance(found, Found):
        return
    try:
        control = decode(Control, layout.control, found.body)
    except CorruptRecord:
        seen.unreadable.append(layout.control)
        return
    now_ms = int(time.time() * 1000)
    for queue in control.paused:
        if control.holds(queue, now_ms):
            seen.queues.setdefault(queue, QueueStats()).paused = True
    for queue, tasks in control.halted(now_ms).items():
        seen.queues.setdefault(queue, QueueStats()).paused_tasks = list(tasks)


def _read_hosts(seen: Stats, layout: Layout, board: Board | None, listing: list[Listed], driver: Driver) -> None:
    assigned: dict[str, int] = {}
    for ticket in board.tickets.values() if board else ():
        assigned[ticket.session] = assigned.get(ticket.session, 0) + ticket.size - ranges.size(ticket.taken)
    keys = [item.key for item in listing if item.key.startswith(layout.hosts)]
    for key, found in zip(keys, driver.run(get_all(keys)), strict=True):
        if not isinstance(found, Found):
            continue
        session = layout.session(key)
        try:
            ledger = decode(Ledger, key, found.body)
        except CorruptRecord:
            seen.unreadable.append(key)
            continue
        host = HostTally(
            session,
            ledger.place.name,
            ledger.slots,
            assigned.get(session, 0),
            tuple(sorted(ledger.offers)),
            ledger.over,
            ledger.usage,
            about=ledger.about,
            fenced=ledger.fenced,
        )
        seen.hosts.append(_host_stats(host))
        for queue in ledger.offers if not ledger.over else ():
            seen.queues.setdefault(queue, QueueStats()).hosts += 1
