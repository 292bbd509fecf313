"""The verdict on what some messages show besides: limits, results, expiry, and calls with several messages.

What is enqueued once: `stress.chaos.calls`. Rates and turns: `stress.chaos.shares`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from s3queue.core.keys import fencing_token, parse_message_id, parse_source
from stress.chaos.accounts import Accounts, Run
from stress.chaos.plan import BATCH, FEW, MOST_RUNNING, Order
from stress.chaos.steering import called_off


def limits(accounts: Accounts) -> list[str]:
    """Of the queue with limits no more messages run at once than it says, and one of each key.

    A run lasts from its first note to its last, so it is never longer here than it was. One without an end is over when
    its process was hit, or anybody sent the end of its session: its place is given to others only after that.
    """
    changes: list[tuple[float, int, Run, str]] = []
    for run, ends_at in lasting(accounts):
        source = parse_source(parse_message_id(run.start.message).path)
        if source.queue == FEW:
            changes += [(run.start.at, 1, run, source.key), (ends_at, -1, run, source.key)]
    running: Counter[str] = Counter()
    wrong = []
    for _, change, run, key in sorted(changes, key=lambda one: one[:2]):
        running[key] += change
        if change > 0 and running.total() > MOST_RUNNING:
            wrong.append(f"{running.total()} messages of {MOST_RUNNING} run at once: {run}")
        elif change > 0 and running[key] > 1:
            wrong.append(f"{running[key]} messages of key {key} run at once: {run}")
    return wrong


def lasting(accounts: Accounts) -> Iterator[tuple[Run, float]]:
    """Runs, and when each was over at the latest; without those that lasted for no time."""
    over_at: dict[str, float] = {}
    for ending in accounts.endings:
        over_at[ending.session] = min(ending.at, over_at.get(ending.session, ending.at))
    for run in accounts.runs:
        ends_at = min(_ends_at(accounts, run), over_at.get(run.start.session, float("inf")))
        if ends_at > run.start.at:
            yield run, ends_at


def _ends_at(accounts: Accounts, run: Run) -> float:
    if run.ended_at is not None:
        return run.ended_at
    kills = [fault for fault in accounts.faults if fault.kind != "stop" and run.start.pid in fault.pids]
    return min((fault.at for fault in kills if fault.at >= run.start.at), default=run.start.at)


def results(accounts: Accounts, orders: Mapping[int, Order], read: Callable[[str], object]) -> Iterator[str]:
    """What is done has the result of the run by which it is, and of no other.

    Args:
        read: what a reader is told of a message. None: nothing.
    """
    off = called_off(accounts)
    for message, number in (accounts.sent | accounts.uncertain).items():
        if number not in orders or orders[number].does != "kept":
            continue
        tickets = {told.ticket for told in accounts.told.get(message, ()) if told.outcome == "done"}
        found = read(message)
        runs = [run for run in accounts.runs if run.start.message == message and run.how == "ok"]
        if not tickets:  # nobody told of the commit, or it was none
            if found is None and (not runs or message in off):
                continue
            tickets = {run.ticket for run in runs}
        if found not in [[number, fencing_token(ticket)] for ticket in tickets]:
            yield f"done by {sorted(tickets)}, and its result is {found}: {message}"


#: Seconds by which a start may be noted late, on a machine with more to do than it can.
_LATE_S = 1.0
#: Seconds before a start in which a process that was stopped may have looked at the clock.
_STOPPED_S = 60.0


def expiry(accounts: Accounts, orders: Mapping[int, Order], skew_s: float = 0.0) -> Iterator[str]:
    """Nothing begins after its time, and what has ended for that has never begun.

    Args:
        skew_s: between clocks of producers and hosts.
    """
    runs = accounts.by_message()
    for message, number in accounts.sent.items():
        if number not in orders or not orders[number].expires_s:
            continue
        over_at = accounts.sent_at[message] + orders[number].expires_s
        first = next(iter(runs.get(message, ())), None)
        if first is None:
            continue
        if any(told.outcome == "expired" for told in accounts.told.get(message, ())):
            yield f"told to have expired, and ran: {first}"
        # Of one that a lost host had claimed nobody knows whether it had begun.
        is_late = first.start.attempt == 1 and first.start.at > over_at + _LATE_S + skew_s
        if is_late and not _was_stopped(accounts, first):
            yield f"begun {first.start.at - over_at:.1f} s after its time: {first}"


def _was_stopped(accounts: Accounts, run: Run) -> bool:
    return any(
        fault.kind == "stop" and run.start.pid in fault.pids and 0 <= run.start.at - fault.at <= _STOPPED_S
        for fault in accounts.faults
    )


def batches(accounts: Accounts) -> Iterator[str]:
    """No call has more messages than it takes; and what was in a call whose process ended with it runs alone next."""
    calls: dict[tuple[int, str], list[Run]] = {}
    for run in accounts.runs:
        if run.start.call:
            calls.setdefault((run.start.pid, run.call), []).append(run)
    for together in calls.values():
        if len(together) > BATCH:
            yield f"{len(together)} messages of {BATCH} in one call: {together[0]}"
    for runs in accounts.by_message().values():
        for run, following in pairwise(runs):
            if run.start.call and not run.how and len(calls[run.start.pid, run.call]) > 1:
                beside = len(calls[following.start.pid, following.call])
                if beside > 1:
                    yield f"its process ended at {run}, and it ran again with {beside - 1} others: {following}"
